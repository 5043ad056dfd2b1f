"""`make bench`: start four validators, measure, end them, print figures with the machine."""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

import contracts
from benchmarks import machine, transfers
from benchmarks.ethereum import Node

RPC_PORT = 20545
ARTIFACTS = Path(contracts.__file__).parent / "artifacts"
GRIDPACT = str(Path(sys.executable).with_name("gridpact"))


def devnet(*words: str, data: Path) -> None:
    """Run a `gridpact devnet` command on the benchmark's own data directory."""
    subprocess.run([GRIDPACT, "devnet", *words, "--data", str(data)], check=True)


async def measure(compiled: Mapping[str, Any], runs: int, count: int, rounds: int) -> str:
    """Return the report of `runs` throughput runs of `count` transfers and `rounds` single transfers."""
    async with aiohttp.ClientSession() as session:
        nodes = [Node(session, f"http://127.0.0.1:{RPC_PORT + i}") for i in range(4)]
        run = await transfers.deploy(nodes, compiled)
        milliseconds = await transfers.latency(session, run, rounds)
        figures = [await transfers.throughput(run, count) for _ in range(runs)]
    return transfers.summary(figures, milliseconds)


def main() -> None:
    """Parse the command line, measure, and end the devnet whatever happens."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--transfers", type=int, default=3000)
    parser.add_argument("--latency-rounds", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        data = Path(folder) / "devnet"
        try:
            devnet("up", "--no-market", "--detach", "--rpc-port", str(RPC_PORT), data=data)
            compiled = json.loads((ARTIFACTS / "TestToken.json").read_text(encoding="utf-8"))
            report = asyncio.run(measure(compiled, options.runs, options.transfers, options.latency_rounds))
        finally:
            devnet("down", data=data)
        print("four validators, TLS on, log and database synced, load generator on the same machine")
        print(report)
        print(machine.describe(Path(folder)))


if __name__ == "__main__":
    main()
