"""Whatever is sent, the node answers with a result or a clear refusal: no 500, no -32603, no traceback, no hang.

Requests are made from the node's own OpenRPC document: for every method, values that fit its parameters' schemas,
with hostile ones in their places here and there. `make fuzz-rpc` does as much for as long as one likes.
"""

from __future__ import annotations

import http.client
import json
import logging
import os
import re
import time
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from node.log import COMPONENTS
from node.rpc import eth_send
from node.rpc.discover import openrpc_document
from node.rpc.dispatch import all_methods
from node.rpc.errors import INTERNAL_ERROR
from tests.node.chains import sign_transaction
from tests.node.samples import account_key, address_of
from tests.rpc.harness import RunningNode
from tests.rpc.test_logs import EMITTER_INIT

EXAMPLES = int(os.environ.get("GRIDPACT_FUZZ_EXAMPLES", "20"))
SEED = int(os.environ.get("GRIDPACT_FUZZ_SEED", "0"))
MAX_ANSWER_S = 45.0  # for one request of every method: a message's own limit, and a busy machine
DOCUMENT: Any = json.loads(json.dumps(openrpc_document(all_methods())))
KEY = account_key("household 0")
SENDER = address_of(KEY)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """Blocks with a creation, a log and a transfer, and a transaction that waits; nobody waits for receipts."""
    patience = pytest.MonkeyPatch()
    patience.setattr(eth_send, "MOST_MS", 20)
    running = RunningNode(tmp_path_factory.mktemp("bad") / "chain", open_accounts=True)
    created = running.result("eth_getTransactionReceipt", _send(running, 0, None, bytes.fromhex(EMITTER_INIT[2:])))
    contract = bytes.fromhex(created["contractAddress"][2:])
    transactions = [_send(running, 1, contract, bytes(32)), _send(running, 2, SENDER, b"")]
    running.backend.mining = False
    transactions.append(_send(running, 3, SENDER, b""))
    KNOWN["address"] = ["0x" + SENDER.hex(), created["contractAddress"], "0x" + "00" * 20, "0x" + "00" * 19 + "04"]
    blocks = [running.result("eth_getBlockByNumber", height)["hash"] for height in ("0x0", "0x2")]
    KNOWN["hash32"] = [*transactions, *blocks, "0x" + "00" * 32]
    KNOWN["BlockNumberOrTag"] = ["latest", "pending", "earliest", "0x1", "0x2"]
    KNOWN["BlockNumberOrTagOrHash"] = [*KNOWN["BlockNumberOrTag"], {"blockHash": blocks[1]}]
    KNOWN["bytes"] = ["0x", "0x00", "0x" + _raw(3, SENDER, b"").hex(), "0x" + _raw(7, None, b"\x00").hex()]
    KNOWN["GenericTransaction"] = [
        {"to": created["contractAddress"], "data": "0x" + "01" * 32},
        {"from": "0x" + SENDER.hex(), "to": "0x" + "00" * 19 + "04", "input": "0x1234", "gas": "0xffff"},
        {"data": EMITTER_INIT, "gas": "0x100000"},
    ]
    filters = ("eth_newBlockFilter", "eth_newPendingTransactionFilter")
    KNOWN["FilterId"] = [running.result(name) for name in filters] + [running.result("eth_newFilter", {})]
    yield running
    running.close()
    patience.undo()


def _raw(nonce: int, to: bytes | None, data: bytes) -> bytes:
    return sign_transaction(KEY, chain_id=2016, nonce=nonce, to=to, data=data)


def _send(node: RunningNode, nonce: int, to: bytes | None, data: bytes) -> str:
    return str(node.result("eth_sendRawTransaction", "0x" + _raw(nonce, to, data).hex()))


# -- requests from the document

KNOWN: dict[str, list[Any]] = {}
"""Values of a component that name something on the chain."""

DEEP: Any = []
for _ in range(400):
    DEEP = [DEEP]

hostile = st.sampled_from(
    [
        None, True, 0, -1, 1.5, 2**53 + 1, 2**256, 10**400, -(2**70), 1e308, "", " ", "0x", "0X1", "0x00", "0x-1",
        "0x" + "f" * 65, "0x" + "00" * 40_000, "a" * 50_000, "\ud800", "\x00", "é" * 300, "latest ", "PENDING", [], {},
        [[]], [{}], {"": None}, {"to": {}}, {"data": ["0x"]}, {"blockHash": None}, DEEP, [0] * 3_000, ["0x1"] * 2_000,
        {str(key): "0x1" for key in range(2_000)}, "__proto__", {"__class__": 1}, "0x7fffffffffffffff",
        "0xffffffffffffffff", "0x" + "f" * 64, "0xg", "$(id)", "../../etc/passwd", "'; --",
    ]
)  # fmt: skip


@cache
def component(reference: str, odds: int) -> st.SearchStrategy[Any]:
    """Return values of a component, often ones that name something that exists."""
    name = reference.rpartition("/")[2]
    found = values_of(DOCUMENT["components"]["schemas"][name], odds)
    return st.deferred(lambda: st.sampled_from(KNOWN[name]) | found if name in KNOWN else found)


