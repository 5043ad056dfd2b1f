"""Our seams against stock py-evm: the same state root, logs and gas for whatever runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from coincurve import PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

import contracts
from contracts.system import constructor_arguments
from node.execution.machine import contract_address
from tests.execution.oracle import CHAIN_ID, World, ours, stock
from tests.node.chains import sign_transaction
from tests.node.samples import account_key, address_of

ALICE, BOB = account_key("alice"), account_key("bob")
RICH = 10**20
A, B, C = (bytes((n,)) * 20 for n in (0xA1, 0xB2, 0xC3))


def world(**codes: bytes) -> World:
    return World(
        balances={address_of(ALICE): RICH, address_of(BOB): RICH, A: 5, C: 10**9},
        codes={{"a": A, "b": B, "c": C}[name]: code for name, code in codes.items()},
        storage={{"a": A, "b": B, "c": C}[name]: {0: 7, 1: 2**255, 5: 1} for name in codes},
    )


def send(to: bytes | None, data: bytes = b"", *, nonce: int = 0, key: PrivateKey = ALICE, **options: int) -> bytes:
    gas = options.pop("gas", 400_000)
    return sign_transaction(
        key,
        chain_id=CHAIN_ID,
        nonce=nonce,
        to=to,
        data=data,
        gas=gas,
        price=1,
        **options,
    )


def same(before: World, *raws: bytes) -> None:
    assert ours(before, list(raws)) == stock(before, list(raws))


def push(value: int) -> bytes:
    raw = value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")
    return bytes((0x5F + len(raw),)) + raw


def call(to: bytes, value: int = 0, opcode: int = 0xF1) -> bytes:
    """Code that calls `to` with all gas and no data, and drops the answer."""
    amount = push(value) if opcode in (0xF1, 0xF2) else b""
    return push(0) * 4 + amount + push(int.from_bytes(to, "big")) + b"\x5a" + bytes((opcode, 0x50))


def SSTORE(slot: int, value: int) -> bytes:  # noqa: N802 - the instruction's name
    """Code that sets a slot."""
    return push(value) + push(slot) + b"\x55"


REVERT = push(0) + push(0) + b"\xfd"
SELFDESTRUCT = push(int.from_bytes(B, "big")) + b"\xff"
TSTORE_AND_LOG = push(9) + push(3) + b"\x5d" + push(3) + b"\x5c" + push(0) + b"\x52" + push(32) + push(0) + b"\xa0"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("storage set, cleared, restored", SSTORE(0, 0) + SSTORE(1, 3) + SSTORE(1, 2**255) + SSTORE(9, 4)),
        ("refund beyond a fifth", SSTORE(0, 0) + SSTORE(1, 0) + SSTORE(5, 0)),
        ("a callee that reverts", call(B) + SSTORE(2, 1)),
        ("value to nobody", call(b"\x99" * 20, 3)),
        ("value to itself and static calls", call(A, 1) + call(B, opcode=0xFA) + call(B, opcode=0xF4)),
        ("selfdestruct of an old contract", call(C) + SELFDESTRUCT),
        ("transient storage and a log", TSTORE_AND_LOG),
        ("out of gas", b"\x5b" + push(0) + b"\x56"),
        ("invalid instruction", b"\xfe"),
        ("environment", b"".join(bytes((op, 0x50)) for op in (0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x4A))),
        ("block hashes", b"".join(push(n) + b"\x40" + push(n) + b"\x55" for n in (299, 298, 44, 43, 300, 0))),
        (
            "account queries",
            b"".join(
                push(int.from_bytes(x, "big")) + bytes((op, 0x50))
                for x in (A, B, b"\x98" * 20)
                for op in (0x31, 0x3B, 0x3F)
            ),
        ),
        ("precompiles", b"".join(call(n.to_bytes(20, "big")) for n in range(1, 10))),
        ("create with nothing", push(0) * 3 + b"\xf0" + push(1) + b"\x55"),
        (
            "create that destroys itself",
            push(0x30FF << 240) + push(0) + b"\x52" + push(2) + push(0) + push(3) + b"\xf0\x31" + push(2) + b"\x55",
        ),
        ("revert", SSTORE(0, 5) + REVERT),
    ],
)
def test_a_contract_does_the_same(name: str, code: bytes) -> None:
    before = world(a=code, b=SSTORE(0, 8) + REVERT, c=SSTORE(0, 1) + SELFDESTRUCT)
    same(before, send(A), send(A, b"\0\1\2" * 9, nonce=1, value=2), send(B, key=BOB), send(C, nonce=1, key=BOB))


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_plain_transfers(kind: int) -> None:
    same(
        world(), send(b"\x77" * 20, value=5, kind=kind), send(b"\x78" * 20, b"\1" * 300, nonce=1, gas=60_000, kind=kind)
    )


def test_a_real_token() -> None:
    artifact = json.loads((Path(contracts.__file__).parent / "artifacts" / "TestToken.json").read_text())
    code = bytes.fromhex(artifact["bytecode"][2:]) + constructor_arguments("TestToken", "Token", "TOK", 10**24)
    token = contract_address(address_of(ALICE), 0)
    transfer = bytes.fromhex("a9059cbb") + address_of(BOB).rjust(32, b"\0") + (5).to_bytes(32, "big")
    too_much = transfer[:-32] + (2**255).to_bytes(32, "big")
    same(
        world(),
        send(None, code, gas=3_000_000),
        send(token, transfer, nonce=1),
        send(token, too_much, nonce=2),
        send(token, transfer, nonce=0, key=BOB),
        send(token, transfer, nonce=3, gas=30_000),
    )


def test_creations_that_collide_overflow_and_run_out() -> None:
    before = world()
    before.codes[contract_address(address_of(ALICE), 0)] = b"\0"
    before.balances[contract_address(address_of(ALICE), 0)] = 0
    huge = push(30_000) + push(0) + b"\xf3"
    same(
        before,
        send(None, b"\0", gas=100_000),
        send(None, huge, nonce=1, gas=7_000_000),
        send(None, push(0xEF << 248) + push(0) + b"\x52" + push(1) + push(0) + b"\xf3", nonce=2),
        send(None, push(40) + push(0) + b"\xf3", nonce=3, gas=56_000),
    )


OPCODES = [0x01, 0x02, 0x03, 0x04, 0x06, 0x0A, 0x10, 0x14, 0x15, 0x16, 0x1B, 0x20, 0x30, 0x33, 0x34, 0x35, 0x36, 0x37]
OPCODES += [0x39, 0x3D, 0x3E, 0x47, 0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x58, 0x59, 0x5A, 0x5B, 0x5C, 0x5D, 0x5E]
OPCODES += [0x80, 0x81, 0x90, 0x91, 0xA0, 0xA1, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFA, 0xFD, 0xFF]
PIECES = st.one_of(
    st.integers(0, 64).map(push),
    st.sampled_from([A, B, C, (4).to_bytes(20, "big")]).map(lambda to: call(to, 1)),
    st.tuples(st.integers(0, 5), st.integers(0, 2)).map(lambda pair: SSTORE(*pair)),
    st.sampled_from(OPCODES).map(lambda op: bytes((op,))),
)
PROGRAMS = st.lists(PIECES, max_size=24).map(b"".join)


@settings(max_examples=120, deadline=None)
@given(PROGRAMS, PROGRAMS, st.integers(21_064, 200_000))
def test_random_programs_do_the_same_at_any_gas(first: bytes, second: bytes, gas: int) -> None:
    before = world(a=first, b=second, c=SSTORE(0, 1) + SELFDESTRUCT)
    same(before, send(A, b"\5\0\7", gas=gas, value=1), send(B, key=BOB, gas=200_000), send(None, first, nonce=1))
