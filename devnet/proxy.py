"""Loopback TCP proxies between validators, one a directed link: bytes come late, slowly, or not at all.

Each direction of each connection is pumped by itself, so that a link may be cut one way. What a real line loses TCP
sends again, late: a loss is therefore a stall of `LOSS_STALL_S`, the least retransmission time-out of Linux.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from dataclasses import dataclass

CHUNK_BYTES = 16 * 1024
LOSS_STALL_S = 0.2
BLOCKED_POLL_S = 0.05


@dataclass(slots=True)
class Line:
    """How one direction of a link treats bytes now: delay, rate (0: any), share of chunks lost once, or cut."""

    delay_ms: int = 0
    rate_kbit: int = 0
    loss: float = 0.0
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A proxied link: the validator `source` dials `target` through `port`."""

    source: int
    target: int
    port: int


class Proxies:
    """All proxies of a devnet, on an event loop in a thread of their own; use as a context manager.

    Args:
        links: the directed links, by who dials whom.
        targets: the port at which each validator really listens.
        seed: of the losses.
    """

    def __init__(self, links: list[Link], targets: dict[int, int], seed: int) -> None:
        self._links = links
        self._targets = targets
        self._random = random.Random(seed)
        self._lines = {
            (a, b): Line() for link in links for a, b in ((link.source, link.target), (link.target, link.source))
        }
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies")
        self._servers: list[asyncio.Server] = []

    def __enter__(self) -> Proxies:
        """Listen on every link's port."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening, end every connection and the thread."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def line(self, source: int, target: int) -> Line:
        """Return how bytes from one validator to another are treated; what is changed in it holds from then on."""
        return self._lines[source, target]

    def cut(self, source: int, target: int, *, cut: bool) -> None:
        """Cut one direction, or mend it. When it is cut, nothing is closed: bytes wait, as behind a dead line."""
        self._lines[source, target].cut = cut

    async def _listen(self) -> None:
        for link in self._links:
            self._servers.append(
                await asyncio.start_server(
                    lambda reader, writer, link=link: self._serve(link, reader, writer),  # type: ignore[misc]
                    "127.0.0.1",
                    link.port,
                )
            )

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)

    async def _serve(self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._targets[link.target])
        except OSError:
            writer.close()
            return
        pumps = (
            asyncio.create_task(self._pump(self._lines[link.source, link.target], reader, far_writer)),
            asyncio.create_task(self._pump(self._lines[link.target, link.source], far_reader, writer)),
        )
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            for each in (writer, far_writer):
                with contextlib.suppress(OSError):
                    each.close()

    async def _pump(self, line: Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry bytes one way, in order, until the connection ends."""
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=256)
        deliver = asyncio.create_task(self._deliver(line, queue, writer))
        try:
            while data := await reader.read(CHUNK_BYTES):
                stall = LOSS_STALL_S if line.loss and self._random.random() < line.loss else 0.0
                await queue.put((loop.time() + line.delay_ms / 1000 + stall, data))
            await queue.put((loop.time(), b""))
            await deliver
        except (ConnectionError, OSError):
            return
        finally:
            deliver.cancel()

    async def _deliver(
        self, line: Line, queue: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, data = await queue.get()
            if not data:
                return
            await asyncio.sleep(max(0.0, due - loop.time()))
            while line.cut:  # noqa: ASYNC110 - mended from another thread
                await asyncio.sleep(BLOCKED_POLL_S)
            if line.rate_kbit:
                await asyncio.sleep(len(data) * 8 / (line.rate_kbit * 1000))
            try:
                writer.write(data)
                await writer.drain()
            except (ConnectionError, OSError):
                return
