"""Before HTTP: how many connections may be open, and how long a client may leave its answer unread.

What aiohttp bounds itself: a connection without a whole request for as long as KEEPALIVE_S is closed, and of requests
in a pipeline only a few are read ahead.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable
from typing import cast

from node.rpc.errors import LIMIT_EXCEEDED, RpcError
from node.rpc.protocol import encode_error

UNREAD_S = 30.0  # that an answer may wait for a client to take anything of it
FILES_BESIDE = 256  # open files of a node beside the RPC's connections: peers, database, logs
WANTED_FILES = 8_192


def file_room() -> int:
    """Raise this process's limit on open files as far as it goes, and return how many connections that leaves."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_FILES if hard == resource.RLIM_INFINITY else min(WANTED_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return max(1, (2**31 if soft == resource.RLIM_INFINITY else soft) - FILES_BESIDE)


class Gate:
    """Lets connections in, up to a number.

    Args:
        protocol: makes what serves one connection.
        most: connections at once.
    """

    def __init__(self, protocol: Callable[[], asyncio.Protocol], most: int) -> None:
        self._protocol = protocol
        self._most = most
        self.open = 0

    def __call__(self) -> asyncio.Protocol:
        """Return the protocol for a connection that was accepted just now."""
        return _Connection(self)

    def enter(self, transport: asyncio.Transport) -> asyncio.Protocol | None:
        """Return what serves a connection; None, and refuse it, if there are too many."""
        if self.open >= self._most:
            transport.write(_refusal(self._most))
            transport.close()
            return None
        self.open += 1
        return self._protocol()

    def leave(self) -> None:
        """Take back the place of a connection that was let in."""
        self.open -= 1


class _Connection(asyncio.Protocol):
    """Passes everything on; cuts the connection if the client takes nothing for too long."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._inner: asyncio.Protocol | None = None
        self._transport: asyncio.Transport | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self._inner = self._gate.enter(self._transport)
        if self._inner is not None:
            self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        if self._inner is not None:
            self._gate.leave()
            self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._inner is not None:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return None if self._inner is None else self._inner.eof_received()

    def pause_writing(self) -> None:
        if self._transport is not None and self._inner is not None:
            self._unread = asyncio.get_running_loop().call_later(UNREAD_S, self._transport.abort)
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._stop()
        if self._inner is not None:
            self._inner.resume_writing()

    def _stop(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None


def _refusal(most: int) -> bytes:
    body = encode_error(None, RpcError(LIMIT_EXCEEDED, f"limit exceeded: {most} connections are open; try again"))
    return (
        f"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"Retry-After: 10\r\nConnection: close\r\n\r\n{body}"
    ).encode()
