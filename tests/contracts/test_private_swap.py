"""The swap test on the contracts: two members with equal inputs change places, and a window's ledger keeps its shape.

From offer to settlement, by the real market: once one of two eligible sellers sells and delivers as the first and the
other as the second, once the other way round. What each call is, how long, what it costs and logs, and in which order,
is the same, but for what the chance of random bytes makes cheaper.
"""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from typing import Any

import pytest

from contracts import system
from contracts.bindings.private_market import Side
from tests.contracts.private_street import READINGS, Trader, deliver, founded, fund, hear, offer, settle, trade

ROLES = {"first": Side.SELL, "bob": Side.BUY, "cat": Side.BUY, "second": Side.SELL, "eva": Side.BUY, "fred": Side.NONE}
INPUTS = {"first": READINGS["ann"], "second": READINGS["dan"]}
SAME_SLOT = 2_800  # less for storing what is there: first bytes of random points, packed, may happen to be those before
Shape = tuple[bytes, int, int, tuple[tuple[object, ...], ...]]  # selector, length, gas but for that, events


def shape_of(event: Any) -> tuple[object, ...]:
    """Return an event's kind, the lengths of its byte strings, and its numbers."""
    values = (getattr(event, field.name) for field in fields(event))
    return type(event).__name__, *(len(value) if isinstance(value, bytes) else value for value in values)


def window(first: str, second: str) -> tuple[list[Shape], list[bytes]]:
    """Return a window's calls to the market as everyone sees them, and their data, with two houses in two roles."""
    with pytest.MonkeyPatch.context() as patch:
        street = founded().fresh()
        seen: list[Shape] = []
        said: list[bytes] = []
        plainly = street.send

        def send(sender: str | bytes, to: bytes, data: bytes, *rest: Any, **more: Any) -> Any:
            sent = plainly(sender, to, data, *rest, **more)
            if to == system.PRIVATE_MARKET:
                seen.append((data[:4], len(data), sent.gas_used % SAME_SLOT, tuple(map(shape_of, sent.events))))
                said.append(data)
            return sent

        patch.setattr(street, "send", send)
        houses = {"first": first, "second": second}
        traders = {role: Trader(houses.get(role, role)) for role in ROLES}
        for role, trader in traders.items():
            offer(street, trader, ROLES[role])
            fund(street, trader)
        for seller, buyer, energy_wh, tick in (
            ("first", "bob", 1000, 200),
            ("first", "cat", 400, 180),
            ("second", "eva", 500, 190),
        ):
            trade(street, traders[seller], traders[buyer], energy_wh, tick=tick)
        readings = {houses.get(role, role): INPUTS.get(role, READINGS[houses.get(role, role)]) for role in ROLES}
        deliver(street, {**READINGS, **readings})
        for role in ("first", "second", "bob", "cat", "eva", "fred"):
            _, sent = settle(street, traders[role], readings[traders[role].house])
            for hearer in traders.values():
                hear(sent, traders[role], hearer)
        return seen, said


@cache
def both() -> tuple[tuple[list[Shape], list[bytes]], tuple[list[Shape], list[bytes]]]:
    return window("ann", "dan"), window("dan", "ann")


def test_a_window_keeps_its_shape_when_two_members_change_places() -> None:
    (straight, _), (swapped, _) = both()
    assert len(straight) == 6 + 6 + 2 * 3 + 1 + 6  # offers, budgets, both parts of trades, prepare, settlements
    assert swapped == straight


def test_every_call_of_the_two_has_other_bytes() -> None:
    """So what is compared is not the same window twice."""
    (_, straight), (_, swapped) = both()
    assert straight[0] != swapped[0]
    assert sum(one != other for one, other in zip(straight, swapped, strict=True)) >= 8
