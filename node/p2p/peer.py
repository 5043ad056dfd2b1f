"""One live connection to a member: bounded queues out, at a pace that the other side bears; a bounded rate in.

A sender keeps to half of what a receiver accepts, and a receiver accepts a second's worth at once, so that what the
network held back for a while and then delivers together never costs an honest peer its connection.
"""

from __future__ import annotations

import asyncio
import socket as sockets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
from aiohttp import web

from node.p2p.allowance import Allowance
from node.p2p.frames import MAX_MESSAGES, Channel, InvalidFrame, Offence, decode_frame, encode_frame
from node.p2p.traffic import Traffic

QUEUE_BYTES = {
    Channel.CONSENSUS: 32 * 1024 * 1024,  # a few of the largest messages: beyond that the peer is too slow
    Channel.TRANSACTIONS: 8 * 1024 * 1024,  # gossip gives way: pools fill up again
}
QUEUE_MESSAGES = 20_000  # a channel
YIELD_AFTER = 128  # messages handled before the loop may do something else
BATCH_BYTES = 256 * 1024  # small messages share a frame up to this size
RATE_BYTES = 64 * 1024 * 1024  # a second: catch-up over a fast line stays below
RATE_MESSAGES = 50_000  # a second
PACE = 0.5  # of these rates: what we send ourselves
QUIET_S = 4.0  # whoever has had nothing to say for so long pings: the other side may be busy sending, and hear nothing
UNSENT_BYTES = 64 * 1024  # handed to the kernel and not sent yet; more would keep a vote behind gossip

Socket = aiohttp.ClientWebSocketResponse | web.WebSocketResponse


@dataclass(frozen=True, slots=True)
class PeerInfo:
    """A live connection: whose, from or to where, and what went over it."""

    node_key: bytes
    remote: str
    dialled: bool
    sent_bytes: int
    received_bytes: int
    dropped_messages: int


class _Queue:
    """What waits on one channel, bounded."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self.size = 0
        self.messages: deque[bytes] = deque()

    def put(self, payload: bytes) -> bool:
        """Queue a message; False if there is no room."""
        if self.size + len(payload) > self._max_bytes or len(self.messages) >= QUEUE_MESSAGES:
            return False
        self.messages.append(payload)
        self.size += len(payload)
        return True

    def take(self) -> bytes:
        """Return the next message."""
        payload = self.messages.popleft()
        self.size -= len(payload)
        return payload


class Peer:
    """Sends what is queued, consensus first, and hands on what arrives, until the connection ends."""

    def __init__(self, node_key: bytes, socket: Socket, remote: str, traffic: Traffic, *, dialled: bool) -> None:
        self.node_key = node_key
        self._socket = socket
        self._remote = remote
        self._traffic = traffic
        self._dialled = dialled
        self._queues = {channel: _Queue(QUEUE_BYTES[channel]) for channel in Channel}
        self._wake = asyncio.Event()
        self._sent = self._received = self._dropped = 0
        now = asyncio.get_running_loop().time()
        self._rates = [Allowance(rate, 1.0, now) for rate in (RATE_BYTES, RATE_MESSAGES)]
        self._paces = [Allowance(PACE * rate, PACE, now) for rate in (RATE_BYTES, RATE_MESSAGES)]
        _keep_little_unsent(socket)

    @property
    def info(self) -> PeerInfo:
        """The connection as of now."""
        return PeerInfo(self.node_key, self._remote, self._dialled, self._sent, self._received, self._dropped)

    def waiting_bytes(self, channel: Channel) -> int:
        """Return how much waits to be sent on a channel."""
        return self._queues[channel].size

    def send(self, channel: Channel, payload: bytes) -> bool:
        """Queue a message; False if the queue is full, and the message dropped."""
        if not self._queues[channel].put(payload):
            self._dropped += 1
            self._traffic.dropped += 1
            return False
        self._wake.set()
        return True

    async def run(self, on_message: Callable[[bytes, Channel, bytes], None]) -> str:
        """Exchange messages until the connection ends; return why it ended."""
        sender = asyncio.create_task(self._send_all())
        try:
            return await self._receive_all(on_message)
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
            await self.close("")

    async def close(self, reason: str) -> None:
        """End the connection, telling the peer why."""
        await self._socket.close(code=aiohttp.WSCloseCode.POLICY_VIOLATION, message=reason.encode()[:120])

    async def _send_all(self) -> None:
        try:
            while True:
                try:
                    async with asyncio.timeout(QUIET_S):
                        await self._wake.wait()
                except TimeoutError:
                    await self._socket.ping()
                self._wake.clear()
                while batch := self._next_batch():
                    await self._send_frame(encode_frame(batch), len(batch))
        except (ConnectionError, aiohttp.ClientError):
            return  # the receiving side notices the end and says why

    async def _send_frame(self, frame: bytes, count: int) -> None:
        self._sent += len(frame)
        await self._socket.send_bytes(frame)
        now = asyncio.get_running_loop().time()
        delay_s = max(pace.owe(amount, now) for pace, amount in zip(self._paces, (len(frame), count), strict=True))
        if delay_s:
            await asyncio.sleep(delay_s)

    def _next_batch(self) -> list[tuple[Channel, bytes]]:
        batch: list[tuple[Channel, bytes]] = []
        size = 0
        for channel in Channel:  # consensus is the first
            queue = self._queues[channel]
            while queue.messages and len(batch) < MAX_MESSAGES:
                if batch and size + len(queue.messages[0]) > BATCH_BYTES:
                    return batch
                batch.append((channel, queue.take()))
                size += len(batch[-1][1])
                self._traffic.sent[channel].add(len(batch[-1][1]))
        return batch

    async def _receive_all(self, on_message: Callable[[bytes, Channel, bytes], None]) -> str:
        async for message in self._socket:
            if message.type is not aiohttp.WSMsgType.BINARY:
                return f"expected binary frames, found {message.type.name}"
            try:
                messages = decode_frame(message.data)
            except InvalidFrame as error:
                await self.close(str(error))
                return f"invalid frame: {error}"
            self._received += len(message.data)
            if not self._within_rate(len(message.data), len(messages)):
                await self.close("too much a second")
                return f"sent more than {RATE_BYTES} bytes or {RATE_MESSAGES} messages a second"
            for number, (channel, payload) in enumerate(messages, start=1):
                self._traffic.received[channel].add(len(payload))
                try:
                    on_message(self.node_key, channel, payload)
                except Offence as error:
                    await self.close(str(error))
                    return f"offence: {error}"
                if number % YIELD_AFTER == 0:
                    await asyncio.sleep(0)  # one peer's flood must not hold up the others
        return f"closed ({self._socket.close_code})"

    def _within_rate(self, size: int, count: int) -> bool:
        now = asyncio.get_running_loop().time()
        return all(rate.take(amount, now) for rate, amount in zip(self._rates, (size, count), strict=True))


def _keep_little_unsent(socket: Socket) -> None:
    """Let the kernel take little ahead of the line, so that consensus, queued behind, still goes before gossip."""
    raw = socket.get_extra_info("socket")
    option = getattr(sockets, "TCP_NOTSENT_LOWAT", None)  # Linux and macOS
    if raw is not None and option is not None:
        raw.setsockopt(sockets.IPPROTO_TCP, option, UNSENT_BYTES)
