"""`make bench`: P1, P2 and P3 over four validators, P1 beside other development chains."""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

import contracts
from benchmarks import machine, peers, transfers
from benchmarks.ethereum import Node
from benchmarks.results import Result, show

RPC_PORT = 20545
ARTIFACTS = Path(contracts.__file__).parent / "artifacts"
GRIDPACT = str(Path(sys.executable).with_name("gridpact"))
VALIDATORS = 4
SETTING = "four validators, TLS on, log and database synced, load generator on the same machine"


def devnet(*words: str, data: Path) -> None:
    """Run a `gridpact devnet` command on the benchmark's own data directory."""
    subprocess.run([GRIDPACT, "devnet", *words, "--data", str(data)], check=True)


def anonymous_megabytes(data: Path) -> list[float]:
    """Return each validator's anonymous memory (RssAnon), its processes for reads included, in MB."""
    found = []
    for number in range(VALIDATORS):
        folder = str(data / f"node-{number}")
        total = 0
        processes = {}
        for path in Path("/proc").glob("[0-9]*"):
            try:
                status = dict(line.split(":", 1) for line in (path / "status").read_text().splitlines() if ":" in line)
                processes[int(path.name)] = (status, (path / "cmdline").read_bytes().decode(errors="replace"))
            except OSError:
                continue
        mine = {pid for pid, (_, command) in processes.items() if folder in command}
        mine |= {pid for pid, (status, _) in processes.items() if int(status["PPid"]) in mine}
        total = sum(int(processes[pid][0].get("RssAnon", "0 kB").split()[0]) for pid in mine)
        found.append(total / 1000)
    return found


async def measure(compiled: Mapping[str, Any], data: Path, runs: int, count: int, rounds: int) -> dict[str, Result]:
    """Return P1, P2 and P3."""
    async with aiohttp.ClientSession() as session:
        nodes = [Node(session, f"http://127.0.0.1:{RPC_PORT + i}") for i in range(VALIDATORS)]
        run = await transfers.deploy(nodes, compiled)
        milliseconds = await transfers.latency(session, run, rounds)
        await transfers.throughput(run, count // 4)  # code is warm, pools have been used
        figures, memory = [], []
        for _ in range(runs):
            figures.append(await transfers.throughput(run, count))
            memory.append(max(anonymous_megabytes(data)))
    about = f"{machine.describe(data.parent)}; {SETTING}"
    rates = [figure.per_second for figure in figures]
    tail = milliseconds[int(0.99 * len(milliseconds))]
    blocks = sum(figure.blocks for figure in figures)
    return {
        "P1": Result(
            "P1", "committed ERC-20 transfers", statistics.median(rates), "tx/s", "≥ 1,000", rates,
            {"transfers, blocks": f"{sum(figure.transfers for figure in figures):,} in {blocks}"}, about,
        ),
        "P2": Result(
            "P2", "submit to receipt, one transfer in flight, median", statistics.median(milliseconds), "ms",
            "p50 ≤ 60 ms, p99 ≤ 150 ms", [statistics.median(milliseconds), tail],
            {"p99": f"{tail:.1f} ms of {len(milliseconds)}"}, about,
        ),
        "P3": Result(
            "P3", "the last run over the first on the same chain", rates[-1] / rates[0], "", "≥ 0.95", rates,
            {"anonymous memory, the largest validator (≤ 250 MB)": ", ".join(f"{m:.0f} MB" for m in memory)},
            about,
        ),
    }  # fmt: skip


def main() -> None:
    """Parse the command line, measure, and end the devnet whatever happens."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--transfers", type=int, default=10_000)
    parser.add_argument("--latency-rounds", type=int, default=200)
    parser.add_argument("--peers", action="store_true", help="beside anvil, Hardhat and ganache, installed by npm")
    parser.add_argument("--keep", action="store_true", help="keep the figures in benchmarks/results")
    options = parser.parse_args()
    compiled = json.loads((ARTIFACTS / "TestToken.json").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        data = Path(folder) / "devnet"
        try:
            devnet("up", "--no-market", "--detach", "--rpc-port", str(RPC_PORT), data=data)
            found = asyncio.run(measure(compiled, data, options.runs, options.transfers, options.latency_rounds))
        finally:
            devnet("down", data=data)
    if options.peers:
        reason = peers.install()
        beside = {"other chains": reason} if reason else asyncio.run(peers.measure(compiled))
        first = found["P1"]
        found["P1"] = Result(
            first.claim,
            first.what,
            first.figure,
            first.unit,
            first.bar,
            first.runs,
            {**first.beside, **beside},
            first.machine,
        )
    for result in found.values():
        show(result, keep=options.keep)


if __name__ == "__main__":
    main()
