"""`debug_`: traces in go-ethereum's shapes, of calls over overridden state and of what is committed; bounds on both."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_hash.auto import keccak

from tests.execution.programs import assemble, calling, deploying
from tests.node.chains import sign_transaction
from tests.node.samples import account_key, address_of
from tests.rpc.conftest import funded
from tests.rpc.harness import RunningNode

CODE, OTHER, NOBODY = ("0x" + byte * 20 for byte in ("c0", "c1", "dd"))
SENDER = funded(0).address.lower()
ERROR = "08c379a0" + encode(["string"], ["no power"]).hex()


def word(value: int) -> str:
    return "0x" + value.to_bytes(32, "big").hex()


def code(*parts: Any) -> dict[str, str]:
    return {"code": "0x" + assemble(*parts).hex()}


def returning(data: bytes, opcode: str = "RETURN") -> dict[str, str]:
    """Return code that ends with some data, by its last bytes."""
    head = assemble(len(data), 255, 0, "CODECOPY", len(data), 0, opcode)
    return {"code": "0x" + (assemble(len(data), len(head), 0, "CODECOPY", len(data), 0, opcode) + data).hex()}


def options(accounts: Any, tracer: str = "", **more: Any) -> dict[str, Any]:
    table: dict[str, Any] = {"stateOverrides": accounts}
    if tracer:
        table |= {"tracer": tracer, "tracerConfig": more}
        return table
    return table | more


def traced(node: RunningNode, accounts: Any, tracer: str = "", call: Any = None, **more: Any) -> Any:
    request = {"from": SENDER, "to": CODE, "gas": "0x100000"} | (call or {})
    return node.result("debug_traceCall", request, "latest", options(accounts, tracer, **more))


# -- the struct logger


def test_every_opcode_is_logged(node: RunningNode) -> None:
    found = traced(node, {CODE: code(7, 5, "SSTORE", 5, "SLOAD", 0, "MSTORE", 32, 0, "RETURN")})
    assert {key: found[key] for key in ("gas", "failed", "returnValue")} == {
        "gas": found["gas"], "failed": False, "returnValue": word(7)}  # fmt: skip
    logs = found["structLogs"]
    assert [entry["op"] for entry in logs] == [
        "PUSH1", "PUSH1", "SSTORE", "PUSH1", "SLOAD", "PUSH1", "MSTORE", "PUSH1", "PUSH1", "RETURN"]  # fmt: skip
    gas = 0x100000 - 21_000
    assert logs[0] == {"pc": 0, "op": "PUSH1", "gas": gas, "gasCost": 3, "depth": 1, "stack": []}
    slots = {word(5): word(7)}
    assert logs[2] == {"pc": 4, "op": "SSTORE", "gas": gas - 6, "gasCost": 22_100, "depth": 1,
                       "stack": ["0x7", "0x5"], "storage": slots}  # fmt: skip
    assert logs[4] == {"pc": 7, "op": "SLOAD", "gas": gas - 22_109, "gasCost": 100, "depth": 1,
                       "stack": ["0x5"], "storage": slots}  # fmt: skip
    assert found["gas"] == 21_000 + sum(entry["gasCost"] for entry in logs)


def test_what_is_logged_of_an_opcode_can_be_chosen(node: RunningNode) -> None:
    program = assemble(7, 5, "SSTORE", 9, 0, "MSTORE") + calling(b"\xc1" * 20)
    accounts = {CODE: code(program), OTHER: returning(b"\x01\x02")}
    bare = traced(node, accounts, disableStack=True, disableStorage=True)["structLogs"]
    assert {key for entry in bare for key in entry} == {"pc", "op", "gas", "gasCost", "depth"}
    full = traced(node, accounts, enableMemory=True, enableReturnData=True)["structLogs"]
    assert [entry for entry in full if entry["depth"] == 1][-1]["returnData"] == "0x0102"
    called = next(entry for entry in full if entry["op"] == "CALL")
    assert called["memory"] == [word(9)]
    some = traced(node, accounts, limit=300)["structLogs"]
    assert 0 < len(some) < len(full)
    assert some == [{key: value for key, value in entry.items() if key not in ("memory", "returnData")}
                    for entry in full[: len(some)]]  # fmt: skip


@pytest.mark.parametrize(
    ("program", "op", "cost", "error"),
    [
        (assemble("ADD"), "ADD", 3, "stack underflow (0 <=> 2)"),
        (assemble(1, "ADD"), "ADD", 3, "stack underflow (1 <=> 2)"),
        (assemble(1, 2, 3, "CALL"), "CALL", 100, "stack underflow (3 <=> 7)"),
        (assemble("BALANCE"), "BALANCE", 100, "stack underflow (0 <=> 1)"),
        (assemble(0) * 1025, "PUSH1", 3, "stack limit reached 1024 (1023)"),
        (assemble(1, 0, "EXP", 0, 0, "BALANCE", "JUMPDEST"), "JUMPDEST", 1, ""),
        (assemble(3, "JUMP"), "JUMP", 8, "invalid jump destination"),
        (b"\xfe", "INVALID", 0, "invalid opcode: INVALID"),
        (b"\x0c", "opcode 0xc not defined", 0, "invalid opcode: opcode 0xc not defined"),
        (assemble(1, 0, 0, "RETURNDATACOPY"), "RETURNDATACOPY", 3, "return data out of bounds"),
        (assemble(0, 0, "REVERT"), "REVERT", 0, "execution reverted"),
    ],
)
def test_what_stops_a_frame_is_told_in_geths_words(
    node: RunningNode, program: bytes, op: str, cost: int, error: str
) -> None:
    accounts = {CODE: code(program)}
    found = traced(node, accounts)
    last = found["structLogs"][-1] if error else found["structLogs"][-2]
    assert (last["op"], last["gasCost"], found["failed"]) == (op, cost, bool(error))
    assert last.get("error", error) == error
    tree = traced(node, accounts, "callTracer")
    assert tree.get("error", "") == error
    if error and error != "execution reverted":
        assert int(tree["gasUsed"], 16) == 0x100000


def test_an_opcode_without_enough_gas_tells_what_it_would_have_cost(node: RunningNode) -> None:
    accounts = {CODE: code(7, 5, "SSTORE")}
    for gas, cost, error in (
        (21_000 + 6 + 20_000, 22_100, "out of gas"),
        (21_000 + 6 + 2_000, 0, "out of gas: not enough gas for reentrancy sentry"),
    ):
        found = traced(node, accounts, call={"gas": hex(gas)})
        assert found["structLogs"][-1]["error"] == error
        assert found["structLogs"][-1]["gasCost"] == cost
        assert (found["failed"], found["gas"], found["returnValue"]) == (True, gas, "0x")


# -- frames


def test_the_tree_of_calls(node: RunningNode) -> None:
    kinds = ("CALL", "STATICCALL", "DELEGATECALL", "CALLCODE")
    program = b"".join(calling(b"\xc1" * 20, kind, gas=5_000) for kind in kinds)
    accounts = {CODE: code(program), OTHER: returning(b"\x07")}
    found = traced(node, accounts, "callTracer", {"value": "0x1", "input": "0x01020304"})
    assert {key: found[key] for key in ("type", "from", "to", "gas", "value", "input")} == {
        "type": "CALL", "from": SENDER, "to": CODE, "gas": "0x100000", "value": "0x1",
        "input": "0x01020304"}  # fmt: skip
    frames = found["calls"]
    assert [frame["type"] for frame in frames] == list(kinds)
    assert {(frame["from"], frame["to"], frame["output"], frame["gas"]) for frame in frames} == {
        (CODE, OTHER, "0x07", "0x1388")}  # fmt: skip
    assert [frame.get("value") for frame in frames] == ["0x0", None, "0x1", "0x0"]
    assert "calls" not in traced(node, accounts, "callTracer", onlyTopCall=True)


def test_calls_that_never_begin_are_frames_too(node: RunningNode) -> None:
    program = (
        calling(bytes.fromhex(NOBODY[2:]), value=5) + calling(bytes.fromhex(NOBODY[2:])) + calling(b"\0" * 19 + b"\4")
    )
    found = traced(node, {CODE: code(program)}, "callTracer")
    poor, nobody, identity = found["calls"]
    assert poor["error"] == "insufficient balance for transfer"
    assert (poor["gasUsed"], nobody["gasUsed"], identity["gasUsed"]) == ("0x0", "0x0", hex(15))
    assert not {"error", "output"} & nobody.keys()


def test_creations_and_their_failures(node: RunningNode) -> None:
    runtime = assemble(1)
    found = traced(node, {}, "callTracer", {"to": None, "input": "0x" + deploying(runtime).hex()})
    assert (found["type"], found["output"]) == ("CREATE", "0x" + runtime.hex())
    assert found["to"] != CODE
    for init, error in (
        (assemble(0xEF, 0, "MSTORE8", 1, 0, "RETURN"), "invalid code: must not begin with 0xef"),
        (assemble(24_577, 0, "RETURN"), "max code size exceeded"),
        (assemble(20_000, 0, "RETURN"), "contract creation code storage out of gas"),
        (b"\xfe", "invalid opcode: INVALID"),
    ):
        failed = traced(node, {}, "callTracer", {"to": None, "input": "0x" + init.hex()})
        assert (failed["error"], failed["gasUsed"], "to" in failed) == (error, "0x100000", False)


def test_a_contract_that_creates_and_destroys(node: RunningNode) -> None:
    init = assemble(int(NOBODY, 16), "SELFDESTRUCT")
    store = assemble(int.from_bytes(init, "big"), 0, "MSTORE")
    program = store + assemble(len(init), 32 - len(init), 3, "CREATE", 7, len(init), 32 - len(init), 9, "CREATE2")
    accounts = {CODE: {"code": "0x" + program.hex(), "balance": "0x4"}}
    found = traced(node, accounts, "callTracer")
    created, refused = found["calls"]
    assert (created["type"], created["value"], created["input"]) == ("CREATE", "0x3", "0x" + init.hex())
    (destroyed,) = created["calls"]
    assert destroyed == {"type": "SELFDESTRUCT", "from": created["to"], "to": NOBODY, "value": "0x3", "gas": "0x0",
                         "gasUsed": "0x0", "input": "0x"}  # fmt: skip
    assert (refused["type"], refused["error"], "to" in refused) == (
        "CREATE2",
        "insufficient balance for transfer",
        False,
    )
    change = traced(node, accounts, "prestateTracer", diffMode=True)
    assert change["post"][NOBODY] == {"balance": "0x3"}
    assert created["to"] not in change["post"]
    flat = traced(node, accounts, "flatCallTracer")
    assert [row["type"] for row in flat] == ["call", "create", "suicide", "create"]
    assert [row["traceAddress"] for row in flat] == [[], [0], [0, 0], [1]]


def test_reverts_tell_their_reason(node: RunningNode) -> None:
    accounts = {CODE: returning(bytes.fromhex(ERROR), "REVERT")}
    found = traced(node, accounts, "callTracer")
    assert (found["error"], found["revertReason"], found["output"]) == ("execution reverted", "no power", "0x" + ERROR)
    steps = traced(node, accounts)
    assert (steps["failed"], steps["returnValue"]) == (True, "0x" + ERROR)


def test_logs_have_their_place_between_calls_and_only_count_where_all_succeeds(node: RunningNode) -> None:
    emit = assemble(0, 0, "LOG0")
    failing = {"code": "0x" + (emit + assemble(0, 0, "REVERT")).hex()}
    program = emit + calling(b"\xc1" * 20) + emit
    found = traced(node, {CODE: code(program), OTHER: failing}, "callTracer", withLog=True)
    assert [(entry["index"], entry["position"], entry["address"]) for entry in found["logs"]] == [
        ("0x0", "0x0", CODE), ("0x1", "0x1", CODE)]  # fmt: skip
    assert "logs" not in found["calls"][0]


def test_selectors_are_counted(node: RunningNode) -> None:
    program = assemble(0x01020304 << 224, 0, "MSTORE") + assemble(0, 0, 36, 0, 0, int(OTHER, 16), "GAS CALL") * 2
    accounts = {CODE: code(program), OTHER: code("STOP")}
    found = traced(node, accounts, "4byteTracer", {"input": "0xaabbccdd00"})
    assert found == {"0x01020304-32": 2, "0xaabbccdd-1": 1}
    assert traced(node, accounts, "noopTracer") == {}


def test_the_state_before_and_what_changed(node: RunningNode) -> None:
    program = assemble(7, 5, "SSTORE", 6, "SLOAD", int(NOBODY, 16), "BALANCE")
    account = {"code": "0x" + program.hex(), "stateDiff": {word(6): word(66)}}
    before = traced(node, {CODE: account}, "prestateTracer")
    assert before.keys() == {SENDER, CODE}
    assert before[CODE] == {"balance": "0x0", "code": account["code"], "codeHash": "0x" + keccak(program).hex(),
                            "storage": {word(5): word(0), word(6): word(66)}}  # fmt: skip
    change = traced(node, {CODE: account}, "prestateTracer", diffMode=True)
    assert change["post"] == {SENDER: {"nonce": 1}, CODE: {"storage": {word(5): word(7)}}}
    assert change["pre"][CODE].get("storage") is None
    bare = traced(node, {CODE: account}, "prestateTracer", disableCode=True, disableStorage=True)
    assert bare[CODE].keys() == {"balance", "codeHash"}
    assert traced(node, {CODE: account}, "prestateTracer", includeEmpty=True).keys() == {
        SENDER, CODE, NOBODY, "0x" + "00" * 20}  # fmt: skip


# -- what is committed


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A node whose block 2 has a creation, two calls with logs, one that fails; the state before block 1 is gone."""
    running = RunningNode(tmp_path_factory.mktemp("debug") / "chain", open_accounts=True)
    key = account_key("household 0")
    counter = assemble(
        0, "SLOAD", 1, "ADD", "DUP1", 0, "SSTORE", "DUP1", 0, "MSTORE", 32, 0, "LOG0", 3, "SLT", 30, "JUMPI"
    )
    running.backend.store._history_heights = 1
    first = sign_transaction(key, chain_id=2016, nonce=0, to=address_of(key))
    running.result("eth_sendRawTransaction", "0x" + first.hex())
    running.backend.mining = False
    created = "0x" + keccak(b"\xd6\x94" + address_of(key) + b"\x01")[12:].hex()
    to = bytes.fromhex(created[2:])
    rows: list[tuple[bytes | None, bytes]] = [(None, deploying(counter)), (to, b""), (to, b"\1"), (None, b"\xfe")]
    for nonce, (target, data) in enumerate(rows, start=1):
        raw = sign_transaction(key, chain_id=2016, nonce=nonce, to=target, data=data, gas=200_000)
        running.result("eth_sendRawTransaction", "0x" + raw.hex())
    running.mine()
    yield running
    running.close()


