"""What a household pays for a day, with and without the market, and how far the street lives on its own sun.

Without the market: the same load and sun, the battery in own-use mode, import × retail − export × feed-in per
quarter. If a battery ends fuller or emptier than it began, the difference is priced at feed-in and shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from agents.devices.battery import BatterySpec
from agents.devices.meter import Reading, meter_quarter
from agents.profiles import ConnectionProfile
from contracts.bindings.market import cost_microeur
from contracts.bindings.market_types import Tariff


@dataclass(frozen=True, slots=True)
class Bill:
    """A household's bill in micro-euro; positive is to pay.

    `energy_microeur` is what was booked, `stored_microeur` the value at feed-in of what the battery holds more
    (negative: less) than at the start, and `total_microeur` the first less the second.
    """

    energy_microeur: int
    stored_microeur: int

    @property
    def total_microeur(self) -> int:
        """What the household pays, its battery as full as at the start."""
        return self.energy_microeur - self.stored_microeur


@dataclass(frozen=True, slots=True)
class Balance:
    """Energy over some quarters: of one household, or of the street behind its common connection."""

    consumption_wh: int
    generation_wh: int
    import_wh: int
    export_wh: int

    @property
    def self_sufficiency(self) -> float:
        """1 − import / consumption; 0 without consumption."""
        return 1 - self.import_wh / self.consumption_wh if self.consumption_wh else 0.0

    @property
    def self_consumption(self) -> float:
        """1 − export / generation; 0 without generation."""
        return 1 - self.export_wh / self.generation_wh if self.generation_wh else 0.0


def without_market(
    profile: ConnectionProfile, rows: range, battery: BatterySpec | None, soc_wh: int, quarter_length_s: int
) -> tuple[Reading, ...]:
    """Return the quarters of a household that trades nothing, its battery in own-use mode."""
    readings = []
    for row in rows:
        energy = profile.at(row)
        reading = meter_quarter(energy.load_wh, energy.pv_wh, battery, soc_wh, 0, quarter_length_s)
        soc_wh = reading.soc_wh
        readings.append(reading)
    return tuple(readings)


def bill_without_market(readings: Sequence[Reading], tariffs: Sequence[Tariff], start_soc_wh: int) -> Bill:
    """Return the bill of quarters under the tariff of each (parallel sequences)."""
    energy = sum(
        cost_microeur(tariff.retail_microeur_per_kwh, reading.import_wh)
        - cost_microeur(tariff.feed_in_microeur_per_kwh, reading.export_wh)
        for reading, tariff in zip(readings, tariffs, strict=True)
    )
    return Bill(energy, stored_value_microeur(readings, tariffs, start_soc_wh))


def bill_with_market(
    received_microeur: int, readings: Sequence[Reading], tariffs: Sequence[Tariff], start_soc_wh: int
) -> Bill:
    """Return the bill of a household that received (negative: paid) so much in all settlements of these quarters."""
    return Bill(-received_microeur, stored_value_microeur(readings, tariffs, start_soc_wh))


def bill_of_windows(
    readings: Mapping[int, Reading],
    windows: Iterable[int],
    quarters_per_window: int,
    tariff: Callable[[int], Tariff],
    start_soc_wh: int,
) -> Bill:
    """Return the bill of some windows under their tariffs, without a market, each with what it left in the battery.

    Args:
        readings: by quarter.
        windows: all of whose quarters are there.
        quarters_per_window: how many make a window.
        tariff: of a window.
        start_soc_wh: before the first quarter.
    """
    energy = stored = 0
    for window in windows:
        first = window * quarters_per_window
        rows = [readings[quarter] for quarter in range(first, first + quarters_per_window)]
        before_wh = readings[first - 1].soc_wh if first - 1 in readings else start_soc_wh
        part = bill_without_market(rows, [tariff(window)] * len(rows), before_wh)
        energy, stored = energy + part.energy_microeur, stored + part.stored_microeur
    return Bill(energy, stored)


def stored_value_microeur(readings: Sequence[Reading], tariffs: Sequence[Tariff], start_soc_wh: int) -> int:
    """Return the value at the last quarter's feed-in of what a battery holds more than at the start."""
    if not readings:
        return 0
    gained = readings[-1].soc_wh - start_soc_wh
    return cost_microeur(tariffs[-1].feed_in_microeur_per_kwh, gained)


def household_balance(readings: Sequence[Reading]) -> Balance:
    """Return a household's balance over its quarters."""
    return Balance(
        consumption_wh=sum(reading.load_wh for reading in readings),
        generation_wh=sum(reading.pv_wh for reading in readings),
        import_wh=sum(reading.import_wh for reading in readings),
        export_wh=sum(reading.export_wh for reading in readings),
    )


def street_quarters(households: Mapping[str, Sequence[Reading]]) -> tuple[Balance, ...]:
    """Return the street's balance by quarter: what its households do not give each other flows through the common
    connection.

    Args:
        households: quarters by household, all equally long.
    """
    quarters = zip(*households.values(), strict=True)
    return tuple(_street_quarter(readings) for readings in quarters)


def total(balances: Sequence[Balance]) -> Balance:
    """Return the sum of balances."""
    return Balance(
        consumption_wh=sum(balance.consumption_wh for balance in balances),
        generation_wh=sum(balance.generation_wh for balance in balances),
        import_wh=sum(balance.import_wh for balance in balances),
        export_wh=sum(balance.export_wh for balance in balances),
    )


def _street_quarter(readings: Sequence[Reading]) -> Balance:
    net = sum(reading.import_wh - reading.export_wh for reading in readings)
    return Balance(
        consumption_wh=sum(reading.load_wh for reading in readings),
        generation_wh=sum(reading.pv_wh for reading in readings),
        import_wh=max(net, 0),
        export_wh=max(-net, 0),
    )
