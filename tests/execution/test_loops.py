"""The inlined loop against py-evm's own, over the same seams: every opcode, every amount of gas, contracts that call.

`python -m tests.execution.test_loops 20000` runs that many random worlds; the seed is the first one's number.
"""

from __future__ import annotations

import random
import sys

import pytest

from node.chain.transaction import decode_transaction
from node.execution import Executor, Loop
from node.state.trie import list_root
from tests.execution.programs import OPCODES, assemble, deploying
from tests.execution.signing import signed
from tests.execution.states import DictState, Holding
from tests.execution.stock import ENVIRONMENT, GRIDPACT, FixedRules
from tests.node.samples import account_key, address_of

KEY = account_key("sender")
CALLER = b"\x5e" * 20
CONTRACTS = [bytes((0xC0 + i,)) * 20 for i in range(4)]
EDGES = [0, 1, 2, 31, 32, 33, 255, 256, 1 << 16, 1 << 32, 1 << 64, 1 << 255, (1 << 255) - 1, (1 << 256) - 1]
PLAIN = [
    name
    for name in OPCODES
    if not name.startswith(("PUSH", "JUMP")) and name not in ("STOP", "RETURN", "REVERT", "SELFDESTRUCT", "DIFFICULTY")
]
NUMBERS = [*EDGES, *range(70), *(int.from_bytes(address, "big") for address in CONTRACTS)]
Word = str | int | bytes
ENDS: list[list[Word]] = [
    ["STOP"], [64, 0, "RETURN"], [40, 0, "REVERT"], ["CALLER", "SELFDESTRUCT"], [b"\x7f\x01"], []
]  # fmt: skip
GAS_GIVEN: list[Word] = ["GAS", 0, 700, 30_000]
RUNTIME: list[Word] = [1, "ADD", "CALLER", "SSTORE", "SELFDESTRUCT", b"\xef"]
Answer = tuple[bool, bytes, int, str, object]


def executor(loop: Loop) -> Executor:
    return Executor(FixedRules(GRIDPACT), loop)


def answer(state: DictState, loop: Loop, gas: int, data: bytes = b"") -> Answer:
    """Return what a call does: success, output, gas, class of error, logs."""
    found = executor(loop).call(state, ENVIRONMENT, sender=CALLER, to=CONTRACTS[0], data=data, gas=gas)
    return found.success, found.output, found.gas_used, found.error.split(":")[0], found.logs


def world(codes: list[bytes]) -> DictState:
    holdings = {
        address: Holding(1_000, 1, code, {0: 7, 1: 1, 5: 9}) for address, code in zip(CONTRACTS, codes, strict=False)
    }
    return DictState({CALLER: Holding(10**20), **holdings})


@pytest.mark.parametrize("op", range(256))
def test_every_opcode_over_every_height_of_the_stack(op: int) -> None:
    chance = random.Random(op)
    for height in [*range(18), 1_023, 1_024]:
        pushed = [chance.choice([*EDGES, *range(6)]) for _ in range(height)]
        head = assemble(*pushed) if height < 20 else assemble(*[1] * height)
        tail = assemble("MSIZE", "ADD", "RETURNDATASIZE", "XOR", 0, "MSTORE", 64, 0, "RETURN")
        state = world([head + bytes((op,)) + tail, assemble(32, 0, "RETURN")])
        for gas in (200_000, 2_900):
            assert answer(state, Loop.INLINED, gas, b"\xff" * 40) == answer(state, Loop.STOCK, gas, b"\xff" * 40)


