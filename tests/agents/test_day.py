"""21 June 2016 on four households: the figures that the market's page gives, and what the market makes of that day."""

from __future__ import annotations

import pytest

from agents import bill
from agents.devices.meter import Reading
from agents.forecast import FORECASTS
from agents.market.settlement import GRID, OPERATOR
from agents.profiles import row_at
from contracts.tariffs import PRESETS
from tests.agents.street_day import BATTERY, SHIFTS, TRADING, WINDOW_ZERO_S, day, profile, street

FIRST = row_at(WINDOW_ZERO_S)
TARIFFS = [PRESETS["shared-connection"]] * 96


def start_soc_wh(name: str) -> int:
    return BATTERY.reserve_wh if TRADING[name].storage else 0


def alone(name: str) -> tuple[Reading, ...]:
    battery = BATTERY if TRADING[name].storage else None
    return bill.without_market(profile(name), range(FIRST, FIRST + 96), battery, start_soc_wh(name), 900)


def bill_with(name: str, forecast: str = "day-before") -> int:
    result = day(forecast)
    return bill.bill_with_market(
        result.received_microeur(name), result.readings[name], TARIFFS, start_soc_wh(name)
    ).total_microeur


@pytest.mark.parametrize(("name", "euro"), [("L16", -2.1), ("L31", -2.4), ("L6", 4.1), ("L7", 0.5)])
def test_bills_without_the_market(name: str, euro: float) -> None:
    found = bill.bill_without_market(alone(name), TARIFFS, start_soc_wh(name))
    assert found.total_microeur / 1e6 == pytest.approx(euro, abs=0.05)
    assert found.stored_microeur == 0


def test_the_streets_own_sun_without_the_market() -> None:
    balance = bill.total(bill.street_quarters({name: alone(name) for name in SHIFTS}))
    assert balance.self_sufficiency == pytest.approx(0.35, abs=0.002)
    assert balance.self_consumption == pytest.approx(0.168, abs=0.002)


def test_contracts_in_every_window_of_daylight() -> None:
    result = day()
    for window in range(7, 18):
        assert result.contracts[window], f"no contract for window {window}"
        assert sum(result.books[window].delivered_wh) >= 0
    assert len(result.prices_microeur_per_kwh()) >= 2
    assert sum(result.refused_counter_offers.values()) >= 1


def test_every_household_pays_less_with_the_market() -> None:
    for name in SHIFTS:
        without = bill.bill_without_market(alone(name), TARIFFS, start_soc_wh(name)).total_microeur
        assert bill_with(name) < without, name


@pytest.mark.parametrize("forecast", FORECASTS)
def test_the_cash_of_a_day_adds_up_to_zero(forecast: str) -> None:
    result = day(forecast)
    parties = [*SHIFTS, GRID, OPERATOR]
    assert sum(result.received_microeur(party) for party in parties) == 0
    assert result.received_microeur(OPERATOR) > 0


@pytest.mark.parametrize(
    ("forecast", "self_sufficiency"), [("day-before", 0.43), ("persistence", 0.62), ("perfect", 0.74)]
)
def test_what_the_battery_makes_of_the_sun(forecast: str, self_sufficiency: float) -> None:
    assert day(forecast).street().self_sufficiency == pytest.approx(self_sufficiency, abs=0.03)


def test_the_battery_charges_what_it_bought_and_delivers_what_it_sold() -> None:
    result = day("perfect")
    charged = sum(reading.charged_wh for reading in result.readings["L7"])
    discharged = sum(reading.discharged_wh for reading in result.readings["L7"])
    assert charged == pytest.approx(13_000, abs=300)
    assert discharged > 10_000
    for window in range(17, 21):
        sold = sum(c.energy_wh for c in result.contracts[window] if c.seller == "L7")
        exported = sum(reading.export_wh for reading in result.readings["L7"][4 * window : 4 * window + 4])
        assert exported == sold


def test_trading_alone_changes_no_electron() -> None:
    for name in ("L16", "L31", "L6"):
        assert tuple(day().readings[name]) == alone(name)


def test_the_public_grid_trades_nothing() -> None:
    result = day("day-before", "public-grid")
    assert all(not contracts for contracts in result.contracts.values())
    assert result.prices_microeur_per_kwh() == ()
    assert result.readings["L7"][-1].soc_wh == BATTERY.reserve_wh
    for name in ("L16", "L31", "L6", "L7"):
        without = bill.bill_without_market(alone(name), TARIFFS, start_soc_wh(name)).total_microeur
        assert -result.received_microeur(name) == without


def test_a_day_is_the_same_every_time() -> None:
    assert street().run(24).contracts == day().contracts
