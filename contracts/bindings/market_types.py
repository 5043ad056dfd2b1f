"""The market's values and events."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from contracts.bindings.abi import Event

PRICE_TICK_MICROEUR_PER_KWH = 1000


class TradeState(IntEnum):
    """Where a trade stands; ALLOWED binds both sides."""

    NONE = 0
    ALLOCATED = 1
    ALLOWED = 2
    SETTLED = 3


class CashKind(IntEnum):
    """What a line of a settlement is for."""

    TRADE = 0
    SHORTAGE = 1
    PENALTY = 2
    UNUSED = 3
    LOCAL_CHARGES = 4
    SURPLUS = 5
    GRID_PURCHASE = 6
    MARGIN = 7


@dataclass(frozen=True, slots=True)
class Tariff:
    """A tariff's parts, valid from a window on."""

    valid_from_window: int
    energy_microeur_per_kwh: int
    grid_microeur_per_kwh: int
    levies_microeur_per_kwh: int
    local_charges_microeur_per_kwh: int
    feed_in_microeur_per_kwh: int

    @property
    def retail_microeur_per_kwh(self) -> int:
        """Energy, grid and levies."""
        return self.energy_microeur_per_kwh + self.grid_microeur_per_kwh + self.levies_microeur_per_kwh

    @property
    def rails(self) -> Rails:
        """Between which prices the street trades under this tariff."""
        highest = self.retail_microeur_per_kwh - self.local_charges_microeur_per_kwh
        return Rails(self.feed_in_microeur_per_kwh, max(highest, 0))


@dataclass(frozen=True, slots=True)
class Rails:
    """The lowest and the highest price of a trade; with the lowest above the highest, no trade pays."""

    lowest_microeur_per_kwh: int
    highest_microeur_per_kwh: int


@dataclass(frozen=True, slots=True)
class Parameters:
    """The genesis parameters beside schedule and tariffs."""

    penalty_microeur_per_kwh: int
    operator_margin_microeur_per_kwh: int
    minimum_lot_wh: int


@dataclass(frozen=True, slots=True)
class Info:
    """What an agent published of itself."""

    household: bytes
    published_at_s: int
    endpoint: str
    ontology: str


@dataclass(frozen=True, slots=True)
class Offer:
    """A promise to deliver in `window`; `pledged_microeur` of the deposit is needed by allocations not allowed yet."""

    offer_id: int
    seller: bytes
    window: int
    energy_wh: int
    allocated_wh: int
    price_microeur_per_kwh: int
    buy_now_microeur_per_kwh: int
    deposit_microeur: int
    pledged_microeur: int

    @property
    def left_wh(self) -> int:
        """What is not allocated yet."""
        return self.energy_wh - self.allocated_wh


@dataclass(frozen=True, slots=True)
class OffersPage:
    """A page of a window's offers, and how many there are in all."""

    offers: tuple[Offer, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Trade:
    """A contract; `seller_before_wh` and `buyer_before_wh` are what both had contracted for the window before."""

    trade_id: bytes
    seller: bytes
    energy_wh: int
    price_microeur_per_kwh: int
    state: TradeState
    buyer: bytes
    window: int
    delivered_wh: int
    seller_before_wh: int
    buyer_before_wh: int
    offer_id: int


@dataclass(frozen=True, slots=True)
class TradesPage:
    """A page of a window's trades in the order allocated, and how many there are in all."""

    trades: tuple[Trade, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Position:
    """A household in a window: contracted, and the readings with which it is settled, once they are taken."""

    sold_wh: int
    bought_wh: int
    export_wh: int
    import_wh: int
    readings_taken: bool
    settled: bool


@dataclass(frozen=True, slots=True)
class TariffSet(Event):
    """A tariff holds from a window on."""

    valid_from_window: int
    energy_microeur_per_kwh: int
    grid_microeur_per_kwh: int
    levies_microeur_per_kwh: int
    local_charges_microeur_per_kwh: int
    feed_in_microeur_per_kwh: int


@dataclass(frozen=True, slots=True)
class InfoPublished(Event):
    """An agent published how to reach it."""

    agent: bytes
    household: bytes
    endpoint: str
    ontology: str


@dataclass(frozen=True, slots=True)
class OfferMade(Event):
    """A seller offers energy of a window."""

    offer_id: int
    window: int
    seller: bytes
    energy_wh: int
    price_microeur_per_kwh: int
    buy_now_microeur_per_kwh: int
    deposit_microeur: int


@dataclass(frozen=True, slots=True)
class OfferWithdrawn(Event):
    """A seller withdrew what was left of its offer."""

    offer_id: int
    window: int
    seller: bytes
    returned_microeur: int


@dataclass(frozen=True, slots=True)
class EnergyAllocated(Event):
    """A seller allocated energy to a buyer that had accepted."""

    trade_id: bytes
    window: int
    buyer: bytes
    seller: bytes
    offer_id: int
    energy_wh: int
    price_microeur_per_kwh: int
    negotiation_id: bytes


@dataclass(frozen=True, slots=True)
class TransactionAllowed(Event):
    """The buyer escrowed the price: the contract is recorded."""

    trade_id: bytes
    window: int
    buyer: bytes
    seller: bytes
    escrow_microeur: int


@dataclass(frozen=True, slots=True)
class TransactionMade(Event):
    """A contract was settled; `delivered_wh` were minted, moved and burnt."""

    trade_id: bytes
    window: int
    buyer: bytes
    seller: bytes
    seller_filled_wh: int
    buyer_filled_wh: int
    delivered_wh: int


@dataclass(frozen=True, slots=True)
class ReadingsTaken(Event):
    """The readings of a household's settlement; if not complete, missing quarters count as zero."""

    window: int
    household: bytes
    import_wh: int
    export_wh: int
    complete: bool


@dataclass(frozen=True, slots=True)
class WindowSettled(Event):
    """Surplus and grid purchase of a household and window were settled."""

    window: int
    household: bytes
    surplus_wh: int
    purchase_wh: int


@dataclass(frozen=True, slots=True)
class Cash(Event):
    """A line of a settlement: what `party` receives, or pays if negative. A transaction's lines sum to zero."""

    window: int
    party: bytes
    kind: CashKind
    amount_microeur: int


@dataclass(frozen=True, slots=True)
class DebtBooked(Event):
    """The party owes after a settlement."""

    party: bytes
    window: int
    debt_microeur: int


@dataclass(frozen=True, slots=True)
class PaidIn(Event):
    """Money came in to a party's balance."""

    party: bytes
    payer: bytes
    amount_microeur: int


@dataclass(frozen=True, slots=True)
class PaidOut(Event):
    """Money left a party's balance."""

    party: bytes
    to: bytes
    amount_microeur: int


EVENTS: tuple[type[Event], ...] = (
    TariffSet,
    InfoPublished,
    OfferMade,
    OfferWithdrawn,
    EnergyAllocated,
    TransactionAllowed,
    TransactionMade,
    ReadingsTaken,
    WindowSettled,
    Cash,
    DebtBooked,
    PaidIn,
    PaidOut,
)
