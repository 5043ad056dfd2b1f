"""`python -m tests.simulation SEED [--mode safety|liveness]` plays one seed; `--seeds N` plays many."""

from __future__ import annotations

import argparse
import os
import sys

from tests.simulation.simulation import MODES, run
from tests.simulation.sweep import sweep


def main() -> int:
    """Parse, play, and return the exit status: 1 if something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", type=int, nargs="?", default=0, help="the seed to play, or the first of many")
    parser.add_argument("--mode", choices=MODES, help="by the seed, unless given")
    parser.add_argument("--seeds", type=int, help="play so many seeds")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes for many seeds")
    chosen = parser.parse_args()
    if chosen.seeds is not None:
        return sweep(range(chosen.seed, chosen.seed + chosen.seeds), chosen.mode, chosen.jobs)
    outcome = run(chosen.seed, chosen.mode)
    for name, number in sorted(outcome.counts.items()):
        print(f"{name:<40} {number:>8}")
    for line in outcome.trace:
        print(line)
    print(f"seed {outcome.seed}, {outcome.mode}: {outcome.violation or 'no violation'}")
    print(f"digest {outcome.digest}")
    return 0 if outcome.violation is None else 1


if __name__ == "__main__":
    sys.exit(main())
