"""The connection's meter: import and export registers apart, and the battery behind it steered to what is contracted.

Within a quarter-hour the meter registers the sign of the net energy once; nothing is netted across quarters.
"""

from __future__ import annotations

from dataclasses import dataclass

from agents.devices.battery import BatterySpec, step
from agents.devices.load import Load
from agents.devices.pv import Pv


@dataclass(frozen=True, slots=True)
class Contracted:
    """What a household has contracted for a whole window."""

    bought_wh: int = 0
    sold_wh: int = 0

    def net_import_wh(self, quarter: int, quarters: int) -> int:
        """Return the net import that the contracts want in a window's quarter (0-based); the shares add up exactly."""
        net = self.bought_wh - self.sold_wh
        return net * (quarter + 1) // quarters - net * quarter // quarters


@dataclass(frozen=True, slots=True)
class Reading:
    """A quarter-hour at one connection; `soc_wh` is the battery's state after it."""

    load_wh: int
    pv_wh: int
    charged_wh: int
    discharged_wh: int
    import_wh: int
    export_wh: int
    soc_wh: int


def meter_quarter(
    load_wh: int, pv_wh: int, battery: BatterySpec | None, soc_wh: int, wanted_import_wh: int, duration_s: int
) -> Reading:
    """Let the battery bring the connection as near to the wanted net import as it can, then register.

    With nothing contracted the wanted net import is zero: that is own-use mode. A battery reacts to the load and sun
    of the moment; it takes no part in any decision to trade.

    Args:
        load_wh: what was used.
        pv_wh: what was made.
        battery: None for a connection without one.
        soc_wh: what it held before.
        wanted_import_wh: net import that the contracts want; negative is export.
        duration_s: length of the quarter.
    """
    net = load_wh - pv_wh
    charged = discharged = 0
    if battery is not None:
        done = step(battery, soc_wh, wanted_import_wh - net, duration_s)
        charged, discharged, soc_wh = done.charged_wh, done.discharged_wh, done.soc_wh
    net += charged - discharged
    return Reading(load_wh, pv_wh, charged, discharged, max(net, 0), max(-net, 0), soc_wh)


class Meter:
    """The meter of one connection with its devices.

    Args:
        load: consumption.
        pv: generation.
        battery: None for none.
        soc_wh: the battery's charge state at the start.
        quarter_length_s: length of a quarter in chain seconds.
    """

    def __init__(self, load: Load, pv: Pv, battery: BatterySpec | None, soc_wh: int, quarter_length_s: int) -> None:
        self._load = load
        self._pv = pv
        self.battery = battery
        self.soc_wh = soc_wh
        self._quarter_length_s = quarter_length_s

    def read(self, row: int, wanted_import_wh: int) -> Reading:
        """Let the quarter-hour `row` pass and return what it was."""
        reading = meter_quarter(
            self._load.energy_wh(row),
            self._pv.energy_wh(row),
            self.battery,
            self.soc_wh,
            wanted_import_wh,
            self._quarter_length_s,
        )
        self.soc_wh = reading.soc_wh
        return reading
