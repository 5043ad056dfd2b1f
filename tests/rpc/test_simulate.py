"""eth_simulateV1 and eth_createAccessList against a running node."""

from __future__ import annotations

from typing import Any

import pytest
from eth_hash.auto import keccak
from eth_utils.address import to_checksum_address

from tests.execution.programs import RETURN_WORD, assemble, calling
from tests.rpc.conftest import funded
from tests.rpc.harness import RunningNode
from tests.rpc.test_overrides import giving, word

SENDER, TARGET, THIRD = ("0x" + f"c{digit}" * 20 for digit in range(3))
NATIVE = "0x" + "ee" * 20
RICH = {SENDER: {"balance": hex(10**18)}}
TRANSFER = "0x" + keccak(b"Transfer(address,address,uint256)").hex()


def blocks(node: RunningNode, *wanted: Any, **options: Any) -> list[Any]:
    return list(node.result("eth_simulateV1", {"blockStateCalls": list(wanted), **options}, "latest"))


def padded(address: str) -> str:
    return "0x" + "00" * 12 + address[2:]


def test_blocks_stand_upon_each_other(node: RunningNode) -> None:
    counting = "0x" + (assemble(0, "SLOAD", 1, "ADD", "DUP1", 0, "SSTORE") + RETURN_WORD).hex()
    call = {"from": SENDER, "to": TARGET}
    first, gap, last = blocks(
        node,
        {"stateOverrides": RICH | {TARGET: {"code": counting}}, "calls": [call, call]},
        {"blockOverrides": {"number": hex(int(node.result("eth_blockNumber"), 16) + 3)}, "calls": [call]},
    )
    head = node.result("eth_getBlockByNumber", "latest", False)
    assert [block["parentHash"] for block in (first, gap, last)] == [head["hash"], first["hash"], gap["hash"]]
    assert [int(row["returnData"], 16) for row in first["calls"] + last["calls"]] == [1, 2, 3]
    assert (gap["calls"], gap["gasUsed"]) == ([], "0x0")
    assert len({block["stateRoot"] for block in (head, first, last)}) == 3
    assert int(first["gasUsed"], 16) == sum(int(row["gasUsed"], 16) for row in first["calls"])
    assert [int(block["timestamp"], 16) for block in (gap, last)] == [int(first["timestamp"], 16) + at for at in (1, 2)]
    assert node.result("eth_getBlockByNumber", "latest", False) == head


def test_a_simulated_block_is_the_block_that_is_made_then(own_node: RunningNode) -> None:
    """The same state, transactions, receipts and gas, but for what a simulation cannot know: record and signatures."""
    node, account = own_node, funded(0)
    code = assemble(7, 1, "SSTORE", 9, 0, 0, "LOG1", "STOP")
    init = assemble(int.from_bytes(code.ljust(32, b"\0"), "big"), 0, "MSTORE", 32, 0, "RETURN")
    fields = {"nonce": 0, "gas": 200_000, "maxFeePerGas": 0, "maxPriorityFeePerGas": 0, "value": 0, "chainId": 2016}
    signed = account.sign_transaction({**fields, "data": init})
    call = {"from": account.address, "data": "0x" + init.hex(), "gas": hex(200_000)}
    [made] = blocks(node, {"calls": [call]}, validation=True)
    node.result("eth_sendRawTransaction", "0x" + signed.raw_transaction.hex())
    real = node.result("eth_getBlockByNumber", "latest", False)
    for field in ("number", "parentHash", "stateRoot", "receiptsRoot", "logsBloom", "gasUsed", "gasLimit"):
        assert made[field] == real[field], field


