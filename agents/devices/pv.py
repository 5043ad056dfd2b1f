"""The photovoltaic system, simulated from its profile."""

from __future__ import annotations

from agents.profiles import ConnectionProfile


class Pv:
    """What the sun gave."""

    def __init__(self, profile: ConnectionProfile) -> None:
        self._profile = profile

    def energy_wh(self, row: int) -> int:
        """Return the energy made in a quarter-hour that is over."""
        return self._profile.at(row).pv_wh
