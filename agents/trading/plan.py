"""What a household wants of the coming window: how much to buy for own use, how much to store, how much to sell.

Pure: forecast, charge state and limits in, a plan out. The battery buys in its charging hours for the evening and
sells in its selling hours what its own household will not need until it charges again; in all other hours it serves
its own household.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agents.devices.battery import BatterySpec
from agents.devices.meter import Contracted, meter_quarter
from agents.forecast import deficit_wh, surplus_wh
from agents.profiles import QuarterEnergy
from agents.trading.strategy import Limits
from contracts.bindings.market_types import Rails


@dataclass(frozen=True, slots=True)
class Hours:
    """Hours of the day [first, last], both included."""

    first: int
    last: int

    def __contains__(self, hour: int) -> bool:
        return self.first <= hour <= self.last


@dataclass(frozen=True, slots=True)
class StorageTrading:
    """How a battery trades: when it buys and when it sells, and its limits for both.

    Its selling reserve must exceed its buying reserve by the losses of a cycle, or storing loses money.
    """

    charge_hours: Hours
    sell_hours: Hours
    buy: Limits
    sell: Limits


@dataclass(frozen=True, slots=True)
class Trading:
    """A household's trading parameters; None where it never buys or sells for that purpose."""

    buy: Limits | None
    sell: Limits | None
    storage: StorageTrading | None


@dataclass(frozen=True, slots=True)
class Demand:
    """Energy wanted, what for, and the limits of its price."""

    purpose: str
    energy_wh: int
    limits: Limits


@dataclass(frozen=True, slots=True)
class Supply:
    """Energy for sale, where from, and the limits of its price."""

    purpose: str
    energy_wh: int
    limits: Limits


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """A household's plan for one delivery window; demands in the order in which they are served."""

    window: int
    forecast_load_wh: int
    forecast_pv_wh: int
    start_soc_wh: int
    demands: tuple[Demand, ...]
    supply: Supply | None

    def one_side(self) -> WindowPlan:
        """Return what of the plan is traded where a household takes one side a window: the supply, if there is one."""
        return self if self.supply is None else replace(self, demands=())

    @property
    def demand_wh(self) -> int:
        """All that is wanted."""
        return sum(demand.energy_wh for demand in self.demands)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a plan rests on.

    `coming` is the forecast of the delivery window's quarters, `own_need_wh` what the household will take from its
    battery after the window and before it charges again, `start_soc_wh` the charge state expected when the window
    begins.
    """

    window: int
    hour: int
    coming: Sequence[QuarterEnergy]
    own_need_wh: int
    start_soc_wh: int
    window_length_s: int


def make_plan(
    outlook: Outlook, trading: Trading, battery: BatterySpec | None, rails: Rails, minimum_lot_wh: int
) -> WindowPlan:
    """Return what to trade for the window; what no price between the rails allows is left out."""
    surplus, deficit = surplus_wh(outlook.coming), deficit_wh(outlook.coming)
    load, pv = sum(q.load_wh for q in outlook.coming), sum(q.pv_wh for q in outlook.coming)
    demands: list[Demand] = []
    supply: Supply | None = None
    storage = trading.storage
    if battery is not None and storage is not None:
        if outlook.hour in storage.charge_hours:
            room = min(battery.chargeable_wh(outlook.start_soc_wh), battery.limit_wh(outlook.window_length_s))
            own = min(room, surplus)
            surplus -= own
            demands.append(Demand("storage", room - own, storage.buy))
        else:
            stored = battery.dischargeable_wh(outlook.start_soc_wh)
            if outlook.hour in storage.sell_hours:
                spare = min(stored, battery.limit_wh(outlook.window_length_s)) - deficit
                spare = min(spare, stored - deficit - outlook.own_need_wh)
                supply = Supply("storage", max(spare, 0), storage.sell)
            deficit = max(deficit - stored, 0)
    if trading.buy is not None and (pv <= load or trading.sell is None):
        demands.insert(0, Demand("own use", deficit, trading.buy))
    if trading.sell is not None and supply is None and pv > load:
        supply = Supply("surplus", surplus, trading.sell)
    return WindowPlan(
        window=outlook.window,
        forecast_load_wh=load,
        forecast_pv_wh=pv,
        start_soc_wh=outlook.start_soc_wh,
        demands=tuple(d for d in demands if d.energy_wh >= minimum_lot_wh and _can_buy(d.limits, rails)),
        supply=supply if supply and supply.energy_wh >= minimum_lot_wh and _can_sell(supply.limits, rails) else None,
    )


def expected_soc_wh(
    battery: BatterySpec | None,
    soc_wh: int,
    coming: Sequence[QuarterEnergy],
    contracted: Contracted,
    first_quarter: int,
    quarter_length_s: int,
) -> int:
    """Return the charge state after the rest of a window, as forecast.

    Args:
        battery: None for none.
        soc_wh: now.
        coming: forecast of the window's quarters from `first_quarter` on.
        contracted: for the whole window.
        first_quarter: 0-based within the window.
        quarter_length_s: length of a quarter.
    """
    quarters = first_quarter + len(coming)
    for i, quarter in enumerate(coming, start=first_quarter):
        wanted = contracted.net_import_wh(i, quarters)
        soc_wh = meter_quarter(quarter.load_wh, quarter.pv_wh, battery, soc_wh, wanted, quarter_length_s).soc_wh
    return soc_wh


def windows_until_charging(trading: Trading, hour: int, windows_per_day: int) -> int:
    """Return how many windows after the one at `hour` a battery serves its household before it charges again."""
    if trading.storage is None:
        return 0
    first = trading.storage.charge_hours.first * windows_per_day // 24
    return (first - hour * windows_per_day // 24 - 1) % windows_per_day


def _can_buy(limits: Limits, rails: Rails) -> bool:
    return rails.lowest_microeur_per_kwh <= min(limits.reserve_microeur_per_kwh, rails.highest_microeur_per_kwh)


def _can_sell(limits: Limits, rails: Rails) -> bool:
    return rails.highest_microeur_per_kwh >= max(limits.reserve_microeur_per_kwh, rails.lowest_microeur_per_kwh)
