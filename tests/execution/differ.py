"""Holds the inlined loop to py-evm's own on random worlds: `python -m tests.execution.differ --worlds 2000 --seed 7`.

A world that shows a difference is cut down to what is needed for it, and printed.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from node.admission import calldata_floor, intrinsic_gas
from node.chain.transaction import Transaction, decode_transaction
from node.execution import CallFailed, CallReverted, Executor, InvalidBlock, Loop, OutOfGasEstimate
from node.rules import Rules
from node.state.trie import list_root
from tests.execution.generator import (
    CONTRACTS,
    DELEGATED,
    HOARD,
    NOBODY,
    PRECOMPILES,
    SLOTS,
    WORN,
    Program,
    link,
    some_program,
)
from tests.execution.signing import signed
from tests.execution.states import DictState, Holding
from tests.execution.stock import CHAIN_ID, ENVIRONMENT, ETHEREUM, GRIDPACT, FixedRules, stock_execute
from tests.node.samples import account_key, address_of

KEY = account_key("sender")
SENDER = address_of(KEY)
CALLER = b"\x5e" * 20
TO = (*CONTRACTS, *CONTRACTS, NOBODY, PRECOMPILES[1])  # no transaction sets code (EIP-7702), so none is sent to it
Observation = dict[str, Any]


@dataclass(frozen=True, slots=True)
class World:
    """Contracts, a call, and a block of transactions.

    Args:
        rules: whose precompiles hold.
        programs: of the contracts, in the order of their addresses.
        call: destination, data, value and gas of a call.
        transactions: fields of each (`signing.fields`), with its type as "kind"; one without "to" creates from "init".
    """

    rules: Rules
    programs: tuple[Program, ...]
    call: dict[str, Any]
    transactions: tuple[dict[str, Any], ...]

    def holdings(self) -> dict[bytes, Holding]:
        """Return the accounts before the block."""
        held = {
            address: Holding(1_000, 1, link(program), {0: 7, 1: 1, 2: 9, 3: 0})
            for address, program in zip(CONTRACTS, self.programs, strict=True)
        }
        held[SENDER] = held[CALLER] = Holding(10**24)
        held[DELEGATED] = Holding(5, 1, bytes.fromhex("ef0100") + CONTRACTS[0], {0: 1})  # EIP-7702
        held[HOARD] = Holding(1 << 200)
        held[WORN] = Holding(10, (1 << 64) - 1, link(self.programs[0]), {4: 4})  # EIP-2681: it creates no more
        return held

    def raws(self) -> list[bytes]:
        """Return the transactions, signed, with as much gas as is due before they run."""
        found = []
        for nonce, fields in enumerate(self.transactions):
            values = {name: value for name, value in fields.items() if name not in ("kind", "init")}
            if values["to"] is None:
                values["data"] = link(fields["init"])
            tx = decode_transaction(signed(KEY, fields["kind"], nonce=nonce, **values), CHAIN_ID)
            values["gas"] = max(tx.gas_limit, intrinsic_gas(tx), calldata_floor(tx.data, self.rules))
            found.append(signed(KEY, fields["kind"], nonce=nonce, **values))
        return found

    def decoded(self) -> list[Transaction]:
        """Return the transactions, decoded."""
        return [decode_transaction(raw, CHAIN_ID) for raw in self.raws()]


def some_world(seed: int) -> World:
    """Return the world of a seed."""
    chance = random.Random(seed)
    wild = chance.choice([0.0, 0.01, 0.05, 0.2])
    programs = tuple(some_program(chance, wild, chance.randrange(1, 30)) for _ in CONTRACTS)
    call = {
        "to": chance.choice([CONTRACTS[0]] * 8 + [None, WORN]),
        "data": chance.randbytes(chance.randrange(70)),
        "value": chance.choice([0, 0, 5]),
        "gas": chance.choice([2_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000]),
    }
    if call["to"] is None:
        call["data"] = link(some_program(chance, wild, 12))
    transactions = []
    for _ in range(chance.randrange(1, 5)):
        kind, price = chance.randrange(3), chance.choice([0, 0, 0, 7])
        fields: dict[str, Any] = {
            "kind": kind,
            "price": price,
            "gas": chance.choice([25_000, 60_000, 150_000, 400_000, 1_000_000]),
        }
        fields["value"] = chance.choice([0, 0, 1, 50])
        fields["to"] = chance.choice([*TO, None, None])
        if fields["to"] is None:
            fields |= {"init": some_program(chance, wild, chance.randrange(1, 12)), "value": 0}
            fields["gas"] += 60_000
        else:
            fields["data"] = bytes(chance.choices(range(8), k=chance.randrange(60)))
        if kind:
            slots = [slot.to_bytes(32, "big") for slot in range(SLOTS)]
            fields["access"] = [
                (chance.choice(TO), chance.sample(slots, chance.randrange(3))) for _ in range(chance.randrange(3))
            ]
        if kind == 2:
            fields["tip"] = chance.choice([0, price])
        transactions.append(fields)
    return World(chance.choice([GRIDPACT, ETHEREUM]), programs, call, tuple(transactions))


def see_call(world: World, loop: Loop, gas: int | None = None) -> Observation:
    """Return what a world's call does under a loop: also which exception, if there is one that nobody expects."""
    executor, state = Executor(FixedRules(world.rules), loop), DictState(world.holdings())
    try:
        found = executor.call(state, ENVIRONMENT, sender=CALLER, **(world.call | ({} if gas is None else {"gas": gas})))
    except Exception as error:  # any: that is what is looked for
        return {"unexpected": repr(error)}
    return {
        "error": found.error.split(":")[0],
        "output": found.output.hex(),
        "gas used": found.gas_used,
        "logs": found.logs,
    }


