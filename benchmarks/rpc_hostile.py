"""Clients that mean no good, or know no better: each for some seconds at one validator, as fast as it is answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from benchmarks import lean_socket
from benchmarks.rpc_clients import Load, Tally, Target

MANY, SOME, FEW = 1_000, 100, 8  # connections that do nothing; that do little; that ask as fast as they can
BODY = 6 * 1024 * 1024  # a node takes 5 MiB
DEEP = 190_000  # a node takes 200,000 values in a message
PAUSE_S = 0.5  # between the bytes of a slow client
FOR_EVER = "0x5b600056"  # JUMPDEST, PUSH1 0, JUMP
ADDRESS = "0x" + "ab" * 20
CALL = {"to": ADDRESS, "gas": "0x1c9c380"}
LOOPS = {ADDRESS: {"code": FOR_EVER}}
JSON_HEADERS = {"Content-Type": "application/json"}


def _body(method: str, *params: Any, number: int = 1) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode()


def _batch(size: int, method: str, *params: Any) -> bytes:
    return b"[" + b",".join(_body(method, *params, number=number) for number in range(size)) + b"]"


async def asking(body: bytes, target: Target, tally: Tally, on: asyncio.Event) -> None:
    """Send one body again and again, on a few connections at once."""
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        for _ in range(FEW):
            group.create_task(_repeat(session, target.url, body, tally))
        on.set()


async def _repeat(session: aiohttp.ClientSession, url: str, body: bytes, tally: Tally) -> None:
    while True:
        try:
            async with session.post(url, data=body, headers=JSON_HEADERS) as answer:
                text = await answer.text()
                tally.errors[_kind(answer.status, text)] += 1
        except (aiohttp.ClientError, OSError) as error:
            tally.errors[type(error).__name__] += 1
        await asyncio.sleep(0)


def _kind(status: int, text: str) -> str:
    """Return a few words of what a node answered."""
    at = text.find('"message":"')
    return f"{status} {text[at + 11 : at + 51].partition(chr(34))[0] if at >= 0 else 'result'}"


@asynccontextmanager
async def _connections(target: Target, count: int, first: bytes) -> AsyncIterator[list[asyncio.StreamWriter]]:
    """Hold connections on which something was sent, and nothing that comes is read."""
    address, writers = urlsplit(target.url), list[asyncio.StreamWriter]()
    try:
        for _ in range(count):
            _, writer = await asyncio.open_connection(address.hostname, address.port, limit=1)
            writers.append(writer)
            writer.write(first)
        yield writers
    finally:
        for writer in writers:
            writer.transport.abort()


async def silent(target: Target, _tally: Tally, on: asyncio.Event) -> None:
    """Hold connections on which nothing is ever sent."""
    async with _connections(target, MANY, b""):
        on.set()
        await asyncio.Event().wait()


async def dripping(target: Target, _tally: Tally, on: asyncio.Event) -> None:
    """Send bodies a byte at a time."""
    head = _head(target, MANY)
    async with _connections(target, SOME, head) as writers:
        on.set()
        while True:
            for writer in writers:
                writer.write(b" ")
            await asyncio.sleep(PAUSE_S)


async def unread(target: Target, _tally: Tally, on: asyncio.Event) -> None:
    """Ask for much in pipelines, and read none of the answers."""
    body = _batch(SOME, "eth_getBlockByNumber", "latest", True)
    async with _connections(target, SOME, (_head(target, len(body)) + body) * FEW):
        on.set()
        await asyncio.Event().wait()


def _head(target: Target, length: int) -> bytes:
    return (
        f"POST / HTTP/1.1\r\nHost: {urlsplit(target.url).netloc}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


async def deaf(target: Target, _tally: Tally, on: asyncio.Event) -> None:
    """Subscribe to heads and ask for blocks on WebSockets, and read nothing of it."""
    host = urlsplit(target.url).netloc
    upgrade = (
        f"GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()
    question = lean_socket.masked(lean_socket.TEXT, _batch(SOME, "eth_getBlockByNumber", "latest", True))
    subscribe = lean_socket.masked(lean_socket.TEXT, lean_socket.SUBSCRIBE)
    async with _connections(target, SOME, upgrade + subscribe + question * FEW):
        on.set()
        await asyncio.Event().wait()


def _asking(body: bytes) -> Load:
    return partial(asking, body)


SIMULATION = {
    "blockStateCalls": [{"calls": [CALL] * 5_000}, {"calls": [CALL] * 5_000}],
    "returnFullTransactions": True,
}

HOSTILE: dict[str, Load] = {
    f"{MANY:,} connections that send nothing": silent,
    f"{SOME} clients that send two bytes a second": dripping,
    f"{SOME} pipelines whose answers nobody reads": unread,
    f"{SOME} WebSockets that read nothing": deaf,
    "bodies of 6 MiB": _asking(b" " * BODY),
    "nested too deeply": _asking(b"[" * DEEP),
    "200,000 values in a message": _asking(_body("eth_call", [0] * DEEP)),
    "batches of 1,000 small reads": _asking(_batch(1_000, "eth_getBalance", ADDRESS, "latest")),
    "batches of 1,000 calls": _asking(_batch(1_000, "eth_call", {"to": ADDRESS}, "latest")),
    "eth_blockNumber as fast as it goes": _asking(_body("eth_blockNumber")),
    "eth_call that never ends": _asking(_body("eth_call", {"to": ADDRESS}, "latest", LOOPS)),
    "eth_simulateV1 of 10,000 calls": _asking(_body("eth_simulateV1", SIMULATION, "latest")),
    "debug_traceCall that never ends": _asking(
        _body("debug_traceCall", CALL, "latest", {"stateOverrides": LOOPS, "enableMemory": True})
    ),
}
