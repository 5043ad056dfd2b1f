"""P8: `gridpact audit verify` over a chain of token transfers: what was signed, and all of it executed again.

The commands are timed whole, with the start of their processes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import time
from pathlib import Path

import aiohttp

from benchmarks import machine, transfers
from benchmarks.results import Result, show
from benchmarks.validators import GRIDPACT, four_validators, token_on
from devnet.run import Devnet

RPC_PORT = 20545
TRANSFERS, SLICE = 50_000, 10_000
RUNS = 3


async def grow(devnet: Devnet) -> None:
    """Commit the transfers."""
    async with aiohttp.ClientSession() as session:
        run = await token_on(devnet, session)
        for _ in range(0, TRANSFERS, SLICE):
            await transfers.throughput(run, SLICE)


def verify(folder: Path, *words: str) -> float:
    """Return the transactions a second that one audit checks.

    Raises:
        RuntimeError: the audit found something.
    """
    started = time.perf_counter()
    done = subprocess.run(
        [GRIDPACT, "audit", "verify", str(folder), "--json", *words], capture_output=True, check=False
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(done.stdout.decode()[-300:] + done.stderr.decode()[-300:])
    return float(json.loads(done.stdout)["counts"]["transactions"]) / seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="keep the figures in benchmarks/results")
    options = parser.parse_args()
    with four_validators(RPC_PORT) as devnet:
        asyncio.run(grow(devnet))
        devnet.stop()
        ledger = devnet.place.node(0)
        signed = [verify(ledger, "--no-execute") for _ in range(RUNS)]
        executed = [verify(ledger) for _ in range(RUNS)]
        about = machine.describe(devnet.place.root)
    what = f"`audit verify --no-execute` of {TRANSFERS:,} transfers"
    show(Result("P8a", what, statistics.median(signed), "tx/s", "≥ 10,000", signed, {}, about), keep=options.keep)
    what = f"`audit verify` of {TRANSFERS:,} transfers, everything executed again"
    show(Result("P8b", what, statistics.median(executed), "tx/s", "≥ 3,000", executed, {}, about), keep=options.keep)


if __name__ == "__main__":
    main()