def mixed(schema: dict[str, Any], odds: int) -> st.SearchStrategy[Any]:
    """Return values that fit a schema, with a hostile one in it once in `odds` times; 0 is never."""
    fitting = values_of(schema, odds)
    return st.integers(1, odds).flatmap(lambda dice: hostile if dice == 1 else fitting) if odds else fitting


def values_of(schema: dict[str, Any], odds: int) -> st.SearchStrategy[Any]:
    """Return values that fit a schema on the outside, and are mixed inside."""
    if "$ref" in schema:
        return component(schema["$ref"], odds)
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return st.one_of([mixed(part, odds) for part in schema[key]])
    match schema.get("type"):
        case "string":
            return _text(schema.get("pattern", ""))
        case "integer":
            return st.integers(schema.get("minimum", -(2**64)), schema.get("maximum", 2**64)) | st.integers(0, 3)
        case "number":
            return st.floats(schema.get("minimum"), schema.get("maximum"), allow_nan=False, allow_infinity=False)
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case "array":
            return st.lists(mixed(schema.get("items", {}), odds), max_size=min(3, schema.get("maxItems", 3)))
        case "object":
            return _object(schema, odds)
        case _:
            return hostile


def _text(pattern: str) -> st.SearchStrategy[str]:
    whole = re.fullmatch(r"\^0x\[0-9a-fA-F\]\{(\d+)\}\$", pattern)
    if whole is not None:
        length = int(whole[1]) // 2
        return st.binary(min_size=length, max_size=length).map(lambda raw: "0x" + raw.hex())
    if pattern == "^0x([0-9a-fA-F]{2})*$":
        return st.binary(max_size=80).map(lambda raw: "0x" + raw.hex())
    if pattern.startswith("^0x"):
        return st.integers(0, 2**20).map(hex) | st.sampled_from(["0x0", "0x1", "0x2", "0x3"])
    return st.text(max_size=20)


def _object(schema: dict[str, Any], odds: int) -> st.SearchStrategy[Any]:
    properties = {name: mixed(part, odds) for name, part in schema.get("properties", {}).items()}
    required = {name: properties.pop(name) for name in schema.get("required", ()) if name in properties}
    if not properties and not required and isinstance(schema.get("additionalProperties"), dict):
        return st.dictionaries(st.text(max_size=10), mixed(schema["additionalProperties"], odds), max_size=3)
    return st.fixed_dictionaries(required, optional=properties)


@st.composite
def params(draw: st.DrawFn, described: list[dict[str, Any]]) -> Any:
    """Return positional parameters: all or the first few, sometimes one too many, rarely no list at all."""
    dice = draw(st.integers(0, 19))
    if dice == 0:
        return draw(hostile)
    many = len(described) if dice > 4 else draw(st.integers(0, len(described)))
    odds = draw(st.sampled_from([0, 0, 0, 5, 20]))
    found = [draw(mixed(parameter["schema"], odds)) for parameter in described[:many]]
    return [*found, draw(hostile)] if dice == 1 else found


everything = st.tuples(*(params(method["params"]) for method in DOCUMENT["methods"]))
NAMES = [method["name"] for method in DOCUMENT["methods"]]


