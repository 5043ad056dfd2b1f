"""The street as last read for `grid_overview`: once a head, however many pages ask.

Windows of which nothing will change any more are not read again.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from node.rpc.backend import Backend
from node.rpc.market_windows import LOOK_BACK, Schedule, WindowRow
from node.rpc.overview_reads import Street, read_street
from node.rpc.pool import ReadPool


class Streets:
    """The newest reading, which all who ask share.

    Args:
        backend: the node.
        reads: where it is read.
    """

    def __init__(self, backend: Backend, reads: ReadPool) -> None:
        self._backend = backend
        self._reads = reads
        self.schedule = Schedule.of(backend.genesis)
        self._one_at_a_time = asyncio.Lock()
        self._read_at: tuple[int, int] | None = None  # head and window
        self._street: Street | None = None
        self._rows: dict[int, WindowRow] = {}  # as last read

    async def read(self, chain_time_s: int) -> Street:
        """Return what stands in the database now, at a time of the chain."""
        async with self._one_at_a_time:
            with self._backend.store.read() as view:
                head = view.head_height
            current = self.schedule.window_at(chain_time_s)
            if self._street is None or self._read_at != (head, current):
                final = tuple(window for window, row in self._rows.items() if row.final(current))
                street = await self._reads.run(read_street, self.schedule, chain_time_s, final)
                self._street = self._with_known(street, current)
                self._read_at = (head, current) if street.complete else None
            return self._street

    def _with_known(self, street: Street, current: int) -> Street:
        """Return a reading with the windows that were not read this time, as they were."""
        if street.windows is None:
            return street
        rows = {**self._rows, **{row.window: row for row in street.windows}}
        self._rows = {window: rows[window] for window in sorted(rows, reverse=True) if window > current - LOOK_BACK}
        return replace(street, windows=tuple(self._rows.values()))
