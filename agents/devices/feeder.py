"""The feeder's meter: what the grid brought to the whole street and took from it, losses of the lines included.

Model of a devnet's lines: of all energy that connections draw in a quarter, a fixed share is lost on the way; the
feeder brings the street's net and what is lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agents.devices.wire import Wire

_PERMILLE = 1000


@dataclass(frozen=True, slots=True)
class FeederReading:
    """A window at the feeder, in watt-hours; `whole` says whether all of the window flowed past it."""

    import_wh: int
    export_wh: int
    whole: bool


class FeederMeter:
    """The meter at the street's feeder.

    Args:
        wires: of all connections behind it.
        quarters: of a window.
        losses_permille: what is lost of the energy drawn.
    """

    def __init__(self, wires: Sequence[Wire], quarters: int, losses_permille: int) -> None:
        self._wires = wires
        self._quarters = quarters
        self._losses_permille = losses_permille

    def read(self, window: int) -> FeederReading:
        """Return what flowed in a window as far as it did."""
        quarters = range(window * self._quarters, (window + 1) * self._quarters)
        flows = [wire.flows(quarters) for wire in self._wires]
        import_wh = export_wh = 0
        for quarter in quarters:
            there = [flow[quarter] for flow in flows if quarter in flow]
            drawn = sum(drawn for drawn, _ in there)
            net = drawn - sum(fed for _, fed in there) + (drawn * self._losses_permille + _PERMILLE // 2) // _PERMILLE
            import_wh += max(net, 0)
            export_wh += max(-net, 0)
        return FeederReading(import_wh, export_wh, all(len(flow) == self._quarters for flow in flows))
