"""A battery in whole watt-hours: it loses on both ways, keeps a reserve, and never charges and discharges at once.

Every rounding is a loss: what is stored of a charge is rounded down, what is taken for a discharge is rounded up. So
in every step charged − discharged = gained + lost with lost ≥ 0, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

_PERMILLE = 1000


@dataclass(frozen=True, slots=True)
class BatterySpec:
    """What a battery can do; efficiencies in permille, one for each way, reserve in watt-hours that stay inside."""

    capacity_wh: int
    power_w: int
    charge_permille: int = 950
    discharge_permille: int = 950
    reserve_wh: int = 0

    def __post_init__(self) -> None:
        if self.capacity_wh < 0 or self.power_w < 0:
            raise ValueError(f"capacity and power from 0, found {self.capacity_wh} Wh and {self.power_w} W")
        for name, value in (("charge", self.charge_permille), ("discharge", self.discharge_permille)):
            if not 1 <= value <= _PERMILLE:
                raise ValueError(f"{name} efficiency from 1 to 1000 permille, found {value}")
        if not 0 <= self.reserve_wh <= self.capacity_wh:
            raise ValueError(f"a reserve from 0 to the capacity, found {self.reserve_wh} of {self.capacity_wh} Wh")

    def limit_wh(self, duration_s: int) -> int:
        """Return the most energy at the terminals in `duration_s`, either way."""
        return self.power_w * duration_s // 3600

    def chargeable_wh(self, soc_wh: int) -> int:
        """Return the energy at the terminals that fills the battery, whatever the power."""
        return ((self.capacity_wh - soc_wh + 1) * _PERMILLE - 1) // self.charge_permille

    def dischargeable_wh(self, soc_wh: int) -> int:
        """Return the energy at the terminals that empties the battery to its reserve, whatever the power."""
        return max(0, soc_wh - self.reserve_wh) * self.discharge_permille // _PERMILLE


@dataclass(frozen=True, slots=True)
class BatteryStep:
    """What happened in a step: energy at the terminals (one of both is zero), charge state after it, loss."""

    charged_wh: int
    discharged_wh: int
    soc_wh: int
    lost_wh: int


def step(spec: BatterySpec, soc_wh: int, wanted_wh: int, duration_s: int) -> BatteryStep:
    """Charge (`wanted_wh` > 0) or discharge (< 0) as much of what is wanted as power, capacity and reserve allow.

    Args:
        spec: the battery.
        soc_wh: what is stored now, 0 to the capacity.
        wanted_wh: energy at the terminals.
        duration_s: how long the step lasts.

    Raises:
        ValueError: the charge state is outside the battery.
    """
    if not 0 <= soc_wh <= spec.capacity_wh:
        raise ValueError(f"a charge state from 0 to {spec.capacity_wh} Wh, found {soc_wh}")
    limit = spec.limit_wh(duration_s)
    if wanted_wh >= 0:
        charged = min(wanted_wh, limit, spec.chargeable_wh(soc_wh))
        stored = charged * spec.charge_permille // _PERMILLE
        return BatteryStep(charged, 0, soc_wh + stored, charged - stored)
    discharged = min(-wanted_wh, limit, spec.dischargeable_wh(soc_wh))
    taken = -(-discharged * _PERMILLE // spec.discharge_permille)
    return BatteryStep(0, discharged, soc_wh - taken, taken - discharged)
