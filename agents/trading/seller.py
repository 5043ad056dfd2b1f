"""The seller's side of a window: what to put on offer. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from agents.trading.plan import Supply
from agents.trading.strategy import Side, Situation, Strategy
from contracts.bindings.market import deposit_required
from contracts.bindings.market_types import Parameters, Rails, Tariff


@dataclass(frozen=True, slots=True)
class Asking:
    """An offer to make: its opening price is also the price at which it is sold without negotiation."""

    energy_wh: int
    price_microeur_per_kwh: int
    deposit_microeur: int


def asking_for(supply: Supply, strategy: Strategy, rails: Rails, tariff: Tariff, terms: Parameters) -> Asking:
    """Return the offer that a supply makes, with the deposit that the market requires at its price."""
    price = strategy.price_microeur_per_kwh(Situation(Side.SELLER, 0, supply.limits, rails))
    return Asking(supply.energy_wh, price, deposit_required(tariff, terms, supply.energy_wh, price))
