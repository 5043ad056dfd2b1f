"""What a private street did: what everyone sees of market and pool, and what the devnet's keys open of it.

A devnet knows all keys. On a real street auditors open one amount together, on record, and nobody opens all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from agents.auditing.amounts import BOUNDS, found_signed
from agents.chain import Chain, LoggedEvent
from contracts.bindings import fiat_token, private_market, shielded_pool
from contracts.bindings.private_market import (
    POINT_BYTES,
    SessionForfeited,
    SessionFunded,
    SessionOffered,
    SessionSettled,
    TradeAllocated,
    TradeAllowed,
    TradeDefaulted,
    TradeDelivered,
    WindowState,
)
from contracts.system import PRIVATE_MARKET, SHIELDED_POOL
from devnet.auditors import THRESHOLD, Auditors
from devnet.processes import DevnetError
from privacy.auditors import ciphertext_from_bytes_checked, lagrange
from privacy.secp256k1 import SECP256K1

CIPHERTEXT_BYTES = 2 * POINT_BYTES
_G = SECP256K1

Opener = Callable[[bytes], int]
"""Returns the amount in what ends with a ciphertext R ‖ M."""


@dataclass(frozen=True, slots=True)
class PrivateChain:
    """What a node shows of market and pool at one height.

    Args:
        height: the newest.
        events: of private market and pool, in order.
        states: by window.
        balances: C ‖ R ‖ M of the sessions that are funded and open, by account.
        accounts: micro-euro by account.
        pool_microeur: what the pool holds.
    """

    height: int
    events: tuple[LoggedEvent, ...]
    states: Mapping[int, WindowState]
    balances: Mapping[bytes, bytes]
    accounts: Mapping[bytes, int]
    pool_microeur: int


@dataclass(slots=True)
class Trade:
    """A trade of sessions; energy in watt-hours, what was delivered is nothing before the seller settled."""

    window: int
    seller: bytes
    buyer: bytes
    tick: int
    energy_wh: int
    allowed: bool = False
    delivered_wh: int | None = None
    defaulted: bool = False


@dataclass(slots=True)
class SessionDay:
    """A session's way: `settled_with` is the key of the note that it settled with."""

    window: int
    funded: bool = False
    settled_with: bytes | None = None
    forfeited: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it holds money."""
        return self.funded and self.settled_with is None and not self.forfeited


async def read_private_chain(rpc: str, accounts: Sequence[bytes]) -> PrivateChain:
    """Read market and pool from a node, all of it at one height.

    Raises:
        NodeError, NodeUnreachable: the node fails.
    """
    chain = Chain(rpc)
    try:
        while True:
            height = await chain.height()
            events = tuple(await chain.events([PRIVATE_MARKET, SHIELDED_POOL], 0, height))
            sessions = sessions_of(events)
            windows = sorted({each.window for each in sessions.values()})
            states = await chain.read_all([private_market.window_state(window) for window in windows])
            holding = [account for account, each in sessions.items() if each.is_open]
            balances = await chain.read_all([private_market.balance_of(account) for account in holding])
            money = await chain.read_all([fiat_token.balance_of(account) for account in accounts])
            (pool,) = await chain.read(shielded_pool.balance())
            if await chain.height() == height:
                return PrivateChain(
                    height,
                    events,
                    dict(zip(windows, states, strict=True)),
                    dict(zip(holding, balances, strict=True)),
                    dict(zip(accounts, money, strict=True)),
                    pool,
                )
    finally:
        await chain.close()


def sessions_of(events: Sequence[LoggedEvent]) -> dict[bytes, SessionDay]:
    """Return all sessions by account, in the order of their offers."""
    found: dict[bytes, SessionDay] = {}
    for logged in events:
        match logged.event:
            case SessionOffered(window=window, session=account):
                found[account] = SessionDay(window)
            case SessionFunded(session=account):
                found[account].funded = True
            case SessionSettled(session=account, key=key):
                found[account].settled_with = key
            case SessionForfeited(session=account):
                found[account].forfeited = True
    return found


def trades_of(events: Sequence[LoggedEvent], opened: Opener) -> list[Trade]:
    """Return all trades with their energy, in the order allocated."""
    found: dict[bytes, Trade] = {}
    for logged in events:
        match logged.event:
            case TradeAllocated(trade_id=number) as event:
                energy_wh = opened(event.quantity)
                found[number] = Trade(event.window, event.seller, event.buyer, event.tick, energy_wh)
            case TradeAllowed(trade_id=number):
                found[number].allowed = True
            case TradeDelivered(trade_id=number, delivered=delivered):
                found[number].delivered_wh = opened(delivered)
            case TradeDefaulted(trade_id=number):
                found[number].defaulted = True
    return list(found.values())


def locked_microeur(chain: PrivateChain, trades: Sequence[Trade], penalty_ticks: int, opened: Opener) -> int:
    """Return what open sessions hold, and what their trades hold that is theirs when they settle."""
    held = sum(map(opened, chain.balances.values()))
    for trade in trades:
        price = trade.tick + penalty_ticks
        if trade.delivered_wh is not None:
            held += price * (trade.energy_wh - trade.delivered_wh) * (trade.buyer in chain.balances)
        elif trade.defaulted:
            held += price * trade.energy_wh * (trade.buyer in chain.balances)
        elif trade.allowed:
            held += price * trade.energy_wh
        else:
            held += penalty_ticks * trade.energy_wh * (trade.seller in chain.balances)
    return held


def owed_microeur(states: Mapping[int, WindowState], opened: Opener) -> dict[int, int]:
    """Return, by window, what it owes the operator and was not paid yet; negative if the operator owes."""
    nothing = bytes(CIPHERTEXT_BYTES)
    return {
        window: opened(state.sealed_total)
        for window, state in states.items()
        if not state.paid and state.sealed_total != nothing
    }


def opener_of(auditors: Auditors) -> Opener:
    """Return what opens amounts with the auditors' shares; it raises DevnetError where there is no amount."""
    numbers = [each.number for each in auditors.keys[:THRESHOLD]]
    shares = {each.number: each.share for each in auditors.keys}
    secret = _G.scalar(sum(lagrange(_G, number, numbers) * shares[number] for number in numbers))

    @cache
    def opened(hidden: bytes) -> int:
        sealed = ciphertext_from_bytes_checked(_G, hidden[-CIPHERTEXT_BYTES:])
        point = _G.subtract(sealed.masked, _G.multiply(secret, sealed.ephemeral))
        found = found_signed(point)
        if found is None:
            raise DevnetError(f"no amount below {BOUNDS[-1]} in {hidden.hex()}")
        return found

    return opened
