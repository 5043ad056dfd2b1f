"""What of `grid_overview` is read from the database: head, members, votes, blocks and the market's windows.

It runs in a reading process, which should not have to import more than it needs: it has seconds for both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from consensus.codec import decode_certificate
from contracts import layout
from node.chain.header import Header
from node.chain.record import RoundRecord
from node.rpc.market_windows import Schedule, WindowRow, read_windows
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
