"""`make bench`: the scripts of P1 to P4, P8 to P10 and the profile one after the other, each in a process of its own.

python -m benchmarks --keep                 # all, figures kept
python -m benchmarks committed --no-peers   # one
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

SCRIPTS = {
    "committed": "P1 transfers a second beside other chains, P2 latency, P3 no decay",
    "execution": "P4 execution beside pyrevm",
    "audit": "P8 audit",
    "start": "P9 start of a devnet",
    "disk": "P10 bytes on disk",
    "profile": "where the time of a transfer goes",
}
WITH_PEERS = "committed"


def main() -> None:
    """Run what is asked for; end with the number of scripts that failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(f"{k}: {v}" for k, v in SCRIPTS.items()))
    parser.add_argument("--no-peers", action="store_true", help="P1 without anvil, Hardhat's node and ganache")
    parser.add_argument("--keep", action="store_true", help="keep the figures in benchmarks/results")
    options = parser.parse_args()
    for name in options.names:
        if name not in SCRIPTS:
            parser.error(f"expected one of {', '.join(SCRIPTS)}, found {name}")
    failed = 0
    for name in options.names or SCRIPTS:
        flags = ["--keep"] * options.keep + ["--no-peers"] * (options.no_peers and name == WITH_PEERS)
        print(f"== {name}: {SCRIPTS[name]}", flush=True)
        started = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *flags], check=False)
        print(f"== {name} took {time.perf_counter() - started:.0f} s", flush=True)
        failed += done.returncode != 0
    sys.exit(failed)


if __name__ == "__main__":
    main()
