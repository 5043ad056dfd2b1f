"""P10: bytes on disk for each committed ERC-20 transfer, as the chain grows: the whole data directory of a validator.

Counted are the database with the pages that wait to be used again (its file is sparse and grows in steps), the
write-ahead log, the states kept for newcomers, and every other file.
"""

from __future__ import annotations

import argparse
import asyncio
from itertools import pairwise

import aiohttp

from benchmarks import machine, transfers
from benchmarks.results import Result, show
from benchmarks.validators import Disk, disk_of, four_validators, token_on
from devnet.run import Devnet

RPC_PORT = 20545
STEP, STEPS = 10_000, 5


async def grow(devnet: Devnet) -> list[Disk]:
    """Return what the first validator's data directory takes before, and after every step of transfers."""
    folder = devnet.place.node(0)
    async with aiohttp.ClientSession() as session:
        run = await token_on(devnet, session)
        found = [disk_of(folder)]
        for _ in range(STEPS):
            await transfers.throughput(run, STEP)
            found.append(disk_of(folder))
    return found


def result(found: list[Disk], about: str) -> Result:
    """Return P10 of what the directory took before and after every step."""
    steps = [(after.total - before.total) / STEP for before, after in pairwise(found)]
    first, last = found[0], found[-1]
    parts = {
        "log": last.log - first.log,
        "pages to be used again": last.free - first.free,
        "snapshots": last.snapshots - first.snapshots,
        "other files": last.rest - first.rest,
        **{f"table {name}": size - first.tables[name] for name, size in last.tables.items()},
    }
    by_size = sorted(((size / (STEP * STEPS), name) for name, size in parts.items()), reverse=True)
    beside = {
        f"each {STEP:,} transfers": ", ".join(f"{step:.0f} B" for step in steps),
        "for what": ", ".join(f"{name} {size:.0f}" for size, name in by_size if size >= 1),
    }
    overall = (last.total - first.total) / (STEP * STEPS)
    what = "disk for each committed transfer, with everything in the data directory"
    return Result("P10", what, overall, "bytes", "≤ 800, not growing", steps, beside, about)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="keep the figures in benchmarks/results")
    options = parser.parse_args()
    with four_validators(RPC_PORT) as devnet:
        found = asyncio.run(grow(devnet))
        about = machine.describe(devnet.place.root)
    show(result(found, about), keep=options.keep)


if __name__ == "__main__":
    main()