def see_block(world: World, loop: Loop) -> Observation:
    """Return what a world's block does under a loop."""
    executor, state = Executor(FixedRules(world.rules), loop), DictState(world.holdings())
    result = executor.build(state, ENVIRONMENT, world.decoded(), time_budget_s=1, clock=lambda: 0.0)
    receipts = [receipt.encode() for receipt in result.receipts]
    found: Observation = {
        "gas used": result.gas_used,
        "receipts": receipts,  # status, gas, bloom, logs
        "receipts root": list_root(receipts),
        "state root": state.after(result.changes).root(),
        "changes": result.changes,
        "left out": [(tx.nonce, reason) for tx, reason in result.left_out],
    }
    faults = [reason for _, reason in result.left_out if "cannot be executed" in reason]
    if faults:
        found["unexpected"] = faults
    try:
        again = executor.execute(state, ENVIRONMENT, result.included)
        if (again.changes, again.gas_used) != (result.changes, result.gas_used):
            found["unexpected"] = "execution differs from building"
    except InvalidBlock as error:
        found["unexpected"] = repr(error)
    return found


def see_estimate(world: World, loop: Loop) -> Observation:
    """Return the gas that is estimated for a world's first transaction, or why there is none."""
    executor, state = Executor(FixedRules(world.rules), loop), DictState(world.holdings())
    tx = world.decoded()[0]
    try:
        return {"estimate": executor.estimate_gas(state, ENVIRONMENT, tx)}
    except CallReverted as error:
        return {"estimate": error.data.hex()}
    except OutOfGasEstimate as error:
        return {"estimate": str(error)}
    except CallFailed as error:
        return {"estimate": error.error.partition(":")[0]}  # the class; the loops' own words differ
    except Exception as error:  # any: that is what is looked for
        return {"unexpected": repr(error)}


def see_stock(world: World) -> Observation:
    """Return what py-evm makes of the block on its own state, database and transactions."""
    result = stock_execute(world.holdings(), world.raws())
    return {"gas used": result.gas_used, "receipts": list(result.receipts), "state root": result.state_root}


def differences(inlined: Observation, stock: Observation) -> str:
    """Return what differs, or is unexpected in both; empty if nothing."""
    if "unexpected" in inlined or "unexpected" in stock:
        return f"unexpected: {inlined.get('unexpected')} / {stock.get('unexpected')}"
    return "; ".join(f"{name}: {inlined[name]} / {stock[name]}" for name in stock if inlined[name] != stock[name])


def compare_call(world: World, gas: int | None = None) -> str:
    """Hold both loops to the same call."""
    return differences(see_call(world, Loop.INLINED, gas), see_call(world, Loop.STOCK, gas))


def compare_block(world: World) -> str:
    """Hold both loops to the same block, and under Ethereum's rules py-evm's own state too."""
    found = see_block(world, Loop.INLINED)
    problem = differences(found, see_block(world, Loop.STOCK))
    if problem or world.rules is not ETHEREUM:
        return problem
    return differences(found, see_stock(world))


def compare_estimate(world: World) -> str:
    """Hold both loops to the same estimate."""
    return differences(see_estimate(world, Loop.INLINED), see_estimate(world, Loop.STOCK))


def compare_every_gas(world: World, most: int = 200) -> str:
    """Hold both loops to the same call with every amount of gas up to what it uses, or so many of them."""
    used = see_call(world, Loop.STOCK).get("gas used", 0)
    for gas in range(0, used + 1, max(1, used // most)):
        problem = compare_call(world, gas)
        if problem:
            return f"with {gas} gas: {problem}"
    return ""


Comparison = Callable[[World], str]
COMPARISONS: dict[str, Comparison] = {
    "call": compare_call,
    "block": compare_block,
    "estimate": compare_estimate,
    "gas": compare_every_gas,
}


def cut_down(world: World, compare: Comparison) -> World:
    """Return a world that still shows a difference, with as little in it as can be found."""
    smaller: World | None = world
    while smaller is not None:
        world = smaller
        smaller = next((each for each in _smaller(world) if compare(each)), None)
    return world


def _smaller(world: World) -> Iterator[World]:
    for index in range(len(world.transactions)):
        if len(world.transactions) > 1:
            yield replace(world, transactions=world.transactions[:index] + world.transactions[index + 1 :])
    for index, program in enumerate(world.programs):
        for rest in _shorter(program):
            yield replace(world, programs=(*world.programs[:index], rest, *world.programs[index + 1 :]))
    for index, fields in enumerate(world.transactions):
        for rest in _shorter(fields.get("init", ())):
            changed = fields | {"init": rest}
            yield replace(world, transactions=(*world.transactions[:index], changed, *world.transactions[index + 1 :]))


def _shorter(program: Program) -> Iterator[Program]:
    size = len(program)
    while size:
        for at in range(0, len(program), size):
            yield program[:at] + program[at + size :]
        size //= 2


def main() -> int:
    """Run the comparisons over many worlds; the first difference ends it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0, help="of the first world; the others follow")
    parser.add_argument("--only", choices=sorted(COMPARISONS), action="append")
    given = parser.parse_args()
    for seed in range(given.seed, given.seed + given.worlds):
        world = some_world(seed)
        for name in given.only or COMPARISONS:
            if COMPARISONS[name](world):
                least = cut_down(world, COMPARISONS[name])
                print(f"seed {seed}, {name}: {COMPARISONS[name](least)}\n{least}")
                for address, holding in least.holdings().items():
                    print(address.hex(), holding.code.hex())
                return 1
    print(f"{given.worlds} worlds from seed {given.seed} on: no difference")
    return 0


if __name__ == "__main__":
    sys.exit(main())
