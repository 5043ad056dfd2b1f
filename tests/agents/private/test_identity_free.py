"""A day in private gives the trades of the day in the open: who somebody is has no part in what is agreed."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from functools import cache

import pytest

from agents.devices.battery import BatterySpec
from agents.forecast import make_forecaster
from agents.profiles import DataDirectory
from agents.simulation import DayResult, SimulatedHousehold, Street
from agents.trading.concession import ConcessionStrategy
from agents.trading.plan import Hours, StorageTrading, Trading
from agents.trading.strategy import Limits
from contracts.bindings.market_types import Parameters
from contracts.tariffs import PRESETS
from tests.agents.street_day import DATA, WINDOW_ZERO_S

BATTERY = BatterySpec(capacity_wh=13_700, power_w=6_800, reserve_wh=1_370)
STORAGE = StorageTrading(Hours(7, 16), Hours(17, 23), Limits(125_000, 172_000, 6), Limits(265_000, 200_000, 5))
STREET = [  # connection, weeks by which its load is shifted, how it trades: the households of scenario street-8
    ("L16", 0, Trading(Limits(130_000, 255_000, 5), Limits(225_000, 140_000, 6), None)),
    ("L31", 0, Trading(Limits(140_000, 245_000, 4), Limits(240_000, 155_000, 7), None)),
    ("L6", 1, Trading(Limits(140_000, 260_000, 5), None, None)),
    ("L7", 0, Trading(Limits(130_000, 240_000, 6), None, STORAGE)),
    ("L10", 2, Trading(Limits(135_000, 250_000, 5), Limits(235_000, 150_000, 5), None)),
    ("L20", 0, Trading(Limits(135_000, 255_000, 4), None, None)),
    ("L25", 3, Trading(Limits(145_000, 250_000, 6), None, None)),
    ("L15", 4, Trading(Limits(140_000, 245_000, 5), None, None)),
]


@cache
def households() -> list[SimulatedHousehold]:
    """The eight, each with the oracle's forecast: it makes the most trades."""
    data, rows = DataDirectory(DATA), []
    for name, weeks, trading in STREET:
        profile = data.profile(f"LV4.101-{name}", shift_weeks=weeks)
        battery = BATTERY if trading.storage else None
        forecaster = make_forecaster("perfect", profile)
        soc_wh = BATTERY.reserve_wh if battery else 0
        rows.append(SimulatedHousehold(name, profile, trading, forecaster, battery, soc_wh))
    return rows


def day(seed: int | None, names: dict[str, str] | None = None) -> DayResult:
    """A day in the open, or in private with sessions drawn from a seed; under other names if some are given."""
    rows = [replace(h, name=names[h.name]) for h in households()] if names else households()
    return Street(
        rows,
        tariff=PRESETS["shared-connection"],
        terms=Parameters(0, 10_000, 10),
        strategy=ConcessionStrategy(),
        window_zero_s=WINDOW_ZERO_S,
        sessions=None if seed is None else random.Random(seed),
    ).run(24)


def traded(result: DayResult) -> dict[int, Counter[tuple[int, int]]]:
    """By window, how often which (quantity, price) was agreed."""
    return {
        window: Counter((contract.energy_wh, contract.price_microeur_per_kwh) for contract in contracts)
        for window, contracts in result.contracts.items()
    }


@cache
def in_the_open() -> dict[int, Counter[tuple[int, int]]]:
    return traded(day(None))


@pytest.mark.parametrize("seed", range(3))
def test_a_private_day_makes_the_trades_of_the_open_day(seed: int) -> None:
    assert sum(map(Counter.total, in_the_open().values())) > 30
    assert traded(day(seed)) == in_the_open()


def test_other_names_make_the_same_day() -> None:
    names = [h.name for h in households()]
    turned = dict(zip(names, reversed(names), strict=True))
    assert traded(day(None, turned)) == in_the_open()
