"""What a thousand WebSocket subscribers cost a node with every head: how long, and how long at a time.

One process is a node that commits a block every now and then; another holds the subscribers, all of `newHeads`.
Printed: the processor time of the node's event loop for a head, the most of it that it took without doing what else
waits, and the time until the last subscriber had the head.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import statistics
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import aiohttp
import uvloop

from benchmarks import machine
from node.rpc.server import RpcServer
from node.rpc.settings import RpcConfig
from tests.rpc.harness import LocalBackend

HEADS = 20
PAUSE_S = 0.3  # between heads
TICK_S = 0.0005


async def _subscribe(url: str, count: int, pipe: Connection) -> None:
    """Hold the subscribers; tell when all have subscribed, and for every head when the last had it."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        opened = [await session.ws_connect(url) for _ in range(count)]
        request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]})
        for each in opened:
            await each.send_str(request)
            await each.receive()
        pipe.send(None)
        for _ in range(HEADS):
            await asyncio.gather(*(each.receive() for each in opened))
            pipe.send(time.monotonic())


def _hold(url: str, count: int, pipe: Connection) -> None:
    asyncio.run(_subscribe(url, count, pipe))


async def measure(backend: LocalBackend, count: int) -> tuple[list[float], list[float], list[float]]:
    """Return, for every head in milliseconds: processor time of the loop, longest hold, time to the last subscriber."""
    server = RpcServer(backend, RpcConfig(port=0))
    port = await server.start()
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    child = multiprocessing.get_context("spawn").Process(target=_hold, args=(f"http://127.0.0.1:{port}", count, theirs))
    child.start()
    await asyncio.to_thread(ours.recv)
    cpu, held, last = [], [], []
    for _ in range(HEADS):
        await asyncio.sleep(PAUSE_S)
        backend.mine()
        begin, before, longest = time.monotonic(), time.thread_time(), 0.0  # the block itself is not measured
        coming = asyncio.get_running_loop().run_in_executor(None, ours.recv)
        while not coming.done():
            tick = time.thread_time()
            await asyncio.sleep(TICK_S)
            longest = max(longest, time.thread_time() - tick)
        cpu.append(1_000 * (time.thread_time() - before))
        held.append(1_000 * longest)
        last.append(1_000 * (await coming - begin))
    child.join()
    await server.close()
    return cpu, held, last


def main() -> None:
    """Print the times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subscribers", type=int, default=1_000)
    count = parser.parse_args().subscribers
    with tempfile.TemporaryDirectory() as folder:
        backend = LocalBackend(Path(folder) / "chain", open_accounts=True)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            cpu, held, last = runner.run(measure(backend, count))
        backend.chain.close()
    print(f"{count} subscribers of newHeads, {HEADS} heads, median (and worst)")
    for name, times in (("processor time", cpu), ("longest hold of the loop", held), ("last subscriber after", last)):
        print(f"  {name:26} {statistics.median(times):7.1f} ms ({max(times):.1f} ms)")
    print(f"  {machine.describe(Path.cwd())}")


if __name__ == "__main__":
    main()
