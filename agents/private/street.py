"""What a household sees of a private window, and what it needs to take part: the doors to chain, wallet and proofs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from agents.chain import Call
from agents.market.mechanism import Terms
from agents.private.openings import Opening, drawn
from agents.private.session import PublicSession, Session
from contracts.bindings.market_types import PRICE_TICK_MICROEUR_PER_KWH
from contracts.bindings.private_market import SessionState, Side, TradeState, trade_id_of
from privacy.secp256k1 import Point


@dataclass(frozen=True, slots=True)
class SessionShown:
    """A session as everyone sees it."""

    public: PublicSession
    side: Side
    state: SessionState


@dataclass(frozen=True, slots=True)
class TradeShown:
    """A trade as everyone sees it, the price in ticks; its number stands for all that was agreed, the hidden energy
    too."""

    trade_id: bytes
    seller: bytes
    buyer: bytes
    tick: int
    state: TradeState


@dataclass(frozen=True, slots=True)
class WindowShown:
    """A private window as everyone sees it.

    Args:
        sessions: in the order of their offers.
        trades: in the order allocated.
        closed: whether the meters of the window are closed.
        prepared: whether the rows that settlements are checked against are stored.
        joint_key: of the window's auditors, which trades are sealed to; None before it was read.
    """

    sessions: tuple[SessionShown, ...] = ()
    trades: tuple[TradeShown, ...] = ()
    closed: bool = False
    prepared: bool = False
    joint_key: Point | None = None

    def session(self, address: bytes) -> SessionShown | None:
        """Return the session of this account."""
        return next((each for each in self.sessions if each.public.address == address), None)

    def of(self, address: bytes, *states: TradeState) -> tuple[TradeShown, ...]:
        """Return a session's trades that are in one of these states."""
        return tuple(each for each in self.trades if address in (each.seller, each.buyer) and each.state in states)


@dataclass(frozen=True, slots=True)
class Intent:
    """What a session is opened with: what it offers, at which price, the money that it locks, and the chain's height
    before."""

    side: Side
    purpose: str
    energy_wh: int
    price_microeur_per_kwh: int
    budget_microeur: int
    height: int


@dataclass(frozen=True, slots=True)
class Deal:
    """What a session agreed on with another.

    Args:
        agreement: the number that both gave it when they agreed (32 bytes).
        trade_id: the number that the market gives it (32 bytes).
        seller, buyer: sessions.
        terms: energy and price.
        quantity: what opens the energy on chain.
        key: under which the seller tells what it delivered (64 bytes).
    """

    agreement: bytes
    trade_id: bytes
    seller: bytes
    buyer: bytes
    terms: Terms
    quantity: Opening
    key: bytes

    @property
    def tick(self) -> int:
        """The price, in ticks."""
        return self.terms.price_microeur_per_kwh // PRICE_TICK_MICROEUR_PER_KWH


def make_deal(
    chain_id: int, joint_key: Point, session: Session, peer: PublicSession, agreement: bytes, terms: Terms, side: Side
) -> Deal:
    """Return a deal as both sides of it make it, each with its own session.

    Args:
        chain_id: the chain's.
        joint_key: of the window's auditors.
        session: the own one.
        peer: the other.
        agreement: 32 bytes.
        terms: energy and price.
        side: the own one.

    Raises:
        InvalidRelayKey: the peer's contact key is of small order.
    """
    seller, buyer = (session.address, peer.address) if side is Side.SELL else (peer.address, session.address)
    key = session.shared_with(peer, agreement)
    quantity = drawn("quantity", terms.energy_wh, key)
    trade_id = trade_id_of(
        chain_id,
        session.window,
        seller,
        buyer,
        terms.price_microeur_per_kwh // PRICE_TICK_MICROEUR_PER_KWH,
        quantity.hidden(joint_key),
    )
    return Deal(agreement, trade_id, seller, buyer, terms, quantity, key)


class Street(Protocol):
    """The chain as a private window needs it. All raise NodeUnreachable or NodeError when the node fails."""

    async def shown(self, window: int) -> WindowShown:
        """Return a window as it is now."""
        ...

    async def height(self) -> int:
        """Return the newest height."""
        ...

    async def outcome(self, transaction: bytes) -> bool | None:
        """Return whether a transaction succeeded; None while it is in no block."""
        ...

    async def nonce(self, account: bytes) -> int:
        """Return how many transactions of an account are in blocks."""
        ...


class Scribe(Protocol):
    """Makes what a session sends: it has the member's keys, its wallet, and its meter's openings.

    The same session, intent and deals give the same openings, whenever they are asked for.
    """

    async def spendable_microeur(self) -> int:
        """Return the most that can be locked now."""
        ...

    async def offer(self, session: Session, intent: Intent) -> bytes:
        """Return the anonymous call (0x6e) that offers."""
        ...

    async def fund(self, session: Session, intent: Intent) -> bytes:
        """Return the transfer (0x6f) that locks the budget.

        Raises:
            NotEnoughNotes: two notes that can be spent do not hold as much.
        """
        ...

    async def allocate(self, session: Session, intent: Intent, deals: Sequence[Deal], deal: Deal) -> Call:
        """Return the call that allocates a deal, those in `deals` being allocated before."""
        ...

    async def allow(self, session: Session, intent: Intent, deals: Sequence[Deal], deal: Deal) -> Call:
        """Return the call that allows a deal, those in `deals` being allowed before."""
        ...

    def close(self, window: int) -> Call:
        """Return the call that closes a window's readings."""
        ...

    def prepare(self, window: int) -> Call:
        """Return the call that prepares a window."""
        ...

    def default(self, trade: TradeShown) -> Call:
        """Return the call that puts a seller's default on record."""
        ...

    async def settle(self, session: Session, intent: Intent, deals: Sequence[Deal], shown: WindowShown) -> Call:
        """Return the call that settles a session."""
        ...


class NotEnoughNotes(LookupError):
    """The wallet has no two notes that hold what has to be locked."""

    def __init__(self, wanted_microeur: int, spendable_microeur: int) -> None:
        super().__init__(f"budget {wanted_microeur} micro-euro: two spendable notes hold at most {spendable_microeur}")
        self.wanted_microeur = wanted_microeur
        self.spendable_microeur = spendable_microeur
