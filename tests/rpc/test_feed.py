"""What subscribers are told: by topic, in turns, and what happens to those that do not keep up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from node.chain.transaction import decode_transaction
from node.rpc import feed as module
from node.rpc.feed import Feed, Topic
from node.rpc.reads import BlockCache
from node.rpc.session import Backlog, Session
from tests.node.chains import sign_transaction
from tests.node.samples import account_key
from tests.rpc.harness import LocalBackend, RunningNode


class Listener:
    """A subscriber that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def notify(self, _subscription: str, result: str) -> None:
        self.told.append(json.loads(result))


@pytest.fixture
def backend(tmp_path: Path) -> LocalBackend:
    return LocalBackend(tmp_path / "chain", open_accounts=True)


@asynccontextmanager
async def running(backend: LocalBackend) -> AsyncIterator[Feed]:
    """Run a feed."""
    feed = Feed(backend, BlockCache())
    feed.start()
    try:
        yield feed
    finally:
        await feed.close()


async def until(done: Callable[[], bool]) -> None:
    """Let the loop run until something holds."""
    async with asyncio.timeout(10):
        while not done():
            await asyncio.sleep(0)


def _raw(nonce: int) -> bytes:
    return sign_transaction(account_key("household 0"), chain_id=2016, nonce=nonce, to=b"\x11" * 20)


def test_subscriptions_end_with_their_connection(backend: LocalBackend) -> None:
    async def job() -> None:
        async with running(backend) as feed:
            one, other = Listener(), Listener()
            waiting, begun = feed.subscribe(one, Topic.LOGS), feed.subscribe(one, Topic.NEW_HEADS)
            kept, ended = feed.subscribe(other, Topic.NEW_HEADS), feed.subscribe(other, Topic.PENDING)
            feed.activate([begun, kept, ended])
            assert not feed.unsubscribe(other, begun)
            assert feed.unsubscribe(other, ended)
            assert not feed.unsubscribe(other, ended)
            feed.forget(one)
            feed.forget(one)
            feed.activate([waiting])  # too late
            assert len(feed) == 1
            backend.mine()
            await until(lambda: len(other.told) == 1)
            assert one.told == []

    asyncio.run(job())


