"""The live table and the report of a small day that is written down by hand."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from agents.journal import JOURNAL_NAME, Journal, Line, Quarter, Recorded, Refusal, Window
from contracts.bindings.market_types import Cash, CashKind
from devnet.accounts import derived_key
from devnet.layout import Options, Place, write_devnet
from devnet.report import make_report, print_report
from devnet.scenario import find_scenario, load_scenario
from devnet.street import Contracted, MarketDay, read_household, recorded
from devnet.table import live_table, plain_line
from node.keys import account_address

QUARTERS = 4
SELLER, BUYER = 0, 2
ENERGY_WH = 400
PRICE = 180_000
TRADE = "0x" + "ab" * 32


def quarter(index: int, number: int) -> Quarter:
    made, used = (500, 100) if index == SELLER else (0, 120)
    return Quarter(
        quarter=number,
        window=0,
        load_wh=used,
        pv_wh=made,
        charged_wh=0,
        discharged_wh=0,
        import_wh=max(0, used - made),
        export_wh=max(0, made - used),
        soc_wh=1_370 if index == 3 else 0,
    )


def window(index: int) -> Window:
    quarters = [quarter(index, number) for number in range(QUARTERS)]
    sold, bought = (ENERGY_WH if index == SELLER else 0), (ENERGY_WH if index == BUYER else 0)
    return Window(
        window=0,
        made_wh=sum(row.pv_wh for row in quarters),
        used_wh=sum(row.load_wh for row in quarters),
        charged_wh=0,
        discharged_wh=0,
        import_wh=sum(row.import_wh for row in quarters),
        export_wh=sum(row.export_wh for row in quarters),
        soc_wh=quarters[-1].soc_wh,
        sold_wh=sold,
        bought_wh=bought,
        contracted_wh=sold + bought,
        price_microeur_per_kwh=PRICE if sold + bought else 0,
        forecast_wh=-300,
        forecast_load_wh=300,
        forecast_pv_wh=0,
    )


def trade(role: str) -> Recorded:
    return Recorded(window=0, role=role, peer="0x", trade=TRADE, energy_wh=ENERGY_WH, price_microeur_per_kwh=PRICE)


def write(place: Place, index: int, lines: list[Line]) -> None:
    journal = Journal(place.household(index) / JOURNAL_NAME)
    for line in lines:
        journal.write(line)
    journal.close()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A devnet of one window, its journals written."""
    scenario = replace(load_scenario(find_scenario("short")), windows=1)
    made = Place(tmp_path / "devnet", scenario, Options())
    write_devnet(made)
    for index in range(made.count):
        write(made, index, [*(quarter(index, number) for number in range(QUARTERS)), window(index)])
    refusal = Refusal(
        window=0, role="seller", peer="0x", conversation="0x", round=1, bid_microeur_per_kwh=1, ask_microeur_per_kwh=2
    )
    write(made, SELLER, [trade("seller"), refusal])
    write(made, BUYER, [trade("buyer"), replace(refusal, role="buyer")])
    return made


def market(place: Place) -> MarketDay:
    seller, buyer = (account_address(derived_key(f"household {index}")) for index in (SELLER, BUYER))
    cash = (
        Cash(0, seller, CashKind.TRADE, 72_000),
        Cash(0, buyer, CashKind.TRADE, -72_000),
    )
    return MarketDay((Contracted(0, (seller, buyer), ENERGY_WH, PRICE, ENERGY_WH),), cash, {0: place.count})


def printed(place: Place, day: MarketDay) -> str:
    console = Console(file=io.StringIO(), width=150)
    print_report(console, make_report(place, day), place)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_journals_are_read_and_a_trade_counts_once(place: Place) -> None:
    seller, buyer = read_household(place, SELLER), read_household(place, BUYER)
    assert seller.refusals + buyer.refusals == 1  # both write it down; it counts once
    assert seller.windows[0].sold_wh == buyer.windows[0].bought_wh == ENERGY_WH
    assert [row.quarter for row in seller.quarters] == list(range(QUARTERS))
    assert list(recorded(place)) == [TRADE]


