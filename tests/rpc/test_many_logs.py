"""A block with a great many logs: it does not hold up the event loop, and what is kept of queries is bounded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from node.chain.receipt import decode_stored, make_receipt, stored_logs_in_turn, stored_outcome
from node.chain.rlp import decode
from node.rpc import feed as module
from node.rpc.errors import LimitExceeded
from node.rpc.feed import Feed, Topic
from node.rpc.filters import FilterTable, LogFilter
from node.rpc.formats import Tag
from node.rpc.logs import Criteria, LogQuery
from node.rpc.reads import BlockCache
from tests.node.chains import sign_transaction
from tests.node.samples import account_key
from tests.rpc.harness import LocalBackend, RunningNode

LOGS = 600
EMITTER = bytes.fromhex("5f5fa0" * LOGS + "00")
INIT = bytes.fromhex(f"61{len(EMITTER):04x}80600b5f395ff3") + bytes(1) + EMITTER


def _raw(nonce: int, to: bytes | None, data: bytes) -> bytes:
    return sign_transaction(account_key("household 0"), chain_id=2016, nonce=nonce, to=to, data=data, gas=2_000_000)


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningNode, list[str]]]:
    """A node, and two transactions in one block that logged `LOGS` times each."""
    node = RunningNode(tmp_path_factory.mktemp("noisy") / "chain")
    created = node.result("eth_sendRawTransaction", "0x" + _raw(0, None, INIT).hex())
    to = bytes.fromhex(node.result("eth_getTransactionReceipt", created)["contractAddress"][2:])
    node.backend.mining = False
    hashes = [node.result("eth_sendRawTransaction", "0x" + _raw(nonce, to, b"").hex()) for nonce in (1, 2)]
    node.backend.mining = True
    node.mine()
    yield node, hashes
    node.close()


def test_a_large_receipt_is_made_by_a_reading_process_and_is_the_same(
    noisy: tuple[RunningNode, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    node, hashes = noisy
    inline = [node.result("eth_getTransactionReceipt", each) for each in hashes]
    assert [entry["logIndex"] for entry in inline[1]["logs"]] == [hex(LOGS + at) for at in range(LOGS)]
    monkeypatch.setattr("node.rpc.reads.INLINE_RECEIPT_BYTES", 1_000)
    monkeypatch.setattr("node.rpc.eth.receipt_json", lambda *_: pytest.fail("on the event loop"))
    assert [node.result("eth_getTransactionReceipt", each) for each in hashes] == inline
    told = [node.result("grid_explainTransaction", each) for each in hashes]
    used = [int(receipt["gasUsed"], 16) for receipt in inline]
    assert [str(gas) in story["explanation"][0] for gas, story in zip(used, told, strict=True)] == [True, True]


class _Listener:
    def __init__(self) -> None:
        self.told: list[Any] = []

    def notify(self, _subscription: str, result: str) -> None:
        self.told.append(json.loads(result))


def test_logs_are_told_in_pieces_and_other_work_goes_on_between(noisy: tuple[RunningNode, list[str]]) -> None:
    node, hashes = noisy

    async def job() -> tuple[list[int], list[Any]]:
        feed = Feed(node.backend, BlockCache())
        feed.start()
        listener = _Listener()
        feed.activate([feed.subscribe(listener, Topic.LOGS)])
        feed._told -= 1  # as if the block had come just now
        feed._topics[Topic.LOGS] = {
            key: module.Subscription(key, listener, Topic.LOGS, 0) for key in feed._topics[Topic.LOGS]
        }
        counts = [0]
        async with asyncio.timeout(10):
            while counts[-1] < 2 * LOGS:
                await asyncio.sleep(0)
                counts.append(len(listener.told))
        await feed.close()
        return counts, listener.told

    counts, told = asyncio.run(job())
    assert max(after - before for before, after in pairwise(counts)) <= module.LOGS_AT_ONCE
    receipts = [node.result("eth_getTransactionReceipt", each) for each in hashes]
    assert told == [entry for receipt in receipts for entry in receipt["logs"]]


def test_logs_decoded_in_turn_are_those_of_the_receipt(noisy: tuple[RunningNode, list[str]]) -> None:
    node, _ = noisy
    with node.backend.store.read() as view:
        stored = view.stored_receipts(view.head_height)
    for raw in [*stored, make_receipt(0, 0, 21_000, ()).encode_stored()]:
        receipt = decode_stored(decode(raw))
        assert list(stored_logs_in_turn(raw)) == list(receipt.logs)
        assert stored_outcome(raw) == (receipt.status, receipt.cumulative_gas_used)


def _criteria(first: int, size: int) -> Criteria:
    return Criteria(frozenset(number.to_bytes(20, "big") for number in range(first, first + size)), ())


def test_what_filters_and_subscriptions_look_for_is_bounded_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.rpc.filters.MAX_KEPT", 10)
    monkeypatch.setattr("node.rpc.feed.MAX_KEPT", 10)
    table = FilterTable(lambda: 0.0)

    def install(size: int) -> str:
        return table.install(LogFilter(LogQuery(_criteria(0, size), None, Tag.LATEST, Tag.LATEST), 1))

    first = install(6)
    with pytest.raises(LimitExceeded, match="hold 6 addresses and topics"):
        install(5)
    install(4)
    table.uninstall(first)
    install(6)
    backend = LocalBackend(tmp_path / "chain")
    feed, one, two = Feed(backend, BlockCache()), _Listener(), _Listener()
    feed.subscribe(one, Topic.LOGS, _criteria(0, 6))
    with pytest.raises(LimitExceeded, match="hold 6 addresses and topics"):
        feed.subscribe(two, Topic.LOGS, _criteria(6, 5))
    feed.subscribe(two, Topic.NEW_HEADS)
    feed.forget(one)
    feed.subscribe(two, Topic.LOGS, _criteria(6, 5))
    backend.chain.close()
