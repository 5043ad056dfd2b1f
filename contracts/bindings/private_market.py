"""PrivateMarket: sessions of a private window, whose balances and trades nobody reads (docs/private-window.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any, Final

from eth_abi.abi import encode
from eth_hash.auto import keccak

from contracts.bindings.abi import Event, Interface, View, construct, one
from contracts.bindings.market_types import Rails, Tariff
from contracts.bindings.meter_registry import Schedule, WindowTime
from contracts.system import PRIVATE_MARKET

POINT_BYTES: Final = 33
AMOUNT_BYTES: Final = 3 * POINT_BYTES  # commitment and ciphertext
TOLD_BYTES: Final = 72
SALE_BYTES: Final = AMOUNT_BYTES + TOLD_BYTES
RESIDUAL_BYTES: Final = 5 * POINT_BYTES
PAYOUT_BYTES: Final = 107
ROW_BYTES: Final = 3 * POINT_BYTES  # ring key, trace key, readings
IMPORT_WEIGHT: Final = 1 << 40  # of imports, in the one commitment to both readings of a meter
ENERGY_BITS: Final = 32
BALANCE_BITS: Final = 64
MAX_SALES: Final = 6
MAX_PURCHASES: Final = 8
MIN_MEMBERS: Final = 8


class Side(IntEnum):
    """What a session wants in its window."""

    NONE = 0
    SELL = 1
    BUY = 2


class SessionState(IntEnum):
    """Where a session stands."""

    NONE = 0
    OFFERED = 1
    FUNDED = 2
    SETTLED = 3
    FORFEITED = 4


class TradeState(IntEnum):
    """Where a trade stands; ALLOWED binds both sides."""

    NONE = 0
    ALLOCATED = 1
    ALLOWED = 2
    DELIVERED = 3
    DEFAULTED = 4


@dataclass(frozen=True, slots=True)
class StoredPoint:
    """A point, its encoding's first byte apart; zeros for none."""

    x: bytes
    prefix: int

    def to_bytes(self) -> bytes:
        """Return the encoding, 33 bytes."""
        return bytes((self.prefix,)) + self.x


@dataclass(frozen=True, slots=True)
class StoredAmount:
    """Commitment and ciphertext of an amount, as they are stored."""

    commitment: bytes
    ephemeral: bytes
    masked: bytes
    commitment_prefix: int
    ephemeral_prefix: int
    masked_prefix: int

    def to_bytes(self) -> bytes:
        """Return C ‖ R ‖ M, 99 bytes."""
        rows = (
            (self.commitment_prefix, self.commitment),
            (self.ephemeral_prefix, self.ephemeral),
            (self.masked_prefix, self.masked),
        )
        return b"".join(bytes((prefix,)) + x for prefix, x in rows)


@dataclass(frozen=True, slots=True)
class Session:
    """A session; `nullifier` and `budget` are hashes, of D and of the lock that funds it."""

    window: int
    tick: int
    side: Side
    state: SessionState
    contact_key: bytes
    nullifier: bytes
    budget: bytes
    balance: StoredAmount
    sales: tuple[bytes, ...]
    purchases: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Trade:
    """A trade; `amount` is what was agreed and, once delivered, what is short of it."""

    seller: bytes
    tick: int
    state: TradeState
    buyer: bytes
    amount: StoredAmount
    delivered: StoredPoint


@dataclass(frozen=True, slots=True)
class WindowState:
    """A window: how many funded sessions are open, and what it owes the operator (R ‖ M, 66 bytes)."""

    prepared: bool
    members: int
    open: int
    paid: bool
    total_microeur: int
    sealed_total: bytes


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a session settles with.

    Args:
        sales: a sale that was allowed: commitment and ciphertext of what was delivered, and what the buyer is told.
        residuals: commitments to what was bought from the grid, resold to it, and sold to it of the export; then the
            ciphertext of what is owed to the operator.
        payout: key, ephemeral, view tag and opening of the note.
        declined: bit i for the i-th purchase that is given up.
        sealings: proofs of the sales' ciphertexts and of what is owed, 128 bytes each.
        energy_range: that residuals, deliveries and shortages are below 2^32.
        balance_range: that what is left is below 2^64.
        ring: the signature of the member, with the offer's nullifier.
    """

    sales: bytes
    residuals: bytes
    payout: bytes
    declined: int
    sealings: bytes
    energy_range: bytes
    balance_range: bytes
    ring: bytes


@dataclass(frozen=True, slots=True)
class SessionOffered(Event):
    """A member offers, or says that it does not; everything else comes from the session."""

    window: int
    session: bytes
    contact_key: bytes
    side: Side
    tick: int
    nullifier: bytes


@dataclass(frozen=True, slots=True)
class SessionFunded(Event):
    """A session's budget was locked: commitment and ciphertext."""

    window: int
    session: bytes
    amount: bytes


@dataclass(frozen=True, slots=True)
class TradeAllocated(Event):
    """A seller allocated energy to a buyer: commitment and ciphertext of how much."""

    trade_id: bytes
    window: int
    buyer: bytes
    seller: bytes
    tick: int
    quantity: bytes


