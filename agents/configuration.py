"""The configuration of a household (`household.toml`) and of the operator (`operator.toml`), read strictly."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from agents.devices.battery import BatterySpec
from agents.errors import ConfigError
from agents.forecast import FORECASTS
from agents.trading.plan import Hours, StorageTrading, Trading
from agents.trading.strategy import Limits
from contracts.bindings.market_types import PRICE_TICK_MICROEUR_PER_KWH

HOUSEHOLD_CONFIG = "household.toml"
OPERATOR_CONFIG = "operator.toml"
MAX_PRICE_MICROEUR_PER_KWH = 10_000_000  # ten euro a kWh
MAX_ENERGY_WH = 10_000_000
LOSSES_PERMILLE = 15  # of the energy drawn: what a low-voltage line loses
_MISSING: Any = object()

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class HouseholdConfig:
    """A household's agents. Paths are absolute; times in chain seconds. `wire` is there in a simulated street alone."""

    directory: Path
    name: str
    connection: str
    rpc: str
    listen: tuple[str, int]
    key: Path
    meter_key: Path
    passphrase_file: Path | None
    data: Path
    grid: str
    load_shift_weeks: int
    forecast: str
    battery: BatterySpec | None
    start_soc_wh: int
    strategy: str
    trading: Trading
    offers_wait_s: int
    reply_timeout_s: int
    attest_quarters: int
    private: bool
    wire: Path | None


@dataclass(frozen=True, slots=True)
class FeederConfig:
    """The feeder's meter of a simulated street: its key, the wires behind it, and what is lost of the energy drawn."""

    key: Path
    wires: tuple[Path, ...]
    losses_permille: int


@dataclass(frozen=True, slots=True)
class OperatorConfig:
    """The microgrid operator. Paths are absolute."""

    directory: Path
    rpc: str
    key: Path
    passphrase_file: Path | None
    fund_microeur: int
    private: bool
    feeder: FeederConfig | None


class Section:
    """A table of a configuration file that is read key by key; a key that nobody asked for is an error when it is
    closed."""

    def __init__(self, path: Path, name: str, content: object) -> None:
        if not isinstance(content, Mapping):
            raise ConfigError(path, name, "a table")
        self._path = path
        self._name = name
        self._content = content
        self._read: set[str] = set()

    def error(self, key: str, expected: str) -> ConfigError:
        """Return the error that a key is not what was expected."""
        return ConfigError(self._path, f"{self._name}.{key}" if self._name else key, expected)

    def value(self, key: str, kind: type[T], expected: str, default: Any = _MISSING) -> T:
        """Return the value at `key`, of exactly this type."""
        self._read.add(key)
        found = self._content.get(key, default)
        if found is _MISSING:
            raise self.error(key, f"{expected}, but the key is missing")
        if type(found) is not kind:
            raise self.error(key, f"{expected}, found {found!r}")
        value: T = found
        return value

    def text(self, key: str, default: Any = _MISSING) -> str:
        """Return the string at `key`, not empty unless the default is."""
        found: str = self.value(key, str, "a string", default)
        if not found and default is _MISSING:
            raise self.error(key, "a string that is not empty")
        return found

    def integer(self, key: str, low: int, high: int, default: Any = _MISSING) -> int:
        """Return the whole number at `key`, from `low` to `high`."""
        expected = f"a whole number from {low} to {high}"
        found: int = self.value(key, int, expected, default)
        if not low <= found <= high:
            raise self.error(key, f"{expected}, found {found}")
        return found

    def flag(self, key: str, default: bool) -> bool:
        """Return whether `key` is true."""
        found: bool = self.value(key, bool, "true or false", default)
        return found

    def texts(self, key: str, default: Any = _MISSING) -> tuple[str, ...]:
        """Return the strings of the list at `key`."""
        found: list[Any] = self.value(key, list, "a list of strings", default)
        if not all(isinstance(each, str) and each for each in found):
            raise self.error(key, f"a list of strings that are not empty, found {found!r}")
        return tuple(found)

    def endpoint(self, key: str) -> tuple[str, int]:
        """Return (host, port) at `key`, written HOST:PORT."""
        text = self.text(key)
        host, _, port = text.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65_535:
            raise self.error(key, f"HOST:PORT with a port from 0 to 65535, found {text!r}")
        return host, int(port)

    def section(self, key: str) -> Section | None:
        """Return the table at `key`; None if there is none."""
        self._read.add(key)
        if key not in self._content:
            return None
        return Section(self._path, f"{self._name}.{key}" if self._name else key, self._content[key])

    def required(self, key: str) -> Section:
        """Return the table at `key`."""
        found = self.section(key)
        if found is None:
            raise self.error(key, "a table, but it is missing")
        return found

    def hours(self, key: str) -> Hours:
        """Return the hours at `key`, written [first, last]."""
        found: list[Any] = self.value(key, list, "[first hour, last hour]")
        if len(found) != 2 or not all(type(hour) is int and 0 <= hour <= 23 for hour in found) or found[0] > found[1]:
            raise self.error(key, f"[first hour, last hour] of a day, rising, from 0 to 23, found {found!r}")
        return Hours(*found)

    def limits(self, key: str) -> Limits | None:
        """Return the price limits of the table at `key`; None if there is none."""
        table = self.section(key)
        if table is None:
            return None
        limits = Limits(table.price("opening"), table.price("reserve"), table.integer("rounds", 1, 50))
        table.close()
        return limits

    def price(self, key: str) -> int:
        """Return the price at `key` in micro-euro per kWh, on the tick."""
        price = self.integer(key, 0, MAX_PRICE_MICROEUR_PER_KWH)
        if price % PRICE_TICK_MICROEUR_PER_KWH:
            raise self.error(key, f"micro-euro per kWh in steps of {PRICE_TICK_MICROEUR_PER_KWH}, found {price}")
        return price

    def close(self) -> None:
        """Raise for the first key that nobody read: a misspelt key must not be ignored."""
        for key in self._content:
            if key not in self._read:
                raise self.error(str(key), f"no such key; known here: {', '.join(sorted(self._read))}")


