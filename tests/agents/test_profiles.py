from pathlib import Path

import pytest

from agents.errors import ProfileError
from agents.profiles import ROWS_PER_DAY, ROWS_PER_WEEK, DataDirectory, ProfileTable, row_at
from tests.agents.street_day import DATA, WINDOW_ZERO_S, data, profile

FIRST = row_at(WINDOW_ZERO_S)


def test_window_zero_is_midnight_of_21_june() -> None:
    assert FIRST == 16_508
    assert len(data().table) == 366 * ROWS_PER_DAY


@pytest.mark.parametrize(
    ("name", "load_wh", "pv_wh"), [("L16", 5121, 26_389), ("L31", 4435, 26_389), ("L6", 14_121, 0), ("L7", 1645, 0)]
)
def test_the_day_in_whole_watt_hours(name: str, load_wh: int, pv_wh: int) -> None:
    energy = [profile(name).at(row) for row in range(FIRST, FIRST + ROWS_PER_DAY)]
    assert sum(quarter.load_wh for quarter in energy) == pytest.approx(load_wh, abs=10)
    assert sum(quarter.pv_wh for quarter in energy) == pytest.approx(pv_wh, abs=10)


def test_only_the_household_load_is_shifted() -> None:
    here, later = data().profile("LV4.101-L31"), data().profile("LV4.101-L31", shift_weeks=1)
    noon = FIRST + 48
    assert later.at(noon).load_wh == here.at(noon + ROWS_PER_WEEK).load_wh
    assert later.at(noon).pv_wh == here.at(noon).pv_wh
    assert data().profile("LV4.101-L6", shift_weeks=1).at(FIRST + 76).load_wh > 900  # its charger stays at 19 h


def test_rows_wrap_over_the_year() -> None:
    table = data().table
    assert table.fraction(len(table) + 5, "H0-A") == table.fraction(5, "H0-A")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"connection LV4\.101-L99: expected one of LV4\.101-L1"):
        data().connection("LV4.101-L99")
    with pytest.raises(ProfileError, match="column Wind"):
        data().table.fraction(0, "Wind")
    with pytest.raises(ProfileError, match="expected gzipped CSV"):
        ProfileTable(tmp_path / "none.csv.gz")
    (tmp_path / "broken.csv.gz").write_bytes((DATA / "profiles_2016_15min.csv.gz").read_bytes()[:1000])
    with pytest.raises(ProfileError, match="expected gzipped CSV"):
        ProfileTable(tmp_path / "broken.csv.gz")
    with pytest.raises(ProfileError, match="CSV with a column connection"):
        DataDirectory(tmp_path).connection("LV4.101-L1")


def test_the_licence_notice_ships_with_the_data() -> None:
    text = (DATA / "README.md").read_text(encoding="utf-8")
    assert "Open Database License" in text
    assert "SimBench, simbench.de" in text
