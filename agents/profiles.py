"""SimBench profiles as energy by quarter-hour: one connection's load and sun, in whole watt-hours.

The files are read by row: UTC = 2015-12-31T23:00Z + 15 min × row. A profile column is a fraction of rated power;
fraction × kW × ¼ h is the energy of the quarter, summed over a connection's profiles of a kind and rounded half up
once.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from agents.errors import ProfileError

ROW_ZERO_UTC_S = 1_451_602_800  # 2015-12-31T23:00Z
QUARTER_S = 900
ROWS_PER_DAY = 96
ROWS_PER_WEEK = 7 * ROWS_PER_DAY
PROFILES_FILE = "profiles_2016_15min.csv.gz"
_FRACTION_UNITS = 10_000  # the file gives four decimals
_DIVISOR = _FRACTION_UNITS * 4  # W × fraction units -> Wh of a quarter of an hour


@dataclass(frozen=True, slots=True)
class RatedProfile:
    """A profile column and the rated power that it scales."""

    column: str
    power_w: int


@dataclass(frozen=True, slots=True)
class Connection:
    """One grid connection: its household load, flexible loads (chargers, heat pumps), sun and battery."""

    name: str
    household: RatedProfile
    flexible: tuple[RatedProfile, ...]
    pv: tuple[RatedProfile, ...]
    battery_capacity_wh: int
    battery_power_w: int


@dataclass(frozen=True, slots=True)
class QuarterEnergy:
    """What a connection uses and makes in one quarter-hour, before any battery."""

    load_wh: int
    pv_wh: int


class ProfileTable:
    """The profile file, decoded lazily: a row is split when it is first asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with gzip.open(path, "rt", encoding="ascii") as file:
                self._lines = file.read().splitlines()
        except (OSError, UnicodeDecodeError, EOFError) as error:
            raise ProfileError(path, "the file", f"gzipped CSV ({error})") from None
        self._columns = {name: i for i, name in enumerate(self._lines[0].split(","))} if self._lines else {}
        if len(self._lines) < 2 or "time" not in self._columns:
            raise ProfileError(path, "the first line", "the columns' names, among them time, then rows")
        self._rows: dict[int, list[str]] = {}

    def __len__(self) -> int:
        return len(self._lines) - 1

    def fraction(self, row: int, column: str) -> int:
        """Return the value of `column` in `row` (wrapping over the year) in ten-thousandths of rated power.

        Raises:
            ProfileError: there is no such column, or its value is not a number from 0.
        """
        row %= len(self)
        if column not in self._columns:
            raise ProfileError(self._path, f"column {column}", "one of the file's columns")
        cells = self._rows.get(row)
        if cells is None:
            cells = self._rows[row] = self._lines[row + 1].split(",")
        try:
            value = round(float(cells[self._columns[column]]) * _FRACTION_UNITS)
        except (ValueError, IndexError):
            value = -1
        if value < 0:
            raise ProfileError(self._path, f"row {row}, column {column}", "a number from 0")
        return value


class ConnectionProfile:
    """A connection's energy by row, with its household load shifted by whole weeks.

    Args:
        table: the profile file.
        connection: which columns at which power.
        shift_weeks: the household load of row r is read from row r + shift (never the sun or a charger: these share
            weather and habits of the street).
    """

    def __init__(self, table: ProfileTable, connection: Connection, shift_weeks: int = 0) -> None:
        self._table = table
        self.connection = connection
        self._shift = shift_weeks * ROWS_PER_WEEK
        self._cache: dict[int, QuarterEnergy] = {}

    def at(self, row: int) -> QuarterEnergy:
        """Return the energy of the quarter-hour `row`."""
        known = self._cache.get(row)
        if known is None:
            household = self.connection.household
            load = self._table.fraction(row + self._shift, household.column) * household.power_w
            load += self._sum(row, self.connection.flexible)
            known = self._cache[row] = QuarterEnergy(_round(load), _round(self._sum(row, self.connection.pv)))
        return known

    def _sum(self, row: int, profiles: Sequence[RatedProfile]) -> int:
        return sum(self._table.fraction(row, profile.column) * profile.power_w for profile in profiles)


class DataDirectory:
    """A folder with the profile file and one connection file a grid."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def table(self) -> ProfileTable:
        """The profile file."""
        return ProfileTable(self.path / PROFILES_FILE)

    def connection(self, name: str, grid: str = "semiurb4") -> Connection:
        """Return the connection `name` of a grid.

        Raises:
            ProfileError: there is no such file or connection, or its row is not readable.
        """
        path = self.path / f"{grid}_connections.csv"
        try:
            with path.open(encoding="utf-8", newline="") as file:
                rows = {row["connection"]: row for row in csv.DictReader(file)}
        except (OSError, KeyError, UnicodeDecodeError) as error:
            raise ProfileError(path, "the file", f"CSV with a column connection ({error})") from None
        if name not in rows:
            raise ProfileError(path, f"connection {name}", f"one of {', '.join(sorted(rows))}")
        return _connection(path, rows[name])

    def profile(self, name: str, *, grid: str = "semiurb4", shift_weeks: int = 0) -> ConnectionProfile:
        """Return a connection's energy by row."""
        return ConnectionProfile(self.table, self.connection(name, grid), shift_weeks)


def row_at(utc_s: int) -> int:
    """Return the row of the quarter-hour that begins at, or contains, a UTC instant."""
    return (utc_s - ROW_ZERO_UTC_S) // QUARTER_S


def _connection(path: Path, row: dict[str, str]) -> Connection:
    where = f"connection {row['connection']}"
    try:
        return Connection(
            name=row["connection"],
            household=RatedProfile(row["load_profile"], _watts(row["load_kw"])),
            flexible=_rated(row["flexible_profile"], row["flexible_kw"]),
            pv=_rated(row["pv_profile"], row["pv_kw"]),
            battery_capacity_wh=_watts(row["battery_kwh"]),
            battery_power_w=_watts(row["battery_kw"]),
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ProfileError(path, where, f"profiles and numbers in every column ({error})") from None


def _rated(names: str, powers: str) -> tuple[RatedProfile, ...]:
    if not names:
        return ()
    pairs = zip(names.split(";"), powers.split(";"), strict=True)
    return tuple(RatedProfile(name, _watts(power)) for name, power in pairs)


def _watts(kilowatts: str) -> int:
    return round(float(kilowatts) * 1000)


def _round(numerator: int) -> int:
    return (numerator + _DIVISOR // 2) // _DIVISOR