@pytest.fixture
def block(chain: RunningNode) -> Any:
    return chain.result("eth_getBlockByNumber", "0x2", False)


def test_a_transaction_in_the_middle_of_a_block(chain: RunningNode, block: Any) -> None:
    for index, transaction in enumerate(block["transactions"]):
        receipt = chain.result("eth_getTransactionReceipt", transaction)
        steps = chain.result("debug_traceTransaction", transaction)
        assert (hex(steps["gas"]), steps["failed"]) == (receipt["gasUsed"], receipt["status"] == "0x0")
        frames = chain.result(
            "debug_traceTransaction", transaction, {"tracer": "callTracer", "tracerConfig": {"withLog": True}}
        )
        assert frames["gasUsed"] == receipt["gasUsed"]
        assert [entry["index"] for entry in frames.get("logs", [])] == [log["logIndex"] for log in receipt["logs"]]
        change = chain.result("debug_traceTransaction", transaction, {
            "tracer": "prestateTracer", "tracerConfig": {"diffMode": True}})  # fmt: skip
        assert change["pre"][SENDER].get("nonce", 0) == index + 1
        assert change["post"][SENDER]["nonce"] == index + 2
        (row, *_) = chain.result("debug_traceTransaction", transaction, {"tracer": "flatCallTracer"})
        assert (row["blockNumber"], row["transactionPosition"], row["blockHash"]) == (2, index, block["hash"])
    second = chain.result("debug_traceTransaction", block["transactions"][2], {"tracer": "prestateTracer"})
    assert [account["storage"] for account in second.values() if "storage" in account] == [{word(0): word(1)}]


