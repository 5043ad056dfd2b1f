"""The buyer's side of a window: which offer to ask next, for which demand, and what is bought so far. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from agents.market.mechanism import LESS_IS_LEFT, NOT_OPEN, SOLD_OUT, Terms
from agents.trading.plan import Demand
from contracts.bindings.market_types import Offer

MAX_ATTEMPTS = 3  # of one demand at one offer: again only after silence, or if it had less left or was not open


@dataclass(frozen=True, slots=True)
class Errand:
    """Ask the seller of an offer for energy for a demand."""

    demand: int
    offer: Offer
    wanted_wh: int


@dataclass(slots=True)
class Shopping:
    """A window's demands and what became of them.

    `bought_wh` holds what is agreed or signed for each demand; a signed acceptance that was never answered counts,
    because its seller may still record it.
    """

    demands: tuple[Demand, ...]
    minimum_lot_wh: int
    bought_wh: list[int] = field(default_factory=list)
    _attempts: dict[tuple[int, int], int] = field(default_factory=dict)
    _closed: set[tuple[int, int]] = field(default_factory=set)
    _sold_out: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.bought_wh = self.bought_wh or [0] * len(self.demands)

    def open_wh(self) -> int:
        """Return what is still wanted, lots that are too small left out."""
        gaps = [demand.energy_wh - bought for demand, bought in zip(self.demands, self.bought_wh, strict=True)]
        return sum(gap for gap in gaps if gap >= self.minimum_lot_wh)

    def next_errand(self, offers: Iterable[Offer], household: bytes) -> Errand | None:
        """Return whom to ask next; None if nothing is wanted or nobody is left to ask.

        Demands are served in their order. Offers are ranked by price, then the larger one, then the seller's address,
        then the offer's number: whoever computes the ranking gets the same one.
        """
        ranked = sorted(offers, key=rank)
        for demand, wanted in enumerate(self.demands):
            open_wh = wanted.energy_wh - self.bought_wh[demand]
            if open_wh < self.minimum_lot_wh:
                continue
            for offer in ranked:
                closed = (demand, offer.offer_id) in self._closed or offer.offer_id in self._sold_out
                if offer.seller == household or closed:
                    continue
                return Errand(demand, offer, open_wh)
        return None

    def began(self, errand: Errand) -> None:
        """Note that a conversation about an errand began."""
        key = (errand.demand, errand.offer.offer_id)
        self._attempts[key] = self._attempts.get(key, 0) + 1

    def agreed(self, errand: Errand, terms: Terms) -> None:
        """Note an agreement, or a signature that nobody answered."""
        self.bought_wh[errand.demand] += terms.energy_wh
        self._closed.add((errand.demand, errand.offer.offer_id))

    def failed(self, errand: Errand, reason: str, *, silent: bool = False) -> None:
        """Note a conversation without an agreement; who was silent, not open, or has less left may be asked again."""
        again = silent or reason in (LESS_IS_LEFT, NOT_OPEN)
        if reason == SOLD_OUT:
            self._sold_out.add(errand.offer.offer_id)
        key = (errand.demand, errand.offer.offer_id)
        if not again or self._attempts.get(key, 0) >= MAX_ATTEMPTS:
            self._closed.add(key)


def rank(offer: Offer) -> tuple[int, int, bytes, int]:
    """Return the order in which a buyer asks offers: the tie-break is total."""
    return (offer.price_microeur_per_kwh, -offer.energy_wh, offer.seller, offer.offer_id)
