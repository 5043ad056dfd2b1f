"""The process of a benchmark that holds the clients of one validator: what it is told to do, until it is told to end.

The parent sends the name of a load, and hears None when it is on; then anything, and hears a `Tally`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import aiohttp
import uvloop

from benchmarks import lean_socket
from node.rpc.gate import file_room

REQUESTS_PER_S = 200
MIX = {
    "eth_blockNumber": 50,
    "eth_getBalance": 40,
    "eth_call": 40,
    "eth_getTransactionReceipt": 30,
    "eth_getBlockByNumber": 20,
    "eth_getLogs": 10,
    "eth_feeHistory": 10,
}
"""Requests of each method in a second's worth of them."""
LOG_HEIGHTS = 100
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
FEE_HEIGHTS = 20
OPENED_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Target:
    """The validator that has the load, and what there is to ask of it.

    Args:
        url: of its JSON-RPC.
        token: address of an ERC-20 token.
        holders: addresses that have some of it.
        transactions: hashes of committed transactions.
        subscribers: how many to hold.
    """

    url: str
    token: str
    holders: tuple[str, ...]
    transactions: tuple[str, ...]
    subscribers: int


@dataclass(slots=True)
class Tally:
    """What clients saw.

    Args:
        waits_ms: of each answer, from when the request was due, by method.
        errors: how often, by what went wrong.
        dropped: subscribers whose connection ended.
        last_heard: when the last subscriber heard of a head (monotonic seconds), by height, of those that all heard.
        heads_ms: from the first subscriber that heard of a head to the last.
    """

    waits_ms: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in MIX})
    errors: Counter[str] = field(default_factory=Counter)
    dropped: int = 0
    last_heard: dict[int, float] = field(default_factory=dict)
    heads_ms: list[float] = field(default_factory=list)


Load = Callable[[Target, Tally, asyncio.Event], Awaitable[None]]
"""Runs until it is cancelled; sets the event when it is on."""


async def everyday(target: Target, tally: Tally, on: asyncio.Event) -> None:
    """Hold the subscribers, and ask 200 times a second, due at even intervals whether or not answers have come."""
    async with lean_socket.subscribers(target.url, target.subscribers, OPENED_AT_ONCE) as heard:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
            try:
                on.set()
                started = time.monotonic()
                for number, (name, body) in enumerate(questions(target)):
                    due = started + number / REQUESTS_PER_S
                    await asyncio.sleep(max(0.0, due - time.monotonic()))
                    group.create_task(_ask(session, target.url, name, body, due, tally))
            finally:
                tally.dropped = heard.ended
                tally.last_heard = heard.last_heard()


def questions(target: Target) -> Iterator[tuple[str, bytes]]:
    """Yield (method, encoded request) for ever, in the same order every time."""
    source = random.Random(7)
    names = [name for name, count in MIX.items() for _ in range(count)]
    for number in itertools.count():
        if number % len(names) == 0:
            source.shuffle(names)
        name = names[number % len(names)]
        content = {"jsonrpc": "2.0", "id": number, "method": name, "params": _parameters(name, target, source)}
        yield name, json.dumps(content).encode()


def _parameters(name: str, target: Target, source: random.Random) -> list[Any]:
    holder = source.choice(target.holders)
    match name:
        case "eth_getBalance":
            return [holder, "latest"]
        case "eth_call":
            return [{"to": target.token, "data": "0x70a08231" + holder[2:].rjust(64, "0")}, "latest"]
        case "eth_getTransactionReceipt":
            return [source.choice(target.transactions)]
        case "eth_getBlockByNumber":
            return ["latest", True]
        case "eth_getLogs":
            topics = [TRANSFER, "0x" + holder[2:].rjust(64, "0")]
            return [{"address": target.token, "topics": topics, "fromBlock": "0x1", "toBlock": hex(LOG_HEIGHTS)}]
        case "eth_feeHistory":
            return [hex(FEE_HEIGHTS), "latest", [10, 50, 90]]
        case _:
            return []


async def _ask(session: aiohttp.ClientSession, url: str, name: str, body: bytes, due: float, tally: Tally) -> None:
    try:
        headers = {"Content-Type": "application/json"}
        async with session.post(url, data=body, headers=headers) as answer:
            found = json.loads(await answer.read())
    except (aiohttp.ClientError, OSError) as error:
        tally.errors[type(error).__name__] += 1
        return
    tally.waits_ms[name].append(1_000 * (time.monotonic() - due))
    if found.get("result") is None:
        tally.errors[str(found.get("error", {}).get("message", "null"))[:60]] += 1


async def _serve(target: Target, loads: dict[str, Load], pipe: Connection) -> None:
    while True:
        name = await asyncio.to_thread(pipe.recv)
        tally, on = Tally(), asyncio.Event()
        task = asyncio.ensure_future(loads[name](target, tally, on))
        waiting = asyncio.create_task(on.wait())
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        pipe.send(None)
        await asyncio.to_thread(pipe.recv)
        task.cancel()
        ended = (await asyncio.gather(task, return_exceptions=True))[0]
        if isinstance(ended, Exception):
            raise ended
        pipe.send(tally)


def run(target: Target, loads: dict[str, Load], pipe: Connection) -> None:
    """Serve the parent until it closes the pipe or ends, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    file_room()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(target, loads, pipe))
    except EOFError:
        pass
