"""A scenario: which households, which day, which clock. Read strictly from TOML."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from contracts.tariffs import PRESETS
from node.parsing import ConfigError, Table

SCENARIOS = Path(__file__).parent / "scenarios"
DATA = Path(__file__).parent / "data"
DEFAULT = "street"
DEFAULT_PRIVATE = "street-8"
MIN_PRIVATE_HOUSEHOLDS = 8  # a ring of fewer hides nobody
MAX_HOUSEHOLDS = 20  # two processes each on one machine
SCHEDULE_KEYS = (
    "window_length_s",
    "quarter_length_s",
    "negotiation_close_s",
    "recording_margin_s",
    "settlement_deadline_windows",
)
ONE_POLICY = "in private all households have one policy of prices, for a price of one's own names its owner"
MARKET_KEYS = ("penalty_microeur_per_kwh", "operator_margin_microeur_per_kwh", "minimum_lot_wh")


@dataclass(frozen=True, slots=True)
class HouseholdPlan:
    """One household: its connection in the data, the shift of its load, and its agents' tables as written."""

    connection: str
    load_shift_weeks: int
    tables: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A checked scenario; times in chain seconds, but for `start_lead_s` and `settle_patience_s` (wall seconds).

    `validators`: that many households, the first, run nodes and are members; the others use those of the members, which
    vouch for them. `private`: meters, offers, trades and payments nobody can read. `strategy`: the limits `buy` and
    `sell` of all households, for every purpose; None where each has its own.
    """

    name: str
    window_zero_s: int
    windows: int
    clock_steps: tuple[tuple[int, int], ...]
    start_lead_s: int
    settle_patience_s: int
    tariff: str
    schedule: Mapping[str, int]
    market: Mapping[str, int]
    first_money_microeur: int
    households: tuple[HouseholdPlan, ...]
    validators: int
    private: bool
    strategy: Mapping[str, Any] | None

    @property
    def why_open(self) -> str:
        """Why this street cannot trade in private; nothing if it can."""
        count = len(self.households)
        if count >= MIN_PRIVATE_HOUSEHOLDS:
            return "" if self.strategy is not None else f"no [strategy]: {ONE_POLICY}"
        return f"{count} households: fewer than {MIN_PRIVATE_HOUSEHOLDS} hide nobody, so the street stays in open mode"


def find_scenario(name: str) -> Path:
    """Return the file of a scenario that ships with gridpact, or of one that is given by its path."""
    shipped = SCENARIOS / f"{name}.toml"
    return shipped if shipped.exists() else Path(name)


def load_scenario(path: Path) -> Scenario:
    """Read and check a scenario.

    Raises:
        ConfigError: naming the file, the key and what was expected.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        shipped = ", ".join(sorted(file.stem for file in SCENARIOS.glob("*.toml")))
        raise ConfigError(path, "", f"a readable file ({error.strerror}), or one of: {shipped}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(path, "", f"TOML in UTF-8 ({error})") from None
    top = Table(path, "", content)
    scenario, schedule, market = top.table("scenario"), top.table("schedule"), top.table("market")
    strategy = _strategy(top.table("strategy")) if top.has("strategy") else None
    households = tuple(_household(row, own_prices=strategy is None) for row in top.tables("household"))
    if not 1 <= len(households) <= MAX_HOUSEHOLDS:
        raise top.error("household", f"1 to {MAX_HOUSEHOLDS} households, found {len(households)}")
    if len({row.connection for row in households}) != len(households):
        raise top.error("household", "a different connection for every household")
    checked = Scenario(
        name=scenario.text("name"),
        window_zero_s=scenario.integer("window_zero_s", 0, 2**40),
        windows=scenario.integer("windows", 1, 24 * 7),
        clock_steps=_steps(scenario),
        start_lead_s=scenario.integer("start_lead_s", 0, 600),
        settle_patience_s=scenario.integer("settle_patience_s", 1, 600),
        tariff=scenario.choice("tariff", tuple(sorted(PRESETS))),
        schedule={key: schedule.integer(key, 1, 86_400) for key in SCHEDULE_KEYS},
        market={key: market.integer(key, 0, 10**9) for key in MARKET_KEYS},
        first_money_microeur=market.integer("first_money_microeur", 0, 10**12),
        households=households,
        validators=scenario.integer("validators", 1, len(households), len(households)),
        private=scenario.flag("private", False),
        strategy=strategy,
    )
    if checked.private and checked.why_open:
        raise scenario.error("private", f"false: {checked.why_open}")
    for table in (top, scenario, schedule, market):
        table.close()
    return checked


def _strategy(table: Table) -> Mapping[str, Any]:
    limits = {side: table.value(side, dict, "a table with opening, reserve, rounds") for side in ("buy", "sell")}
    table.close()
    return limits


def _household(row: Table, *, own_prices: bool) -> HouseholdPlan:
    tables = {key: row.value(key, dict, "a table") for key in ("buy", "sell", "battery", "storage") if row.has(key)}
    if not own_prices:
        for key in ("buy", "sell", "storage.buy", "storage.sell"):
            table, _, side = key.partition(".")
            if table in tables and (not side or side in tables[table]):
                raise row.error(key, f"no such table where there is a [strategy]: {ONE_POLICY}")
    plan = HouseholdPlan(row.text("connection"), row.integer("load_shift_weeks", -52, 52, 0), tables)
    row.close()
    return plan


def _steps(table: Table) -> tuple[tuple[int, int], ...]:
    rows = table.value("clock_steps", list, "a list of [from_window, time_scale]")
    pairs = all(isinstance(row, list) and len(row) == 2 and all(type(part) is int for part in row) for row in rows)
    if not rows or not pairs or rows[0][0] != 0 or any(a[0] >= b[0] for a, b in pairwise(rows)):
        raise table.error("clock_steps", f"a list of [from_window, time_scale] in rising windows from 0, found {rows}")
    return tuple((row[0], row[1]) for row in rows)
