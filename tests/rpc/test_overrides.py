"""Calls and estimates over another state and in another block, as go-ethereum has them."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi.abi import encode

from contracts.system import CONSORTIUM
from tests.execution.programs import RETURN_WORD, assemble
from tests.rpc.harness import RunningNode

CODE = "0x" + "c0" * 20
OTHER = "0x" + "c1" * 20
ECRECOVER, IDENTITY = "0x" + "0" * 39 + "1", "0x" + "0" * 39 + "4"


def word(value: int) -> str:
    return "0x" + value.to_bytes(32, "big").hex()


def giving(*parts: Any) -> str:
    """Return code that gives back the word that a program leaves."""
    return "0x" + (assemble(*parts) + RETURN_WORD).hex()


def called(node: RunningNode, accounts: Any, block: Any = None, **fields: Any) -> int:
    return int(node.result("eth_call", {"to": CODE} | fields, "latest", accounts, block), 16)


def test_an_account_is_what_the_caller_says(node: RunningNode) -> None:
    balance = giving("ADDRESS BALANCE")
    assert called(node, {CODE: {"code": balance, "balance": "0x7b"}}) == 123
    stored = giving(5, "SLOAD")
    assert called(node, {CODE: {"code": stored, "stateDiff": {word(5): word(77)}}}) == 77
    assert called(node, {CODE: {"code": stored, "state": {word(5): word(78)}}}) == 78
    assert node.result("eth_getCode", CODE) == "0x"
    made = node.result("eth_call", {"from": OTHER, "data": "0x" + "00" * 0}, "latest", {OTHER: {"nonce": "0x5"}})
    assert made == "0x"


def test_storage_is_changed_or_replaced(node: RunningNode) -> None:
    address = "0x" + CONSORTIUM.hex()
    slots = [at for at in range(60) if int(node.result("eth_getStorageAt", address, hex(at)), 16)]
    changed, read = 1_000, slots[0]
    kept = int(node.result("eth_getStorageAt", address, hex(read)), 16)
    reading = giving(read, "SLOAD")
    assert called(node, {address: {"code": reading, "stateDiff": {word(changed): word(1)}}}, to=address) == kept
    assert called(node, {address: {"code": reading, "state": {word(changed): word(1)}}}, to=address) == 0
    assert called(node, {address: {"code": reading, "state": {}}}, to=address) == 0


@pytest.mark.parametrize(
    ("opcode", "block", "value"),
    [
        ("NUMBER", {"number": "0x1234"}, 0x1234),
        ("TIMESTAMP", {"time": "0x77"}, 0x77),
        ("TIMESTAMP", {"timestamp": "0x78"}, 0x78),
        ("GASLIMIT", {"gasLimit": "0x5000"}, 0x5000),
        ("COINBASE", {"feeRecipient": OTHER}, int(OTHER, 16)),
        ("COINBASE", {"coinbase": OTHER}, int(OTHER, 16)),
        ("PREVRANDAO", {"prevRandao": word(9)}, 9),
        ("PREVRANDAO", {"random": "0xa"}, 10),
        ("BASEFEE", {"baseFeePerGas": "0x7"}, 0),  # as go-ethereum: who names no price sees no base fee
        ("BLOBBASEFEE", {"blobBaseFee": "0x8"}, 8),
        ("BLOBBASEFEE", {"difficulty": "0x8"}, 1),
    ],
)
def test_a_block_is_what_the_caller_says(node: RunningNode, opcode: str, block: Any, value: int) -> None:
    names = {"PREVRANDAO": 0x44, "BLOBBASEFEE": 0x4A, "GASLIMIT": 0x45}
    code = "0x" + (bytes((names[opcode],)) + RETURN_WORD).hex() if opcode in names else giving(opcode)
    assert called(node, {CODE: {"code": code}}, block) == value


def test_a_base_fee_is_paid_by_who_names_a_price(node: RunningNode) -> None:
    rich = {CODE: {"code": giving("BASEFEE")}, OTHER: {"balance": "0xffffffffffff"}}
    fee = {"baseFeePerGas": "0x7"}
    assert called(node, rich, fee, **{"from": OTHER, "maxFeePerGas": "0x9"}) == 7
    assert called(node, rich | {CODE: {"code": giving("GASPRICE")}}, fee, **{"from": OTHER, "gasPrice": "0x8"}) == 8
    low = node.error(
        "eth_call", {"to": CODE, "from": OTHER, "maxFeePerGas": "0x6", "gas": "0xffff"}, "latest", rich, fee
    )
    assert low["code"] == -32000
    assert low["message"].startswith("err: max fee per gas less than block base fee: address 0xC1C1")
    assert low["message"].endswith("maxFeePerGas: 6, baseFee: 7 (supplied gas 65535)")


def test_precompiled_contracts_move(node: RunningNode) -> None:
    moved = {IDENTITY: {"movePrecompileToAddress": OTHER}}
    assert node.result("eth_call", {"to": OTHER, "data": "0x1234"}, "latest", moved) == "0x1234"
    assert node.result("eth_call", {"to": IDENTITY, "data": "0x1234"}, "latest", moved) == "0x"
    covered = {ECRECOVER: {"code": giving(42)}}
    assert called(node, covered, to=ECRECOVER) == 42
    replaced = {IDENTITY: {"code": giving(43), "movePrecompileToAddress": OTHER}}
    assert called(node, replaced, to=IDENTITY) == 43
    calling = "0x" + assemble(32, 0, 1, 0, 0, int(OTHER, 16), 50_000, "CALL", 32, 0, "RETURN").hex()
    assert called(node, moved | {CODE: {"code": calling}}) == 0


@pytest.mark.parametrize(
    ("accounts", "code", "message"),
    [
        ({CODE: {"state": {}, "stateDiff": {}}}, -32000, f"account {CODE} has both 'state' and 'stateDiff'"),
        ({CODE: {"movePrecompileToAddress": OTHER}}, -32000, f"account {CODE} is not a precompile"),
        ({ECRECOVER: {"movePrecompileToAddress": OTHER}, OTHER: {}}, -32000, f"account {OTHER} is already overridden"),
        ({ECRECOVER: {"movePrecompileToAddress": ECRECOVER}}, -38022, f"account {ECRECOVER} is moved to itself"),
        (
            {key: {"movePrecompileToAddress": OTHER} for key in (ECRECOVER, IDENTITY)},
            -38023,
            f"account {OTHER} has already been overridden by a precompile",
        ),
        ({CODE: {"balanc": "0x1"}}, -32602, "invalid argument 2 (state overrides)." + CODE),
        ({CODE: {"stateDiff": {"0x1": word(1)}}}, -32602, f"invalid argument 2 (state overrides).{CODE}.stateDiff"),
        ({"0x12": {}}, -32602, "invalid argument 2 (state overrides).0x12"),
        ([], -32602, "invalid argument 2 (state overrides): expected an object"),
        ({f"0x{at:040x}": {} for at in range(1_025)}, -32005, "limit exceeded: at most 1024 accounts"),
        (
            {CODE: {"state": {word(at): word(1) for at in range(16_385)}}},
            -32005,
            "limit exceeded: at most 16384 storage",
        ),
    ],
)
def test_overrides_that_cannot_be(node: RunningNode, accounts: Any, code: int, message: str) -> None:
    for method in ("eth_call", "eth_estimateGas"):
        error = node.error(method, {"to": CODE}, "latest", accounts)
        assert error["code"] == code
        assert error["message"].lower().startswith(message.lower())


@pytest.mark.parametrize(
    "block", [{"withdrawals": []}, {"beaconRoot": word(0)}, {"nmber": "0x1"}, {"time": "0x1", "timestamp": "0x1"}, "x"]
)
def test_block_overrides_that_cannot_be(node: RunningNode, block: Any) -> None:
    assert node.error("eth_call", {"to": CODE}, "latest", {}, block)["code"] == -32602


def test_an_access_list_is_bounded(node: RunningNode) -> None:
    entry = {"address": CODE, "storageKeys": ["0x1"] * 1_000}
    error = node.error("eth_call", {"to": CODE, "accessList": [entry] * 17})
    assert (error["code"], error["message"][:32]) == (-32005, "limit exceeded: at most 16384 st")


def test_an_estimate_over_another_state(node: RunningNode) -> None:
    writing = "0x" + assemble(1, 0, "SSTORE").hex()
    plain = int(node.result("eth_estimateGas", {"to": CODE}), 16)
    overridden = int(node.result("eth_estimateGas", {"to": CODE}, "latest", {CODE: {"code": writing}}), 16)
    assert (plain, overridden) == (21_000, 21_000 + 3 + 3 + 22_100)
    cleared = {CODE: {"code": writing, "stateDiff": {word(0): word(1)}}}  # all but EIP-2200's sentry is left over
    assert int(node.result("eth_estimateGas", {"to": CODE}, "latest", cleared), 16) == 21_000 + 6 + 2_301
    late = "0x" + assemble(100, "NUMBER", "GT", 8, "JUMPI", 0, 0, "REVERT").hex()
    assert node.error("eth_estimateGas", {"to": CODE}, "latest", {CODE: {"code": late}})["code"] == 3
    priced = {"from": OTHER, "to": CODE, "value": "0x1", "gasPrice": "0x1"}
    assert node.error("eth_estimateGas", priced)["message"].endswith("insufficient funds for transfer")
    assert node.result("eth_estimateGas", priced, "latest", {OTHER: {"balance": hex(10**9)}}) == hex(21_000)
    most = {"gasLimit": hex(20_000)}
    assert node.error("eth_estimateGas", {"to": CODE}, "latest", {}, most)["message"] == (
        "gas required exceeds allowance (20000)"
    )


def test_a_constructor_is_run_over_another_state(node: RunningNode) -> None:
    """What viem's call without a deployed contract does."""
    code = encode(["uint256"], [1]).hex()
    assert node.result("eth_call", {"data": f"0x7f{code}60005260206000f3"}, "latest", {}) == "0x" + code
