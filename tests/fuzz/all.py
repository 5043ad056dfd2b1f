"""Fuzz every decoder, one after the other: `python -m tests.fuzz.all [libFuzzer options]`; status 1 if one fell."""

from __future__ import annotations

import subprocess
import sys

from tests.fuzz.decoders import decoders


def main(options: list[str]) -> int:
    """Run all, and print one line for each."""
    fallen = 0
    for name in sorted(decoders()):
        run = subprocess.run(
            [sys.executable, "-m", "tests.fuzz", name, *options], capture_output=True, text=True, check=False
        )
        ended = [line for line in run.stderr.splitlines() if line.startswith(("Done ", "#"))]
        executions = ended[-1].split()[1] if ended and ended[-1].startswith("Done ") else "?"
        fallen += run.returncode != 0
        print(f"{name}: {executions} inputs, {'no finding' if run.returncode == 0 else 'FELL'}", flush=True)
        if run.returncode != 0:
            print(run.stderr[-4000:])
    return 1 if fallen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
