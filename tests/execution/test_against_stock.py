"""Our seams against stock py-evm: the same receipts, gas, logs, bloom and state root, program by program."""

from __future__ import annotations

from typing import Any

import pytest
from eth_hash.auto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from node.chain import rlp
from tests.execution.programs import RETURN_WORD, assemble, calling, deploying
from tests.execution.signing import signed
from tests.execution.states import Holding
from tests.execution.stock import assert_same
from tests.node.samples import account_key, address_of

KEY = account_key("sender")
SENDER = address_of(KEY)
CONTRACT, OTHER, NOBODY = b"\xc0" * 20, b"\xc1" * 20, b"\xd0" * 20
RICH = Holding(balance=10**20)
REVERT_WORD = assemble(0, "MSTORE", 32, 0, "REVERT")
BURN_ALL = b"\xfe"


def created(sender: bytes, nonce: int) -> bytes:
    return keccak(rlp.encode([sender, nonce]))[12:]


def world(code: bytes = b"") -> dict[bytes, Holding]:
    """Return a rich sender and a contract with `code`, some money and some storage."""
    return {SENDER: RICH, CONTRACT: Holding(1_000, 1, code, {1: 11, 2: 22, 3: 33})}


def run(
    code: bytes, *, data: bytes = b"", status: int = 1, more: dict[bytes, Holding] | None = None, **tx: Any
) -> None:
    """Call a contract with `code` in a transaction, ours and stock."""
    (receipt,) = assert_same(world(code) | (more or {}), [signed(KEY, 2, to=CONTRACT, data=data, **tx)])
    assert receipt.status == status


@pytest.mark.parametrize("kind", [0, 1, 2])
@pytest.mark.parametrize("price", [0, 7])
def test_transfers(kind: int, price: int) -> None:
    tip = {"tip": price // 2} if kind == 2 else {}
    raws = [signed(KEY, kind, to=to, value=5, nonce=n, price=price, **tip) for n, to in enumerate([NOBODY, SENDER])]
    assert_same(world(), [*raws, signed(KEY, kind, to=NOBODY, value=0, nonce=2, price=price, data=b"\0\1" * 50)])


def test_a_transfer_of_nothing_to_nobody_leaves_no_account() -> None:
    assert_same({SENDER: RICH}, [signed(KEY, 2, to=NOBODY)])


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (assemble(7, 1, "SSTORE"), 1),
        (assemble(0, 1, "SSTORE", 0, 2, "SSTORE", 0, 3, "SSTORE"), 1),  # refunds, capped at a fifth
        (assemble(0, 1, "SSTORE", 11, 1, "SSTORE"), 1),  # back to the original value
        (assemble(5, 9, "SSTORE", 0, 9, "SSTORE"), 1),
        (assemble(5, 9, "SSTORE", 4, 9, "SSTORE", 1, "SLOAD", 9, "SLOAD", "SSTORE"), 1),
        (assemble(7, 1, "SSTORE", 42) + REVERT_WORD, 0),
        (assemble(7, 1, "SSTORE") + BURN_ALL, 0),
        (assemble(7, 1, "TSTORE", 1, "TLOAD", 5, "SSTORE"), 1),
        (assemble("TIMESTAMP NUMBER CHAINID BASEFEE GASLIMIT COINBASE DIFFICULTY"), 1),
        (assemble("NUMBER", 1, "SWAP1 SUB BLOCKHASH", 5, "SSTORE", 43, "BLOCKHASH", 6, "SSTORE"), 1),
        (assemble(1, "BLOCKHASH", 5, "SSTORE", "NUMBER BLOCKHASH", 6, "SSTORE", 1 << 255, "BLOCKHASH", 7, "SSTORE"), 1),
        (assemble(1, 2, 3, 4, 32, 0, "LOG4", 5, 0, 0, "LOG1", 0, 0, "LOG0"), 1),
        (assemble(3, 0, "JUMP"), 0),
        (assemble(3, "JUMP", "JUMPDEST", 5, 5, "SSTORE"), 1),
        (assemble("ADD"), 0),  # nothing on the stack
        (assemble("SELFBALANCE", 0, "BALANCE", "EXTCODESIZE", "ADDRESS EXTCODEHASH", 5, "SSTORE"), 1),
        (assemble((1 << 256) - 1, (1 << 256) - 1, "MLOAD"), 0),  # memory beyond any gas
        (assemble(0, (1 << 256) - 1, (1 << 256) - 1, "CODECOPY"), 1),  # nothing copied from nowhere to nowhere
        (assemble(32, (1 << 256) - 1, 0, "CALLDATACOPY", 0, "MLOAD", 5, "SSTORE"), 1),
        (assemble(1, 0, 0, "RETURNDATACOPY"), 0),
        (assemble(64, 0, 32, "MCOPY", "MSIZE", 5, "SSTORE"), 1),
        (b"\xf8", 0),
        (b"\x5f" * 1025, 0),  # a stack of more than 1,024
        (b"\x7f\x01", 1),  # a push that the code's end cuts short
    ],
)
def test_programs(code: bytes, status: int) -> None:
    run(code, status=status)