@pytest.mark.parametrize(
    "tracer", [{}, {"tracer": "callTracer"}, {"tracer": "prestateTracer"}, {"tracer": "4byteTracer"}]
)
def test_a_block_is_its_transactions(chain: RunningNode, block: Any, tracer: Any) -> None:
    found = chain.result("debug_traceBlockByNumber", "0x2", tracer)
    assert found == [{"txHash": transaction, "result": chain.result("debug_traceTransaction", transaction, tracer)}
                     for transaction in block["transactions"]]  # fmt: skip
    assert chain.result("debug_traceBlockByHash", block["hash"], tracer) == found
    assert chain.result("debug_traceBlock", chain.result("debug_getRawBlock", "0x2"), tracer) == found


def test_a_call_before_one_of_a_blocks_transactions(chain: RunningNode, block: Any) -> None:
    created = chain.result("eth_getTransactionReceipt", block["transactions"][0])["contractAddress"]
    for index, count in ((1, 0), (2, 1), (3, 2)):
        config = {"tracer": "prestateTracer", "txIndex": hex(index)}
        found = chain.result("debug_traceCall", {"to": created}, "0x2", config)
        assert found[created]["storage"] == {word(0): word(count)}
    wrong = chain.error("debug_traceCall", {"to": created}, "0x2", {"txIndex": 4})
    assert wrong["message"] == "transaction index 4 out of range for block with 4 transactions"


