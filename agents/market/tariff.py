"""Tariff presets, in micro-euro per kWh: what a kWh from the grid is made of, and between which rails a street
trades."""

from __future__ import annotations

from collections.abc import Mapping

from contracts.bindings.market_types import Rails, Tariff

# Germany 2016, rounded to ticks so that the parts add up to 28.7 ct/kWh: supply and sales 7.1 ct, grid 7.0 ct, levies
# and taxes 14.6 ct (EEG 6.4, electricity tax 2.0, concession 1.6, value added tax and the rest 4.6); feed-in for a
# small roof 12.3 ct.
_ENERGY, _GRID, _LEVIES, _FEED_IN = 71_000, 70_000, 146_000, 123_000

PRESETS: Mapping[str, Tariff] = {
    # The houses share one connection point to the grid: what they trade never leaves it, so that no local charges are
    # due.
    "shared-connection": Tariff(0, _ENERGY, _GRID, _LEVIES, 0, _FEED_IN),
    # Every local kWh pays the full grid fees and levies: retail − local charges is below feed-in, no trade pays both
    # sides.
    "public-grid": Tariff(0, _ENERGY, _GRID, _LEVIES, _GRID + _LEVIES, _FEED_IN),
}


def why_no_trade(tariff: Tariff) -> str | None:
    """Return why no trade pays under a tariff, in a sentence; None if trades can pay."""
    rails: Rails = tariff.rails
    if rails.lowest_microeur_per_kwh <= rails.highest_microeur_per_kwh:
        return None
    return (
        f"no trade pays both sides: a buyer could give at most {rails.highest_microeur_per_kwh} micro-euro/kWh "
        f"(retail {tariff.retail_microeur_per_kwh} less local charges {tariff.local_charges_microeur_per_kwh}), "
        f"while the grid already gives the seller {rails.lowest_microeur_per_kwh} (feed-in)"
    )
