"""A certified block on its way from one node's data to another's, and where such blocks come from."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from node.client import NodeClient, NodeUnanswered
from node.errors import GridpactError
from node.storage import Store

READ_AT_ONCE = 64  # heights of one read transaction: a long one would hold back the reuse of pages
RANGE = 256  # of a request; the node bounds the bytes


@dataclass(frozen=True, slots=True)
class Block:
    """A height as it was decided: body (RLP of header and transactions), certificate, round record; all encoded."""

    height: int
    body: bytes
    certificate: bytes
    record: bytes


class BadBlock(GridpactError):
    """A block does not hold: at which height, what of it (header, body, certificate, record), and why."""

    def __init__(self, height: int, kind: str, reason: str) -> None:
        super().__init__(f"height {height}: {kind}: {reason}")
        self.height = height
        self.kind = kind
        self.reason = reason


def stored_blocks(store: Store, first: int, last: int) -> Iterator[Block]:
    """Yield the blocks of a database from height `first` to `last`.

    Raises:
        NotKept: the database begins above `first`.
        CorruptValue: a stored value is damaged.
    """
    for start in range(first, last + 1, READ_AT_ONCE):
        with store.read() as view:
            part = [
                Block(height, view.body(height), view.certificate(height) or b"", view.record(height).encode())
                for height in range(start, min(start + READ_AT_ONCE, last + 1))
            ]
        yield from part


def remote_blocks(client: NodeClient, first: int, last: int) -> Iterator[Block]:
    """Yield the blocks that a node gives from height `first` to `last`, a range fetched while the present one is used.

    Raises:
        NodeError: it does not answer, or gives none though it should have them.
        BadBlock: what stands in the place of a height is no block.
    """
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(certified_range, client, first)
        height = first
        while height <= last:
            rows = coming.result()
            if not rows:
                raise NodeUnanswered(client.url, f"it gives no block of height {height}, of {last}")
            if height + len(rows) <= last:
                coming = thread.submit(certified_range, client, height + len(rows))
            for row in rows[: last + 1 - height]:
                yield _block(row, height)
                height += 1


def certified_range(client: NodeClient, first: int) -> list[Any]:
    """Return certified blocks from height `first` on as a node renders them, some at once; none above its head.

    Raises:
        NodeError: it does not answer so.
    """
    rows = client.ask("grid_getCertifiedBlocks", hex(first), RANGE)
    if not isinstance(rows, list):
        raise NodeUnanswered(client.url, "to grid_getCertifiedBlocks it says no list")
    return rows[:RANGE]


def _block(row: Any, height: int) -> Block:
    try:
        parts = [bytes.fromhex(row[name].removeprefix("0x")) for name in ("body", "certificate", "record")]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadBlock(height, "body", f"no body, certificate and record ({type(error).__name__}: {error})") from None
    return Block(height, *parts)
