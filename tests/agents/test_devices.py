import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.devices.battery import BatterySpec, step
from agents.devices.meter import Contracted, meter_quarter

SPECS = st.builds(
    lambda capacity, power, charge, discharge, reserve: BatterySpec(
        capacity, power, charge, discharge, reserve * capacity // 100
    ),
    st.integers(0, 50_000),
    st.integers(0, 30_000),
    st.integers(1, 1000),
    st.integers(1, 1000),
    st.integers(0, 100),
)


@given(SPECS, st.integers(0, 100), st.lists(st.integers(-20_000, 20_000), max_size=30))
def test_a_battery_keeps_its_energy_balance(spec: BatterySpec, filled: int, wishes: list[int]) -> None:
    soc_wh = start = spec.capacity_wh * filled // 100
    charged = discharged = lost = 0
    for wanted in wishes:
        before = soc_wh
        done = step(spec, soc_wh, wanted, 900)
        soc_wh = done.soc_wh
        charged, discharged, lost = charged + done.charged_wh, discharged + done.discharged_wh, lost + done.lost_wh
        assert not (done.charged_wh and done.discharged_wh)
        assert max(done.charged_wh, done.discharged_wh) <= min(abs(wanted), spec.limit_wh(900))
        assert 0 <= soc_wh <= spec.capacity_wh
        assert soc_wh >= min(before, spec.reserve_wh)
        assert done.lost_wh >= 0
    assert charged - discharged == soc_wh - start + lost


@given(SPECS, st.integers(0, 100))
def test_what_a_battery_says_it_can_do_it_can(spec: BatterySpec, filled: int) -> None:
    soc_wh = spec.capacity_wh * filled // 100
    for_ever = 10**9
    assert step(spec, soc_wh, for_ever, for_ever).charged_wh == min(spec.chargeable_wh(soc_wh), spec.limit_wh(for_ever))
    emptied = step(spec, soc_wh, -for_ever, for_ever).discharged_wh
    assert emptied == min(spec.dischargeable_wh(soc_wh), spec.limit_wh(for_ever))


def test_a_battery_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="reserve from 0 to the capacity"):
        BatterySpec(100, 10, reserve_wh=101)
    with pytest.raises(ValueError, match="efficiency from 1 to 1000"):
        BatterySpec(100, 10, charge_permille=1001)
    with pytest.raises(ValueError, match="charge state from 0 to 100"):
        step(BatterySpec(100, 10), 101, 1, 900)


BATTERY = BatterySpec(10_000, 4_000, 900, 900, 1_000)


def test_registers_are_apart_and_own_use_comes_first() -> None:
    assert meter_quarter(100, 30, None, 0, 0, 900).import_wh == 70
    sunny = meter_quarter(100, 130, None, 0, 0, 900)
    assert (sunny.import_wh, sunny.export_wh) == (0, 30)
    own_use = meter_quarter(100, 0, BATTERY, 5_000, 0, 900)
    assert (own_use.import_wh, own_use.export_wh, own_use.discharged_wh, own_use.soc_wh) == (0, 0, 100, 4_888)
    stored = meter_quarter(0, 100, BATTERY, 5_000, 0, 900)
    assert (stored.export_wh, stored.charged_wh, stored.soc_wh) == (0, 100, 5_090)


def test_the_battery_delivers_what_is_contracted() -> None:
    sold = meter_quarter(60, 0, BATTERY, 5_000, -500, 900)
    assert (sold.export_wh, sold.discharged_wh) == (500, 560)
    bought = meter_quarter(60, 0, BATTERY, 5_000, 700, 900)
    assert (bought.import_wh, bought.charged_wh) == (700, 640)
    too_much = meter_quarter(60, 0, BATTERY, 5_000, -5_000, 900)
    assert too_much.export_wh == BATTERY.limit_wh(900) - 60


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 96))
def test_the_quarters_of_a_contract_add_up(bought_wh: int, sold_wh: int, quarters: int) -> None:
    contracted = Contracted(bought_wh, sold_wh)
    assert sum(contracted.net_import_wh(i, quarters) for i in range(quarters)) == bought_wh - sold_wh
