"""P10: bytes on disk for each committed ERC-20 transfer, as the chain grows.

Counted are the database's used pages (its file is sparse and grows in steps) and the write-ahead log.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from itertools import pairwise
from pathlib import Path

import aiohttp
import lmdb

from benchmarks import machine, transfers
from benchmarks.devnets import ARTIFACTS, RPC_PORT, devnet
from benchmarks.ethereum import Node
from benchmarks.results import Result, show
from node.config import DATABASE_NAME, WAL_NAME
from node.storage.tables import TABLES

STEP, STEPS = 5_000, 4


def used_bytes(node: Path) -> dict[str, int]:
    """Return the bytes of used pages by table, and of the write-ahead log."""
    environment = lmdb.open(str(node / DATABASE_NAME), max_dbs=len(TABLES), readonly=True, lock=False)
    found = {}
    try:
        with environment.begin() as transaction:
            for table in TABLES:
                stat = transaction.stat(environment.open_db(table.encode(), txn=transaction, create=False))
                pages = stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
                found[table] = pages * stat["psize"]
    finally:
        environment.close()
    wal = node / WAL_NAME
    files = [wal] if wal.is_file() else list(wal.rglob("*"))
    found["write-ahead log"] = sum(path.stat().st_size for path in files if path.is_file())
    return found


async def grow(data: Path) -> list[dict[str, int]]:
    """Return what is used before, and after every step of transfers."""
    compiled = json.loads((ARTIFACTS / "TestToken.json").read_text(encoding="utf-8"))
    async with aiohttp.ClientSession() as session:
        nodes = [Node(session, f"http://127.0.0.1:{RPC_PORT + i}") for i in range(4)]
        run = await transfers.deploy(nodes, compiled)
        found = [used_bytes(data / "node-0")]
        for _ in range(STEPS):
            await transfers.throughput(run, STEP)
            found.append(used_bytes(data / "node-0"))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="keep the figures in benchmarks/results")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        data = Path(folder) / "devnet"
        try:
            devnet("up", "--no-market", "--detach", "--rpc-port", str(RPC_PORT), data=data)
            found = asyncio.run(grow(data))
        finally:
            devnet("down", data=data)
    totals = [sum(each.values()) for each in found]
    steps = [(after - before) / STEP for before, after in pairwise(totals)]
    overall = (totals[-1] - totals[0]) / (STEP * STEPS)
    grown = {name: (found[-1][name] - found[0][name]) / (STEP * STEPS) for name in found[0]}
    largest = sorted(grown.items(), key=lambda item: -item[1])[:10]
    beside = {
        f"each {STEP:,} transfers": ", ".join(f"{step:.0f} B" for step in steps),
        "by table": ", ".join(f"{name} {size:.0f}" for name, size in largest),
    }
    what = "disk for each committed transfer, with history and indexes"
    about = machine.describe(Path.cwd())
    show(Result("P10", what, overall, "bytes", "≤ 800, not growing", steps, beside, about), keep=options.keep)


if __name__ == "__main__":
    main()