@dataclass(frozen=True, slots=True)
class TradeAllowed(Event):
    """The buyer has paid into escrow: the trade binds."""

    trade_id: bytes
    window: int
    buyer: bytes
    seller: bytes


@dataclass(frozen=True, slots=True)
class RowsPrepared(Event):
    """The rows that settlements of a window are checked against are stored."""

    window: int
    rows: bytes
    members: int


@dataclass(frozen=True, slots=True)
class TradeDelivered(Event):
    """A seller delivered: commitment and ciphertext of how much, and what the buyer is told of it."""

    trade_id: bytes
    window: int
    buyer: bytes
    delivered: bytes
    told: bytes


@dataclass(frozen=True, slots=True)
class TradeDefaulted(Event):
    """A seller did not settle in time: escrow and bond of this trade are the buyer's."""

    trade_id: bytes
    window: int
    buyer: bytes


@dataclass(frozen=True, slots=True)
class SessionSettled(Event):
    """A session settled; what is left of its balance is the note with this key."""

    window: int
    session: bytes
    residuals: bytes
    declined: int
    key: bytes


@dataclass(frozen=True, slots=True)
class SessionForfeited(Event):
    """A session did not settle in time: its balance is the operator's."""

    window: int
    session: bytes


@dataclass(frozen=True, slots=True)
class OperatorPartGiven(Event):
    """An auditor gave its part of the opening of what a window owes the operator."""

    window: int
    auditor: int
    part: bytes


@dataclass(frozen=True, slots=True)
class OperatorPaid(Event):
    """The operator got what a window owes it; if negative, it paid."""

    window: int
    total_microeur: int
    auditors: tuple[int, ...]


INTERFACE = Interface(
    "PrivateMarket",
    PRIVATE_MARKET,
    (
        SessionOffered,
        SessionFunded,
        TradeAllocated,
        TradeAllowed,
        RowsPrepared,
        TradeDelivered,
        TradeDefaulted,
        SessionSettled,
        SessionForfeited,
        OperatorPartGiven,
        OperatorPaid,
    ),
)


# -- calls


def offer(
    window: int,
    nullifier: bytes,
    session: bytes,
    contact_key: bytes,
    side: Side,
    tick: int,
    budget: bytes,
    consent: bytes,
) -> bytes:
    """Make a member's one call of a window; sent as an anonymous call.

    Args:
        window: the one after the current.
        nullifier: D, 33 bytes.
        session: who sends everything else.
        contact_key: for envelopes to the session (X25519, 32 bytes).
        side: what it wants.
        tick: its price, in ticks of a thousand micro-euro per kWh; 0 with no side.
        budget: `budget_of` the lock that will fund the session.
        consent: the session's signature of `session_message`: r ‖ s ‖ v, 65 bytes, v 27 or 28.
    """
    return INTERFACE.call("offer", window, nullifier, session, contact_key, side, tick, budget, consent)


def fund(session: bytes, window: int, lock: bytes) -> bytes:
    """Bring a session's budget; called by the pool alone."""
    return INTERFACE.call("fund", session, window, lock)


def allocate(
    buyer: bytes, tick: int, quantity: bytes, sealing: bytes, energy_range: bytes, balance_range: bytes
) -> bytes:
    """Allocate energy to a buyer; sent by the seller's session. The proofs are bound to `trade_id_of`."""
    return INTERFACE.call("allocate", buyer, tick, quantity, sealing, energy_range, balance_range)


def allow(trade_id: bytes, balance_range: bytes) -> bytes:
    """Pay a trade's price into escrow; sent by the buyer's session. The proof is bound to `allow_message`."""
    return INTERFACE.call("allow", trade_id, balance_range)


def prepare(window: int) -> bytes:
    """Store what settlements of a closed window are checked against. Anyone may."""
    return INTERFACE.call("prepare", window)


def settle(given: Settlement) -> bytes:
    """Settle a session's window; sent by the session. The proofs are bound to `settlement_message`."""
    return INTERFACE.call("settle", _row(given))


def default(trade_id: bytes) -> bytes:
    """Put on record that a seller did not settle in time. Anyone may."""
    return INTERFACE.call("default_", trade_id)


def forfeit(session: bytes) -> bytes:
    """Give the operator the balance of a session that did not settle in time. Anyone may."""
    return INTERFACE.call("forfeit", session)


def give_part(window: int, auditor: int, part: bytes, proof: bytes) -> bytes:
    """Give an auditor's part of the opening of a window's total; sent by the auditor, bound to `request`."""
    return INTERFACE.call("givePart", window, auditor, part, proof)


def pay_operator(window: int, total_microeur: int, by: Sequence[int]) -> bytes:
    """Pay the operator the total that the parts of these auditors open to. Anyone may."""
    return INTERFACE.call("payOperator", window, total_microeur, list(by))


# -- views


