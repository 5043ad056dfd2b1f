"""Slow lines and fast senders: nobody honest is cut off, and nobody who is refused keeps knocking."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import aiohttp
import pytest

from node.p2p import Channel
from node.p2p import gate as gate_module
from node.p2p import network as network_module
from node.p2p import peer as peer_module
from node.p2p.allowance import Allowance
from tests.p2p.test_network import KEYS, Node, closed, soon, started

Run = Callable[[Any], None]


class SlowLine:
    """A TCP line between two nodes that carries so many bytes a second each way."""

    def __init__(self, port: int, bytes_s: int) -> None:
        self._port = port
        self._bytes_s = bytes_s
        self._server: asyncio.Server
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        """Listen; return the port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=4096)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Cut it."""
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port, limit=4096)
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._carry(source, sink))
            self._tasks.add(task)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while piece := await source.read(2048):
                sink.write(piece)
                await sink.drain()
                await asyncio.sleep(len(piece) / self._bytes_s)
        finally:
            sink.close()


def test_a_body_that_takes_longer_than_the_ping_waits_arrives(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_module, "HEARTBEAT_S", 0.5)  # a silent peer is given up after 0.75 s
    monkeypatch.setattr(peer_module, "QUIET_S", 0.1)

    async def scenario() -> None:
        low, high = Node(0), Node(1)
        await asyncio.gather(low.network.start(), high.network.start())
        line = SlowLine(high.network.port, 400_000)
        port = await line.start()
        await high.network.update_members({KEYS[0]: ("127.0.0.1", 1)})
        await low.network.update_members({KEYS[1]: ("127.0.0.1", port)})
        await soon(low.ups.get())
        body = bytes(800_000)  # two seconds, without a word from the other side but pings
        low.network.send(KEYS[1], Channel.CONSENSUS, body)
        assert (await soon(high.inbox.get()))[2] == body
        assert low.ups.empty()
        await closed(low, high)
        await line.close()

    run(scenario())


def test_a_fast_honest_sender_is_not_cut_off(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_module, "RATE_BYTES", 2_000_000)
    monkeypatch.setattr(peer_module, "RATE_MESSAGES", 400)

    async def scenario() -> None:
        low, high = Node(0), Node(1)
        await started(low, high, members=2)
        await soon(low.ups.get())
        for _ in range(8):
            low.network.send(KEYS[1], Channel.CONSENSUS, bytes(250_000))
        for _ in range(150):
            low.network.send(KEYS[1], Channel.TRANSACTIONS, b"t")
        for _ in range(158):
            await soon(high.inbox.get())
        assert low.ups.empty()
        assert high.network.waiting_bytes(KEYS[0], Channel.CONSENSUS) == 0
        await closed(low, high)

    run(scenario())


def test_an_allowance_fills_at_its_rate_and_no_further() -> None:
    allowance = Allowance(100, 2.0, 0.0)
    assert [allowance.take(150, 0.0), allowance.take(60, 0.0), allowance.take(60, 0.1)] == [True, False, True]
    assert allowance.take(201, 50.0) is False
    assert [allowance.has(200, 50.0), allowance.has(201, 50.0), allowance.has(200, 50.0)] == [True, False, True]
    assert allowance.owe(300, 50.0) == pytest.approx(1.0)
    assert allowance.owe(0, 51.0) == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("error", "last"),
    [
        (TimeoutError(), network_module.BACKOFF_LAST_S),
        (aiohttp.ServerDisconnectedError(), network_module.REFUSED_LAST_S),
        (None, network_module.REFUSED_LAST_S),  # it took us, and closed at once
    ],
)
def test_who_is_refused_knocks_ever_more_rarely(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: Exception | None, last: float
) -> None:
    waits: list[float] = []

    async def scenario() -> None:
        node = Node(0)

        async def dial(_: bytes) -> None:
            if error is not None:
                raise error

        async def noted(delay_s: float) -> None:
            waits.append(delay_s)
            if len(waits) == 14:
                raise asyncio.CancelledError

        monkeypatch.setattr(node.network, "_dial_once", dial)
        node.network._members = {KEYS[1]: ("127.0.0.1", 1)}
        monkeypatch.setattr(asyncio, "sleep", noted)
        with pytest.raises(asyncio.CancelledError):
            await node.network._keep_dialling(KEYS[1])
        monkeypatch.undo()

    run(scenario())
    assert waits[0] <= network_module.BACKOFF_FIRST_S
    assert last / 2 <= waits[-1] <= last


def test_silent_connections_are_bounded_and_members_come_in(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_module, "MAX_STRANGERS", 8)

    async def scenario() -> None:
        low, high = Node(0), Node(1)
        await high.network.start()
        await high.network.update_members({KEYS[0]: ("127.0.0.1", 1)})
        silent = [await asyncio.open_connection("127.0.0.1", high.network.port) for _ in range(30)]
        for reader, _ in silent[:20]:  # the oldest are cut
            with suppress(ConnectionError):
                assert await soon(reader.read()) == b""
        assert high.network._gate is not None
        assert high.network._gate.strangers <= 8
        await low.network.start()
        await low.network.update_members({KEYS[1]: ("127.0.0.1", high.network.port)})
        assert await soon(high.ups.get()) == KEYS[0]
        for _, writer in silent:
            writer.close()
        await closed(low, high)

    run(scenario())