def test_a_quarter_written_twice_after_a_restart_counts_once(place: Place) -> None:
    write(place, SELLER, [quarter(SELLER, QUARTERS - 1)])
    assert len(read_household(place, SELLER).quarters) == QUARTERS


def test_the_report_holds_every_line(place: Place) -> None:
    text = printed(place, market(place))
    for plan in place.scenario.households:
        assert plan.connection in text
    for line in (
        "contracts: 1 (00:1)",
        "distinct prices: 1 (18.0 to 18.0 ct/kWh)",
        "refused counter-offers: 1",
        "contracted 0.40 kWh, delivered 0.40 kWh",
        "operator margin: +0.000 €",
        "Σ cash of all settlements: 0 micro-euro",
        "settled windows: 1 of 1",
        "self-sufficiency",
        "self-consumption",
        "tariff shared-connection: retail 28.7 ct, feed-in 12.3 ct",
        "1.37 → 1.37 kWh",
    ):
        assert line in text, line


def test_what_the_seller_gets_lowers_its_bill_and_raises_the_buyers(place: Place) -> None:
    with_trade = make_report(place, market(place)).households
    without = make_report(place, replace(market(place), contracts=(), cash=())).households
    changes = [after.with_market - before.with_market for after, before in zip(with_trade, without, strict=True)]
    assert changes == [-72_000, 0, 72_000, 0]


def test_missing_settlements_are_reported(place: Place) -> None:
    report = make_report(place, replace(market(place), settled={0: place.count - 1}))
    assert report.missing_windows == (0,)
    assert "settled windows: 0 of 1" in printed(place, replace(market(place), settled={}))


def test_a_day_without_trade_says_why(place: Place) -> None:
    public = replace(place, options=Options(tariff="public-grid"))
    text = printed(public, MarketDay((), (), {0: 4}))
    assert "contracts: 0" in text
    assert "distinct prices: 0\n" in text.replace(" \n", "\n")
    assert "tariff public-grid" in text
    assert text.strip().splitlines()[-1] != ""
    assert len(text.splitlines()) > len(printed(place, MarketDay((), (), {0: 4})).splitlines())


def test_a_household_that_has_written_nothing_yet_is_no_error(place: Place) -> None:
    (place.household(1) / JOURNAL_NAME).unlink()
    days = [read_household(place, index) for index in range(place.count)]
    console = Console(file=io.StringIO(), width=200)
    console.print(live_table(place, 0, 7, days, list(recorded(place).values())))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "short, hour 00   height 7   contracts 1 here, 1 in all   price 12.3 ≤ 18.0 ≤ 28.7 ct" in text
    assert text.count("…") == 9


def test_the_live_table_shows_power_charge_and_energy(place: Place) -> None:
    days = [read_household(place, index) for index in range(place.count)]
    table = live_table(place, 0, 7, days, list(recorded(place).values()))
    cells = [[str(cell) for cell in column.cells] for column in table.columns]
    assert cells[1][SELLER] == "2000"  # 500 Wh in a quarter-hour
    assert cells[2][BUYER] == "480"
    assert cells[3] == ["–", "–", "–", "10"]
    assert cells[6][SELLER] == cells[7][BUYER] == cells[9][BUYER] == "400"
    assert cells[10][BUYER] == "80"  # 480 Wh used, 400 Wh of it bought


def test_the_plain_line_sums_the_street(place: Place) -> None:
    days = [read_household(place, index) for index in range(place.count)]
    line = plain_line(0, 12, days, list(recorded(place).values()))
    assert line == (
        "hour 00  height   12  sun  2000 Wh  load  1840 Wh  charge  1370 Wh  import  1440 Wh  export  1600 Wh  "
        "contracts 1, 400 Wh at 18.0 ct/kWh"
    )
    assert plain_line(0, 12, days, []).endswith("contracts 0, 0 Wh")