def session_of(account: bytes) -> View[Session]:
    """A session; of state NONE if there is none."""
    return INTERFACE.view(lambda row: construct(Session, row), "sessionOf", account)


def trade_of(trade_id: bytes) -> View[Trade]:
    """A trade; of state NONE if there is none."""
    return INTERFACE.view(lambda row: construct(Trade, row), "tradeOf", trade_id)


def balance_of(account: bytes) -> View[bytes]:
    """A session's balance: C ‖ R ‖ M."""
    return INTERFACE.view(one, "balanceOf", account)


def sessions_of(window: int) -> View[tuple[bytes, ...]]:
    """The sessions of a window, in the order of their offers."""
    return INTERFACE.view(one, "sessionsOf", window)


def window_state(window: int) -> View[WindowState]:
    """Where a window stands."""
    return INTERFACE.view(lambda row: construct(WindowState, row), "windowState", window)


def rows_of(window: int) -> View[bytes]:
    """The rows of a prepared window: ring key, trace key and readings of each member, 99 bytes."""
    return INTERFACE.view(one, "rowsOf", window)


def last_for(window: int, side: Side) -> View[int]:
    """The last window in which sellers, or all others, settle the trades of a window."""
    return INTERFACE.view(one, "lastFor", window, side)


def penalty() -> View[int]:
    """The penalty of this market, in micro-euro per kWh."""
    return INTERFACE.view(one, "penalty")


def registry() -> View[bytes]:
    """Whose rings count."""
    return INTERFACE.view(one, "registry")


def pool() -> View[bytes]:
    """Who brings budgets and makes notes."""
    return INTERFACE.view(one, "pool")


def sealed_meters() -> View[bytes]:
    """Whose readings and auditors count."""
    return INTERFACE.view(one, "sealedMeters")


def operator() -> View[bytes]:
    """Who is owed what households buy from the grid."""
    return INTERFACE.view(one, "operator")


def schedule() -> View[Schedule]:
    """The schedule of the genesis file."""
    return INTERFACE.view(lambda row: Schedule(**row), "schedule")


def current_window() -> View[WindowTime]:
    """The window of the block's timestamp."""
    return INTERFACE.view(WindowTime, "currentWindow")


def tariff_at(window: int) -> View[Tariff]:
    """The tariff of a window."""
    return INTERFACE.view(lambda row: Tariff(**row), "tariffAt", window)


def rails(window: int) -> View[Rails]:
    """Between which prices trades of a window lie."""
    return INTERFACE.view(Rails, "rails", window)


# -- what proofs are bound to


def budget_of(lock: bytes) -> bytes:
    """Return what an offer says of the lock (C ‖ R ‖ M, and perhaps its proof) that will fund its session."""
    return bytes(keccak(lock[:AMOUNT_BYTES]))


def session_message(chain_id: int, window: int, nullifier: bytes) -> bytes:
    """Return what a session signs to be that of the offer with this nullifier (33 bytes)."""
    return _bound("gridpact/session/v1", chain_id, (("uint64", window), ("bytes", nullifier)))


def trade_id_of(chain_id: int, window: int, seller: bytes, buyer: bytes, tick: int, quantity: bytes) -> bytes:
    """Return a trade's number: what the proofs of its allocation are bound to."""
    terms = (("address", seller), ("address", buyer), ("uint16", tick), ("bytes", quantity))
    return _bound("gridpact/trade/v1", chain_id, (("uint64", window), *terms))


def cover_number(chain_id: int, window: int, seller: bytes, buyer: bytes, number: int) -> bytes:
    """Return what stands for the agreement in a trade of nothing, the number-th of its seller and buyer."""
    terms = (("address", seller), ("address", buyer), ("uint8", number))
    return _bound("gridpact/cover/v1", chain_id, (("uint64", window), *terms))


def allow_message(chain_id: int, trade_id: bytes) -> bytes:
    """Return what the proof of an escrow is bound to."""
    return _bound("gridpact/allow/v1", chain_id, (("bytes32", trade_id),))


def settlement_message(
    chain_id: int, window: int, session: bytes, sales: bytes, residuals: bytes, payout: bytes, declined: int
) -> bytes:
    """Return what the proofs of a settlement are bound to."""
    said = (("bytes", sales), ("bytes", residuals), ("bytes", payout), ("uint16", declined))
    return _bound("gridpact/settle/v1", chain_id, (("uint64", window), ("address", session), *said))


def request(chain_id: int, window: int) -> bytes:
    """Return what an auditor's part of a window's total is bound to."""
    return _bound("gridpact/operator/v1", chain_id, (("uint64", window),))


def _row(given: Settlement) -> tuple[Any, ...]:
    return tuple(getattr(given, field.name) for field in fields(given))


def _bound(label: str, chain_id: int, typed: Sequence[tuple[str, object]]) -> bytes:
    rows = [("string", label), ("uint256", chain_id), ("address", PRIVATE_MARKET), *typed]
    return bytes(keccak(encode([kind for kind, _ in rows], [value for _, value in rows])))