def load_household(path: Path) -> HouseholdConfig:
    """Read and check a household.toml.

    Raises:
        ConfigError: naming the file, the key and what was expected.
    """
    base = path.parent.resolve()
    top = Section(path, "", load_toml(path))
    household, profiles = top.required("household"), top.required("profiles")
    battery, start_soc_wh = _battery(top.section("battery"))
    strategy = top.required("strategy")
    forecast = profiles.text("forecast", FORECASTS[0])
    if forecast not in FORECASTS:
        raise profiles.error("forecast", f"one of {', '.join(FORECASTS)}, found {forecast!r}")
    private = household.flag("private", False)
    passphrase, wire = household.text("passphrase_file", ""), household.text("wire", "")
    config = HouseholdConfig(
        directory=base,
        name=household.text("name"),
        connection=household.text("connection"),
        rpc=household.text("rpc"),
        listen=household.endpoint("listen"),
        key=base / household.text("key"),
        meter_key=base / household.text("meter_key"),
        passphrase_file=base / passphrase if passphrase else None,
        data=base / profiles.text("data"),
        grid=profiles.text("grid", "semiurb4"),
        load_shift_weeks=profiles.integer("load_shift_weeks", -52, 52, 0),
        forecast=forecast,
        battery=battery,
        start_soc_wh=start_soc_wh,
        strategy=strategy.text("name", "concession"),
        trading=_trading(strategy, battery, private=private),
        offers_wait_s=strategy.integer("offers_wait_s", 0, 86_400, 600),
        reply_timeout_s=strategy.integer("reply_timeout_s", 1, 86_400, 360),
        attest_quarters=household.integer("attest_quarters", 1, 96, 1),
        private=private,
        wire=base / wire if wire else None,
    )
    for section in (top, household, profiles, strategy):
        section.close()
    return config


def load_operator(path: Path) -> OperatorConfig:
    """Read and check an operator.toml.

    Raises:
        ConfigError: naming the file, the key and what was expected.
    """
    base = path.parent.resolve()
    top = Section(path, "", load_toml(path))
    operator = top.required("operator")
    passphrase = operator.text("passphrase_file", "")
    config = OperatorConfig(
        directory=base,
        rpc=operator.text("rpc"),
        key=base / operator.text("key"),
        passphrase_file=base / passphrase if passphrase else None,
        fund_microeur=operator.integer("fund_microeur", 0, 10**12, 50_000_000),
        private=operator.flag("private", False),
        feeder=_feeder(base, top.section("feeder")),
    )
    if config.feeder is not None and not config.private:
        raise operator.error("private", "true where there is a [feeder]: an open street's balance needs none")
    operator.close()
    top.close()
    return config


