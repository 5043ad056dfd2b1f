"""`make soak-chain`: a million transfers on one chain of four validators; does it slow down, grow, or start later?

After every slice: transfers/s of that slice, each validator's anonymous memory, bytes on the disk a transfer of that
slice. A restart of one validator (SIGKILL, then started again under load) is timed at the beginning and in the end:
from the start of the process until it serves RPC, and until a height is certified with its signature.

    python -m benchmarks.soak.chain --transfers 1000000 --keep
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import aiohttp

from benchmarks import machine, transfers
from benchmarks.ethereum import Node
from benchmarks.results import Result, show
from benchmarks.soak.load import AWAY
from benchmarks.validators import SETTING, anonymous_bytes, disk_of, four_validators, token_on
from devnet.run import Devnet

RPC_PORT = 20945
RESTARTED = 3  # the validator that is restarted
RESTART_SLICE = 500  # transfers that are signed at once while it is away
LOADED_HEIGHTS = 3  # under load before it is killed
BOUND_S = 120.0
POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Sample:
    """One slice.

    Args:
        transfers: committed on the chain up to its end.
        per_s: transfers a second in it.
        memory_mb: anonymous memory of each validator, its reading processes included.
        disk_bytes: the first validator's whole data directory.
        database_bytes: the pages of its database in use, and its write-ahead log.
    """

    transfers: int
    per_s: float
    memory_mb: tuple[float, ...]
    disk_bytes: int
    database_bytes: int


@dataclass(frozen=True, slots=True)
class Restart:
    """Seconds from the start of the process until RPC answers, and until a certificate has the node's signature."""

    rpc_s: float
    consensus_s: float

    def __str__(self) -> str:
        """Return both figures."""
        return f"RPC after {self.rpc_s:.2f} s, in consensus after {self.consensus_s:.2f} s"


def sample(devnet: Devnet, transfers: int, per_s: float) -> Sample:
    """Measure what the validators take now."""
    root = devnet.place.root
    disk = disk_of(devnet.place.node(0))
    memory = tuple(anonymous_bytes(root, index) / 1e6 for index in range(devnet.place.count))
    return Sample(transfers, per_s, memory, disk.total, disk.database + disk.log)


def line(one: Sample, before: Sample) -> str:
    """Return a sample as it is printed."""
    sent = one.transfers - before.transfers
    return (
        f"{one.transfers:>9,} transfers  {one.per_s:6.0f} tx/s  memory "
        f"{', '.join(f'{each:.0f}' for each in one.memory_mb)} MB  disk {one.disk_bytes / 1e6:.1f} MB, "
        f"{(one.disk_bytes - before.disk_bytes) / sent:.0f} bytes a transfer "
        f"(database and log alone {(one.database_bytes - before.database_bytes) / sent:.0f})"
    )