def test_raw_forms(chain: RunningNode, block: Any) -> None:
    header = chain.result("debug_getRawHeader", "latest")
    assert "0x" + keccak(bytes.fromhex(header[2:])).hex() == block["hash"]
    assert len(chain.result("debug_getRawBlock", "0x2")) == 2 + 2 * int(block["size"], 16)
    assert len(chain.result("debug_getRawReceipts", "0x2")) == 4
    raw = chain.result("debug_getRawTransaction", block["transactions"][3])
    assert raw == chain.result("eth_getRawTransactionByHash", block["transactions"][3])
    assert chain.result("debug_getRawTransaction", "0x" + "77" * 32) == "0x"
    assert chain.result("debug_getBadBlocks") == []


@pytest.mark.parametrize(
    ("method", "params", "message"),
    [
        ("debug_traceTransaction", ["0x" + "77" * 32], "transaction not found"),
        ("debug_traceTransaction", ["0x77"], "expected a hash"),
        ("debug_traceTransaction", ["0x" + "77" * 32, {"tracer": "{data: []}"}], "no JavaScript"),
        ("debug_traceTransaction", ["0x" + "77" * 32, {"tracer": "callTracer", "tracerConfig": {"withLog": 1}}],
         "1 (trace config).tracerConfig.withLog: expected true or false"),
        ("debug_traceTransaction", ["0x" + "77" * 32, {"timeout": "5"}], 'a duration such as "5s"'),
        ("debug_traceTransaction", ["0x" + "77" * 32, {"limit": -1}], "limit: expected"),
        ("debug_traceBlockByNumber", ["0x9"], "header not found: no block 9"),
        ("debug_traceBlockByNumber", ["0x0"], "genesis is not traceable"),
        ("debug_traceBlockByHash", ["0x" + "77" * 32], "header not found"),
        ("debug_traceBlock", ["0x1234"], "a block in RLP"),
        ("debug_traceBlock", ["0xc0"], "a block in RLP"),
        ("debug_traceBlock", ["0xc1c0"], "is not of this chain"),
        ("debug_traceCall", [{"to": CODE, "value": "0x2"}, "latest"], "tracing failed: insufficient funds"),
        ("debug_traceCall", [{"to": CODE, "gas": "0x2"}, "latest"], "tracing failed: intrinsic gas too low"),
        ("debug_traceCall", [{"to": CODE}, "latest", {"txIndex": 0, "stateOverrides": {CODE: {"balance": "0x2"}}}],
         "no stateOverrides"),
        ("debug_traceCall", [{"to": CODE}, "latest", {"tracer": "prestateTracer", "tracerConfig": {
            "diffMode": True, "includeEmpty": True}}], "either diffMode or includeEmpty"),
    ],
)  # fmt: skip
def test_what_cannot_be_traced_is_refused(chain: RunningNode, method: str, params: list[Any], message: str) -> None:
    assert message in chain.error(method, *params)["message"]


