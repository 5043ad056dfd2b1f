"""Tracing does not change what happens: receipts, gas and state are those of the run that every node makes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from node.execution import Executor, Loop
from node.execution.tracing import TracedBlock
from node.rpc.tracers.budget import TraceBudget
from node.rpc.tracers.frames import CallTracer, FlatCallTracer, FourByteTracer, NoopTracer
from node.rpc.tracers.prestate import PrestateOptions, PrestateTracer
from node.rpc.tracers.steps import StepOptions, StructLogger
from tests.execution.bookkeeper import Bookkeeper
from tests.execution.differ import World, some_world
from tests.execution.states import DictState
from tests.execution.stock import ENVIRONMENT, FixedRules

WORLDS = 24
EVERYTHING = StepOptions(memory=True, return_data=True)
PRECOMPILES = frozenset(number.to_bytes(20, "big") for number in range(1, 18))


@cache
def canonical(seed: int) -> tuple[World, Any]:
    """Return a world and what its block does where nobody looks."""
    world = some_world(seed)
    return world, Executor(FixedRules(world.rules), Loop.INLINED).build(
        DictState(world.holdings()), ENVIRONMENT, world.decoded(), time_budget_s=1, clock=lambda: 0.0
    )


def budget() -> TraceBudget:
    return TraceBudget(1 << 40)


@pytest.mark.parametrize(
    "tracer",
    [
        Bookkeeper,
        lambda: StructLogger(EVERYTHING, budget()),
        lambda: CallTracer(budget(), logs=True),
        lambda: FlatCallTracer(budget(), None, PRECOMPILES),
        lambda: PrestateTracer(PrestateOptions(diff=True), budget()),
        lambda: FourByteTracer(budget(), PRECOMPILES),
        NoopTracer,
    ],
    ids=["bookkeeper", "steps", "frames", "flat", "prestate", "selectors", "noop"],
)
def test_a_traced_block_is_the_block(tracer: Callable[[], Any]) -> None:
    for seed in range(WORLDS):
        world, expected = canonical(seed)
        block = TracedBlock(DictState(world.holdings()), ENVIRONMENT, world.rules)
        block.begin()
        gas_used = 0
        for tx, receipt in zip(expected.included, expected.receipts, strict=True):
            seen = tracer()
            outcome = block.apply(tx, seen)
            gas_used += outcome.gas_used
            assert (int(outcome.success), outcome.logs) == (receipt.status, receipt.logs), seed
            assert gas_used == receipt.cumulative_gas_used, seed
            if hasattr(seen, "result"):
                json.loads(seen.result())
        assert block.accounts.changes() == expected.changes, seed


def test_tracers_agree_with_the_outcome_and_each_other() -> None:
    kinds: Counter[str] = Counter()
    for seed in range(WORLDS):
        world, expected = canonical(seed)
        block = TracedBlock(DictState(world.holdings()), ENVIRONMENT, world.rules)
        block.begin()
        twin = TracedBlock(DictState(world.holdings()), ENVIRONMENT, world.rules)
        twin.begin()
        for tx in expected.included:
            frames, steps = CallTracer(budget(), logs=True), StructLogger(StepOptions(), budget())
            outcome = block.apply(tx, frames)
            twin.apply(tx, steps)
            tree, log = json.loads(frames.result()), json.loads(steps.result())
            assert int(tree["gasUsed"], 16) == log["gas"] == outcome.gas_used
            assert ("error" in tree) == log["failed"] == (not outcome.success)
            assert log["returnValue"] == "0x" + outcome.output.hex()
            assert _logs(tree) == [
                (entry.address.hex(), entry.data.hex(), tuple(topic.hex() for topic in entry.topics))
                for entry in outcome.logs
            ]
            kinds.update(_kinds(tree))
            kinds.update(_errors(tree))
            names = Counter(entry["op"] for entry in log["structLogs"] if "error" not in entry)
            calls = sum(count for kind, count in _kinds(tree).items() if kind in ("CALL", "STATICCALL"))
            assert calls <= names["CALL"] + names["STATICCALL"] + 1
    assert kinds.keys() >= {"CALL", "CREATE", "CREATE2", "DELEGATECALL", "STATICCALL", "CALLCODE", "SELFDESTRUCT"}
    assert kinds.keys() >= {"out of gas", "execution reverted", "insufficient balance for transfer"}


def _kinds(frame: Any) -> Counter[str]:
    return sum((_kinds(child) for child in frame.get("calls", [])), Counter([frame["type"]]))


def _errors(frame: Any) -> Counter[str]:
    own = Counter([frame["error"]] if "error" in frame else [])
    return sum((_errors(child) for child in frame.get("calls", [])), own)


def _logs(frame: Any) -> list[Any]:
    """Return the logs of a tree in the order in which they were written, as their positions tell."""
    found: list[Any] = []
    calls, logs = frame.get("calls", []), frame.get("logs", [])
    for at in range(len(calls) + 1):
        for entry in logs:
            if int(entry["position"], 16) == at:
                topics = tuple(topic[2:] for topic in entry["topics"])
                found.append((entry["address"][2:], entry["data"][2:], topics))
        if at < len(calls):
            found.extend(_logs(calls[at]))
    return found
