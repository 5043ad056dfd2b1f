"""Finding logs: which blocks may hold what is wanted, by the blooms in their headers, and then those blocks' logs.

No header is decoded for it: the bloom stands at one place in all of them. The blooms of many blocks are laid one after
the other; every 256th byte is then one byte of each bloom, a column, and a value's three bits are looked up for all
these blocks at once, as one large integer. So a query costs about a microsecond a block, for one address or a thousand.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from eth_hash.auto import keccak

from node.chain.header import timestamp_of
from node.chain.receipt import BLOOM_BYTES, bloom_bits, count_stored_logs, stored_logs
from node.rpc.errors import LIMIT_EXCEEDED, RpcError
from node.rpc.logs import Criteria
from node.rpc.protocol import Rendered, encode_json
from node.rpc.reads import Reader
from node.rpc.render import BlockName, log_json
from node.storage import View

SECTION = 4_096  # blocks whose blooms are looked at together: a MiB
MAX_RESULTS = 10_000  # logs in an answer
MAX_CHARS = 16 * 1024 * 1024  # of JSON in an answer
MAX_LOOKED_FOR = 32  # values of a group; with more of them the receipts are decoded instead
SLICE_S = 0.5  # after which a read gives its process to others, and goes on in its turn


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an answer: `count` logs as JSON objects with commas between, and the height at which to go on."""

    text: str
    count: int
    next_height: int


class TooMuch(RpcError):
    """A query finds more than an answer may hold; the message says which range would do, as clients expect it."""

    def __init__(self, first: int, last: int, what: str) -> None:
        advice = f"Try with this block range [{first:#x}, {last:#x}]." if last >= first else "Try with fewer addresses."
        super().__init__(LIMIT_EXCEEDED, f"query returned more than {what}. {advice}")
        self.first = first
        self.last = last
        self.what = what


class Columns:
    """The blooms of some blocks, bytewise transposed. A set of blocks is an integer with a byte for each, 0 or 1."""

    def __init__(self, blooms: Iterable[bytes]) -> None:
        self._blooms = b"".join(blooms)
        self._blocks = len(self._blooms) // BLOOM_BYTES
        self._ones = int.from_bytes(b"\x01" * self._blocks, "big")
        self._columns: dict[int, int] = {}

    def matching(self, criteria: Criteria) -> Iterator[int]:
        """Yield the places of the blocks that may hold a log that is wanted, in order."""
        found = self._ones
        for group in (criteria.addresses, *criteria.topics):
            if group:
                holding = 0
                for value in group:
                    holding |= self._holding(value, found)
                found = holding
            if not found:
                return
        marks, at = found.to_bytes(self._blocks, "big"), -1
        while (at := marks.find(1, at + 1)) >= 0:
            yield at

    def _holding(self, value: bytes, among: int) -> int:
        bits = bloom_bits(value)
        while bits:
            bit = bits.bit_length() - 1
            among &= self._column(BLOOM_BYTES - 1 - bit // 8) >> bit % 8
            bits ^= 1 << bit
        return among

    def _column(self, place: int) -> int:
        found = self._columns.get(place)
        if found is None:
            found = self._columns[place] = int.from_bytes(self._blooms[place::BLOOM_BYTES], "big")
        return found


def search(reader: Reader, criteria: Criteria, heights: range, first: int, room: int, room_chars: int) -> Part:
    """Return the wanted logs of as many blocks as one read has time for. A read function.

    Args:
        reader: what to read from.
        criteria: which logs are wanted.
        heights: where to look; committed, not empty.
        first: the height at which the whole query begins.
        room, room_chars: how many logs, and characters of JSON, the answer still has room for.

    Raises:
        TooMuch: there are more.
        NotKept: a height lies below the snapshot that this database was made from.
    """
    until = time.monotonic() + SLICE_S
    found: list[str] = []
    chars = 0
    with reader.store.read() as view:
        for start in range(heights.start, heights.stop, SECTION):
            section = range(start, min(start + SECTION, heights.stop))
            for height in Columns(view.blooms(section)).matching(criteria):
                rows = _rows(view, start + height, criteria)
                found += rows
                chars += sum(map(len, rows)) + len(rows)
                if len(found) > room:
                    raise TooMuch(first, start + height - 1, f"{MAX_RESULTS} results")
                if chars > room_chars:
                    raise TooMuch(first, start + height - 1, f"{MAX_CHARS} characters")
                if time.monotonic() > until:
                    return Part(",".join(found), len(found), start + height + 1)
            if time.monotonic() > until:
                return Part(",".join(found), len(found), section.stop)
    return Part(",".join(found), len(found), heights.stop)


def _rows(view: View, height: int, criteria: Criteria) -> list[Rendered]:
    """Return the JSON objects of a block's logs that are wanted."""
    stored = view.stored_receipts(height)
    candidates = [index for index, raw in enumerate(stored) if may_hold(raw, criteria)]
    wanted, number, at = [], 0, 0
    for index in candidates:
        number += sum(map(count_stored_logs, stored[at:index]))
        entries = stored_logs(stored[index])
        wanted += [(index, number + place, entry) for place, entry in enumerate(entries) if criteria.match(entry)]
        number, at = number + len(entries), index + 1
    if not wanted:
        return []
    raw = view.raw_header(height)
    block, raws = BlockName(height, keccak(raw), timestamp_of(raw)), view.transactions(height)
    hashes = {index: keccak(raws[index]) for index, _, _ in wanted}
    return [encode_json(log_json(block, hashes[index], index, number, entry)) for index, number, entry in wanted]


def may_hold(receipt: bytes, criteria: Criteria) -> bool:
    """Return whether what is wanted stands anywhere in a stored receipt: much cheaper than decoding it."""
    groups = (criteria.addresses, *criteria.topics)
    return all(len(group) > MAX_LOOKED_FOR or not group or any(v in receipt for v in group) for group in groups)
