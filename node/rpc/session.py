"""One WebSocket connection: requests in, answers and notifications out, through a bounded queue."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import replace

from aiohttp import ClientConnectionResetError, WSCloseCode, WSMsgType, web

from node.rpc.context import Context
from node.rpc.dispatch import Dispatcher
from node.rpc.limits import TokenBucket
from node.rpc.protocol import encode_notification
from node.rpc.settings import MAX_QUEUED_BYTES

MAX_IN_FLIGHT = 16  # messages of one connection that are worked on at once; more are not read from the socket
MAX_BACKLOG_BYTES = 256 * 1024 * 1024  # of all connections; shared texts count for each that waits for them
CLOSE_TIMEOUT_S = 2.0  # for a dropped subscriber to take the reason

log = logging.getLogger("rpc")


class Backlog:
    """What waits for all connections together; when it is too much, the one for which most waits is dropped.

    Args:
        most: bytes, at most.
    """

    def __init__(self, most: int = MAX_BACKLOG_BYTES) -> None:
        self.most = most
        self.bytes = 0
        self._sessions: set[Session] = set()

    def __len__(self) -> int:
        """Return how many connections count."""
        return len(self._sessions)

    def enter(self, session: Session) -> None:
        """Count what waits for a connection, from now on."""
        self._sessions.add(session)

    def leave(self, session: Session) -> None:
        """Do not count it any more."""
        self._sessions.discard(session)
        self.bytes -= session.owed_bytes

    def grow(self, by: int) -> None:
        """Take note of so many bytes more, or less."""
        self.bytes += by
        while self.bytes > self.most and self._sessions:
            worst = max(self._sessions, key=lambda session: session.owed_bytes)
            worst.drop(f"too slow: more than {self.most} bytes wait for all connections, most of them for this one")


class Session:
    """A connection that is a subscriber.

    Args:
        socket: the accepted WebSocket.
        context: of the server; the session is its subscriber.
        dispatcher: answers messages.
        bucket: the connection's rate limit.
        max_queued_bytes: how much may wait for a slow subscriber.
        backlog: of all connections.
    """

    def __init__(
        self,
        socket: web.WebSocketResponse,
        context: Context,
        dispatcher: Dispatcher,
        bucket: TokenBucket,
        max_queued_bytes: int = MAX_QUEUED_BYTES,
        backlog: Backlog | None = None,
    ) -> None:
        self._socket = socket
        self._context = context
        self._dispatcher = dispatcher
        self._bucket = bucket
        self._max_queued_bytes = max_queued_bytes
        self._queue: deque[tuple[str | None, str]] = deque()  # (subscription, result), or (None, answer)
        self._queued_bytes = 0
        self._sending_bytes = 0
        self._backlog = Backlog() if backlog is None else backlog
        self._wake = asyncio.Event()
        self._dropped: str | None = None
        self._drop = asyncio.Event()
        self._ended = False
        self._slots = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def dropped(self) -> bool:
        """Whether the connection was dropped because it was too slow."""
        return self._dropped is not None

    @property
    def owed_bytes(self) -> int:
        """What waits for this connection, with what is being sent to it."""
        return self._queued_bytes + self._sending_bytes

    def notify(self, subscription: str, result: str) -> None:
        """Queue a subscription's result; drop the connection if too much waits already."""
        self._push(subscription, result)

    async def run(self, transport: asyncio.Transport | None) -> None:
        """Serve the connection until it ends."""
        self._backlog.enter(self)
        writer = asyncio.create_task(self._write())
        others = [asyncio.create_task(part) for part in (self._read(), self._drop.wait())]
        try:
            await asyncio.wait({writer, *others}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._context.feed.forget(self)
            others += self._tasks
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await self._close(writer, transport)
            if self._dropped is None:
                self._backlog.leave(self)

    async def _close(self, writer: asyncio.Task[None], transport: asyncio.Transport | None) -> None:
        """Close with the reason, or cut the connection if the client does not take what is on its way to it."""
        self._ended = True
        self._wake.set()
        code = WSCloseCode.OK if self._dropped is None else WSCloseCode.POLICY_VIOLATION
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await writer
                await self._socket.close(code=code, message=(self._dropped or "").encode())
        except (TimeoutError, ConnectionError):
            if transport is not None:
                transport.abort()

    async def _read(self) -> None:
        async for message in self._socket:
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                break
            await self._slots.acquire()
            task = asyncio.create_task(self._serve(message.data))
            self._tasks.add(task)
            task.add_done_callback(self._served)

    def _served(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._slots.release()
        if not task.cancelled() and task.exception() is not None:
            log.error("a message failed", exc_info=task.exception())

    async def _serve(self, raw: bytes | str) -> None:
        context = replace(self._context, subscriber=self, started=[])
        answer = await self._dispatcher.answer(raw, context, self._bucket.take)
        if answer is not None:
            self._push(None, answer)
        self._context.feed.activate(context.started)

    def drop(self, reason: str) -> None:
        """Close the connection, for a reason, and forget what waits for it."""
        if self._dropped is not None:
            return
        self._dropped = reason
        log.warning("a slow subscriber was dropped", extra={"queued": len(self._queue), "reason": reason})
        self._queue.clear()
        self._backlog.leave(self)
        self._queued_bytes = self._sending_bytes = 0
        self._drop.set()

    def _push(self, subscription: str | None, text: str) -> None:
        if self._dropped is not None or self._ended:
            return
        if self._queued_bytes + len(text) > self._max_queued_bytes and self._queue:
            self.drop(f"too slow: more than {self._max_queued_bytes} bytes wait for this connection")
            return
        self._queued_bytes += len(text)
        self._queue.append((subscription, text))
        self._wake.set()
        self._backlog.grow(len(text))

    async def _write(self) -> None:
        while not self._ended:
            await self._wake.wait()
            self._wake.clear()
            while self._queue and self._dropped is None:
                subscription, text = self._queue.popleft()
                self._queued_bytes -= len(text)
                self._sending_bytes = len(text)
                whole = text if subscription is None else encode_notification(subscription, text)
                try:
                    await self._socket.send_str(whole)
                except (ClientConnectionResetError, ConnectionError):
                    return
                if self._dropped is None:
                    self._sending_bytes = 0
                    self._backlog.grow(-len(text))
