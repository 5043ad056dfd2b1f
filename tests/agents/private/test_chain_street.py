"""What a household knows of a private window, by the chain's events in whatever order it hears of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from itertools import permutations
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agents.chain import Chain, NodeError
from agents.private.chain_street import KEPT_WINDOWS, ChainStreet, after
from agents.private.street import WindowShown
from contracts.bindings.abi import Event
from contracts.bindings.private_market import (
    RowsPrepared,
    SessionForfeited,
    SessionFunded,
    SessionOffered,
    SessionSettled,
    SessionState,
    Side,
    TradeAllocated,
    TradeAllowed,
    TradeDefaulted,
    TradeDelivered,
    TradeState,
)
from contracts.bindings.sealed_meters import WindowClosed
from privacy.secp256k1 import SECP256K1
from tests.privacy.keys import secret

SELLER, BUYER, TRADE = b"s" * 20, b"b" * 20, b"t" * 32
OFFERS = [
    SessionOffered(8, SELLER, b"k" * 32, Side.SELL, 225, b"d" * 33),
    SessionOffered(8, BUYER, b"l" * 32, Side.BUY, 140, b"e" * 33),
]
ALLOCATED = TradeAllocated(TRADE, 8, BUYER, SELLER, 200, b"")


def shown(*events: Event) -> WindowShown:
    window = WindowShown()
    for event in events:
        window = after(window, event)
    return window


def test_sessions_are_known_by_their_offers() -> None:
    first, second = shown(*OFFERS, *OFFERS).sessions
    assert (first.public.address, first.public.price_microeur_per_kwh, first.side) == (SELLER, 225_000, Side.SELL)
    assert (second.public.contact_key, second.state) == (b"l" * 32, SessionState.OFFERED)
    assert shown(SessionFunded(8, SELLER, b"")).sessions == ()


@pytest.mark.parametrize(
    ("event", "state"),
    [
        (SessionSettled(8, SELLER, b"", 0, b""), SessionState.SETTLED),
        (SessionForfeited(8, SELLER), SessionState.FORFEITED),
    ],
)
def test_a_sessions_state_goes_forward_whatever_is_heard_again(event: Event, state: SessionState) -> None:
    for order in permutations([SessionFunded(8, SELLER, b""), event, OFFERS[0]]):
        session = shown(OFFERS[0], *order).session(SELLER)
        assert session is not None
        assert session.state is state


@pytest.mark.parametrize(
    ("event", "state"),
    [
        (TradeDelivered(TRADE, 8, BUYER, b"", b""), TradeState.DELIVERED),
        (TradeDefaulted(TRADE, 8, BUYER), TradeState.DEFAULTED),
    ],
)
def test_a_trades_state_goes_forward_too(event: Event, state: TradeState) -> None:
    allowed = TradeAllowed(TRADE, 8, BUYER, SELLER)
    for order in permutations([allowed, event, ALLOCATED]):
        (trade,) = shown(ALLOCATED, *order).trades
        assert (trade.seller, trade.buyer, trade.state) == (SELLER, BUYER, state)
    (trade,) = shown(ALLOCATED, allowed).trades
    assert shown(ALLOCATED, allowed).of(SELLER, TradeState.ALLOWED) == (trade,)


def test_a_window_is_closed_and_then_prepared() -> None:
    closed = shown(WindowClosed(8, 96, 96, b""))
    assert (closed.closed, closed.prepared) == (True, False)
    assert after(closed, RowsPrepared(8, bytes(20), 8)).prepared


class OldNode:
    """A node that shows window 8 as it was after the first offer; `meanwhile` is called before each answer."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self.meanwhile = meanwhile
        self.reads = 0

    async def read_all(self, views: Sequence[Any]) -> list[Any]:
        self.meanwhile()
        self.reads += 1
        if self.reads % 3 == 1:
            joint_key = SECP256K1.point_to_bytes(SECP256K1.multiply_generator(secret("joint")))
            return [(SELLER,), SimpleNamespace(prepared=False), SimpleNamespace(closed=False), joint_key]
        session = SimpleNamespace(contact_key=b"k" * 32, tick=225, side=Side.SELL, state=SessionState.OFFERED, sales=())
        return [session for _ in views]


def _hear_next(street: ChainStreet, events: list[Event]) -> None:
    if events:
        street.learn(events.pop(0))


def test_what_is_heard_while_or_before_a_window_is_read_is_not_lost() -> None:
    """A session that is funded between the node's answers is funded: else its money would be forgotten."""
    events = [SessionFunded(8, SELLER, b""), OFFERS[1], SessionFunded(8, BUYER, b"")]
    for before in range(len(events) + 1):
        early, late = events[:before], events[before:]
        node = OldNode(lambda: None)
        street = ChainStreet(cast(Chain, node))
        node.meanwhile = partial(_hear_next, street, late)
        for event in (OFFERS[0], *early):
            street.learn(event)
        found = asyncio.run(street.shown(8))
        assert [each.public.address for each in found.sessions] == [SELLER, BUYER]
        assert {each.state for each in found.sessions} == {SessionState.FUNDED}


def test_a_read_that_fails_is_made_again() -> None:
    def fail() -> None:
        node.meanwhile = lambda: None
        raise NodeError("eth_call", -32000, "busy")

    node = OldNode(fail)
    street = ChainStreet(cast(Chain, node))
    with pytest.raises(NodeError):
        asyncio.run(street.shown(8))
    assert len(asyncio.run(street.shown(8)).sessions) == 1


def test_windows_of_long_ago_are_forgotten() -> None:
    street = ChainStreet(cast(Chain, OldNode(lambda: None)))
    street.learn(OFFERS[1])
    street.learn(SessionOffered(8 + KEPT_WINDOWS + 1, SELLER, b"k" * 32, Side.SELL, 225, b"d" * 33))
    assert len(asyncio.run(street.shown(8)).sessions) == 1
