import gzip
from pathlib import Path

import pytest

from agents.forecast import DayBefore, FutureRow, History, PerfectForesight, Persistence, make_forecaster
from agents.profiles import PROFILES_FILE, ROWS_PER_DAY, DataDirectory, row_at
from agents.simulation import SimulatedHousehold, Street
from agents.trading.concession import ConcessionStrategy
from agents.trading.plan import WindowPlan
from contracts.tariffs import PRESETS
from tests.agents.street_day import DATA, TERMS, TRADING, WINDOW_ZERO_S, data, households, profile

FIRST = row_at(WINDOW_ZERO_S)


def test_a_forecaster_cannot_ask_for_a_row_that_is_not_over() -> None:
    history = History(profile("L16"), FIRST + 40)
    assert history.at(FIRST + 39).pv_wh > 0
    with pytest.raises(FutureRow, match="not over yet"):
        history.at(FIRST + 40)


def test_day_before_takes_the_newest_day_that_is_over() -> None:
    energy = profile("L31")
    history = History(energy, FIRST + 40)
    rows = range(FIRST + 40, FIRST + 44)
    assert DayBefore().forecast(history, rows) == tuple(energy.at(row - ROWS_PER_DAY) for row in rows)
    tomorrow = FIRST + 40 + ROWS_PER_DAY
    assert DayBefore().forecast(history, range(tomorrow - 1, tomorrow + 1)) == (
        energy.at(tomorrow - 1 - ROWS_PER_DAY),
        energy.at(tomorrow - 2 * ROWS_PER_DAY),
    )


def test_persistence_repeats_the_last_row_and_the_oracle_reads_the_future() -> None:
    energy = profile("L16")
    history, rows = History(energy, FIRST + 40), range(FIRST + 44, FIRST + 46)
    assert Persistence().forecast(history, rows) == (energy.at(FIRST + 39),) * 2
    assert PerfectForesight(energy).forecast(history, rows) == tuple(energy.at(row) for row in rows)


def test_an_unknown_forecast_is_named() -> None:
    with pytest.raises(ValueError, match="'tea leaves': expected one of day-before, persistence, perfect"):
        make_forecaster("tea leaves", profile("L16"))


def _changed_from(row: int, folder: Path) -> DataDirectory:
    """The data with every value from `row` on replaced."""
    with gzip.open(DATA / PROFILES_FILE, "rt", encoding="ascii") as file:
        lines = file.read().splitlines()
    other = ",".join("0.7531" for _ in lines[0].split(",")[1:])
    changed = lines[: row + 1] + [f"{line.split(',', 1)[0]},{other}" for line in lines[row + 1 :]]
    with gzip.open(folder / PROFILES_FILE, "wt", encoding="ascii", compresslevel=1) as file:
        file.write("\n".join(changed) + "\n")
    (folder / "semiurb4_connections.csv").write_bytes((DATA / "semiurb4_connections.csv").read_bytes())
    return DataDirectory(folder)


def _plans(source: DataDirectory, forecast: str, window: int) -> dict[str, WindowPlan]:
    rows = []
    for household in households(forecast):
        energy = source.profile(f"LV4.101-{household.name}")
        rows.append(
            SimulatedHousehold(
                household.name,
                energy,
                TRADING[household.name],
                make_forecaster(forecast, energy),
                household.battery,
                household.start_soc_wh,
            )
        )
    tariff = PRESETS["shared-connection"]
    street = Street(rows, tariff=tariff, terms=TERMS, strategy=ConcessionStrategy(), window_zero_s=WINDOW_ZERO_S)
    return {household.name: street.plan(household, window) for household in rows}


@pytest.mark.parametrize("forecast", ["day-before", "persistence"])
def test_changing_future_rows_leaves_every_offer_unchanged(forecast: str, tmp_path: Path) -> None:
    window = 12
    unknown = FIRST + (window - 1) * 4
    changed = _changed_from(unknown, tmp_path)
    assert changed.profile("LV4.101-L16").at(unknown) != data().profile("LV4.101-L16").at(unknown)
    assert _plans(changed, forecast, window) == _plans(data(), forecast, window)
    assert _plans(changed, "perfect", window) != _plans(data(), "perfect", window)


def test_changing_a_past_row_changes_the_offers(tmp_path: Path) -> None:
    window = 12
    changed = _changed_from(FIRST + (window - 1) * 4 - ROWS_PER_DAY, tmp_path)
    assert _plans(changed, "day-before", window) != _plans(data(), "day-before", window)
