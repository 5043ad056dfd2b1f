"""The report at the end of a devnet's day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from agents import bill
from agents.market.tariff import why_no_trade
from contracts.tariffs import PRESETS
from devnet.accounts import derived_key
from devnet.layout import Place
from devnet.scenario import DATA
from devnet.street import (
    HouseholdDay,
    MarketDay,
    household_config,
    read_household,
    readings,
    street_balance,
    without_market,
)
from node.keys import account_address

EURO = 1_000_000


@dataclass(frozen=True, slots=True)
class HouseholdResult:
    """One household's day: bills in micro-euro (positive: to pay), forecast error in Wh a window, charge in Wh."""

    name: str
    with_market: int
    without: int
    contracted_wh: int
    delivered_wh: int
    forecast_error_wh: int
    soc_start_wh: int
    soc_end_wh: int


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that is printed at the end of the day."""

    households: tuple[HouseholdResult, ...]
    market: MarketDay
    refusals: int
    balance_with: bill.Balance
    balance_without: bill.Balance
    tariff: str
    forecast: str
    quarters: int
    missing_windows: tuple[int, ...]

    @property
    def prices(self) -> tuple[int, ...]:
        """The distinct prices of all contracts, sorted, in micro-euro per kWh."""
        return tuple(sorted({contract.price_microeur_per_kwh for contract in self.market.contracts}))

    def contracts_in(self, window: int) -> int:
        """Return how many contracts a window had."""
        return sum(contract.window == window for contract in self.market.contracts)


def make_report(place: Place, market: MarketDay) -> Report:
    """Put the report together from the journals and the market's events."""
    days = [read_household(place, index) for index in range(place.count)]
    quarters = min(len(day.quarters) for day in days)
    alone = [without_market(place, index, quarters, DATA) for index in range(place.count)]
    traded = [readings(day)[:quarters] for day in days]
    results = []
    tariff = PRESETS[place.tariff]
    for index, day in enumerate(days):
        config = household_config(place, index)
        start = config.start_soc_wh
        account = account_address(derived_key(f"household {index}"))
        tariffs = [tariff] * quarters
        with_ = bill.bill_with_market(market.received(account), traded[index], tariffs, start)
        without = bill.bill_without_market(alone[index], tariffs, start)
        results.append(
            HouseholdResult(
                day.name,
                with_.total_microeur,
                without.total_microeur,
                sum(contract.energy_wh for contract in market.contracts if account in contract.parties),
                sum(contract.delivered_wh for contract in market.contracts if account in contract.parties),
                _forecast_error(day),
                start,
                day.quarters[-1].soc_wh if day.quarters else start,
            )
        )
    missing = tuple(w for w in range(place.scenario.windows) if market.settled.get(w, 0) < place.count)
    return Report(
        tuple(results),
        market,
        sum(day.refusals for day in days),
        street_balance(traded),
        street_balance(alone),
        place.tariff,
        household_config(place, 0).forecast,
        quarters,
        missing,
    )


def _forecast_error(day: HouseholdDay) -> int:
    errors = [
        abs(line.forecast_wh - (line.made_wh - line.used_wh))
        for line in day.windows.values()
        if line.forecast_wh is not None
    ]
    return sum(errors) // len(errors) if errors else 0


def render(report: Report, place: Place) -> RenderableType:
    """Return the report for a console."""
    parts: list[RenderableType] = [_bills(report), _street(report), _market_lines(report, place)]
    return Group(*parts)


def _bills(report: Report) -> Table:
    table = Table(title="The day's bills (positive: to pay)", title_justify="left")
    for heading in (
        "household",
        "with the market",
        "without",
        "difference",
        "contracted",
        "delivered",
        "forecast error",
        "charge start → end",
    ):
        table.add_column(heading, justify="left" if heading == "household" else "right", no_wrap=True)
    for row in report.households:
        table.add_row(
            row.name,
            _euro(row.with_market),
            _euro(row.without),
            _euro(row.with_market - row.without),
            f"{row.contracted_wh / 1000:.2f} kWh",
            f"{row.delivered_wh / 1000:.2f} kWh",
            f"{row.forecast_error_wh} Wh/h",
            f"{row.soc_start_wh / 1000:.2f} → {row.soc_end_wh / 1000:.2f} kWh" if row.soc_end_wh else "–",
        )
    total = sum(row.with_market - row.without for row in report.households)
    table.add_row("the street", "", "", _euro(total), "", "", "", "")
    return table


def _street(report: Report) -> Table:
    table = Table(title="The street", title_justify="left")
    table.add_column("")
    table.add_column("with the market", justify="right")
    table.add_column("without", justify="right")
    with_, without = report.balance_with, report.balance_without
    rows = (
        ("self-sufficiency", f"{with_.self_sufficiency:.1%}", f"{without.self_sufficiency:.1%}"),
        ("self-consumption", f"{with_.self_consumption:.1%}", f"{without.self_consumption:.1%}"),
        ("from the grid", f"{with_.import_wh / 1000:.2f} kWh", f"{without.import_wh / 1000:.2f} kWh"),
        ("to the grid", f"{with_.export_wh / 1000:.2f} kWh", f"{without.export_wh / 1000:.2f} kWh"),
    )
    for row in rows:
        table.add_row(*row)
    return table


def _market_lines(report: Report, place: Place) -> Text:
    market = report.market
    contracted = sum(contract.energy_wh for contract in market.contracts)
    delivered = sum(contract.delivered_wh for contract in market.contracts)
    windows = " ".join(f"{w:02d}:{report.contracts_in(w)}" for w in range(place.scenario.windows))
    lines = [
        f"contracts: {len(market.contracts)} ({windows})",
        f"windows 07 to 17 without a contract: {_gaps(report)}",
        f"distinct prices: {len(report.prices)}" + _price_range(report.prices),
        f"refused counter-offers: {report.refusals}",
        f"contracted {contracted / 1000:.2f} kWh, delivered {delivered / 1000:.2f} kWh",
        f"operator margin: {_euro(market.margin())}",
        f"Σ cash of all settlements: {market.cash_sum} micro-euro",
        f"settled windows: {place.scenario.windows - len(report.missing_windows)} of {place.scenario.windows}",
        _assumptions(report, place),
    ]
    reason = why_no_trade(PRESETS[report.tariff])
    if reason is not None:
        lines.append(reason)
    return Text("\n".join(lines))


def _gaps(report: Report) -> str:
    empty = [f"{window:02d}" for window in range(7, 18) if not report.contracts_in(window)]
    return ", ".join(empty) or "none"


def _price_range(prices: Sequence[int]) -> str:
    return f" ({prices[0] / 10_000:.1f} to {prices[-1] / 10_000:.1f} ct/kWh)" if prices else ""


def _assumptions(report: Report, place: Place) -> str:
    tariff = PRESETS[report.tariff]
    return (
        f"tariff {report.tariff}: retail {tariff.retail_microeur_per_kwh / 10_000:.1f} ct, "
        f"feed-in {tariff.feed_in_microeur_per_kwh / 10_000:.1f} ct, "
        f"local charges {tariff.local_charges_microeur_per_kwh / 10_000:.1f} ct; "
        f"forecast {report.forecast}; {report.quarters} quarter-hours of {place.scenario.name}, real data, "
        f"chain clock {' then '.join(f'{scale} x' for _, scale in place.scenario.clock_steps)}; "
        "trading alone changes no electron, only the battery does"
    )


def _euro(microeur: int) -> str:
    return f"{microeur / EURO:+.3f} €"


def print_report(console: Console, report: Report, place: Place) -> None:
    """Print the report."""
    console.print()
    console.print(render(report, place))