class Tracebacks(logging.Handler):
    """Collects what a log shows of our own errors."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(self.format(record))


@pytest.fixture
def tracebacks() -> Iterator[Tracebacks]:
    """What is logged as an error, and left behind by tasks, while a test runs."""
    handler = Tracebacks()
    loggers = [logging.getLogger(name) for name in ("", "rpc", "asyncio", "aiohttp.server")]
    levels = {name: logging.getLogger(name).level for name in ("", *COMPONENTS)}
    for logger in loggers:
        logger.addHandler(handler)
    yield handler
    for logger in loggers:
        logger.removeHandler(handler)
    for name, level in levels.items():  # admin_changeLogLevel is among what is attacked
        logging.getLogger(name).setLevel(level)


@seed(SEED)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=SEED == 0,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(values=everything)
def test_every_method_takes_anything(chain: RunningNode, tracebacks: Tracebacks, values: tuple[Any, ...]) -> None:
    batch = [
        {"jsonrpc": "2.0", "id": place, "method": name, "params": value}
        for place, (name, value) in enumerate(zip(NAMES, values, strict=True))
    ]
    started = time.monotonic()
    status, answer = chain.post(json.dumps(batch).encode())
    assert time.monotonic() - started < MAX_ANSWER_S
    assert status == 200
    entries = json.loads(answer)
    assert [entry["id"] for entry in entries] == list(range(len(batch)))
    for entry, asked in zip(entries, batch, strict=True):
        assert ("result" in entry) != ("error" in entry)
        if "error" in entry:
            assert entry["error"]["code"] != INTERNAL_ERROR, (asked, entry)
            assert 0 < len(entry["error"]["message"]) < 2_000
    assert tracebacks.found == []


# -- whole messages


def _request(method: str, *values: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": values}).encode()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"\xef\xbb\xbf" + _request("eth_chainId"), -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":[Infinity]}', -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":[-Infinity]}', -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[],}', -32700),
        (b"{'jsonrpc':'2.0'}", -32700),
        (_request("eth_chainId") + _request("eth_chainId"), -32700),
        (_request("eth_chainId").decode().encode("utf-16"), -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"\xed\xa0\x80"}', -32700),
        (b'{"a":' * 30_000 + b"1" + b"}" * 30_000, -32700),
        (b'{"jsonrpc":"2.0","id":' + b"9" * 5_000 + b',"method":"eth_chainId"}', -32700),
        (b'{"jsonrpc":"2.0","id":1.0,"method":"eth_chainId"}', -32600),
        (b'{"jsonrpc":"2.0","id":{},"method":"eth_chainId"}', -32600),
        (b'{"jsonrpc":"2.0","id":[1],"method":"eth_chainId"}', -32600),
        (b'{"jsonrpc":"2.0","id":true,"method":"eth_chainId"}', -32600),
        (b'{"jsonrpc":"2.0","id":"' + b"x" * 300 + b'","method":"eth_chainId"}', -32600),
        (b'{"jsonrpc":"1.0","id":1,"method":"eth_chainId"}', -32600),
        (b'{"id":1,"method":"eth_chainId"}', -32600),
        (b'{"jsonrpc":"2.0","id":1}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":["eth_chainId"]}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"' + b"m" * 10_000 + b'"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[' + b"[]," * 1_500_000 + b"1]}", -32600),
        (b"null", -32600),
        (b'"eth_chainId"', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":"x"}', -32602),
        (_request("eth_getLogs", {"fromBlock": "0x0", "toBlock": "0xffffffffffffffff0"}), -32602),
        (_request("eth_getLogs", {"topics": [[hex(2**255)] * 5_000]}), -32602),
        (_request("eth_getLogs", {"fromBlock": "0x2", "toBlock": "0x1"}), -32602),
        (_request("eth_feeHistory", 2**64, "latest", []), -32602),
        (_request("eth_feeHistory", 4, "latest", [50] * 1_000), -32602),
        (_request("eth_getProof", "0x" + "00" * 20, ["0x0"] * 5_000, "latest"), -32602),
        (_request("eth_call", {"data": "0x" + "0" * 99_999}, "latest"), -32602),
        (_request("rpc.discover", 1), -32602),
        (_request("rpc.nothing"), -32601),
    ],
)
def test_a_message_that_is_wrong_is_answered_with_its_code(chain: RunningNode, body: bytes, code: int) -> None:
    status, answer = chain.post(body)
    assert status == 200
    assert json.loads(answer)["error"]["code"] == code


def test_the_last_of_two_equal_keys_counts(chain: RunningNode) -> None:
    status, answer = chain.post(b'{"jsonrpc":"2.0","id":1,"id":2,"method":"net_version","method":"eth_chainId"}')
    assert (status, json.loads(answer)) == (200, {"jsonrpc": "2.0", "id": 2, "result": "0x7e0"})


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/json-rpc"])
def test_types_of_content_that_are_json(chain: RunningNode, kind: str) -> None:
    assert chain.post(_request("eth_chainId"), Content_Type=kind)[0] == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "json", ""])
def test_other_types_are_refused(chain: RunningNode, kind: str) -> None:
    status, answer = chain.post(_request("eth_chainId"), Content_Type=kind)
    assert status == 415
    assert json.loads(answer)["error"]["code"] == -32600


@pytest.mark.parametrize(
    ("verb", "status"),
    [("PUT", 405), ("DELETE", 405), ("PATCH", 405), ("TRACE", 405), ("CONNECT", 404), ("BREW", 400), ("GET", 426)],
)
def test_other_verbs_are_refused(chain: RunningNode, verb: str, status: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", chain.port, timeout=10)
    connection.request(verb, "/", body=_request("eth_chainId"), headers={"Content-Type": "application/json"})
    assert connection.getresponse().status == status
    connection.close()


def test_a_batch_has_bounds_and_notifications_have_no_answer(chain: RunningNode) -> None:
    note = {"jsonrpc": "2.0", "method": "eth_getBalance", "params": ["no address"]}
    assert chain.post(json.dumps([note] * 1_000).encode()) == (204, b"")
    status, answer = chain.post(json.dumps([note] * 1_001).encode())
    assert (status, json.loads(answer)["error"]["code"]) == (200, -32600)
    nested = json.loads(chain.post(json.dumps([[note], []]).encode())[1])
    assert [entry["error"]["code"] for entry in nested] == [-32600, -32600]


def test_a_body_without_end_in_chunks_is_cut_short(chain: RunningNode) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", chain.port, timeout=10)
    pieces = (b" " * 65_536 for _ in range(81))  # 64 KiB more than is taken
    connection.request("POST", "/", body=pieces, headers={"Content-Type": "application/json"}, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()
    assert chain.result("eth_chainId") == "0x7e0"
