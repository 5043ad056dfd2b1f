"""What stops a call, in the words and codes that go-ethereum has and clients match on (tests/rpc/test_pool_errors.py
has those of sending)."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi.abi import encode
from eth_hash.auto import keccak
from eth_utils.address import to_checksum_address

from tests.execution.programs import assemble, calling
from tests.rpc.harness import RunningNode

TARGET, SENDER = "0x" + "c0" * 20, "0x" + "c1" * 20
WHO = to_checksum_address(SENDER)


def reverting(output: bytes) -> bytes:
    """Return code that reverts with up to 255 bytes, which follow it."""
    head = assemble(len(output), 12, 0, "CODECOPY", len(output), 0, "REVERT")
    assert len(head) == 12
    return head + output


ERROR = keccak(b"Error(string)")[:4] + encode(["string"], ["too late"])
PANIC = keccak(b"Panic(uint256)")[:4] + encode(["uint256"], [0x12])
CUSTOM = keccak(b"NotNow(uint256)")[:4] + encode(["uint256"], [7])
STATIC = assemble("NUMBER", 0, "SSTORE")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (reverting(ERROR), {"code": 3, "message": "execution reverted: too late", "data": "0x" + ERROR.hex()}),
        (reverting(PANIC), {"code": 3, "message": "execution reverted: division or modulo by zero"}),
        (reverting(CUSTOM), {"code": 3, "message": "execution reverted", "data": "0x" + CUSTOM.hex()}),
        (assemble(0, 0, "REVERT"), {"code": 3, "message": "execution reverted", "data": "0x"}),
        (b"\xfe", {"code": -32000, "message": "invalid opcode: INVALID"}),
        (b"\x0c", {"code": -32000, "message": "invalid opcode: opcode 0xc not defined"}),
        (assemble("ADD"), {"code": -32000, "message": "stack underflow"}),
        (assemble(3, "JUMP"), {"code": -32000, "message": "invalid jump destination"}),
        (assemble(1, 0, 0, "RETURNDATACOPY"), {"code": -32000, "message": "return data out of bounds"}),
        (assemble("JUMPDEST", 0, "JUMP"), {"code": -32000, "message": "out of gas"}),
    ],
)
def test_what_stops_a_contract(node: RunningNode, code: bytes, expected: dict[str, Any]) -> None:
    accounts = {TARGET: {"code": "0x" + code.hex()}}
    call = {"to": TARGET, "gas": hex(60_000)}
    error = node.error("eth_call", call, "latest", accounts)
    assert expected.items() <= error.items()
    estimated = node.error("eth_estimateGas", call, "latest", accounts)
    if expected["message"] == "out of gas":
        assert estimated == {"code": -32000, "message": "gas required exceeds allowance (60000)"}
    else:
        assert estimated == error


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"gas": "0x1"}, "err: intrinsic gas too low: have 1, want 21000 (supplied gas 1)"),
        (
            {"value": "0x5", "gas": "0x5208"},
            f"err: insufficient funds for gas * price + value: address {WHO} have 0 want 5 (supplied gas 21000)",
        ),
        (
            {"gasPrice": "0x2", "gas": "0x5208"},
            f"err: insufficient funds for gas * price + value: address {WHO} have 0 want 42000 (supplied gas 21000)",
        ),
        (
            {"maxFeePerGas": "0x1", "maxPriorityFeePerGas": "0x2", "gas": "0x5208"},
            f"err: max priority fee per gas higher than max fee per gas: address {WHO}, maxPriorityFeePerGas: 2, "
            "maxFeePerGas: 1 (supplied gas 21000)",
        ),
        (
            {"gasPrice": "0x1", "maxFeePerGas": "0x1"},
            "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified",
        ),
        ({"chainId": "0x1"}, "chainId does not match node's (have=1, want=2016)"),
        ({"type": "0x3"}, "transaction type not supported: 3"),
        ({"input": "0x" + "11" * 500, "gas": hex(30_000)}, "err: insufficient gas for floor data gas cost: have 30000"),
    ],
)
def test_what_cannot_be_run(node: RunningNode, call: dict[str, Any], message: str) -> None:
    error = node.error("eth_call", {"from": SENDER, "to": TARGET} | call)
    assert error["code"] == -32000
    assert error["message"].startswith(message)


def test_creations_have_limits_of_their_own(node: RunningNode) -> None:
    large = node.error("eth_call", {"from": SENDER, "data": "0x" + "00" * 49_153})
    assert large["message"].startswith("err: max initcode size exceeded: code size 49153 limit 49152")
    paid = {"from": SENDER, "data": "0x00", "value": "0x1"}
    error = node.error("eth_estimateGas", paid, "latest", {SENDER: {"balance": "0x1"}})
    assert error["message"].endswith("a contract creation carries no value on this chain: found 1 wei")


def test_a_static_call_writes_nothing(node: RunningNode) -> None:
    outer = calling(bytes.fromhex(SENDER[2:]), "STATICCALL", gas=50_000) + assemble(0, "MSTORE", 32, 0, "RETURN")
    accounts = {TARGET: {"code": "0x" + outer.hex()}, SENDER: {"code": "0x" + STATIC.hex()}}
    assert int(node.result("eth_call", {"to": TARGET}, "latest", accounts), 16) == 0


def test_a_block_that_is_not_there(node: RunningNode) -> None:
    for block in ("0xffff", "0x" + "77" * 32, {"blockHash": "0x" + "77" * 32}):
        error = node.error("eth_call", {"to": TARGET}, block)
        assert error["code"] == -32000
        assert error["message"].startswith("header not found")
