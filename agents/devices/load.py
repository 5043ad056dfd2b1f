"""The household's consumption, simulated from its profile."""

from __future__ import annotations

from agents.profiles import ConnectionProfile


class Load:
    """What the household uses, chargers included."""

    def __init__(self, profile: ConnectionProfile) -> None:
        self._profile = profile

    def energy_wh(self, row: int) -> int:
        """Return the energy used in a quarter-hour that is over."""
        return self._profile.at(row).load_wh
