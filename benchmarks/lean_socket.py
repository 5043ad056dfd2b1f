"""Many WebSocket subscribers of `newHeads` in one process, for as little processor time as can be (RFC 6455)."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

TEXT, CLOSE, PING, PONG = 0x81, 0x88, 0x89, 0x8A
NUMBER = b'"number":"0x'
SUBSCRIBE = b'{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}'


class Heard:
    """What all subscribers heard.

    Args:
        count: how many there are.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._times: Counter[int] = Counter()
        self._last: dict[int, float] = {}
        self.ended = 0
        self.leaving = False

    def head(self, height: int) -> None:
        """Take note of a head that one subscriber heard of."""
        self._times[height] += 1
        if self._times[height] == self._count:
            self._last[height] = time.monotonic()

    def end(self) -> None:
        """Take note of a connection that ended; it does not count if we end them."""
        self.ended += not self.leaving

    def last_heard(self) -> dict[int, float]:
        """Return when the last subscriber heard of a head (monotonic seconds), of those that all heard of."""
        return self._last


class Subscriber(asyncio.Protocol):
    """One connection: opens, subscribes, counts.

    Args:
        host: for the handshake, HOST:PORT.
        heard: of all.
        opened: set when the subscription is confirmed.
    """

    def __init__(self, host: str, heard: Heard, opened: asyncio.Future[None]) -> None:
        self._host, self._heard, self._opened = host, heard, opened
        self._rest = b""
        self._upgraded = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._write(
            f"GET / HTTP/1.1\r\nHost: {self._host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self._heard.end()
        if not self._opened.done():
            self._opened.set_exception(exc or ConnectionError("closed before it was open"))

    def data_received(self, data: bytes) -> None:
        rest = self._rest + data
        if not self._upgraded:
            head, separator, rest = rest.partition(b"\r\n\r\n")
            if not separator:
                self._rest = head
                return
            if not head.startswith(b"HTTP/1.1 101 "):
                self._opened.set_exception(ConnectionError(head.partition(b"\r\n")[0].decode()))
                return
            self._upgraded = True
            self._write(masked(TEXT, SUBSCRIBE))
        while len(rest) >= 2:
            length, start = rest[1], 2
            if length >= 126:
                start = 4 if length == 126 else 10
                length = int.from_bytes(rest[2:start], "big")
            if len(rest) < start + length:
                break
            self._frame(rest[0], rest[start : start + length])
            rest = rest[start + length :]
        self._rest = rest

    def _frame(self, kind: int, payload: bytes) -> None:
        if kind == PING:
            self._write(masked(PONG, payload))
        elif kind == TEXT:
            at = payload.find(NUMBER)
            if at >= 0:
                at += len(NUMBER)
                self._heard.head(int(payload[at : payload.index(b'"', at)], 16))
            elif not self._opened.done():
                self._opened.set_result(None)

    def _write(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)


def masked(kind: int, payload: bytes) -> bytes:
    """Return a client's frame of at most 65,535 bytes; its mask is zero, which changes nothing."""
    size = len(payload)
    length = bytes((0x80 | size,)) if size < 126 else bytes((0x80 | 126,)) + size.to_bytes(2, "big")
    return bytes((kind,)) + length + bytes(4) + payload


@asynccontextmanager
async def subscribers(url: str, count: int, at_once: int) -> AsyncIterator[Heard]:
    """Hold so many subscribers, opened a few at once.

    Raises:
        ConnectionError: one was not let in.
    """
    loop, place = asyncio.get_running_loop(), urlsplit(url).netloc
    host, _, port = place.rpartition(":")
    heard = Heard(count)
    transports: list[asyncio.BaseTransport] = []

    async def open_one() -> None:
        opened = loop.create_future()
        transport, _ = await loop.create_connection(lambda: Subscriber(place, heard, opened), host, int(port))
        transports.append(transport)
        await opened

    try:
        for start in range(0, count, at_once):
            await asyncio.gather(*(open_one() for _ in range(min(at_once, count - start))))
        yield heard
    finally:
        heard.leaving = True
        for transport in transports:
            transport.close()
