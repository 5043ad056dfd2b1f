"""Whatever is sent, the server answers with a result or a clear error: no 500, no traceback, no hang."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.rpc.discover import namespace
from node.rpc.dispatch import all_methods
from node.rpc.errors import INTERNAL_ERROR
from tests.rpc.harness import RunningNode

METHODS = sorted(method.name for method in all_methods())
TAGS = ["latest", "pending", "earliest", "0x0", "0x1", "0xffffffffffffffff", "0x01", ""]
HASH = "0x" + "ab" * 32
ADDRESS = "0x" + "11" * 20

numbers = st.integers(-(2**300), 2**300) | st.floats() | st.sampled_from([10**4_000])
texts = st.text(max_size=12) | st.sampled_from(
    [*TAGS, HASH, ADDRESS, "0x", "0x0", "0x" + "f" * 1_000, "\ud800", "newHeads"]
)
hexadecimal = st.binary(max_size=40).map(lambda raw: "0x" + raw.hex()) | st.integers(0, 2**70).map(hex)
CALL_KEYS = ["from", "to", "gas", "gasPrice", "maxFeePerGas", "maxPriorityFeePerGas", "value", "data", "input", "nonce"]
FILTER_KEYS = ["address", "topics", "fromBlock", "toBlock", "blockHash", "blockNumber", "requireCanonical"]
keys = st.sampled_from([*CALL_KEYS, *FILTER_KEYS, "accessList", "storageKeys"])
leaves = st.none() | st.booleans() | numbers | texts | hexadecimal
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys | st.text(max_size=5), inner, max_size=5),
    max_leaves=12,
)
requests = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0"), "id": st.integers(0, 9), "method": st.sampled_from(METHODS)},
    optional={"params": st.lists(values, max_size=4)},
)
broken = st.dictionaries(st.sampled_from(["jsonrpc", "id", "method", "params", "x"]), values, max_size=5)
messages = requests | broken | values | st.lists(requests | broken | values, max_size=5)

relaxed = settings(
    max_examples=250,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def _check(answer: Any) -> None:
    for entry in answer if isinstance(answer, list) else [answer]:
        assert entry["jsonrpc"] == "2.0"
        assert ("result" in entry) != ("error" in entry)
        if "error" in entry:
            assert entry["error"]["code"] != INTERNAL_ERROR, entry
            assert isinstance(entry["error"]["message"], str)


@relaxed
@given(message=messages)
def test_any_json_over_http(node: RunningNode, message: Any) -> None:
    status, answer = node.post(json.dumps(message).encode())
    assert status in (200, 204)
    if status == 200:
        _check(json.loads(answer))


@relaxed
@given(body=st.binary(max_size=300) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_over_http(node: RunningNode, body: bytes) -> None:
    status, answer = node.post(body)
    assert status in (200, 204)
    if status == 200:
        _check(json.loads(answer))


def _arguments(kind: st.SearchStrategy[Any]) -> st.SearchStrategy[list[tuple[str, list[Any]]]]:
    return st.lists(st.tuples(st.sampled_from(METHODS), st.lists(kind, max_size=4)), min_size=8, max_size=8)


plausible = st.sampled_from(
    [*TAGS, HASH, ADDRESS, True, False, None, 0, 1, "0x5", "ledger", "contract", "logs", [10, 50]]
) | (
    st.fixed_dictionaries(
        {},
        optional={
            "to": st.just(ADDRESS),
            "data": hexadecimal,
            "gas": st.integers(0, 50_000).map(hex),
            "value": st.sampled_from(["0x0", "0x1"]),
            "fromBlock": st.sampled_from(TAGS),
            "address": st.just(ADDRESS),
            "topics": st.lists(st.just(HASH) | st.none() | st.just([HASH]), max_size=5),
        },
    )
)


@settings(relaxed, max_examples=80)  # test_bad_input.py has the longer form, over HTTP
@given(calls=_arguments(plausible))
def test_plausible_arguments_over_a_websocket(node: RunningNode, calls: list[tuple[str, list[Any]]]) -> None:
    batch = [{"jsonrpc": "2.0", "id": i, "method": m, "params": p} for i, (m, p) in enumerate(calls)]

    async def job() -> None:
        async with aiohttp.ClientSession(node.url) as session, session.ws_connect("/") as opened:
            await opened.send_json(batch)
            answer = await opened.receive_json(timeout=20)
            assert [entry["id"] for entry in answer] == list(range(len(batch)))
            _check(answer)

    asyncio.run(job())


def test_an_error_of_ours_is_answered_and_logged(
    node: RunningNode, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise KeyError("secret")

    monkeypatch.setattr(node.backend, "peers", fail)
    with caplog.at_level(logging.ERROR, "rpc"):
        error = node.error("net_peerCount")
    assert error["code"] == INTERNAL_ERROR
    assert error["message"] == "internal error in net_peerCount: KeyError; the node's log has more"
    assert "secret" in caplog.text


def test_every_method_is_documented() -> None:
    for method in all_methods():
        assert namespace(method.name) in ("eth", "net", "web3", "txpool", "debug", "admin", "personal", "grid", "rpc")
        assert method.summary.endswith(".")
        required = [parameter.required for parameter in method.parameters]
        assert required == sorted(required, reverse=True)
