"""Both opcode loops on every opcode, at the bounds, and on random worlds: the same to the last unit of gas."""

from __future__ import annotations

import random

import pytest

from node.execution import Loop
from tests.execution.differ import (
    World,
    compare_block,
    compare_call,
    compare_estimate,
    compare_every_gas,
    see_call,
    some_world,
)
from tests.execution.generator import CONTRACTS, EDGES, NOBODY, Program
from tests.execution.programs import assemble
from tests.execution.stock import GRIDPACT

DEEPEST = 1 << 40  # gas enough for all 1,024 levels


def world(*programs: bytes, gas: int, data: bytes = b"") -> World:
    """Return a world of contracts and a call to the first."""
    parts: tuple[Program, ...] = tuple((code,) for code in programs) + ((),) * (len(CONTRACTS) - len(programs))
    return World(GRIDPACT, parts, {"to": CONTRACTS[0], "data": data, "value": 0, "gas": gas}, ())


@pytest.mark.parametrize("op", range(256))
def test_every_opcode_over_every_height_of_the_stack(op: int) -> None:
    chance = random.Random(op)
    returning = assemble(32, 0, "RETURN")
    tail = assemble("MSIZE", "ADD", "RETURNDATASIZE", "XOR", 0, "MSTORE", 64, 0, "RETURN")
    for height in [*range(18), 1_023, 1_024]:
        head = assemble(*[chance.choice([*EDGES, *range(6)]) if height < 20 else 1 for _ in range(height)])
        whole = world(head + bytes((op,)) + tail, returning, gas=200_000, data=b"\xff" * 40)
        for gas in (200_000, 2_900):
            assert not compare_call(whole, gas), f"over {height} words, with {gas} gas"


@pytest.mark.parametrize("first", range(0, 1_000, 100))
def test_random_worlds(first: int) -> None:
    for seed in range(first, first + 100):
        assert not compare_call(some_world(seed)), f"seed {seed}"
        assert not compare_block(some_world(seed)), f"seed {seed}"


@pytest.mark.parametrize("first", range(0, 120, 40))
def test_estimates(first: int) -> None:
    for seed in range(first, first + 40):
        assert not compare_estimate(some_world(seed)), f"seed {seed}"


@pytest.mark.parametrize("seed", range(20))
def test_every_amount_of_gas(seed: int) -> None:
    assert not compare_every_gas(some_world(seed))


@pytest.mark.parametrize("original", [0, 1, 7])  # what slots 3, 1 and 0 of every contract hold
@pytest.mark.parametrize("current", [None, 0, 1, 7])
@pytest.mark.parametrize("new", [0, 1, 7])
def test_storage_at_every_amount_of_gas(original: int, current: int | None, new: int) -> None:
    """EIP-2200 and EIP-3529: original, current and new value, cold or warm, the sentry of 2,300 gas."""
    slot = {0: 3, 1: 1, 7: 0}[original]
    before = b"" if current is None else assemble(current, slot, "SSTORE")
    code = before + assemble(new, slot, "SSTORE GAS", 0, "MSTORE", 32, 0, "RETURN")
    whole = world(code, gas=60_000)
    used = see_call(whole, Loop.STOCK)["gas used"]
    bounds = {*range(2_290, 2_310), *range(used - 2_320, used - 2_280), *range(used - 30, used + 2), 2_100, 5_000}
    for gas in sorted(each for each in bounds if each >= 0):
        assert not compare_call(whole, gas), f"gas {gas}"
        # from above: a refund lives beyond the frame
    outer = assemble(0, 0, 0, 0, 0, int.from_bytes(CONTRACTS[1], "big"), "GAS CALL") + code
    assert not compare_call(world(outer, code, gas=200_000))


@pytest.mark.parametrize("last", ["CALL", "CALLCODE", "DELEGATECALL", "STATICCALL", "CREATE", "CREATE2"])
@pytest.mark.parametrize("value", [0, 1])
def test_at_the_deepest_level(last: str, value: int) -> None:
    """A contract calls itself until that fails; there it makes another call or a creation and tells what came of it."""
    itself = assemble(32, 0, 0, 0, 0, "ADDRESS GAS CALL")
    brings = [value] if last in ("CALL", "CALLCODE") else []
    end = (
        assemble(*[5] * (last == "CREATE2"), 0, 0, value, last)
        if last.startswith("CREATE")
        else assemble(32, 0, 0, 0, *brings, int.from_bytes(NOBODY, "big"), 50_000, last)
    )
    tail = assemble("GAS ADD RETURNDATASIZE ADD", 0, "MSTORE", 32, 0, "RETURN")
    deepest = end + tail
    code = itself + b"\x61" + (len(itself) + 4 + len(deepest)).to_bytes(2, "big") + assemble("JUMPI") + deepest
    code += assemble("JUMPDEST", 32, 0, "RETURN")
    found = see_call(world(code, gas=DEEPEST), Loop.INLINED)
    assert found["error"] == ""
    assert int(found["output"], 16) > 0
    assert not compare_call(world(code, gas=DEEPEST))
