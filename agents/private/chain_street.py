"""Private windows as a node shows them: read once, then kept up by the chain's events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

from eth_hash.auto import keccak

from agents.chain import Chain
from agents.home import hexed
from agents.private.session import PublicSession
from agents.private.street import SessionShown, TradeShown, WindowShown
from contracts.bindings import private_market, sealed_meters
from contracts.bindings.abi import Event, View
from contracts.bindings.market_types import PRICE_TICK_MICROEUR_PER_KWH
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

KEPT_WINDOWS = 24  # more than what may be open: a window is settled or forfeited within two deadlines

T = TypeVar("T")


class ChainStreet:
    """The private market of a node.

    Args:
        chain: the household's node.
    """

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._windows: dict[int, WindowShown] = {}
        self._heard: dict[int, list[Event]] = {}

    def learn(self, event: Event) -> None:
        """Take one event of the private market, or of the sealed meters; one that is known already changes nothing."""
        window = getattr(event, "window", None)
        if window is None:
            return
        if window not in self._heard:
            self._heard = _kept(self._heard, window)
        self._heard.setdefault(window, []).append(event)
        if window in self._windows:
            self._windows[window] = after(self._windows[window], event)

    async def shown(self, window: int) -> WindowShown:
        """Return a window as it is now.

        What was heard comes on top of what is read, for the two need not be of one block: a session that is funded
        while it is being read is funded.
        """
        if window not in self._windows:
            read = await self._read(window)
            for event in self._heard.get(window, ()):
                read = after(read, event)
            self._windows[window] = read
            self._windows = _kept(self._windows, window)
        return self._windows[window]

    async def height(self) -> int:
        """Return the newest height."""
        return await self._chain.height()

    async def outcome(self, transaction: bytes) -> bool | None:
        """Return whether a transaction succeeded; None while it is in no block."""
        receipt = await self._chain.request("eth_getTransactionReceipt", hexed(keccak(transaction)))
        return int(receipt["status"], 16) == 1 if isinstance(receipt, dict) else None

    async def nonce(self, account: bytes) -> int:
        """Return how many transactions of an account are in blocks."""
        return int(await self._chain.request("eth_getTransactionCount", hexed(account), "latest"), 16)

    async def _read(self, window: int) -> WindowShown:
        views: Sequence[View[Any]] = (
            private_market.sessions_of(window),
            private_market.window_state(window),
            sealed_meters.balance_of(window),
            sealed_meters.joint_key_of(window),
        )
        addresses, state, balance, joint_key = await self._chain.read_all(views)
        sessions = await self._chain.read_all([private_market.session_of(each) for each in addresses])
        numbers = [number for session in sessions for number in session.sales]
        trades = await self._chain.read_all([private_market.trade_of(number) for number in numbers])
        return WindowShown(
            sessions=tuple(
                SessionShown(_public(address, each.contact_key, each.tick), each.side, each.state)
                for address, each in zip(addresses, sessions, strict=True)
            ),
            trades=tuple(
                TradeShown(number, trade.seller, trade.buyer, trade.tick, trade.state)
                for number, trade in zip(numbers, trades, strict=True)
            ),
            closed=balance.closed,
            prepared=state.prepared,
            joint_key=SECP256K1.point_from_bytes_checked(joint_key),
        )


def after(shown: WindowShown, event: Event) -> WindowShown:
    """Return a window after one of its events. Pure; states only go forward."""
    match event:
        case SessionOffered(session=address):
            public = _public(address, event.contact_key, event.tick)
            return _with_session(shown, SessionShown(public, Side(event.side), SessionState.OFFERED))
        case SessionFunded(session=address):
            return _session_in(shown, address, SessionState.FUNDED)
        case SessionSettled(session=address):
            return _session_in(shown, address, SessionState.SETTLED)
        case SessionForfeited(session=address):
            return _session_in(shown, address, SessionState.FORFEITED)
        case TradeAllocated(trade_id=number):
            allocated = TradeShown(number, event.seller, event.buyer, event.tick, TradeState.ALLOCATED)
            return _with_trade(shown, allocated)
        case TradeAllowed(trade_id=number):
            return _trade_in(shown, number, TradeState.ALLOWED)
        case TradeDelivered(trade_id=number):
            return _trade_in(shown, number, TradeState.DELIVERED)
        case TradeDefaulted(trade_id=number):
            return _trade_in(shown, number, TradeState.DEFAULTED)
        case RowsPrepared():
            return replace(shown, prepared=True)
        case WindowClosed():
            return replace(shown, closed=True)
        case _:
            return shown


def _kept(windows: dict[int, T], newest: int) -> dict[int, T]:
    return {window: row for window, row in windows.items() if window >= newest - KEPT_WINDOWS}


def _with_session(shown: WindowShown, session: SessionShown) -> WindowShown:
    known = shown.session(session.public.address) is not None
    return shown if known else replace(shown, sessions=(*shown.sessions, session))


def _with_trade(shown: WindowShown, trade: TradeShown) -> WindowShown:
    known = any(each.trade_id == trade.trade_id for each in shown.trades)
    return shown if known else replace(shown, trades=(*shown.trades, trade))


def _session_in(shown: WindowShown, address: bytes, state: SessionState) -> WindowShown:
    rows = (
        replace(each, state=max(each.state, state)) if each.public.address == address else each
        for each in shown.sessions
    )
    return replace(shown, sessions=tuple(rows))


def _trade_in(shown: WindowShown, number: bytes, state: TradeState) -> WindowShown:
    rows = (replace(each, state=max(each.state, state)) if each.trade_id == number else each for each in shown.trades)
    return replace(shown, trades=tuple(rows))


def _public(address: bytes, contact_key: bytes, tick: int) -> PublicSession:
    return PublicSession(address, contact_key, tick * PRICE_TICK_MICROEUR_PER_KWH)
