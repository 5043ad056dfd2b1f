"""One live connection to a member: a bounded queue out, a bounded rate in."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
from aiohttp import web

from node.p2p.frames import MAX_MESSAGES, Channel, InvalidFrame, decode_frame, encode_frame

QUEUE_BYTES = 32 * 1024 * 1024  # a few of the largest consensus messages: beyond that the peer is too slow
QUEUE_MESSAGES = 20_000
TRANSACTION_QUEUE_BYTES = 8 * 1024 * 1024  # gossip gives way first: consensus resends, pools fill up again
BATCH_BYTES = 256 * 1024  # small messages share a frame up to this size
RATE_BYTES = 64 * 1024 * 1024  # a second: catch-up over a fast line stays below
RATE_MESSAGES = 50_000  # a second

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


class Peer:
    """Sends what is queued and hands on what arrives, until the connection ends."""

    def __init__(self, node_key: bytes, socket: Socket, remote: str, *, dialled: bool) -> None:
        self.node_key = node_key
        self._socket = socket
        self._remote = remote
        self._dialled = dialled
        self._queue: deque[tuple[Channel, bytes]] = deque()
        self._queued_bytes = 0
        self._wake = asyncio.Event()
        self._sent = self._received = self._dropped = 0
        self._second = 0.0
        self._second_bytes = self._second_messages = 0

    @property
    def info(self) -> PeerInfo:
        """The connection as of now."""
        return PeerInfo(self.node_key, self._remote, self._dialled, self._sent, self._received, self._dropped)

    def send(self, channel: Channel, payload: bytes) -> bool:
        """Queue a message; False if the queue is full, and the message dropped."""
        bound = TRANSACTION_QUEUE_BYTES if channel is Channel.TRANSACTIONS else QUEUE_BYTES
        if self._queued_bytes + len(payload) > bound or len(self._queue) >= QUEUE_MESSAGES:
            self._dropped += 1
            return False
        self._queue.append((channel, payload))
        self._queued_bytes += len(payload)
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
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                batch, size = [self._queue.popleft()], 0
                size = len(batch[0][1])
                while self._queue and len(batch) < MAX_MESSAGES and size + len(self._queue[0][1]) <= BATCH_BYTES:
                    batch.append(self._queue.popleft())
                    size += len(batch[-1][1])
                self._queued_bytes -= size
                self._sent += size
                try:
                    await self._socket.send_bytes(encode_frame(batch))
                except (ConnectionError, aiohttp.ClientError):
                    return  # the receiving side notices the end and says why

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
            for channel, payload in messages:
                on_message(self.node_key, channel, payload)
        return f"closed ({self._socket.close_code})"

    def _within_rate(self, size: int, count: int) -> bool:
        now = asyncio.get_running_loop().time()
        if now - self._second >= 1:
            self._second, self._second_bytes, self._second_messages = now, 0, 0
        self._second_bytes += size
        self._second_messages += count
        return self._second_bytes <= RATE_BYTES and self._second_messages <= RATE_MESSAGES
