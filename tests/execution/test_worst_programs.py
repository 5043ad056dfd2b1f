"""The programs of `make bench-worst-case` do what they are called after, until their gas is gone."""

from __future__ import annotations

import pytest

from benchmarks.worst_programs import SLOTS, Program, all_programs
from node.execution import Executor, Loop
from tests.execution.states import DictState, Holding
from tests.execution.stock import ENVIRONMENT, GRIDPACT, FixedRules

CONTRACT, CALLER = b"\xc0" * 20, b"\x5e" * 20
GAS = 400_000


def run(program: Program, loop: Loop, gas: int) -> tuple[str, bytes, int]:
    slots = range(0, SLOTS * program.step if program.filled else 0, program.step)
    state = DictState(
        {
            CONTRACT: Holding(10**9, 1, program.code, dict.fromkeys(slots, 1)),
            CALLER: Holding(10**18),
        }
    )
    result = Executor(FixedRules(GRIDPACT), loop).call(
        state, ENVIRONMENT, sender=CALLER, to=CONTRACT, data=program.data, gas=gas
    )
    return result.error.split(":")[0], result.output, result.gas_used


@pytest.mark.parametrize("program", [p for p in all_programs() if not p.creates], ids=lambda program: program.name)
def test_a_program_runs_until_its_gas_is_gone(program: Program) -> None:
    error, output, used = run(program, Loop.INLINED, GAS)
    assert (error, output, used) == run(program, Loop.STOCK, GAS)
    if program.gas_each or not program.code:
        assert error in ("", "execution reverted", "OutOfGas")
    else:
        assert error == "OutOfGas" or "STOP" in program.name or program.name.endswith("kept")


def test_programs_have_names_of_their_own() -> None:
    names = [program.name for program in all_programs()]
    assert len(set(names)) == len(names)
