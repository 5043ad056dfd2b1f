"""The node's description of itself: valid OpenRPC, whole, and true of what the methods take and answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from referencing import Registry, Resource

from node.rpc import errors, formats, schemas
from node.rpc.absent import ABSENT
from node.rpc.calls import call_request
from node.rpc.discover import openrpc_document
from node.rpc.dispatch import all_methods
from node.rpc.errors import RpcError
from node.rpc.logs import log_query
from node.rpc.methods import Method, Parameter
from node.rpc.settings import RpcConfig
from node.rpc.tracing import TRACERS, call_trace_config, trace_config
from tests.node.chains import sign_transaction
from tests.node.samples import account_key, address_of
from tests.rpc.harness import RunningNode
from tests.rpc.page import PAGE, renewed
from tests.rpc.test_logs import EMITTER_INIT

META_SCHEMA = Path(__file__).parent / "openrpc-meta-schema.json"
DOCUMENT: Any = json.loads(json.dumps(openrpc_document(all_methods())))
ALL = list(all_methods())


def validator(schema: schemas.Schema) -> Draft7Validator:
    """Return a validator of a schema that may refer to the document's components."""
    return Draft7Validator({**schema, "components": DOCUMENT["components"]})


def test_the_document_is_openrpc() -> None:
    meta = json.loads(META_SCHEMA.read_text())
    meta["properties"]["openrpc"]["enum"] = [DOCUMENT["openrpc"]]  # upstream's build fills in the versions
    meta["$schema"] = Draft7Validator.META_SCHEMA["$schema"]
    draft7 = Resource.from_contents(Draft7Validator.META_SCHEMA)
    registry = Registry().with_resources([("https://meta.json-schema.tools", draft7)])
    assert not list(Draft7Validator(meta, registry=registry).iter_errors(DOCUMENT))
    for name, schema in DOCUMENT["components"]["schemas"].items():
        Draft7Validator.check_schema(schema)
        assert schema["title"], name
    names = [method["name"] for method in DOCUMENT["methods"]]
    assert names == sorted(set(names))


def test_the_node_serves_it(node: RunningNode) -> None:
    assert node.result("rpc.discover") == DOCUMENT
    modules = node.result("rpc_modules")
    assert modules.keys() >= {"eth", "net", "web3", "txpool", "grid", "rpc"}
    assert set(modules.values()) == {"1.0"}


def test_every_method_describes_its_parameters_and_its_result() -> None:
    undescribed = [f"{method.name}: {parameter.name}" for method in ALL for parameter in method.parameters
                   if not parameter.described]  # fmt: skip
    assert undescribed + [f"{method.name}: result" for method in ALL if not method.returns] == []


VALUES: list[Any] = [
    "0x0", "0x1f", "0x01", "0x", "0x1", "0xAB", "0xabc", "0x" + "f" * 16, "0x1" + "0" * 16, "0x" + "f" * 64,
    "0x1" + "0" * 64, "0x" + "ab" * 20, "0x" + "ab" * 32, "0x" + "AB" * 32, "0x" + "ab" * 33, "latest", "pending",
    "Latest", "", "x", " 0x1", "0x1 ", 0, 1, -1, 2**64 - 1, 2**64, 1.5, True, False, [], {}, [None], ["0x1"],
    {"blockHash": "0x" + "ab" * 32}, {"blockHash": "0x1"}, {"blockNumber": "0x1"}, {"blockNumber": "latest"},
    {"blockHash": "0x" + "ab" * 32, "requireCanonical": True}, {"blockHash": "0x" + "ab" * 32, "requireCanonical": 1},
    {"to": "0x" + "11" * 20, "value": "0x1"}, {"to": "0x1"}, {"to": None, "data": "0x00"}, {"data": "0x0"},
    {"accessList": [{"address": "0x" + "11" * 20, "storageKeys": ["0x1"]}]}, {"accessList": [{}]},
    {"fromBlock": "0x1", "toBlock": "latest"}, {"topics": [None, "0x" + "ab" * 32, ["0x" + "cd" * 32]]},
    {"topics": ["0x1"]}, {"topics": [None] * 5}, {"address": ["0x" + "11" * 20]}, {"address": "0x"},
    {"tracer": "callTracer", "tracerConfig": {"withLog": True}, "timeout": "5s"}, {"tracer": "x"}, {"timeout": "5"},
    {"tracerConfig": {"onlyTopCall": 1}, "tracer": "callTracer"}, {"limit": 7}, {"limit": -1}, {"enableMemory": 1},
    {"stateOverrides": {"0x" + "11" * 20: {"balance": "0x1"}}, "txIndex": None},
]  # fmt: skip


@pytest.mark.parametrize(
    "parse",
    [
        formats.quantity,
        formats.number,
        formats.count,
        formats.data,
        formats.address,
        formats.hash32,
        formats.slot,
        formats.boolean,
        formats.text,
        formats.block_ref,
        formats.block_number,
        call_request,
        log_query,
        trace_config,
        call_trace_config,
    ],
)
def test_a_parser_takes_what_its_schema_says(parse: Callable[[object, str], Any]) -> None:
    check = validator(schemas.schema_of(parse))
    for value in VALUES:
        try:
            parse(value, "here")
            taken = True
        except RpcError:
            taken = False
        assert check.is_valid(value) == taken, value


# -- what methods answer