def test_syncing_tells_where_it_began_and_when_it_is_over(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SYNC_POLL_S", 0.001)

    async def job() -> list[Any]:
        backend.mine()
        async with running(backend) as feed:
            backend.mine()  # height 2, in step with the others
            listener = Listener()
            feed.activate([feed.subscribe(listener, Topic.SYNCING)])
            assert feed.progress is None
            backend.target_height = 5
            await until(lambda: len(listener.told) == 1)  # no block is needed for it
            backend.mine()
            backend.mine()
            progress = feed.progress
            assert progress is not None
            assert progress.json() == {"startingBlock": "0x2", "currentBlock": "0x4", "highestBlock": "0x5"}
            backend.mine()
            backend.target_height = None
            await until(lambda: len(listener.told) == 2)
            backend.target_height = 9
            backend.mine()
            await until(lambda: len(listener.told) == 3)
            return listener.told

    status = {"startingBlock": "0x2", "currentBlock": "0x2", "highestBlock": "0x5"}
    first, second, third = asyncio.run(job())
    assert first == {"syncing": True, "status": status}
    assert second is False
    assert third["status"]["startingBlock"] == "0x5"


def test_eth_syncing_over_http(own_node: RunningNode) -> None:
    own_node.mine()
    assert own_node.result("eth_syncing") is False
    own_node.backend.target_height = 7
    own_node.mine()
    expected = {"startingBlock": "0x1", "currentBlock": "0x2", "highestBlock": "0x7"}
    assert own_node.result("eth_syncing") == expected


def test_pending_transactions_by_hash_or_whole(backend: LocalBackend) -> None:
    backend.mining = False

    async def job() -> tuple[list[Any], list[Any]]:
        async with running(backend) as feed:
            brief, whole = Listener(), Listener()
            feed.activate([feed.subscribe(brief, Topic.PENDING), feed.subscribe(whole, Topic.PENDING, whole=True)])
            for nonce in range(2):
                await backend.submit(_raw(nonce))
            await until(lambda: len(whole.told) == 2)
            return brief.told, whole.told

    brief, whole = asyncio.run(job())
    assert brief == ["0x" + decode_transaction(_raw(nonce), 2016).hash.hex() for nonce in range(2)]
    assert [entry["hash"] for entry in whole] == brief
    assert [entry["nonce"] for entry in whole] == ["0x0", "0x1"]
    assert whole[0]["blockHash"] is None


def test_many_subscribers_are_told_in_turns_and_other_work_goes_on_between(backend: LocalBackend) -> None:
    turns = 0

    async def job() -> None:
        nonlocal turns
        async with running(backend) as feed:
            listeners = [Listener() for _ in range(10 * module.TURN)]
            ids = [feed.subscribe(listener, Topic.NEW_HEADS) for listener in listeners]
            feed.activate(ids)
            backend.mine()
            most = 0
            told = 0
            while told < len(listeners):
                await asyncio.sleep(0)
                turns += 1
                before, told = told, sum(len(listener.told) for listener in listeners)
                most = max(most, told - before)
                if turns == 4:
                    feed.forget(listeners[-1])  # who leaves meanwhile is told nothing
                    listeners.pop()
            assert most <= module.TURN
            assert {listener.told[0]["number"] for listener in listeners} == {"0x1"}
            backend.mine()
            await until(lambda: all(len(listener.told) == 2 for listener in listeners))

    asyncio.run(job())
    assert turns >= 9


class Held:
    """A WebSocket whose client takes nothing until it is let."""

    def __init__(self) -> None:
        self.taken = asyncio.Event()
        self.sent: list[str] = []

    async def send_str(self, text: str) -> None:
        await self.taken.wait()
        self.sent.append(text)


def test_what_waits_for_all_connections_together_is_bounded() -> None:
    async def job() -> None:
        backlog = Backlog(1_000)
        sockets = [Held() for _ in range(3)]
        sessions = [Session(socket, None, None, None, 900, backlog) for socket in sockets]  # type: ignore[arg-type]
        writers = [asyncio.create_task(session._write()) for session in sessions]
        for session in sessions:
            backlog.enter(session)
            session.notify("0x1", "x" * 200)
        await asyncio.sleep(0)  # what is being sent counts too: it is still in memory
        assert backlog.bytes == 600
        sessions[1].notify("0x1", "y" * 300)
        assert backlog.bytes == 900
        sessions[0].notify("0x1", "z" * 150)  # too much: most of it waits for the second one
        assert [session.dropped for session in sessions] == [False, True, False]
        assert backlog.bytes == 550
        for socket in sockets:
            socket.taken.set()
        await until(lambda: len(sockets[0].sent) == 2)
        await until(lambda: backlog.bytes == 0)
        for writer in writers:
            writer.cancel()
        await asyncio.gather(*writers, return_exceptions=True)

    asyncio.run(job())


def test_clients_that_do_not_read_are_dropped_and_blocks_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.rpc.session.CLOSE_TIMEOUT_S", 0.1)
    node = RunningNode(tmp_path / "chain", open_accounts=True)
    node.server._backlog.most = 2_000_000

    async def job() -> None:
        async with aiohttp.ClientSession(node.url) as session:
            slow = [await session.ws_connect("/", max_msg_size=0) for _ in range(4)]
            for opened in slow:
                batch = [
                    {"jsonrpc": "2.0", "id": i, "method": "eth_subscribe", "params": ["newHeads"]} for i in range(64)
                ]
                await opened.send_json(batch)
                assert len(await opened.receive_json()) == 64
                opened._reader._protocol.pause_reading()
            quick = await session.ws_connect("/")
            await quick.send_json({"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]})
            await quick.receive_json()
            heads = []
            while len(node.server._backlog) > 1:
                await asyncio.to_thread(node.mine)
                heads.append((await quick.receive_json())["params"]["result"]["number"])
                assert len(heads) < 200
            assert heads == [hex(height) for height in range(1, len(heads) + 1)]
            assert node.server._backlog.bytes <= 2_000_000

    asyncio.run(asyncio.wait_for(job(), 60))
    node.close()


def test_filters_for_pending_transactions_and_blocks(own_node: RunningNode) -> None:
    node = own_node
    brief = node.result("eth_newPendingTransactionFilter")
    whole = node.result("eth_newPendingTransactionFilter", True)
    blocks = node.result("eth_newBlockFilter")
    hashes = [node.result("eth_sendRawTransaction", "0x" + _raw(0).hex())]
    node.backend.mining = False
    hashes.append(node.result("eth_sendRawTransaction", "0x" + _raw(1).hex()))
    assert node.result("eth_getFilterChanges", brief) == hashes
    mined, waiting = node.result("eth_getFilterChanges", whole)
    assert [mined["hash"], waiting["hash"]] == hashes
    assert (mined["blockNumber"], waiting["blockNumber"]) == ("0x1", None)
    assert node.result("eth_getFilterChanges", blocks) == [node.result("eth_getBlockByNumber", "0x1")["hash"]]
    for identifier in (brief, whole, blocks):
        assert node.result("eth_getFilterChanges", identifier) == []
        assert node.result("eth_uninstallFilter", identifier) is True
        assert node.result("eth_uninstallFilter", identifier) is False
        gone = {"code": -32000, "message": "filter not found"}
        assert node.error("eth_getFilterChanges", identifier) == gone