def some_program(chance: random.Random, size: int) -> bytes:
    """Return code that mostly runs: the stack is kept filled, jumps go to real destinations."""
    code, height, destinations = b"", 0, []
    for _ in range(size):
        kind = chance.random()
        if height < 8 or kind < 0.25:
            code += assemble(chance.choice(NUMBERS))
            height += 1
        elif kind < 0.33:
            destinations.append(len(code))
            code += assemble("JUMPDEST")
        elif kind < 0.36 and destinations:
            code += assemble("GAS", 1_000, "LT", chance.choice(destinations), "JUMPI")
        elif kind < 0.42:
            target = int.from_bytes(chance.choice([*CONTRACTS, *((i).to_bytes(20, "big") for i in range(1, 6))]), "big")
            value: list[Word] = [chance.choice([0, 0, 1, 5_000])] if chance.random() < 0.5 else []
            name = chance.choice(["CALL", "CALLCODE"] if value else ["STATICCALL", "DELEGATECALL"])
            gas = chance.choice(GAS_GIVEN)
            code += assemble(
                chance.randrange(70), chance.randrange(99), chance.randrange(70), 0, *value, target, gas, name
            )
            height += 1
        elif kind < 0.45:
            runtime = assemble(*chance.choices(RUNTIME, k=4))
            init = int.from_bytes(deploying(runtime)[:32].ljust(32, b"\0"), "big")
            code += assemble(init, 0, "MSTORE", 32, 0, chance.randrange(2), "CREATE")
            height += 1
        elif kind < 0.5:
            slot, word = chance.randrange(6), chance.choice([0, 0, 1, 9])
            code += assemble(word, slot, chance.choice(["SSTORE", "TSTORE"]), slot, chance.choice(["SLOAD", "TLOAD"]))
            height += 1
        elif kind < 0.53:
            code += assemble(64, chance.randrange(64), chance.choice(["SHA3", "LOG0"]))
        elif kind < 0.56:
            code += chance.randbytes(1)
        else:
            code += assemble(chance.choice(PLAIN))
            height -= 1
    return code + assemble(*chance.choice(ENDS))


def some_world(seed: int) -> tuple[DictState, random.Random]:
    chance = random.Random(seed)
    return world([some_program(chance, chance.randrange(1, 60)) for _ in CONTRACTS]), chance


def compare(seed: int) -> None:
    """Hold both loops to the same calls and the same block: state root, receipts root, logs, gas."""
    state, chance = some_world(seed)
    data = chance.randbytes(chance.randrange(70))
    for gas in (400_000, chance.randrange(1_000, 60_000)):
        assert answer(state, Loop.INLINED, gas, data) == answer(state, Loop.STOCK, gas, data), f"seed {seed}, gas {gas}"
    sender = DictState({**state.holdings, address_of(KEY): Holding(10**20)})
    raws = [signed(KEY, 2, to=CONTRACTS[n % 4], nonce=n, data=data, value=n, gas=300_000) for n in range(4)]
    raws.append(signed(KEY, 2, to=None, nonce=4, data=some_program(chance, 20), gas=300_000))
    txs = [decode_transaction(raw, GRIDPACT.chain_id) for raw in raws]
    found = [executor(loop).execute(sender, ENVIRONMENT, txs) for loop in Loop]
    assert found[0].changes == found[1].changes, f"seed {seed}"
    roots = [list_root([receipt.encode() for receipt in each.receipts]) for each in found]
    assert (roots[0], found[0].gas_used) == (roots[1], found[1].gas_used), f"seed {seed}"


@pytest.mark.parametrize("first", range(0, 400, 50))
def test_random_worlds(first: int) -> None:
    for seed in range(first, first + 50):
        compare(seed)


@pytest.mark.parametrize("seed", range(12))
def test_every_amount_of_gas(seed: int) -> None:
    """Out of gas at every instruction, also those of inner calls."""
    state, _ = some_world(10_000 + seed)
    _, _, used, _, _ = answer(state, Loop.INLINED, 60_000)
    step = max(1, used // 400)
    for gas in range(0, used + step, step):
        assert answer(state, Loop.INLINED, gas) == answer(state, Loop.STOCK, gas), f"gas {gas}"


if __name__ == "__main__":
    for number in range(int(sys.argv[1])):
        compare(1_000_000 + number)
    print(f"{sys.argv[1]} worlds: no difference")
