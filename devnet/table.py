"""The live table of a devnet's day, and its plain form where there is no terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from agents.journal import Recorded
from contracts.tariffs import PRESETS
from devnet.layout import Place
from devnet.street import HouseholdDay


def live_table(
    place: Place, window: int, height: int, days: Sequence[HouseholdDay], trades: Sequence[Recorded]
) -> Table:
    """Return the table of the newest window that each household has lived through.

    Args:
        place: the devnet.
        window: the window that is being delivered now.
        height: of the chain.
        days: one a household, in the scenario's order.
        trades: the contracts recorded so far.
    """
    rails = PRESETS[place.tariff].rails
    traded = [trade for trade in trades if trade.window == window]
    mean = _mean_price(traded)
    shown = f"{mean / 10_000:.1f}" if mean else "–"
    low, high = rails.lowest_microeur_per_kwh / 10_000, rails.highest_microeur_per_kwh / 10_000
    title = (
        f"{place.scenario.name}, hour {window:02d}   height {height}   "
        f"contracts {len(traded)} here, {len(trades)} in all   price {low:.1f} ≤ {shown} ≤ {high:.1f} ct"
    )
    table = Table(title=title, title_justify="left")
    for heading in (
        "household",
        "sun W",
        "load W",
        "charge %",
        "made Wh",
        "used Wh",
        "sold Wh",
        "bought Wh",
        "contracted Wh",
        "delivered Wh",
        "from grid Wh",
    ):
        table.add_column(heading, justify="left" if heading == "household" else "right", no_wrap=True)
    for index, day in enumerate(days):
        table.add_row(day.name, *_cells(place, index, day))
    return table


def _cells(place: Place, index: int, day: HouseholdDay) -> list[str]:
    quarter = day.quarters[-1] if day.quarters else None
    line = day.windows[max(day.windows)] if day.windows else None
    battery = place.scenario.households[index].tables.get("battery")
    charge = f"{100 * quarter.soc_wh // battery['capacity_wh']}" if battery and quarter else "–"
    if quarter is None:
        return ["…"] * 2 + [charge] + ["…"] * 7
    live = [str(4 * quarter.pv_wh), str(4 * quarter.load_wh), charge]
    if line is None:
        return live + ["…"] * 7
    delivered = min(line.sold_wh, line.export_wh) + min(line.bought_wh, line.import_wh)
    own = (line.made_wh, line.used_wh, line.sold_wh, line.bought_wh, line.contracted_wh, delivered)
    return [*live, *(str(value) for value in own), str(max(0, line.import_wh - line.bought_wh))]


def plain_line(window: int, height: int, days: Sequence[HouseholdDay], trades: Sequence[Recorded]) -> str:
    """Return one line about a finished window."""
    lines = [day.windows[window] for day in days if window in day.windows]
    traded = [trade for trade in trades if trade.window == window]
    mean = _mean_price(traded)
    price = f" at {mean / 10_000:.1f} ct/kWh" if mean else ""
    return (
        f"hour {window:02d}  height {height:4d}  sun {sum(x.made_wh for x in lines):5d} Wh  "
        f"load {sum(x.used_wh for x in lines):5d} Wh  charge {sum(x.soc_wh for x in lines):5d} Wh  "
        f"import {sum(x.import_wh for x in lines):5d} Wh  export {sum(x.export_wh for x in lines):5d} Wh  "
        f"contracts {len(traded)}, {sum(trade.energy_wh for trade in traded)} Wh{price}"
    )


def _mean_price(trades: Sequence[Recorded]) -> int:
    energy = sum(trade.energy_wh for trade in trades)
    return sum(trade.energy_wh * trade.price_microeur_per_kwh for trade in trades) // energy if energy else 0
