"""The wire of a simulated street: what truly flowed at a connection, quarter by quarter, for the feeder's meter.

In a real street the feeder's meter measures current. In a devnet every household's simulated connection appends its
quarters to a file, which stands for its wire: no agent but the feeder's meter reads it.
"""

from __future__ import annotations

import json
from pathlib import Path


class Wire:
    """One connection's wire.

    Args:
        path: the file; made when something flows.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_bytes = 0
        self._flows: dict[int, tuple[int, int]] = {}

    def flow(self, quarter: int, import_wh: int, export_wh: int) -> None:
        """Let a quarter's energy flow; said twice, as after a restart, it counts once."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            file.write(json.dumps([quarter, import_wh, export_wh]).encode() + b"\n")

    def flows(self, quarters: range) -> dict[int, tuple[int, int]]:
        """Return (import, export) in watt-hours of those quarters that have flowed."""
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._read_bytes)
                new = file.read()
            whole = new[: new.rfind(b"\n") + 1]
            self._read_bytes += len(whole)
            for line in whole.splitlines():
                quarter, import_wh, export_wh = json.loads(line)
                self._flows[quarter] = import_wh, export_wh
        return {quarter: self._flows[quarter] for quarter in quarters if quarter in self._flows}
