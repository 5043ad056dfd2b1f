"""MeterRegistry: certified meters, attested quarters, status reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from contracts.bindings.abi import Event, Interface, View, construct, one
from contracts.system import METER_REGISTRY


class Intention(IntEnum):
    """What a status report says; ALERT is more than the connection can carry."""

    NONE = 0
    SELL = 1
    BUY = 2
    ALERT = 3


@dataclass(frozen=True, slots=True)
class Schedule:
    """When windows and quarters begin, in chain seconds."""

    window_zero_s: int
    window_length_s: int
    quarter_length_s: int
    negotiation_close_s: int
    recording_margin_s: int
    settlement_deadline_windows: int


@dataclass(frozen=True, slots=True)
class WindowTime:
    """The window that the chain's clock is in, and the seconds since it began."""

    window: int
    elapsed_s: int


@dataclass(frozen=True, slots=True)
class Meter:
    """A certified meter, its household and their connection."""

    meter: bytes
    max_power_w: int
    household: bytes
    connection: str


@dataclass(frozen=True, slots=True)
class QuarterReading:
    """What a meter attested of a quarter, and when."""

    import_wh: int
    export_wh: int
    attested_at_s: int


@dataclass(frozen=True, slots=True)
class WindowReading:
    """What a meter attested of a window so far, in how many quarters, and whether these are all."""

    import_wh: int
    export_wh: int
    quarters: int
    complete: bool


@dataclass(frozen=True, slots=True)
class Status:
    """A household's last status report (DUAL-2020 eq. 1)."""

    reported_at_s: int
    generation_w: int
    consumption_w: int
    stored_wh: int
    available_wh: int
    intention: Intention


@dataclass(frozen=True, slots=True)
class MeterCertified(Event):
    """A meter was certified for a household."""

    meter: bytes
    household: bytes
    connection: str
    max_power_w: int


@dataclass(frozen=True, slots=True)
class Attested(Event):
    """A meter attested a quarter."""

    meter: bytes
    household: bytes
    window: int
    quarter: int
    import_wh: int
    export_wh: int


@dataclass(frozen=True, slots=True)
class StatusReported(Event):
    """A meter reported its household's state."""

    meter: bytes
    household: bytes
    generation_w: int
    consumption_w: int
    stored_wh: int
    available_wh: int
    intention: Intention


INTERFACE = Interface("MeterRegistry", METER_REGISTRY, (MeterCertified, Attested, StatusReported))
MAX_BATCH = 96


def attest(quarter: int, import_wh: int, export_wh: int) -> bytes:
    """Attest one quarter (counted from window zero's beginning); sent by the meter itself, once the quarter is over."""
    return INTERFACE.call("attest", quarter, import_wh, export_wh)


def attest_batch(first_quarter: int, import_wh: Sequence[int], export_wh: Sequence[int]) -> bytes:
    """Attest consecutive quarters, at most MAX_BATCH; sent by the meter itself."""
    return INTERFACE.call("attestBatch", first_quarter, list(import_wh), list(export_wh))


def report_status(generation_w: int, consumption_w: int, stored_wh: int) -> bytes:
    """Report the household's powers and stored energy; sent by the meter itself."""
    return INTERFACE.call("reportStatus", generation_w, consumption_w, stored_wh)


def window_reading(household: bytes, window: int) -> View[WindowReading]:
    """What the household's meter attested of `window` so far."""
    return INTERFACE.view(WindowReading, "windowReading", household, window)


def quarter_reading(household: bytes, quarter: int) -> View[QuarterReading | None]:
    """What the household's meter attested of `quarter`."""
    return INTERFACE.view(_quarter, "quarterReading", household, quarter)


def next_quarter(meter: bytes) -> View[int]:
    """The first quarter that `meter` may still attest."""
    return INTERFACE.view(one, "nextQuarter", meter)


def status(household: bytes) -> View[Status]:
    """The household's last status report; `reported_at_s` is 0 if there is none."""
    return INTERFACE.view(lambda row: construct(Status, row), "status", household)


def meter_of(household: bytes) -> View[bytes | None]:
    """The meter of a household."""
    return INTERFACE.view(lambda meter: meter if any(meter) else None, "meterOf", household)


def get_meter(meter: bytes) -> View[Meter | None]:
    """A certified meter."""
    return INTERFACE.view(lambda row: Meter(**row) if any(row["meter"]) else None, "getMeter", meter)


def get_meters(offset: int, limit: int) -> View[tuple[Meter, ...]]:
    """The certified meters from `offset` on, at most `limit`."""
    return INTERFACE.view(lambda page, total: tuple(Meter(**row) for row in page), "getMeters", offset, limit)


def quarters_per_window() -> View[int]:
    """Quarters in a window."""
    return INTERFACE.view(one, "quartersPerWindow")


def schedule() -> View[Schedule]:
    """The schedule of the genesis file."""
    return INTERFACE.view(lambda row: Schedule(**row), "schedule")


def current_window() -> View[WindowTime]:
    """The window of the block's timestamp."""
    return INTERFACE.view(WindowTime, "currentWindow")


def _quarter(row: Mapping[str, Any]) -> QuarterReading | None:
    return QuarterReading(**row) if row["attested_at_s"] else None
