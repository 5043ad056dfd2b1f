"""Tariff presets, in micro-euro per kWh: what a kWh from the grid is made of, and what a fed-in one earns."""

from __future__ import annotations

from collections.abc import Mapping

from contracts.bindings.market_types import Tariff

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