def test_transfers_are_logs(node: RunningNode) -> None:
    forwarding = "0x" + (calling(bytes.fromhex(THIRD[2:]), value=5) + assemble(1, 0, 0, "LOG1")).hex()
    failing = "0x" + (calling(bytes.fromhex(THIRD[2:]), value=5) + assemble(0, 0, "REVERT")).hex()
    ending = "0x" + assemble(int(THIRD, 16), "SELFDESTRUCT").hex()
    wanted = {
        "stateOverrides": RICH | {TARGET: {"code": forwarding}, THIRD: {"nonce": "0x1"}},
        "calls": [{"from": SENDER, "to": TARGET, "value": "0x9"}, {"from": SENDER, "to": THIRD, "value": "0x2"}],
    }
    [block] = blocks(node, wanted, traceTransfers=True)
    first, second = (row["logs"] for row in block["calls"])
    assert [(log["address"], log["logIndex"]) for log in first + second] == [
        (NATIVE, "0x0"),
        (NATIVE, "0x1"),
        (TARGET, "0x2"),
        (NATIVE, "0x3"),
    ]
    assert first[0]["topics"] == [TRANSFER, padded(SENDER), padded(TARGET)]
    assert first[1]["topics"] == [TRANSFER, padded(TARGET), padded(THIRD)]
    assert [log["data"] for log in first[:2]] == [word(9), word(5)]
    assert {log["blockHash"] for log in first + second} == {block["hash"]}
    [plain] = blocks(node, wanted)
    assert [len(row["logs"]) for row in plain["calls"]] == [1, 0]
    assert {key: plain[key] for key in plain if key != "calls"} == {key: block[key] for key in block if key != "calls"}
    undone = {**wanted, "stateOverrides": RICH | {TARGET: {"code": failing}}}
    [block] = blocks(node, undone, traceTransfers=True)
    assert [len(row["logs"]) for row in block["calls"]] == [0, 1]
    destroyed = {**wanted, "stateOverrides": RICH | {TARGET: {"code": ending}}}
    [block] = blocks(node, destroyed, traceTransfers=True)
    assert [log["data"] for log in block["calls"][0]["logs"]] == [word(9), word(9)]


def test_what_a_call_did_and_why_it_failed(node: RunningNode) -> None:
    codes = {
        TARGET: {"code": "0x" + assemble(77, 0, "MSTORE", 32, 0, "REVERT").hex()},
        THIRD: {"code": "0xfe"},
    }
    calls = [{"from": SENDER, "to": TARGET}, {"from": SENDER, "to": THIRD, "gas": hex(30_000)}, {"from": SENDER}]
    [block] = blocks(node, {"stateOverrides": RICH | codes, "calls": calls}, returnFullTransactions=True)
    reverted, failed, created = block["calls"]
    assert (reverted["status"], reverted["returnData"], reverted["logs"]) == ("0x0", "0x", [])
    assert reverted["error"] == {"code": 3, "message": "execution reverted", "data": word(77)}
    assert failed["error"] == {"code": -32015, "message": "vm execution error: invalid opcode: INVALID"}
    assert (failed["gasUsed"], created["status"]) == (hex(30_000), "0x1")
    transactions = block["transactions"]
    assert [tx["from"] for tx in transactions] == [SENDER] * 3
    assert [int(tx["nonce"], 16) for tx in transactions] == [0, 1, 2]
    assert {tx["blockHash"] for tx in transactions} == {block["hash"]}
    assert (transactions[0]["type"], transactions[0]["r"], transactions[2]["to"]) == ("0x2", "0x0", None)


def test_a_block_sees_its_ancestors(node: RunningNode) -> None:
    head = node.result("eth_getBlockByNumber", "latest", False)
    number = int(head["number"], 16)
    code = {TARGET: {"code": "0x" + (assemble(0, "CALLDATALOAD BLOCKHASH") + RETURN_WORD).hex()}}
    asking = [{"to": TARGET, "input": word(number + at)} for at in range(3)]
    first, second = blocks(node, {"stateOverrides": code}, {"calls": asking})
    assert [row["returnData"] for row in second["calls"]] == [head["hash"], first["hash"], word(0)]


def test_a_block_is_what_the_caller_says(node: RunningNode) -> None:
    overrides = {
        "time": "0xffffffffff",
        "gasLimit": "0x30000",
        "feeRecipient": THIRD,
        "prevRandao": word(5),
        "baseFeePerGas": "0x3",
    }
    call = {"from": SENDER, "to": TARGET, "maxFeePerGas": "0x5", "maxPriorityFeePerGas": "0x1"}
    paid = {"to": TARGET, "input": "0x"}
    code = {TARGET: {"code": giving(int(THIRD, 16), "BALANCE")}}
    [block] = blocks(
        node, {"blockOverrides": overrides, "stateOverrides": RICH | code, "calls": [call | {"gas": "0x10000"}, paid]}
    )
    assert [block[key] for key in ("timestamp", "gasLimit", "miner", "mixHash", "baseFeePerGas")] == list(
        overrides.values()
    )
    first, second = block["calls"]
    assert int(second["returnData"], 16) == int(first["gasUsed"], 16)  # a tip of one wei a unit


