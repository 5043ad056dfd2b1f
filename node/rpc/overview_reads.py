"""What of `grid_overview` is read from the database: head, members, votes, blocks and the market's windows.

Read once a head, however many pages ask; windows of which nothing will change any more are not read again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace

from consensus.codec import decode_certificate
from contracts import layout
from node.chain.header import Header
from node.chain.record import RoundRecord
from node.rpc.backend import Backend
from node.rpc.market_windows import LOOK_BACK, Schedule, WindowRow, read_windows
from node.rpc.pool import ReadPool
from node.rpc.reads import Reader

VOTED_HEIGHTS = 24  # whose certificates are shown
SHOWN_BLOCKS = 8


@dataclass(frozen=True, slots=True)
class Vote:
    """A height's certificate: the view that decided, and the node keys that signed, a quorum's."""

    height: int
    view: int
    signers: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class Block:
    """A round block in a line."""

    header: Header
    transactions: int


@dataclass(frozen=True, slots=True)
class Street:
    """What stands in the database.

    Args:
        header, record: of the head.
        names: of the members by node key, as they chose them.
        votes: of the newest heights, oldest first; none for block 0.
        blocks: the newest first.
        windows: of the market, the newest first; None without a market that answers.
        complete: whether there was time for all windows.
    """

    header: Header
    record: RoundRecord
    names: dict[bytes, str]
    votes: tuple[Vote, ...]
    blocks: tuple[Block, ...]
    windows: tuple[WindowRow, ...] | None
    complete: bool


def read_street(reader: Reader, schedule: Schedule, chain_time_s: int, known: Iterable[int]) -> Street:
    """Return all of it as of the head. A read function; for the arguments see `read_windows`."""
    with reader.store.read() as view:
        head = view.head_height
        kept = [height for height in range(max(0, head - VOTED_HEIGHTS + 1), head + 1) if view.keeps(height)]
        votes = []
        for height in kept:
            raw = view.certificate(height)
            if raw is not None:
                found = decode_certificate(raw)
                votes.append(Vote(height, int(found.view), frozenset(found.signers)))
        newest = reversed(kept[-SHOWN_BLOCKS:])
        blocks = tuple(Block(view.header(height), len(view.transactions(height))) for height in newest)
        names = {member.node_key: member.name for member in layout.members(view.state.storage)}
        header, record = view.header(head), view.record(head)
    windows = read_windows(reader, schedule, chain_time_s, known)
    rows, complete = (None, True) if windows is None else (windows.rows, windows.complete)
    return Street(header, record, names, tuple(votes), blocks, rows, complete)


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
