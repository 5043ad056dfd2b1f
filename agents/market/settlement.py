"""The two-settlement rule in integers, as the Market contract books it: for forecasts of a bill and to check one.

For a contract of q at price p, with e the seller's attested export and m the buyer's attested import left for it: the
seller gets p·q − retail·(q−e)⁺, the buyer pays p·q − feed_in·(q−m)⁺; what a household exports beyond its sales is
paid at feed-in, what it imports beyond its purchases costs retail, once a window. Contracts fill in the order
recorded. Prices are multiples of the tick, so that nothing is rounded, and the lines of a window add up to zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from contracts.bindings.market import cost_microeur
from contracts.bindings.market_types import CashKind, Parameters, Tariff

GRID = "grid"
OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Contract:
    """A recorded trade of a window; parties by any name."""

    seller: str
    buyer: str
    energy_wh: int
    price_microeur_per_kwh: int


@dataclass(frozen=True, slots=True)
class Registers:
    """What a household's meter attested of a window."""

    import_wh: int
    export_wh: int


@dataclass(frozen=True, slots=True)
class Line:
    """What a party receives, or pays if negative."""

    party: str
    kind: CashKind
    amount_microeur: int


@dataclass(slots=True)
class WindowBooks:
    """A settled window: its lines and the energy delivered by contract (parallel to the contracts)."""

    lines: list[Line] = field(default_factory=list)
    delivered_wh: list[int] = field(default_factory=list)

    def balance_microeur(self, party: str) -> int:
        """Return what a party receives in all."""
        return sum(line.amount_microeur for line in self.lines if line.party == party)

    def book(self, kind: CashKind, payer: str, payee: str, price_microeur_per_kwh: int, energy_wh: int) -> None:
        """Write both lines of a payment of price × energy."""
        amount = cost_microeur(price_microeur_per_kwh, energy_wh)
        if amount:
            self.lines += [Line(payer, kind, -amount), Line(payee, kind, amount)]


def settle_window(
    contracts: Sequence[Contract], readings: Mapping[str, Registers], tariff: Tariff, terms: Parameters
) -> WindowBooks:
    """Settle a window: its contracts in the order recorded, then every household's surplus and grid purchase."""
    books = WindowBooks()
    sold = dict.fromkeys(readings, 0)
    bought = dict.fromkeys(readings, 0)
    feed_in = tariff.feed_in_microeur_per_kwh

    def retail(kind: CashKind, payer: str, energy_wh: int) -> None:
        books.book(kind, payer, GRID, tariff.retail_microeur_per_kwh, energy_wh)
        books.book(CashKind.MARGIN, GRID, OPERATOR, terms.operator_margin_microeur_per_kwh, energy_wh)

    for contract in contracts:
        quantity, seller, buyer = contract.energy_wh, contract.seller, contract.buyer
        seller_filled = min(quantity, max(0, readings[seller].export_wh - sold[seller]))
        buyer_filled = min(quantity, max(0, readings[buyer].import_wh - bought[buyer]))
        delivered = min(seller_filled, buyer_filled)
        sold[seller] += quantity
        bought[buyer] += quantity
        books.delivered_wh.append(delivered)
        books.book(CashKind.TRADE, buyer, seller, contract.price_microeur_per_kwh, quantity)
        retail(CashKind.SHORTAGE, seller, quantity - seller_filled)
        books.book(CashKind.PENALTY, seller, OPERATOR, terms.penalty_microeur_per_kwh, quantity - seller_filled)
        books.book(CashKind.UNUSED, GRID, buyer, feed_in, quantity - buyer_filled)
        books.book(CashKind.LOCAL_CHARGES, buyer, GRID, tariff.local_charges_microeur_per_kwh, delivered)
    for household in sorted(readings):
        registers = readings[household]
        books.book(CashKind.SURPLUS, GRID, household, feed_in, max(0, registers.export_wh - sold[household]))
        retail(CashKind.GRID_PURCHASE, household, max(0, registers.import_wh - bought[household]))
    return books
