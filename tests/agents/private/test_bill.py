"""The parts of a private window's bill add up to what was paid, and windows are billed with what they left in the
battery."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from agents.bill import bill_of_windows
from agents.commands import windows_table
from agents.devices.meter import Reading
from agents.private.bill import Delivery, WindowBill
from contracts.tariffs import PRESETS

TARIFF = replace(PRESETS["shared-connection"], local_charges_microeur_per_kwh=10_000)
RETAIL, FEED_IN = TARIFF.retail_microeur_per_kwh // 1_000, TARIFF.feed_in_microeur_per_kwh // 1_000
PRICE, LOCAL = 180, 10


def bought(import_wh: int, *deliveries: tuple[int, int], paid: int = 0) -> WindowBill:
    rows = tuple(Delivery(agreed, delivered, PRICE * 1_000) for agreed, delivered in deliveries)
    return WindowBill(7, rows, (), import_wh, 0, paid, TARIFF)


@pytest.mark.parametrize(
    ("bill", "grid_wh", "fed_in_wh", "contracts", "grid"),
    [
        (bought(300, (200, 200)), 100, 0, PRICE * 200, RETAIL * 100 + LOCAL * 200),
        (bought(150, (200, 200)), 0, 50, PRICE * 200, LOCAL * 150 - FEED_IN * 50),  # 50 Wh were bought and not used
        (bought(300, (200, 0)), 300, 0, 0, RETAIL * 300),  # in default
        (bought(300), 300, 0, 0, RETAIL * 300),
    ],
)
def test_what_is_bought(bill: WindowBill, grid_wh: int, fed_in_wh: int, contracts: int, grid: int) -> None:
    assert (bill.grid_wh, bill.fed_in_wh) == (grid_wh, fed_in_wh)
    assert (bill.contracts_microeur, bill.grid_microeur) == (contracts, grid)


def test_what_is_sold_brings_its_price_and_the_rest_feed_in() -> None:
    bill = WindowBill(7, (), (Delivery(400, 300, PRICE * 1_000),), 0, 450, 0, TARIFF)
    assert (bill.sold_wh, bill.fed_in_wh) == (300, 150)
    assert (bill.contracts_microeur, bill.grid_microeur) == (-PRICE * 300, -FEED_IN * 150)


def test_what_no_part_explains_is_a_penalty() -> None:
    bill = bought(300, (200, 150), paid=PRICE * 150 + RETAIL * 150 + LOCAL * 150 - 350)
    assert bill.penalties_microeur == -350  # the seller was 50 Wh short, at 7 ticks


def test_the_table_fits_a_terminal_and_ends_with_the_sums() -> None:
    console = Console(file=io.StringIO(), width=80)
    console.print(windows_table([bought(300, (200, 200), paid=12_345_600), bought(1_000, paid=-100)]))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "…" not in text
    assert text.splitlines()[-1].split() == (
        ["all", "0.20", "0.00", "1.10", "0.00", "+0.0360", "+0.3177", "+11.9918", "+12.3455"]
    )


def test_each_window_is_billed_with_what_it_left_in_the_battery() -> None:
    def quarter(import_wh: int, soc_wh: int) -> Reading:
        return Reading(
            load_wh=0, pv_wh=0, charged_wh=0, discharged_wh=0, import_wh=import_wh, export_wh=0, soc_wh=soc_wh
        )

    rows = {0: quarter(10, 100), 1: quarter(0, 150), 2: quarter(20, 180), 3: quarter(5, 160)}
    both = bill_of_windows(rows, [0, 1], 2, lambda _: TARIFF, 90)
    assert (both.energy_microeur, both.stored_microeur) == (RETAIL * 35, FEED_IN * 70)
    second = bill_of_windows(rows, [1], 2, lambda _: TARIFF, 90)
    assert (second.energy_microeur, second.stored_microeur) == (RETAIL * 25, FEED_IN * 10)