def test_a_body_that_is_not_the_blocks_is_refused(chain: RunningNode) -> None:
    raw = chain.result("debug_getRawBlock", "0x2")
    body = bytes.fromhex(raw[2:])
    assert body.endswith(b"\xc0\xc0")
    other = body[:-1] + b"\x80"  # no list of withdrawals, but bytes
    assert "the body is not that of block" in chain.error("debug_traceBlock", "0x" + other.hex())["message"]


def test_a_block_whose_state_is_gone_is_refused(chain: RunningNode) -> None:
    (transaction,) = chain.result("eth_getBlockByNumber", "0x1", False)["transactions"]
    for refused in (
        chain.error("debug_traceTransaction", transaction),
        chain.error("debug_traceBlockByNumber", "0x1"),
        chain.error("debug_traceCall", {"to": CODE}, "0x0"),
    ):
        assert refused["code"] == 4444
        assert "pruned history unavailable" in refused["message"]


# -- bounds


LOOP = assemble("JUMPDEST", 1, 2, "ADD POP", 0, "JUMP")
ALLOCATE = assemble("JUMPDEST", 0, 1_000_000, "MLOAD POP", 0, "JUMP")
WIDE = assemble("JUMPDEST", 0, 0, 1_000_000, 0, 4, "GAS STATICCALL POP", 0, "JUMP")
DEEP = assemble(*[(1 << 256) - 1] * 1_000) + assemble("JUMPDEST", 0, "POP", 33_000, "JUMP")
RECURSE = assemble(0, 0, 0, 0, 0, "ADDRESS GAS CALL")