async def measure(devnet: Devnet, count: int, slice_: int) -> tuple[list[Sample], list[Restart]]:
    """Send the transfers; return the samples, the first of the chain before them, and the restarts."""
    async with aiohttp.ClientSession() as session:
        run = await token_on(devnet, session)
        restarts = [await restart(devnet, run)]
        print(f"restart of a young chain: {restarts[0]}", flush=True)
        await transfers.throughput(run, slice_ // 4)  # code is warm
        samples = [sample(devnet, 0, 0.0)]
        while samples[-1].transfers < count:
            sent = await transfers.throughput(run, min(slice_, count - samples[-1].transfers))
            samples.append(sample(devnet, samples[-1].transfers + sent.transfers, sent.per_second))
            print(line(samples[-1], samples[-2]), flush=True)
        restarts.append(await restart(devnet, run))
        print(f"restart after {count:,} transfers: {restarts[1]}", flush=True)
    return samples, restarts


async def restart(devnet: Devnet, run: transfers.Run) -> Restart:
    """Kill one validator and start it again while the others go on under load; time it."""
    nodes = run.nodes
    others = run.over([node for index, node in enumerate(nodes) if index != RESTARTED])
    key = (await nodes[RESTARTED].call("grid_status"))["nodeKey"]
    back = asyncio.Event()

    async def load() -> None:
        while not back.is_set():
            await transfers.throughput(others, RESTART_SLICE)

    async with asyncio.TaskGroup() as group:
        group.create_task(load())
        begin = await _height(nodes[0])
        while await _height(nodes[0]) < begin + LOADED_HEIGHTS:
            await asyncio.sleep(POLL_S)
        timed = await _kill_and_start(devnet, nodes, key)
        back.set()
    return timed


async def _kill_and_start(devnet: Devnet, nodes: Sequence[Node], key: str) -> Restart:
    """Kill the validator with this key, start it again, and time it by what it and the first node say."""
    devnet.processes.kill(f"node-{RESTARTED}")
    started = time.perf_counter()
    devnet.start_node(RESTARTED)
    read, rpc_s = await _height(nodes[0]), 0.0
    while time.perf_counter() - started < BOUND_S:
        devnet.processes.check()
        if not rpc_s and await _height(nodes[RESTARTED]) >= 0:
            rpc_s = time.perf_counter() - started
        head = await _height(nodes[0])
        for height in range(read + 1, head + 1):
            certificate = await nodes[0].call("grid_getCertificate", hex(height))
            if rpc_s and key in certificate["signers"]:
                return Restart(rpc_s, time.perf_counter() - started)
        read = head
        await asyncio.sleep(POLL_S)
    raise TimeoutError(f"node {RESTARTED} is not back within {BOUND_S:.0f} s")


async def _height(node: Node) -> int:
    try:
        return int(await node.call("eth_blockNumber"), 16)
    except AWAY:
        return -1


def result(samples: Sequence[Sample], restarts: Sequence[Restart], about: str) -> Result:
    """Return what is kept: transfers/s over the whole chain, and the three lines of the plot."""
    sent = samples[1:]
    last = sent[-1]
    seconds = sum((after.transfers - before.transfers) / after.per_s for before, after in pairwise(samples))
    tenth = max(1, len(sent) // 10)
    early, late = (statistics.mean(each.per_s for each in part) for part in (sent[:tenth], sent[-tenth:]))
    sizes = [
        (after.transfers, (after.disk_bytes - before.disk_bytes) / (after.transfers - before.transfers))
        for before, after in pairwise(samples)
    ]
    whole = (last.disk_bytes - samples[0].disk_bytes) / last.transfers
    alone = (last.database_bytes - samples[0].database_bytes) / last.transfers
    early_size, late_size = (statistics.mean(size for _, size in part) for part in (sizes[:tenth], sizes[-tenth:]))
    return Result(
        "soak-chain",
        f"committed ERC-20 transfers, {last.transfers:,} on one chain",
        last.transfers / seconds,
        "tx/s",
        "",
        [last.transfers / seconds],
        {
            "the last tenth of the slices over the first": f"{late / early:.3f} ({late:.0f} over {early:.0f} tx/s)",
            "anonymous memory, the largest validator, after the first and the last slice": (
                f"{max(sent[0].memory_mb):.0f} MB, {max(last.memory_mb):.0f} MB"
            ),
            "disk for each transfer (bar 800 bytes)": (
                f"{whole:.0f} bytes with everything, database and log alone {alone:.0f}; "
                f"the first tenth {early_size:.0f}, the last {late_size:.0f}"
            ),
            "restart of a young chain, under load": str(restarts[0]),
            "restart in the end, under load (bar 5 s)": str(restarts[1]),
        },
        about,
        {
            "transfers/s": [(each.transfers, each.per_s) for each in sent],
            "memory": [(each.transfers, max(each.memory_mb)) for each in sent],
            "disk": sizes,
        },
    )


def main() -> None:
    """Parse the command line, measure, print, and keep what is to be kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transfers", type=int, default=1_000_000)
    parser.add_argument("--slice", type=int, default=20_000, help="transfers between two samples")
    parser.add_argument("--keep", action="store_true", help="keep the figures in benchmarks/results")
    options = parser.parse_args()
    with four_validators(RPC_PORT) as devnet:
        samples, restarts = asyncio.run(measure(devnet, options.transfers, options.slice))
        about = f"{machine.describe(devnet.place.root)}; {SETTING}"
    show(result(samples, restarts, about), keep=options.keep)


if __name__ == "__main__":
    main()
