"""How agents reach each other: a mango TCP container that believes nothing it did not check.

mango's JSON codec only (its other codec unpickles). What a peer may send is bounded before it is buffered: a message
has a largest size, content is a plain table, and of its meta data only the addressed agent's name is kept.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Coroutine
from typing import Any

from mango import JSON, Agent, AgentAddress
from mango.container.core import Container
from mango.container.protocol import HEADER, ContainerProtocol
from mango.container.tcp import TCPContainer
from mango.util.clock import AsyncioClock

from agents.errors import AgentError

logger = logging.getLogger("gridpact.agents")

MAX_MESSAGE_BYTES = 16 * 1024  # an envelope is below one kilobyte
MAX_INBOX = 4096  # messages that wait; beyond it a peer's are dropped, which a time-out covers
CONNECT_TIMEOUT_S = 2.0
SCHEME = "tcp://"


class InvalidEndpoint(AgentError):
    """What an agent published is no address to reach it."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(f"endpoint {endpoint[:80]!r}: expected {SCHEME}HOST:PORT")
        self.endpoint = endpoint


def endpoint_text(address: tuple[str, int]) -> str:
    """Return an address as publishInfo carries it."""
    return f"{SCHEME}{address[0]}:{address[1]}"


def parse_endpoint(endpoint: str) -> tuple[str, int]:
    """Return (host, port) of a published endpoint.

    Raises:
        InvalidEndpoint: it is not of the form tcp://HOST:PORT.
    """
    host, _, port = endpoint.removeprefix(SCHEME).rpartition(":")
    if not endpoint.startswith(SCHEME) or not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise InvalidEndpoint(endpoint)
    return host, int(port)


class AddressInUse(AgentError):
    """The agents cannot listen."""

    def __init__(self, address: tuple[str, int], reason: str) -> None:
        super().__init__(f"listen {address[0]}:{address[1]}: expected a free address of this machine ({reason})")
        self.address = address


class CarefulAgent(Agent):
    """An agent that goes on hearing whatever a message did to it: mango ends the inbox at an exception."""

    def __init__(self) -> None:
        super().__init__()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def under_way(self) -> int:
        """How much of `soon` is not done."""
        return len(self._tasks)

    def soon(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside hearing; it ends with the agent."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def shutdown(self) -> None:
        """End, and drop what is under way."""
        for task in self._tasks:
            task.cancel()
        await super().shutdown()

    def handle_message(self, content: Any, meta: dict[str, Any]) -> None:
        """Hand a message to `hear`; what it raises goes to the log."""
        try:
            self.hear(content)
        except Exception:
            logger.exception("message left unanswered by %s", self.aid)

    def hear(self, content: Any) -> None:
        """Take a message's content, of which nothing is known yet."""
        raise NotImplementedError


class BoundedProtocol(ContainerProtocol):
    """mango's framing (four bytes of length, then JSON) with bounds; who breaks them is cut off."""

    def data_received(self, data: bytes) -> None:
        """Take bytes of a peer and hand whole messages to the container."""
        self._buffer.extend(data)
        while len(self._buffer) >= HEADER.size:
            (length,) = HEADER.unpack_from(self._buffer)
            if length > MAX_MESSAGE_BYTES:
                self.transport.close()
                self._buffer.clear()
                return
            if len(self._buffer) < HEADER.size + length:
                return
            payload = bytes(self._buffer[HEADER.size : HEADER.size + length])
            del self._buffer[: HEADER.size + length]
            message = read_message(payload)
            if message is None:
                self.transport.close()
                self._buffer.clear()
                return
            if self.container.inbox is not None and self.container.inbox.qsize() < MAX_INBOX:
                receiver, content = message
                meta = {
                    "receiver_id": receiver,
                    "sender_id": None,
                    "sender_addr": None,
                    "network_protocol": "tcp",
                    "peer": peer_host(self.transport),
                }
                self.container.inbox.put_nowait((0, content, meta))


def peer_host(transport: asyncio.BaseTransport) -> str:
    """Return the host at the other end of a connection; empty if it is gone."""
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) else ""


def read_message(payload: bytes) -> tuple[str, dict[str, Any]] | None:
    """Return the addressed agent and the content of a mango message; None for anything else.

    The JSON is read without mango's object hook: nothing but plain values comes out of it.
    """
    try:
        wrapped = json.loads(payload)
        _, message = wrapped["__type__"]
        receiver, content = message["meta"]["receiver_id"], message["content"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(receiver, str) or not isinstance(content, dict):
        return None
    return receiver, content


class AgentContainer(TCPContainer):
    """A household's container: listens on one address, sends each message over a connection of its own.

    A pooled connection would swallow the first message to a peer that was restarted; on a street a fresh one costs
    nothing.
    """

    addr: tuple[str, int]

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(addr=address, codec=JSON(), clock=AsyncioClock(), tcp_connection_ttl=-1)

    async def start(self) -> None:
        """Listen with bounds, and start the agents.

        Raises:
            AddressInUse: somebody else listens there.
        """
        try:
            self.server = await asyncio.get_running_loop().create_server(
                lambda: BoundedProtocol(container=self, codec=self.codec), self.addr[0], self.addr[1]
            )
        except OSError as error:
            raise AddressInUse(self.addr, error.strerror or str(error)) from None
        self.addr = (self.addr[0], self.server.sockets[0].getsockname()[1])
        await Container.start(self)

    async def _handle_message(self, *, priority: int, content: Any, meta: dict[str, Any]) -> None:
        """Hand a message to the addressed agent; one for nobody is dropped."""
        receiver = self._agents.get(meta["receiver_id"])
        if receiver is not None and receiver.inbox.qsize() < MAX_INBOX:
            await receiver.inbox.put((priority, content, meta))

    async def deliver(self, endpoint: str, agent: str, content: dict[str, Any]) -> bool:
        """Send a message to an agent elsewhere; False if it cannot be reached now."""
        try:
            address = AgentAddress(parse_endpoint(endpoint), agent)
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                return bool(await self.send_message(content, address))
        except (InvalidEndpoint, TimeoutError, OSError):
            return False