@pytest.fixture(scope="module")
def samples(node: RunningNode) -> dict[str, list[Any]]:
    """Values for parameters by their schema, after blocks with a creation, a log, a transfer, one waiting."""
    key = account_key("household 0")
    sender = "0x" + address_of(key).hex()

    def send(nonce: int, to: str | None, **options: Any) -> str:
        target = None if to is None else bytes.fromhex(to[2:])
        return str(node.result("eth_sendRawTransaction", "0x" + sign_transaction(
            key, chain_id=2016, nonce=nonce, to=target, **options).hex()))  # fmt: skip

    created = node.result("eth_getTransactionReceipt", send(0, None, data=bytes.fromhex(EMITTER_INIT[2:])))
    contract = created["contractAddress"]
    hashes = [send(1, contract, data=bytes(32)), send(2, sender, value=1)]
    node.backend.mining = False
    waiting = [send(3, sender, value=1), send(5, sender, value=1)]
    filters = [node.result("eth_newFilter", {"fromBlock": "earliest"}), node.result("eth_newBlockFilter")]
    node.mine()
    send(4, sender, value=2)
    block = node.result("eth_getBlockByNumber", "0x2")["hash"]
    ref = "#/components/schemas/"
    return {
        ref + "address": [sender, contract, "0x" + "77" * 20],
        ref + "hash32": [block, *hashes, *waiting, "0x" + "77" * 32],
        ref + "uint64": ["0x0", "0x1"],
        ref + "slot": ["0x0"],
        ref + "bytes": ["0x1234"],
        ref + "BlockNumberOrTag": ["latest", "0x0", "0x1", "0x2", "0xffff"],
        ref + "BlockNumberOrTagOrHash": ["latest", "0x1", {"blockHash": block}],
        ref + "GenericTransaction": [{"from": sender, "to": sender}],
        ref + "EthSimulatePayload": [
            {"blockStateCalls": [{"calls": [{"to": contract, "input": "0x" + "00" * 32}, {"data": "0xfe"}]}, {}]},
            {"blockStateCalls": [{"calls": [{"to": sender}]}], "returnFullTransactions": True},
        ],
        ref + "Filter": [{"fromBlock": "earliest"}, {"address": "0x" + "77" * 20}],
        "filter id": filters,
        "count": ["0x2"],
        "requests": [{contract: ["0x0", "0x1"]}],
        "block count": ["0x2", 3],
        "chain": ["contract", "ledger"],
        "full transactions": [True, False],
        "reward percentiles": [[25, 75]],
        "slots": [["0x0"], []],
        "raw block": [node.result("debug_getRawBlock", "0x1")],
        "trace config": [{"tracer": tracer} for tracer in TRACERS],
        "trace call config": [{"tracer": "callTracer", "blockOverrides": {"number": "0x9"}}, {"enableMemory": True}],
    }


def _choices(parameter: Parameter, samples: dict[str, list[Any]]) -> list[Any]:
    found = samples.get(parameter.name) or samples.get(str(parameter.described.get("$ref")), [])
    return found if parameter.required else [*found, None]


def _attempts(method: Method, samples: dict[str, list[Any]]) -> list[list[Any]]:
    rows: list[list[Any]] = [[]]
    for parameter in method.parameters:
        rows = [[*row, value] for row in rows for value in _choices(parameter, samples)][:24]
    return rows


SESSIONS_ONLY = {"eth_subscribe", "eth_unsubscribe"}
UNLOCKED_ONLY = {
    "eth_sendTransaction",
    "eth_sign",
    "eth_signTransaction",
    "eth_signTypedData",
    "eth_signTypedData_v4",
    "personal_sign",
}  # tests/rpc/test_accounts.py
NO_RESULT_HERE: set[str] = UNLOCKED_ONLY | {
    "admin_changeLogLevel",
    "eth_sendRawTransaction",
    "eth_sendRawTransactionSync",
    "grid_getTransitions",
}


def test_answers_fit_the_declared_results(node: RunningNode, samples: dict[str, list[Any]]) -> None:
    unanswered = set()
    for method in ALL:
        check = validator(method.returns or {})
        answers = [node.ask(method.name, *row) for row in _attempts(method, samples)]
        for answer in answers:
            if "result" in answer:
                check.validate(answer["result"])
        if not any("result" in answer for answer in answers):
            unanswered.add(method.name)
    assert unanswered - SESSIONS_ONLY - NO_RESULT_HERE == set()


def test_the_page_is_made_from_the_code() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert renewed(text) == text, "renew it: python -m tests.rpc.page"


def test_the_page_explains_every_code_and_setting() -> None:
    text = PAGE.read_text(encoding="utf-8")
    codes = {value for name, value in vars(errors).items() if name.isupper() and isinstance(value, int)}
    for code in codes - {errors.MAX_SHOWN}:
        assert f"| {code} |" in text, code
    for setting in fields(RpcConfig):
        if setting.name not in {"host", "port", "tokens", "max_read_s", "max_queued_bytes", "metrics_listen"}:
            assert f"`{setting.name}`" in text, setting.name


def test_absent_methods_are_absent_and_say_why(node: RunningNode) -> None:
    assert not ABSENT.keys() & {method.name for method in ALL}
    message = node.error("eth_getWork")["message"]
    assert message == f"the method eth_getWork does not exist/is not available: {ABSENT['eth_getWork']}"
