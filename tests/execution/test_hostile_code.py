"""Code that is written to hurt: it fails, or runs within its gas; it never ends the process."""

from __future__ import annotations

import threading
import warnings

import pytest

from node.chain.transaction import decode_transaction
from node.execution import CallResult
from tests.execution.programs import assemble, calling, deploying
from tests.execution.signing import signed
from tests.execution.states import DictState, Holding
from tests.execution.stock import ENVIRONMENT, GRIDPACT, executor
from tests.node.samples import account_key, address_of

KEY = account_key("sender")
CONTRACT = b"\xc0" * 20
DEEPEST = 1 << 40  # gas enough for all 1,024 levels


def call(code: bytes, gas: int = 10_000_000) -> CallResult:
    state = DictState({CONTRACT: Holding(10, 1, code)})
    return executor(GRIDPACT).call(state, ENVIRONMENT, sender=b"\1" * 20, to=CONTRACT, gas=gas)


@pytest.mark.parametrize("kind", ["CALL", "CALLCODE", "DELEGATECALL", "STATICCALL"])
def test_all_levels_of_calls(kind: str) -> None:
    results: list[CallResult] = []
    code = calling(CONTRACT, kind) + assemble("POP")
    worker = threading.Thread(target=lambda: results.append(call(code, DEEPEST)))  # as the node's chain thread
    worker.start()
    worker.join()
    assert results == [call(code, DEEPEST)]
    assert results[0].success
    assert results[0].gas_used > 1_024 * 100


def test_all_levels_of_creations() -> None:
    code = assemble("CODESIZE", 0, 0, "CODECOPY", "CODESIZE", 0, 0, "CREATE")
    result = call(code, DEEPEST)
    assert result.success
    assert result.gas_used > 800 * 32_000


def jump_over(filler: bytes, size: int) -> bytes:
    body = (filler * size)[:size]
    return assemble(b"\x61" + (size + 4).to_bytes(2, "big"), "JUMP") + body + assemble("JUMPDEST")


@pytest.mark.parametrize("filler", [b"\x5b", b"\0", b"\x7f" + b"\0" * 32, assemble(1, "POP")])
def test_a_jump_over_much_code(filler: bytes) -> None:
    assert call(jump_over(filler, len(filler) * (24_000 // len(filler)))).success


def test_a_jump_over_a_run_of_pushes() -> None:
    assert call(jump_over(b"\x60", 24_000)).success


def test_a_transaction_that_jumps_over_a_run_of_pushes() -> None:
    raw = signed(KEY, 2, to=None, data=jump_over(b"\x60", 40_000), gas=5_000_000)
    tx = decode_transaction(raw, 2016)
    state = DictState({address_of(KEY): Holding(10**18)})
    result = executor(GRIDPACT).build(state, ENVIRONMENT, [tx], time_budget_s=10)
    assert len(result.included) + len(result.left_out) == 1


@pytest.mark.parametrize(
    "code",
    [
        assemble("JUMPDEST GAS POP", 0, "JUMP"),
        assemble("JUMPDEST", 1 << 20, 0, "SHA3", "POP", 0, "JUMP"),
        assemble("JUMPDEST", 0, "MLOAD", 1, "ADD", "DUP1", 0, "MSTORE", 5, "SSTORE", 0, "JUMP"),
        assemble("JUMPDEST", (1 << 256) - 1, "DUP1", "EXP", 0, "JUMP"),
        assemble("JUMPDEST MSIZE MLOAD POP", 0, "JUMP"),
    ],
)
def test_loops_end_with_their_gas(code: bytes) -> None:
    result = call(code, 300_000)
    assert (result.success, result.gas_used) == (False, 300_000)
    assert result.error.startswith("OutOfGas")


@pytest.mark.parametrize("opcode", ["CODECOPY", "CALLDATACOPY", "EXTCODECOPY", "RETURNDATACOPY", "MCOPY"])
def test_copies_from_and_to_the_ends_of_the_world(opcode: str) -> None:
    ends = (0, 1, (1 << 63) - 1, 1 << 64, (1 << 256) - 1)
    for size in ends:
        for source in ends:
            for target in ends:
                arguments = [size, source, target] + ([1] if opcode == "EXTCODECOPY" else [])
                assert call(assemble(*arguments, opcode), 100_000).gas_used <= 100_000


def test_selfdestruct_does_not_depend_on_the_warning_filter() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert call(assemble("CALLER SELFDESTRUCT")).success


def test_init_code_at_its_bound() -> None:
    state = DictState({address_of(KEY): Holding(10**18)})
    tx = decode_transaction(signed(KEY, 2, to=None, data=deploying(b"\x5b" * 24_576), gas=9_000_000), 2016)
    (receipt,) = executor(GRIDPACT).execute(state, ENVIRONMENT, [tx]).receipts
    assert receipt.status == 1