def render_household(
    *,
    name: str,
    connection: str,
    rpc: str,
    listen: str,
    data: str,
    load_shift_weeks: int = 0,
    private: bool = False,
    wire: str = "",
    rest: str = "",
) -> str:
    """Return the text of a new household.toml; `rest` holds its [battery] and [strategy] tables."""
    wired = f'wire = "{wire}"\n' if wire else ""
    return (
        "# A household's agents. Paths are relative to this file, prices in micro-euro per kWh, times in chain\n"
        "# seconds.\n"
        "[household]\n"
        f'name = "{name}"\n'
        f'connection = "{connection}"\n'
        f'rpc = "{rpc}"\n'
        f'listen = "{listen}"\n'
        'key = "household-key.json"\n'
        'meter_key = "meter-key.json"\n'
        'passphrase_file = "passphrase"\n'
        f"private = {_toml(private)}\n"
        f"{wired}"
        "\n[profiles]\n"
        f'data = "{data}"\n'
        f"load_shift_weeks = {load_shift_weeks}\n"
        f'forecast = "{FORECASTS[0]}"\n'
        f"\n{rest or DEFAULT_STRATEGY}"
    )


def render_operator(
    *, rpc: str, fund_microeur: int = 50_000_000, private: bool = False, wires: Sequence[str] = ()
) -> str:
    """Return the text of a new operator.toml; with wires its feeder's meter measures what flows in them."""
    quoted = ", ".join(f'"{wire}"' for wire in wires)
    feeder = (
        "\n# What the feeder's meter measures: the wires of a simulated street, and what is lost of the energy drawn.\n"
        "[feeder]\n"
        'key = "feeder-key.json"\n'
        f"wires = [{quoted}]\n"
        f"losses_permille = {LOSSES_PERMILLE}\n"
    )
    return (
        "# The microgrid operator. Paths are relative to this file, money in micro-euro.\n"
        "[operator]\n"
        f'rpc = "{rpc}"\n'
        'key = "operator-key.json"\n'
        'passphrase_file = "passphrase"\n'
        f"fund_microeur = {fund_microeur}\n"
        f"private = {_toml(private)}\n"
        f"{feeder if wires else ''}"
    )


DEFAULT_STRATEGY = """[strategy]
name = "concession"

[strategy.buy]
opening = 140000
reserve = 255000
rounds = 5

[strategy.sell]
opening = 225000
reserve = 145000
rounds = 6
"""


def _toml(flag: bool) -> str:
    return "true" if flag else "false"


def _feeder(base: Path, section: Section | None) -> FeederConfig | None:
    if section is None:
        return None
    config = FeederConfig(
        key=base / section.text("key"),
        wires=tuple(base / wire for wire in section.texts("wires")),
        losses_permille=section.integer("losses_permille", 0, 500, LOSSES_PERMILLE),
    )
    section.close()
    return config


def _battery(section: Section | None) -> tuple[BatterySpec | None, int]:
    if section is None:
        return None, 0
    capacity = section.integer("capacity_wh", 1, MAX_ENERGY_WH)
    spec = BatterySpec(
        capacity_wh=capacity,
        power_w=section.integer("power_w", 1, MAX_ENERGY_WH),
        charge_permille=section.integer("charge_permille", 1, 1000, 950),
        discharge_permille=section.integer("discharge_permille", 1, 1000, 950),
        reserve_wh=section.integer("reserve_wh", 0, capacity, 0),
    )
    start_soc_wh = section.integer("start_soc_wh", 0, capacity, spec.reserve_wh)
    section.close()
    return spec, start_soc_wh


def _trading(strategy: Section, battery: BatterySpec | None, *, private: bool) -> Trading:
    """Return the limits of prices; in private there is one for buying and one for selling, whatever it is for."""
    buy, sell = strategy.limits("buy"), strategy.limits("sell")
    table = strategy.section("storage")
    if table is None:
        return Trading(buy, sell, None)
    if battery is None:
        raise strategy.error("storage", "a [battery], or no such table")
    limits = table.limits("buy"), table.limits("sell")
    if private and limits != (None, None):
        raise table.error(
            "buy" if limits[0] else "sell", "no such table in private: another price would name the battery"
        )
    if private:
        limits = buy, sell
    if limits[0] is None or limits[1] is None:
        raise strategy.error("storage", "tables buy and sell with opening, reserve, rounds")
    storage = StorageTrading(table.hours("charge_hours"), table.hours("sell_hours"), limits[0], limits[1])
    table.close()
    return Trading(buy, sell, storage)


def load_toml(path: Path) -> dict[str, Any]:
    """Return what a TOML file says.

    Raises:
        ConfigError: it is not readable, or no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(path, "", f"a readable file ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(path, "", f"TOML in UTF-8 ({error})") from None
