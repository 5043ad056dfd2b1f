"""Forecasts of load and sun. A forecaster is handed the rows that are over and nothing else, by construction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from agents.profiles import ROWS_PER_DAY, ConnectionProfile, QuarterEnergy


class FutureRow(LookupError):
    """A forecaster asked for a row that is not over yet."""

    def __init__(self, row: int, first_unknown_row: int) -> None:
        super().__init__(f"row {row} is not over yet: rows before {first_unknown_row} are")
        self.row = row
        self.first_unknown_row = first_unknown_row


class History:
    """What a connection's devices have measured so far.

    Args:
        profile: where the measurements come from.
        first_unknown_row: the first row that is not over.
    """

    def __init__(self, profile: ConnectionProfile, first_unknown_row: int) -> None:
        self._profile = profile
        self.first_unknown_row = first_unknown_row

    def at(self, row: int) -> QuarterEnergy:
        """Return the energy of a quarter-hour that is over.

        Raises:
            FutureRow: it is not over.
        """
        if row >= self.first_unknown_row:
            raise FutureRow(row, self.first_unknown_row)
        return self._profile.at(row)


class Forecaster(Protocol):
    """Anything that says what coming quarter-hours will bring."""

    name: str

    def forecast(self, history: History, rows: range) -> tuple[QuarterEnergy, ...]:
        """Return load and sun of each of `rows`, from what `history` gives."""
        ...


class DayBefore:
    """The same quarter-hour of the newest day of which it is known. The default."""

    name = "day-before"

    def forecast(self, history: History, rows: range) -> tuple[QuarterEnergy, ...]:
        """Return the rows of one day before, or of two days where one day before is not over."""
        return tuple(history.at(_known_before(row, history.first_unknown_row)) for row in rows)


class Persistence:
    """What was measured last goes on."""

    name = "persistence"

    def forecast(self, history: History, rows: range) -> tuple[QuarterEnergy, ...]:
        """Return the last known row for each of `rows`."""
        last = history.at(history.first_unknown_row - 1)
        return tuple(last for _ in rows)


class PerfectForesight:
    """An oracle, for comparison only: it is given the true profile and reads the future out of it."""

    name = "perfect"

    def __init__(self, profile: ConnectionProfile) -> None:
        self._profile = profile

    def forecast(self, history: History, rows: range) -> tuple[QuarterEnergy, ...]:
        """Return what will be."""
        return tuple(self._profile.at(row) for row in rows)


FORECASTS = (DayBefore.name, Persistence.name, PerfectForesight.name)


def make_forecaster(name: str, profile: ConnectionProfile) -> Forecaster:
    """Return the forecaster of that name; only the oracle is given the profile.

    Raises:
        ValueError: no forecaster has this name.
    """
    if name == DayBefore.name:
        return DayBefore()
    if name == Persistence.name:
        return Persistence()
    if name == PerfectForesight.name:
        return PerfectForesight(profile)
    raise ValueError(f"forecast {name!r}: expected one of {', '.join(FORECASTS)}")


def surplus_wh(quarters: Sequence[QuarterEnergy]) -> int:
    """Return the export that quarters would register: never netted across them."""
    return sum(max(0, quarter.pv_wh - quarter.load_wh) for quarter in quarters)


def deficit_wh(quarters: Sequence[QuarterEnergy]) -> int:
    """Return the import that quarters would register."""
    return sum(max(0, quarter.load_wh - quarter.pv_wh) for quarter in quarters)


def _known_before(row: int, first_unknown_row: int) -> int:
    days = max(1, -(-(row - first_unknown_row + 1) // ROWS_PER_DAY))
    return row - days * ROWS_PER_DAY