def test_out_of_gas_takes_everything_back() -> None:
    run(assemble(7, 1, "SSTORE", 7, 8, "SSTORE"), gas=30_000, status=0)


@pytest.mark.parametrize("kind", ["CALL", "CALLCODE", "DELEGATECALL", "STATICCALL"])
@pytest.mark.parametrize(
    "inner",
    [
        assemble(9, 1, "SSTORE"),
        assemble(9, 1, "SSTORE", 1) + REVERT_WORD,
        assemble(9, 1, "TSTORE", 1, "TLOAD") + RETURN_WORD,
        assemble("CALLER ADDRESS CALLVALUE ADD ADD") + RETURN_WORD,
        assemble(0, 0, "LOG0") + BURN_ALL,
        assemble("CALLER SELFDESTRUCT"),
    ],
)
def test_calls(kind: str, inner: bytes) -> None:
    value = 3 if kind in ("CALL", "CALLCODE") else 0
    outer = calling(OTHER, kind, value) + assemble(5, "SSTORE", "RETURNDATASIZE", 6, "SSTORE")
    run(outer + assemble(1, "TLOAD", 7, "SSTORE"), more={OTHER: Holding(nonce=1, code=inner, storage={1: 4})})


def test_a_call_with_more_value_than_there_is_fails_alone() -> None:
    run(calling(OTHER, "CALL", 1_001) + assemble(5, "SSTORE"))


def test_a_call_that_makes_an_account_costs_more() -> None:
    run(calling(NOBODY, "CALL", 1) + assemble(5, "SSTORE"))
    run(calling(NOBODY, "CALL", 0) + assemble(5, "SSTORE"))


def test_recursion_until_the_gas_ends() -> None:
    run(calling(CONTRACT) + assemble(1, "SLOAD", 1, "ADD", 1, "SSTORE"), gas=3_000_000)


@pytest.mark.parametrize(
    ("init_code", "status"),
    [
        (b"", 1),
        (deploying(assemble(1, 2, "SSTORE")), 1),
        (assemble(5, 1, "SSTORE"), 1),
        (assemble(5, 1, "SSTORE", 6) + REVERT_WORD, 0),
        (BURN_ALL, 0),
        (deploying(b"\xef\x00"), 0),  # EIP-3541
        (deploying(b"\0" * 24_576), 1),  # EIP-170
        (deploying(b"\0" * 24_577), 0),
        (assemble("ADDRESS SELFDESTRUCT"), 1),
        (assemble(1, 2, "SSTORE", "CALLER SELFDESTRUCT"), 1),
    ],
)
@pytest.mark.parametrize("inside", [False, True])
def test_creations(init_code: bytes, status: int, inside: bool) -> None:
    if not inside:
        (receipt,) = assert_same(world(), [signed(KEY, 2, to=None, data=init_code, gas=9_000_000)])
        assert receipt.status == status
        return
    for opcode in ("CREATE", "CREATE2"):
        salt = (7,) if opcode == "CREATE2" else ()
        code = assemble("CALLDATASIZE", 0, 0, "CALLDATACOPY", *salt, "CALLDATASIZE", 0, 1, opcode, 5, "SSTORE")
        run(code + assemble("RETURNDATASIZE", 6, "SSTORE"), data=init_code, gas=9_000_000)


def test_a_contract_made_twice_at_one_address_in_a_block() -> None:
    maker = assemble("CALLDATASIZE", 0, 0, "CALLDATACOPY", 7, "CALLDATASIZE", 0, 1, "CREATE2", 5, "SSTORE")
    gone = assemble(1, 2, "SSTORE", "CALLER SELFDESTRUCT")
    stays = assemble(2, "SLOAD", 3, "SSTORE")
    raws = [signed(KEY, 2, to=CONTRACT, nonce=n, data=data) for n, data in enumerate([gone, gone, stays, stays])]
    assert_same(world(maker), raws)


def test_a_contract_that_is_called_and_ends_in_the_transaction_that_made_it() -> None:
    runtime = assemble(3, 4, "SSTORE", "CALLER SELFDESTRUCT")
    code = assemble("CALLDATASIZE", 0, 0, "CALLDATACOPY", "CALLDATASIZE", 0, 9, "CREATE", 0, "MSTORE")
    for _ in range(2):
        code += assemble(0, 0, 0, 0, 2, 0, "MLOAD GAS CALL", 5, "SSTORE")
    run(code + assemble(0, "MLOAD BALANCE", 6, "SSTORE"), data=deploying(runtime))


def test_selfdestruct_of_an_old_contract_only_moves_money() -> None:
    holdings = world(assemble(int.from_bytes(NOBODY, "big"), "SELFDESTRUCT"))
    assert_same(holdings, [signed(KEY, 2, to=CONTRACT, nonce=n) for n in range(2)])
    assert_same(world(assemble("ADDRESS SELFDESTRUCT")), [signed(KEY, 2, to=CONTRACT)])


