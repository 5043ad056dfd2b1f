"""What a household's forecasts make it want of a window, written down as it is made."""

from __future__ import annotations

from collections.abc import Callable

from agents.devices.agents import MeterAgent
from agents.devices.battery import BatterySpec
from agents.forecast import Forecaster, History, Persistence, deficit_wh
from agents.home import Home
from agents.journal import Forecast
from agents.profiles import ConnectionProfile, row_at
from agents.trading.plan import Outlook, Trading, WindowPlan, expected_soc_wh, make_plan, windows_until_charging


class Planner:
    """Plans a household's windows.

    Args:
        home: the household's shared things.
        profile: what its devices measure.
        trading: its limits.
        battery: None for none.
        forecaster: handed the quarters that are over.
        meter: says how far the quarters are, and the charge state.
        on_forecast: called with every forecast.
    """

    def __init__(
        self,
        home: Home,
        profile: ConnectionProfile,
        trading: Trading,
        battery: BatterySpec | None,
        forecaster: Forecaster,
        *,
        meter: MeterAgent,
        on_forecast: Callable[[Forecast], None],
    ) -> None:
        self._home = home
        self._profile = profile
        self._trading = trading
        self._battery = battery
        self._forecaster = forecaster
        self._meter = meter
        self._on_forecast = on_forecast

    def plan(self, window: int) -> WindowPlan:
        """Forecast the window from the quarters that are over, and write down what is wanted of it."""
        home = self._home
        history = History(self._profile, self._row(self._meter.next_quarter))
        coming = self._forecaster.forecast(history, self._rows(window))
        outlook = Outlook(
            window=window,
            hour=self._hour(window),
            coming=coming,
            own_need_wh=self._own_need_wh(history, window),
            start_soc_wh=self._start_soc_wh(history, window),
            window_length_s=home.windows.window_length_s,
        )
        plan = make_plan(outlook, self._trading, self._battery, home.rails(window), home.terms.minimum_lot_wh)
        beside = Persistence().forecast(history, self._rows(window))
        line = Forecast(
            window=window,
            method=self._forecaster.name,
            load_wh=plan.forecast_load_wh,
            pv_wh=plan.forecast_pv_wh,
            persistence_load_wh=sum(quarter.load_wh for quarter in beside),
            persistence_pv_wh=sum(quarter.pv_wh for quarter in beside),
            start_soc_wh=plan.start_soc_wh,
            demand_wh=plan.demand_wh,
            supply_wh=plan.supply.energy_wh if plan.supply else 0,
        )
        home.write(line)
        self._on_forecast(line)
        return plan

    def _start_soc_wh(self, history: History, window: int) -> int:
        """Return the charge state expected at the window's beginning: now, and the rest of the trading window as
        forecast."""
        home, first = self._home, self._meter.next_quarter
        trading_window, within = window - 1, first - (window - 1) * home.windows.quarters
        if not 0 <= within <= home.windows.quarters:
            return self._meter.soc_wh
        rows = range(self._row(first), self._row((trading_window + 1) * home.windows.quarters))
        coming = self._forecaster.forecast(history, rows)
        contracted = home.view.contracted(trading_window, home.account)
        length = home.windows.quarter_length_s
        return expected_soc_wh(self._battery, self._meter.soc_wh, coming, contracted, within, length)

    def _own_need_wh(self, history: History, window: int) -> int:
        windows_per_day = 86_400 // self._home.windows.window_length_s
        count = windows_until_charging(self._trading, self._hour(window), windows_per_day)
        rows = range(self._rows(window + 1).start, self._rows(window + 1 + count).start)
        return deficit_wh(self._forecaster.forecast(history, rows))

    def _hour(self, window: int) -> int:
        return window * self._home.windows.window_length_s // 3600 % 24

    def _row(self, quarter: int) -> int:
        return row_at(self._home.windows.window_zero_s + quarter * self._home.windows.quarter_length_s)

    def _rows(self, window: int) -> range:
        quarters = self._home.windows.quarters
        return range(self._row(window * quarters), self._row((window + 1) * quarters))
