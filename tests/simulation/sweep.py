"""Many seeds over all cores: a table of what was exercised, then how many violations there were."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Iterable
from functools import partial

from tests.simulation.simulation import Mode, Outcome, run

PROGRESS = 100  # seeds between two signs of life


def sweep(seeds: Iterable[int], mode: Mode | None, jobs: int) -> int:
    """Play seeds and print what came of it.

    Args:
        seeds: to play.
        mode: of all of them; by the seed, if it is None.
        jobs: processes.

    Returns:
        The exit status: 1 if anything did not hold.
    """
    totals: Counter[str] = Counter()
    runs: Counter[str] = Counter()
    failed: list[Outcome] = []
    played = 0
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        for outcome in pool.imap_unordered(partial(run, mode=mode), seeds):
            played += 1
            totals.update(outcome.counts)
            runs.update(name for name, number in outcome.counts.items() if number)
            runs[f"mode: {outcome.mode}"] += 1
            totals[f"mode: {outcome.mode}"] += 1
            if outcome.violation is not None:
                failed.append(outcome)
                report(outcome)
            if played % PROGRESS == 0:
                print(f"… {played} seeds, {len(failed)} violations", flush=True)
    print(f"{'exercised':<44} {'times':>10} {'seeds':>8}")
    for name, number in sorted(totals.items()):
        print(f"{name:<44} {number:>10} {runs[name]:>8}")
    for outcome in sorted(failed, key=lambda each: each.seed):
        print(f"violation: {outcome.violation}\n  replay: {outcome.replay}")
    print(f"{len(failed)} violations in {played} seeds")
    return 1 if failed else 0


def report(outcome: Outcome) -> None:
    """Print a violation with the events that led to it."""
    for line in outcome.trace:
        print(line)
    print(f"seed {outcome.seed}, {outcome.mode}: {outcome.violation}\n  replay: {outcome.replay}", flush=True)