@pytest.mark.parametrize(
    ("program", "tracer", "message"),
    [
        (DEEP, "", "the trace is longer than"),
        (ALLOCATE, "", "the trace is longer than"),
        (WIDE, "callTracer", "the trace is longer than"),
        (WIDE, "flatCallTracer", "the trace is longer than"),
    ],
    ids=["stack", "memory", "wide calls", "wide calls, flat"],
)
def test_a_trace_that_would_be_too_long_is_refused(
    node: RunningNode, program: bytes, tracer: str, message: str
) -> None:
    request = {"to": CODE, "gas": hex(10_000_000)}
    accounts = {CODE: code(program)}
    config = {"stateOverrides": accounts, "enableMemory": True} | ({"tracer": tracer} if tracer else {})
    assert message in node.error("debug_traceCall", request, "latest", config)["message"]
    assert node.result("eth_call", {"to": NOBODY}) == "0x"


@pytest.mark.parametrize("tracer", ["", "callTracer"])
def test_a_trace_that_takes_too_long_is_refused(node: RunningNode, tracer: str) -> None:
    request = {"to": CODE, "gas": hex(10_000_000)}
    config = {"stateOverrides": {CODE: code(LOOP)}, "tracer": tracer, "timeout": "20ms"}
    refused = node.error("debug_traceCall", request, "latest", config)
    assert refused["message"].startswith("execution timeout: the trace takes more than 0.02 s")
    assert node.result("eth_call", {"to": NOBODY}) == "0x"


def test_the_deepest_calls_are_traced(node: RunningNode) -> None:
    request = {"to": CODE, "gas": hex(10_000_000)}
    config = {"stateOverrides": {CODE: {"code": "0x" + RECURSE.hex()}}}
    tree = node.result("debug_traceCall", request, "latest", {**config, "tracer": "callTracer"})
    depth = 1
    while "calls" in tree:
        (tree,) = tree["calls"]
        depth += 1
    assert depth > 400
    steps = node.result("debug_traceCall", request, "latest", {**config, "disableStack": True})
    assert max(entry["depth"] for entry in steps["structLogs"]) >= depth - 1
    flat = node.result("debug_traceCall", request, "latest", {**config, "tracer": "flatCallTracer"})
    assert len(flat) == depth
    json.dumps(flat)