@pytest.mark.parametrize(
    ("wanted", "options", "code", "words"),
    [
        ([], {}, -32602, "empty input"),
        ([{}] * 257, {}, -38026, "too many blocks"),
        ([{"blockOverrides": {"number": "0xffff"}}], {}, -38026, "too many blocks"),
        ([{"calls": [{}] * 5_001}], {}, -38026, "too many calls in block: 5001 > 5000"),
        ([{"calls": [{}] * 4_000}] * 3, {}, -38026, "too many calls: 12000 > 10000"),
        ([{"blockOverrides": {"number": "0x0"}}], {}, -38020, "block numbers must be in order: 0 <= "),
        ([{"blockOverrides": {"time": "0x1"}}], {}, -38021, "block timestamps must be in order: 1 <= "),
        ([{"calls": [{"gas": "0x0"}]}], {}, -38013, "err: intrinsic gas too low: have 0, want 53000 (supplied gas 0)"),
        (
            [{"calls": [{"from": SENDER, "to": TARGET, "value": "0x1"}]}],
            {},
            -38014,
            f"err: insufficient funds for gas * price + value: address {to_checksum_address(SENDER)} have 0 want 1",
        ),
        ([{"calls": [{"to": TARGET, "gas": hex(10**12)}]}], {}, -38015, "block gas limit reached: remaining: "),
        ([{"calls": [{"to": TARGET, "nonce": "0x5"}]}], {"validation": True}, -38011, "err: nonce too high: address"),
        (
            [{"stateOverrides": {SENDER: {"nonce": "0x9"}}, "calls": [{"from": SENDER, "to": TARGET, "nonce": "0x5"}]}],
            {"validation": True},
            -38010,
            "err: nonce too low: address",
        ),
        (
            [{"blockOverrides": {"baseFeePerGas": "0xa"}, "calls": [{"to": TARGET}]}],
            {"validation": True},
            -38012,
            "err: max fee per gas less than block base fee: address",
        ),
        ([{"calls": [{"data": "0x" + "00" * 49_153}]}], {}, -38025, "err: max initcode size exceeded: code size 49153"),
        (
            [{"stateOverrides": {f"0x{1:040x}": {"movePrecompileToAddress": f"0x{1:040x}"}}}],
            {},
            -38022,
            f"account 0x{1:040x} is moved to itself",
        ),
        ([{"calls": [{"authorizationList": [{}]}]}], {}, -32000, "transaction type not supported"),
        ([{"calls": {}}], {}, -32602, "invalid argument 0 (payload).blockStateCalls[0].calls: expected a list"),
        ([7], {}, -32602, "invalid argument 0 (payload).blockStateCalls[0]: expected an object"),
    ],
)
def test_what_cannot_be_simulated(node: RunningNode, wanted: Any, options: Any, code: int, words: str) -> None:
    error = node.error("eth_simulateV1", {"blockStateCalls": wanted, **options}, "latest")
    assert error["code"] == code
    assert words in error["message"]


def test_all_blocks_share_a_budget_of_gas(node: RunningNode) -> None:
    burning = {TARGET: {"code": "0xfe"}}
    each = {"calls": [{"to": TARGET}]}
    error = node.error("eth_simulateV1", {"blockStateCalls": [each | {"stateOverrides": burning}, *[each] * 6]})
    assert (error["code"], error["message"][:21]) == (-38026, "RPC gas cap exhausted")


# -- access lists


def test_an_access_list_names_what_is_touched(node: RunningNode) -> None:
    reading = assemble(3, "SLOAD", "POP", int(THIRD, 16), "BALANCE", "POP", 4, 2, "SSTORE", "STOP")
    code = {TARGET: {"code": "0x" + reading.hex()}}
    found = node.result("eth_createAccessList", {"from": SENDER, "to": TARGET}, "latest", code)
    assert found["accessList"] == [
        {"address": TARGET, "storageKeys": [word(2), word(3)]},
        {"address": THIRD, "storageKeys": []},
    ]
    assert "error" not in found
    listed = {"from": SENDER, "to": TARGET, "accessList": found["accessList"], "gas": found["gasUsed"]}
    assert node.result("eth_call", listed, "latest", code) == "0x"
    short = listed | {"gas": hex(int(found["gasUsed"], 16) - 1)}
    assert node.error("eth_call", short, "latest", code)["message"] == "out of gas"


def test_an_access_list_of_what_fails(node: RunningNode) -> None:
    code = {TARGET: {"code": "0x" + assemble(3, "SLOAD", 0, 0, "REVERT").hex()}}
    found = node.result("eth_createAccessList", {"to": TARGET}, "latest", code)
    assert found["accessList"] == [{"address": TARGET, "storageKeys": [word(3)]}]
    assert found["error"] == "execution reverted"
    plain = node.result("eth_createAccessList", {"from": SENDER, "to": f"0x{2:040x}", "data": "0x"})
    assert plain == {"accessList": [], "gasUsed": hex(21_000 + 60)}
    poor = node.error("eth_createAccessList", {"from": SENDER, "to": TARGET, "value": "0x1"})
    assert poor["message"].startswith("failed to apply transaction: err: insufficient funds for gas * price + value")
