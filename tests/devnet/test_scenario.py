"""Scenarios are read strictly: what is wrong is named by file, key and expectation."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.profiles import DataDirectory
from devnet.scenario import DATA, SCENARIOS, find_scenario, load_scenario
from node.parsing import ConfigError

SHIPPED = sorted(path.stem for path in SCENARIOS.glob("*.toml"))
STREET = SCENARIOS / "street.toml"


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_scenarios_are_valid_and_named_after_their_files(name: str) -> None:
    assert load_scenario(find_scenario(name)).name == name


def test_the_street_is_the_day_of_the_market_page() -> None:
    street = load_scenario(STREET)
    assert street.windows == 24
    assert street.clock_steps == ((0, 3600), (6, 600))
    assert street.tariff == "shared-connection"
    assert [plan.connection[-3:].lstrip("-") for plan in street.households] == ["L16", "L31", "L6", "L7"]
    assert [plan.load_shift_weeks for plan in street.households] == [0, 0, 1, 0]
    assert street.households[3].tables["battery"]["capacity_wh"] == 13_700


@pytest.mark.parametrize(
    ("replace", "by", "key", "expected"),
    [
        ("windows = 24", "windows = 0", "scenario.windows", "from 1 to 168"),
        ("windows = 24", 'windows = "24"', "scenario.windows", "a whole number"),
        ("windows = 24", "windows = 24\nwindow = 3", "scenario.window", "no such key"),
        ("clock_steps = [[0, 3600], [6, 600]]", "clock_steps = [[0], [6]]", "scenario.clock_steps", "[from_window"),
        ('tariff = "shared-connection"', 'tariff = "gift"', "scenario.tariff", "public-grid"),
        ("quarter_length_s = 900", "", "schedule.quarter_length_s", "missing"),
        ("minimum_lot_wh = 10", "minimum_lot_wh = -1", "market.minimum_lot_wh", "from 0"),
        ('connection = "LV4.101-L31"', 'connection = "LV4.101-L16"', "household", "a different connection"),
        ('connection = "LV4.101-L31"', "connection = 31", "household[1].connection", "a string"),
        ("load_shift_weeks = 1 ", "load_shift_weeks = 99 ", "household[2].load_shift_weeks", "from -52 to 52"),
        ("load_shift_weeks = 1 ", "load_shift = 1 ", "household[2].load_shift", "no such key"),
        ("windows = 24", "windows = 24\nvalidators = 5", "scenario.validators", "from 1 to 4"),
        ("windows = 24", "windows = 24\nprivate = 1", "scenario.private", "true or false"),
        ("windows = 24", "windows = 24\nprivate = true", "scenario.private", "stays in open mode"),
        ("[scenario]", "[scenario", "", "TOML in UTF-8"),
    ],
)
def test_wrong_scenario_names_file_key_and_expectation(
    tmp_path: Path, replace: str, by: str, key: str, expected: str
) -> None:
    text = STREET.read_text()
    assert replace in text
    path = tmp_path / "wrong.toml"
    path.write_text(text.replace(replace, by, 1))
    with pytest.raises(ConfigError) as caught:
        load_scenario(find_scenario(str(path)))
    assert caught.value.path == path
    assert caught.value.key == key
    assert expected in caught.value.expected


def test_street_8_is_the_private_street() -> None:
    street = load_scenario(SCENARIOS / "street-8.toml")
    assert (len(street.households), street.validators, street.private, street.why_open) == (8, 4, True, "")
    connections = [DataDirectory(DATA).connection(plan.connection) for plan in street.households]
    assert sum(bool(connection.pv) for connection in connections) == 3
    assert sum("battery" in plan.tables for plan in street.households) == 1
    loads = {
        (c.household.column, plan.load_shift_weeks) for c, plan in zip(connections, street.households, strict=True)
    }
    assert len(loads) == 8


@pytest.mark.parametrize(
    ("after", "table", "key"),
    [
        ('connection = "LV4.101-L16"\n', "[household.buy]", "household[0].buy"),
        ('connection = "LV4.101-L31"\n', "[household.sell]", "household[1].sell"),
        ("sell_hours = [17, 23]\n", "[household.storage.sell]", "household[3].storage.sell"),
    ],
)
def test_in_private_no_household_has_prices_of_its_own(tmp_path: Path, after: str, table: str, key: str) -> None:
    text = (SCENARIOS / "street-8.toml").read_text()
    path = tmp_path / "own.toml"
    path.write_text(text.replace(after, f"{after}{table}\nopening = 130000\nreserve = 240000\nrounds = 6\n", 1))
    with pytest.raises(ConfigError, match="a price of one's own names its owner") as caught:
        load_scenario(path)
    assert caught.value.key == key


def test_a_private_street_has_a_policy_of_prices(tmp_path: Path) -> None:
    text = (SCENARIOS / "street-8.toml").read_text()
    head, rest = text.split("[strategy.buy]")
    path = tmp_path / "none.toml"
    path.write_text(head + rest[rest.index("[[household]]") :])
    with pytest.raises(ConfigError, match=r"no \[strategy\]: in private all households have one policy"):
        load_scenario(path)
    path.write_text(path.read_text().replace("private = true", "private = false"))
    assert load_scenario(path).why_open.startswith("no [strategy]")


def test_a_scenario_that_says_neither_is_open_and_all_its_households_validate() -> None:
    street = load_scenario(STREET)
    assert (street.validators, street.private) == (len(street.households), False)


def test_without_households_there_is_no_scenario(tmp_path: Path) -> None:
    path = tmp_path / "empty.toml"
    path.write_text("household = []\n" + STREET.read_text().partition("[[household]]")[0])
    with pytest.raises(ConfigError, match="1 to 20 households"):
        load_scenario(path)


def test_unknown_scenario_names_those_that_ship() -> None:
    with pytest.raises(ConfigError) as caught:
        load_scenario(find_scenario("avenue"))
    for name in ("avenue", *SHIPPED):
        assert name in str(caught.value)
