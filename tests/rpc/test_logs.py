"""Log queries, filters that expire, and the environment that calls see."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.chain.receipt import Log, bloom_bits, count_stored_logs, logs_bloom, make_receipt, stored_logs
from node.execution import Executor
from node.rpc.errors import LimitExceeded, RpcError
from node.rpc.eth_filters import filter_changes
from node.rpc.filters import LIFETIME_S, MAX_FILTERS, BlockFilter, FilterTable, PendingFilter
from node.rpc.log_search import Columns, TooMuch, may_hold, search
from node.rpc.logs import Criteria
from node.rpc.reads import BlockCache, Reader
from tests.node.chains import sign_transaction
from tests.node.samples import account_key
from tests.rpc.harness import RunningNode

EMITTER = "0x5f355f5fa100"  # logs no data with the first word of its input as topic
EMITTER_INIT = "0x65" + EMITTER[2:] + "5f5260066" + "01af3"


def _send(node: RunningNode, to: str | None, data: str, label: str = "household 0") -> str:
    from tests.node.samples import address_of

    sender = "0x" + address_of(account_key(label)).hex()
    nonce = int(node.result("eth_getTransactionCount", sender, "pending"), 16)
    target = None if to is None else bytes.fromhex(to[2:])
    raw = sign_transaction(account_key(label), chain_id=2016, nonce=nonce, to=target, data=bytes.fromhex(data[2:]))
    return str(node.result("eth_sendRawTransaction", "0x" + raw.hex()))


def _topic(number: int) -> str:
    return "0x" + number.to_bytes(32, "big").hex()


@pytest.fixture(scope="module")
def emitter(node: RunningNode) -> str:
    """A contract that logged topics 1 to 6, one a block from block 2 on."""
    created = node.result("eth_getTransactionReceipt", _send(node, None, EMITTER_INIT))["contractAddress"]
    assert node.result("eth_getCode", created) == EMITTER
    for number in range(1, 7):
        _send(node, created, _topic(number))
    return str(created)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"fromBlock": "earliest"}, [1, 2, 3, 4, 5, 6]),
        ({"fromBlock": "0x3", "toBlock": "0x4"}, [2, 3]),
        ({"fromBlock": "0x0", "toBlock": "0xffff"}, [1, 2, 3, 4, 5, 6]),
        ({}, [6]),
        ({"fromBlock": "0x0", "topics": [_topic(4)]}, [4]),
        ({"fromBlock": "0x0", "topics": [[_topic(4), _topic(2), _topic(77)]]}, [2, 4]),
        ({"fromBlock": "0x0", "topics": [None]}, [1, 2, 3, 4, 5, 6]),
        ({"fromBlock": "0x0", "topics": [[None, _topic(1)]]}, [1, 2, 3, 4, 5, 6]),
        ({"fromBlock": "0x0", "topics": [None, None]}, []),
        ({"fromBlock": "0x0", "topics": []}, [1, 2, 3, 4, 5, 6]),
        ({"fromBlock": "0x0", "address": "0x" + "12" * 20}, []),
        ({"fromBlock": "0xffff"}, []),
        ({"fromBlock": "0xffff", "toBlock": "latest"}, []),
    ],
)
def test_queries(node: RunningNode, emitter: str, query: dict[str, Any], expected: list[int]) -> None:
    found = node.result("eth_getLogs", query)
    assert [int(entry["topics"][0], 16) for entry in found] == expected
    with_address = query if "address" in query else query | {"address": [emitter, "0x" + "12" * 20]}
    assert node.result("eth_getLogs", with_address) == found
    for entry in found:
        receipt = node.result("eth_getTransactionReceipt", entry["transactionHash"])
        assert receipt["logs"] == [entry]


def test_a_query_of_one_block(node: RunningNode, emitter: str) -> None:
    block = node.result("eth_getBlockByNumber", "0x5")
    (entry,) = node.result("eth_getLogs", {"blockHash": block["hash"], "address": emitter})
    assert int(entry["topics"][0], 16) == 4
    assert node.error("eth_getLogs", {"blockHash": _topic(1)}) == {"code": -32000, "message": "unknown block"}


def test_bounds_of_a_query(node: RunningNode, emitter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert node.error("eth_getLogs", {"fromBlock": "0x5", "toBlock": "0x4"})["code"] == -32602
    monkeypatch.setattr("node.rpc.eth_filters.MAX_RESULTS", 4)
    error = node.error("eth_getLogs", {"fromBlock": "0x0"})
    assert error["code"] == -32005
    advice = "query returned more than 10000 results. Try with this block range [0x0, 0x5]."
    assert error["message"] == advice
    assert len(node.result("eth_getLogs", {"fromBlock": "0x0", "toBlock": "0x5"})) == 4
    monkeypatch.setattr("node.rpc.eth_filters.MAX_CHARS", 600)  # of some 560 for each log
    assert "Try with this block range [0x0, 0x2]." in node.error("eth_getLogs", {"fromBlock": "0x0"})["message"]
    monkeypatch.setattr("node.rpc.eth_filters.MAX_CHARS", 60)
    assert "Try with fewer addresses" in node.error("eth_getLogs", {"fromBlock": "0x2"})["message"]


def test_a_search_that_takes_long_goes_on_in_slices(
    node: RunningNode, emitter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = node.result("eth_getLogs", {"fromBlock": "0x0"})
    reader = Reader(node.backend.store, Executor(node.backend.rule_book), node.backend.rule_book, BlockCache())
    monkeypatch.setattr("node.rpc.log_search.SLICE_S", -1.0)  # every read is over after one block that may match
    monkeypatch.setattr("node.rpc.log_search.SECTION", 3)
    anything, head = Criteria(frozenset(), ()), int(node.result("eth_blockNumber"), 16)
    parts, start = [], 0
    while start <= head:
        parts.append(search(reader, anything, range(start, head + 1), 0, 100, 10**6))
        start = parts[-1].next_height
    assert len(parts) == head + 1
    assert json.loads(f"[{','.join(part.text for part in parts if part.count)}]") == expected
    monkeypatch.setattr("node.rpc.eth_filters.SEARCH_S", -1)
    assert node.result("eth_getLogs", {"fromBlock": "0x0"}) == expected  # one slice was enough
    monkeypatch.setattr("node.rpc.log_search.MAX_RESULTS", 0)
    monkeypatch.setattr("node.rpc.log_search.SLICE_S", 5.0)
    with pytest.raises(TooMuch, match=r"more than 0 results\. Try with this block range \[0x0, 0x1\]"):
        search(reader, anything, range(head + 1), 0, 0, 10**6)


def test_a_poll_that_finds_too_much_gets_a_part_and_the_next_one_goes_on(
    own_node: RunningNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = own_node
    created = node.result("eth_getTransactionReceipt", _send(node, None, EMITTER_INIT))["contractAddress"]
    identifier = node.result("eth_newFilter", {"address": created})
    for number in range(5):
        _send(node, created, _topic(number))
    monkeypatch.setattr("node.rpc.eth_filters.MAX_RESULTS", 2)
    polled = [node.result("eth_getFilterChanges", identifier) for _ in range(4)]
    assert [[int(entry["topics"][0], 16) for entry in each] for each in polled] == [[0, 1], [2, 3], [4], []]


def test_two_polls_at_once_tell_nothing_twice(node: RunningNode, emitter: str) -> None:
    logs, blocks = node.result("eth_newFilter", {"address": emitter}), node.result("eth_newBlockFilter")
    for number in range(3):
        _send(node, emitter, _topic(number))

    async def polls(identifier: str) -> list[Any]:
        assert node.server._context is not None
        return await asyncio.gather(*(filter_changes(node.server._context, identifier) for _ in range(2)))

    told = [entry for part in node.run(polls(logs)) for entry in json.loads(part)]
    assert [int(entry["topics"][0], 16) for entry in told] == [0, 1, 2]
    hashes = [each for part in node.run(polls(blocks)) for each in part]
    assert hashes == [entry["blockHash"] for entry in told]


def test_a_log_filter_that_ends(node: RunningNode, emitter: str) -> None:
    head = int(node.result("eth_blockNumber"), 16)
    identifier = node.result("eth_newFilter", {"toBlock": hex(head + 1), "address": emitter})
    assert node.result("eth_getFilterChanges", identifier) == []
    _send(node, emitter, _topic(8))
    _send(node, emitter, _topic(9))
    assert [int(entry["topics"][0], 16) for entry in node.result("eth_getFilterChanges", identifier)] == [8]
    assert node.result("eth_getFilterChanges", identifier) == []
    other = node.result("eth_newBlockFilter")
    assert node.error("eth_getFilterLogs", other)["message"] == "filter not found: it is no log filter"


def test_filters_are_bounded_and_expire() -> None:
    now = [0.0]
    table = FilterTable(lambda: now[0])
    pending = PendingFilter()
    kept = table.install(pending)
    table.add_pending(b"a")
    assert list(pending.hashes) == [b"a"]
    for _ in range(MAX_FILTERS - 1):
        table.install(BlockFilter(1))
    with pytest.raises(LimitExceeded):
        table.install(BlockFilter(1))
    now[0] = LIFETIME_S - 1
    assert table.find(kept) is pending
    now[0] = LIFETIME_S + 1
    table.install(BlockFilter(1))
    assert table.find(kept) is pending
    now[0] *= 3
    with pytest.raises(RpcError, match="filter not found"):
        table.find(kept)


addresses = st.sampled_from([bytes((i,)) * 20 for i in range(3)])
topics = st.sampled_from([bytes((i,)) * 32 for i in range(3)])
logs = st.builds(Log, addresses, st.lists(topics, max_size=4).map(tuple), st.just(b""))
criteria = st.builds(
    Criteria, st.frozensets(addresses, max_size=2), st.lists(st.frozensets(topics, max_size=2), max_size=4).map(tuple)
)


@given(st.lists(st.lists(logs, max_size=4), min_size=1, max_size=5), criteria)
def test_blooms_never_hide_a_log_and_are_looked_up_for_many_blocks_at_once(
    blocks: list[list[Log]], wanted: Criteria
) -> None:
    blooms = [logs_bloom(entries) for entries in blocks]
    found = list(Columns(blooms).matching(wanted))
    groups = [group for group in (wanted.addresses, *wanted.topics) if group]
    expected = []
    for place, bloom in enumerate(blooms):
        bits = int.from_bytes(bloom, "big")
        if all(any(bits & bloom_bits(value) == bloom_bits(value) for value in group) for group in groups):
            expected.append(place)
    assert found == expected
    for place, entries in enumerate(blocks):
        receipt = make_receipt(2, 1, 21_000, entries).encode_stored()
        assert count_stored_logs(receipt) == len(entries)
        assert stored_logs(receipt) == entries
        if any(wanted.match(entry) for entry in entries):
            assert place in found
            assert may_hold(receipt, wanted)


def test_calls_see_the_block_they_name_and_the_head_sees_now(node: RunningNode, emitter: str) -> None:
    node.backend.chain.wall_ms += 3_600_000  # an hour in which nothing happened
    head = node.result("eth_getBlockByNumber", "latest")
    program = {"data": "0x425f524360205260405ff3"}  # creation code that returns the time and the number of its block

    def see(block: Any) -> tuple[int, int]:
        output = node.result("eth_call", program, block)[2:]
        return int(output[:64], 16), int(output[64:], 16)

    number, stamp = int(head["number"], 16), int(head["timestamp"], 16)
    now = node.backend.chain_time_s()
    assert now - stamp >= 3_600
    assert see("latest") == see("finalized") == (now, number)
    assert see("pending") == (now, number + 1)
    assert see(head["number"]) == see(head["hash"]) == see({"blockHash": head["hash"]}) == (stamp, number)
    assert see("earliest") == (int(node.result("eth_getBlockByNumber", "0x0")["timestamp"], 16), 0)
    assert node.error("eth_call", program, "0xffff")["message"].startswith("header not found")
    assert node.error("eth_call", program, _topic(3))["message"].startswith("header not found: no block with hash 0x")
    late = {"data": f"0x63{now - 10:08x}42" + "11600d575f5ffd5b00"}  # reverts until ten seconds before now
    assert int(node.result("eth_estimateGas", late), 16) > 53_000
    assert int(node.result("eth_estimateGas", late, "latest"), 16) > 53_000


def test_what_stops_a_call_and_an_estimate(node: RunningNode) -> None:
    assert node.error("eth_call", {"data": "0xfe"}) == {"code": -32000, "message": "invalid opcode: INVALID"}
    assert node.error("eth_call", {"data": "0x5f56"})["message"] == "invalid jump destination"
    assert node.error("eth_call", {"value": "0x1"})["message"] == (
        f"err: insufficient funds for gas * price + value: address 0x{'0' * 40} have 0 want 1 (supplied gas 10000000)"
    )
    poor = {"from": "0x" + "77" * 20, "to": "0x" + "78" * 20, "value": "0x1"}
    assert node.error("eth_estimateGas", poor)["message"].startswith("failed with 10000000 gas: insufficient funds")
    assert node.error("eth_estimateGas", poor | {"value": "0x0", "gasPrice": "0x1"})["code"] == -32000
    assert node.error("eth_estimateGas", {"data": "0xfe"})["message"] == "invalid opcode: INVALID"
    assert node.result("eth_estimateGas", {"to": "0x" + "78" * 20}) == hex(21_000)
    assert node.error("eth_estimateGas", {"to": "0x" + "78" * 20, "gas": "0x1"})["message"].startswith("gas required")
    assert node.result("eth_call", {}, "latest", {}) == "0x"
