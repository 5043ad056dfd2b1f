"""`make conformance`: all state tests of the archive by both opcode loops, and traced. Exit status 1 if one fails."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.conformance.state_tests import ARCHIVE, FORK, Outcome, Way, members, run_file

SLOW, PARTS = "vmPerformance", 16  # cases of seconds to minutes: they begin first, in parts, so that no core waits


def report(way: Way, outcomes: list[Outcome]) -> int:
    """Print the counts by folder and every failure; return how many failed."""
    totals = Counter(outcome.folder for outcome in outcomes)
    failures = [outcome for outcome in outcomes if outcome.reason]
    failed = Counter(outcome.folder for outcome in failures)
    for folder in sorted(totals):
        print(f"  {folder:32} {totals[folder] - failed[folder]:5} of {totals[folder]}")
    for outcome in failures:
        print(f"  failed {outcome.folder}/{outcome.name}: {outcome.reason}")
    print(f"{way}, {FORK}: passed {len(outcomes) - len(failures)} of {len(outcomes)}")
    return len(failures)


def main() -> int:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--archive", type=Path, default=ARCHIVE, help="general_state_tests.tar.xz of ethereum/tests")
    parser.add_argument("--way", type=Way, choices=list(Way), action="append", help="all unless given")
    parser.add_argument("--only", default="", help="a part of the folder's or file's name")
    options = parser.parse_args()
    if not options.archive.exists():
        print(f"no state tests at {options.archive}: set GRIDPACT_VECTORS or --archive")
        return 2
    chosen = [each for each in members(options.archive) if options.only in f"{each[0]}/{each[1]}"]
    if not chosen:
        print(f"no test's folder or name contains {options.only!r}")
        return 2
    chosen.sort(key=lambda each: each[0] != SLOW)
    failed = 0
    with ProcessPoolExecutor() as pool:
        for way in options.way or list(Way):
            started = time.monotonic()
            parts = [(each, PARTS if each[0] == SLOW else 1) for each in chosen]
            jobs = [pool.submit(run_file, *each, way, part, count) for each, count in parts for part in range(count)]
            failed += report(way, [outcome for job in jobs for outcome in job.result()])
            print(f"in {time.monotonic() - started:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
