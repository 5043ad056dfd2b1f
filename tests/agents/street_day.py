"""The street of the default devnet day, with limits as a household would set them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from agents.devices.battery import BatterySpec
from agents.forecast import make_forecaster
from agents.profiles import ConnectionProfile, DataDirectory
from agents.simulation import DayResult, SimulatedHousehold, Street
from agents.trading.concession import ConcessionStrategy
from agents.trading.plan import Hours, StorageTrading, Trading
from agents.trading.strategy import Limits
from contracts.bindings.market_types import Parameters
from contracts.tariffs import PRESETS

DATA = Path(__file__).parents[2] / "devnet" / "data"
WINDOW_ZERO_S = 1_466_460_000
BATTERY = BatterySpec(capacity_wh=13_700, power_w=6_800, reserve_wh=1_370)
TERMS = Parameters(0, 10_000, 10)
SHIFTS = {"L16": 0, "L31": 0, "L6": 1, "L7": 0}
TRADING = {
    "L16": Trading(Limits(130_000, 255_000, 5), Limits(225_000, 140_000, 6), None),
    "L31": Trading(Limits(140_000, 245_000, 4), Limits(240_000, 155_000, 7), None),
    "L6": Trading(Limits(140_000, 260_000, 5), None, None),
    "L7": Trading(
        Limits(130_000, 240_000, 6),
        None,
        StorageTrading(Hours(7, 16), Hours(17, 23), Limits(125_000, 172_000, 6), Limits(265_000, 200_000, 5)),
    ),
}


@cache
def data() -> DataDirectory:
    """The data that the project ships."""
    return DataDirectory(DATA)


def profile(name: str) -> ConnectionProfile:
    """A household's energy by row."""
    return data().profile(f"LV4.101-{name}", shift_weeks=SHIFTS[name])


def households(forecast: str) -> list[SimulatedHousehold]:
    """The four households with a forecast."""
    rows = []
    for name, trading in TRADING.items():
        energy, battery = profile(name), BATTERY if trading.storage else None
        soc_wh = BATTERY.reserve_wh if battery else 0
        rows.append(SimulatedHousehold(name, energy, trading, make_forecaster(forecast, energy), battery, soc_wh))
    return rows


def street(forecast: str = "day-before", tariff: str = "shared-connection") -> Street:
    """The street before its day."""
    return Street(
        households(forecast),
        tariff=PRESETS[tariff],
        terms=TERMS,
        strategy=ConcessionStrategy(),
        window_zero_s=WINDOW_ZERO_S,
    )


@cache
def day(forecast: str = "day-before", tariff: str = "shared-connection") -> DayResult:
    """The day of 24 windows."""
    return street(forecast, tariff).run(24)
