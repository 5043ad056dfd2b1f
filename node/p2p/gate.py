"""The door: TCP connections that have not yet shown who they are, bounded in number.

A connection counts from the moment it is accepted, before a byte of TLS, until a member has said hello on it. When too
many wait, the address that holds most of them loses its oldest: who opens connections without end hurts nobody else.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

MAX_STRANGERS = 256  # twice the most validators: all may come at once, after a power cut
PAUSE_S = 1.0  # after the system has refused us a connection, for want of file descriptors

ProtocolFactory = Callable[[], asyncio.Protocol]


@dataclass(slots=True, eq=False)
class _Stranger:
    """A connection that waits: from where, and the socket or, once TLS is up, the transport."""

    address: str
    connection: socket.socket
    task: asyncio.Task[None] | None = None
    transport: asyncio.Transport | None = None

    def cut(self) -> None:
        """End it."""
        if self.task is not None:
            self.task.cancel()
        if self.transport is not None:
            self.transport.abort()


class Gate:
    """Listens, begins TLS on what comes, and hands it to a protocol.

    Args:
        listen: where, (host, port); port 0 takes any free one.
        factory: makes the protocol of a connection.
        context: the server's TLS context.
        handshake_s: how long TLS may take.

    Raises:
        OSError: the port is in use.
    """

    def __init__(
        self, listen: tuple[str, int], factory: ProtocolFactory, context: ssl.SSLContext, handshake_s: float
    ) -> None:
        family = socket.AF_INET6 if ":" in listen[0] else socket.AF_INET
        self._socket = socket.create_server(listen, family=family, backlog=128)
        self._socket.setblocking(False)
        self._factory = factory
        self._context = context
        self._handshake_s = handshake_s
        self._strangers: list[_Stranger] = []
        self._accepting = asyncio.get_running_loop().create_task(self._accept_all())

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._socket.getsockname()[1])

    @property
    def strangers(self) -> int:
        """How many connections have not shown who they are."""
        self._forget_closed()
        return len(self._strangers)

    def known(self, transport: asyncio.BaseTransport | None) -> None:
        """A member has said hello on this connection: it counts no more."""
        self._strangers = [each for each in self._strangers if transport is None or each.transport is not transport]

    async def close(self) -> None:
        """Listen no more, and cut what waits."""
        self._accepting.cancel()
        tasks = [each.task for each in self._strangers if each.task is not None]
        for each in self._strangers:
            each.cut()
        await asyncio.gather(self._accepting, *tasks, return_exceptions=True)
        self._socket.close()

    async def _accept_all(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(self._socket)
            except OSError:
                await asyncio.sleep(PAUSE_S)
                continue
            stranger = _Stranger(str(address[0]), connection)
            self._strangers.append(stranger)
            stranger.task = loop.create_task(self._secure(stranger))
            if len(self._strangers) > MAX_STRANGERS:
                self._make_room()

    def _make_room(self) -> None:
        self._forget_closed()
        if len(self._strangers) > MAX_STRANGERS:
            crowd = Counter(each.address for each in self._strangers).most_common(1)[0][0]
            oldest = next(each for each in self._strangers if each.address == crowd)
            self._strangers.remove(oldest)
            oldest.cut()

    async def _secure(self, stranger: _Stranger) -> None:
        loop = asyncio.get_running_loop()
        try:
            stranger.transport, _ = await loop.connect_accepted_socket(
                self._factory, stranger.connection, ssl=self._context, ssl_handshake_timeout=self._handshake_s
            )
        except OSError:  # no TLS, or not a member's: the handshakes themselves are watched
            self._leave(stranger)
        except asyncio.CancelledError:
            self._leave(stranger)
            raise

    def _leave(self, stranger: _Stranger) -> None:
        stranger.connection.close()
        self._strangers = [each for each in self._strangers if each is not stranger]

    def _forget_closed(self) -> None:
        self._strangers = [
            each for each in self._strangers if each.transport is None or not each.transport.is_closing()
        ]