def test_a_creation_at_a_taken_address_burns_its_gas() -> None:
    taken = Holding(nonce=1)
    (receipt,) = assert_same(
        {SENDER: RICH, created(SENDER, 0): taken}, [signed(KEY, 2, to=None, data=deploying(b"\0"))]
    )
    assert receipt.status == 0
    assert receipt.cumulative_gas_used == 1_000_000


@pytest.mark.parametrize("kind", [1, 2])
def test_access_lists_warm_what_they_name(kind: int) -> None:
    code = assemble(1, "SLOAD", 2, "SLOAD", int.from_bytes(OTHER, "big"), "BALANCE", int.from_bytes(NOBODY, "big"))
    code += assemble("BALANCE", 0, "BALANCE", 9, "BALANCE", "ORIGIN BALANCE", 5, "SSTORE")
    slot = (1).to_bytes(32, "big")
    for access in ([], [(CONTRACT, [slot, slot]), (OTHER, []), (OTHER, [])]):
        assert_same(world(code), [signed(KEY, kind, to=CONTRACT, access=access)])


def test_what_is_warm_or_transient_or_original_ends_with_the_transaction() -> None:
    code = assemble(1, "TLOAD", 4, "SSTORE", 5, 1, "TSTORE", 1, "SLOAD", 1, "ADD", 1, "SSTORE", 0, 1, "SSTORE")
    assert_same(world(code), [signed(KEY, 2, to=CONTRACT, nonce=n) for n in range(3)])


@pytest.mark.parametrize("zeros", [0, 40, 2_000])
def test_calldata_floor(zeros: int) -> None:
    for n in (0, 100, 3_000):
        data = b"\0" * zeros + b"\1" * n
        (receipt,) = assert_same(world(), [signed(KEY, 2, to=NOBODY, data=data)])
        assert receipt.cumulative_gas_used == 21_000 + 10 * (zeros + 4 * n)  # EIP-7623


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 6, 7, 9])
@pytest.mark.parametrize("data", [b"", b"\1" * 31, b"\xff" * 128, bytes(213)])
def test_precompiles_of_ethereum(number: int, data: bytes) -> None:
    tail = assemble(
        5, "SSTORE", "RETURNDATASIZE", 0, 0, "RETURNDATACOPY", "MSIZE", 6, "SSTORE", 0, "MLOAD", 7, "SSTORE"
    )
    run(calling(number, gas=100_000) + tail, data=data)
    assert_same(world(), [signed(KEY, 2, to=number.to_bytes(20, "big"), data=data, value=1)])


OPCODES = """
    ADD MUL SUB DIV SDIV MOD ADDMOD MULMOD EXP SIGNEXTEND LT GT SLT EQ ISZERO AND OR XOR NOT BYTE SHL SHR SAR SHA3
    ADDRESS BALANCE ORIGIN CALLER CALLVALUE CALLDATALOAD CALLDATASIZE CALLDATACOPY CODESIZE CODECOPY EXTCODESIZE
    EXTCODECOPY RETURNDATASIZE RETURNDATACOPY EXTCODEHASH BLOCKHASH SELFBALANCE BASEFEE POP MLOAD MSTORE MSTORE8 SLOAD
    SSTORE JUMP JUMPI PC MSIZE GAS JUMPDEST TLOAD TSTORE MCOPY PUSH0 DUP1 DUP2 DUP4 SWAP1 SWAP2 SWAP3 LOG0 LOG1 LOG2
    CREATE CREATE2 CALL CALLCODE DELEGATECALL STATICCALL RETURN REVERT SELFDESTRUCT STOP BLOBHASH BLOBBASEFEE
"""
NUMBERS = st.one_of(
    st.integers(0, 70),
    st.sampled_from([int.from_bytes(a, "big") for a in (CONTRACT, OTHER, NOBODY, SENDER)]),
    st.sampled_from([1 << 255, (1 << 256) - 1, 10_000, 1 << 64]),
)
CODES = st.lists(
    st.one_of(st.sampled_from(OPCODES.split()), NUMBERS, NUMBERS, st.binary(min_size=1, max_size=3)), max_size=40
)


@settings(max_examples=250, deadline=None)
@given(first=CODES, second=CODES, data=st.binary(max_size=70), gas=st.integers(60_000, 400_000))
def test_random_programs(first: list[Any], second: list[Any], data: bytes, gas: int) -> None:
    prefix = assemble(3, 5, 1, 2, 0, 64, 0, 32)  # so that not every program underflows its stack at once
    holdings = world(prefix + assemble(*first))
    holdings[OTHER] = Holding(7, 1, prefix + assemble(*second), {0: 1, 5: 6})
    calls = [
        signed(KEY, 2, to=to, nonce=n, data=data, value=n, gas=gas) for n, to in enumerate([CONTRACT, OTHER, CONTRACT])
    ]
    assert_same(holdings, [*calls, signed(KEY, 2, to=None, nonce=3, data=prefix + assemble(*second), gas=gas)])
