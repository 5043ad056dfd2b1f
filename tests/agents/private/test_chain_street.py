"""What a household knows of a private window, by the chain's events in whatever order it hears of them."""

from __future__ import annotations

from itertools import permutations

import pytest

from agents.private.chain_street import after
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
