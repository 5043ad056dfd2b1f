"""A day's raw readings as one salted hash: published, it binds the household to them and tells nothing of them.

Every row is hashed with 32 random bytes of its own, its *salt*: a reading has so few possible values that a hash of it
alone could be guessed. The rows' hashes are the leaves of a Merkle tree, whose root is the batch's hash. The household
keeps rows and salts. To open a row it hands over the row, its salt and its path; to erase a row it deletes the salt,
and then nobody can tell from the root what the row was, not even whoever guesses it.

    row = quarter 8 ‖ import 8 ‖ export 8
    leaf = keccak256(0x00 ‖ salt ‖ row)        node = keccak256(0x01 ‖ left ‖ right)

A node without a neighbour moves up as it is. Leaves and nodes are tagged, so that none can be shown as the other.
Source: Merkle 1987; RFC 6962, §2.1 (the tags); Mezquita et al. 2022, §4.3 (hashes of readings, and their erasure).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eth_hash.auto import keccak

SALT_BYTES = 32
NUMBER_BYTES = 8
MAX_ROWS = 1 << 16  # of a batch: two years of quarters
_LEAF, _NODE = b"\x00", b"\x01"


@dataclass(frozen=True, slots=True)
class Row:
    """A quarter's reading: `quarter` counts from the chain's first, energy is in Wh; all from 0 and below 2^64."""

    quarter: int
    import_wh: int
    export_wh: int

    def to_bytes(self) -> bytes:
        """Return quarter ‖ import ‖ export, 24 bytes.

        Raises:
            ValueError: a number below 0, or from 2^64.
        """
        numbers = (self.quarter, self.import_wh, self.export_wh)
        if any(not 0 <= number < 1 << 8 * NUMBER_BYTES for number in numbers):
            raise ValueError(f"{self}: expected numbers from 0, below 2^64")
        return b"".join(number.to_bytes(NUMBER_BYTES, "big") for number in numbers)


@dataclass(frozen=True, slots=True)
class Opened:
    """One row of a batch as it is shown to someone.

    Args:
        row: what was read.
        salt: its 32 random bytes.
        path: the neighbours on the way up, each with whether it stands to the left.
    """

    row: Row
    salt: bytes
    path: tuple[tuple[bool, bytes], ...]


class Erased(LookupError):
    """The row's salt is deleted: nobody can open it any more."""

    def __init__(self, row: int) -> None:
        super().__init__(f"row {row} is erased: its salt is gone")
        self.row = row


class Batch:
    """What the household keeps of a batch; of an erased row only its leaf.

    Args:
        rows: at least one.
        salts: as many, each 32 fresh random bytes.

    Raises:
        ValueError: no row or too many, another number of salts, or one that is short or occurs twice.
    """

    def __init__(self, rows: Sequence[Row], salts: Sequence[bytes]) -> None:
        if not 1 <= len(rows) <= MAX_ROWS or len(salts) != len(rows):
            raise ValueError(
                f"{len(rows)} rows, {len(salts)} salts: expected 1 to {MAX_ROWS} rows, and a salt for each"
            )
        if any(len(salt) != SALT_BYTES for salt in salts) or len(set(salts)) != len(salts):
            raise ValueError(f"expected salts of {SALT_BYTES} bytes, each another")
        self._kept: list[tuple[Row, bytes] | None] = list(zip(rows, salts, strict=True))
        self._levels = [[_leaf(row, salt) for row, salt in zip(rows, salts, strict=True)]]
        while len(self._levels[-1]) > 1:
            below = self._levels[-1]
            pairs = (below[at : at + 2] for at in range(0, len(below), 2))
            self._levels.append([_node(*pair) if len(pair) == 2 else pair[0] for pair in pairs])

    @property
    def root(self) -> bytes:
        """The hash that is published, 32 bytes; it does not change when rows are erased."""
        return self._levels[-1][0]

    def open(self, at: int) -> Opened:
        """Return what shows the row at `at`.

        Raises:
            IndexError: there is no such row.
            Erased: its salt is gone.
        """
        kept = self._at(at)
        if kept is None:
            raise Erased(at)
        path = []
        for level in self._levels[:-1]:
            neighbour = at ^ 1
            if neighbour < len(level):
                path.append((neighbour < at, level[neighbour]))
            at >>= 1
        return Opened(*kept, tuple(path))

    def erase(self, at: int) -> None:
        """Delete a row and its salt; erasing it again changes nothing.

        Raises:
            IndexError: there is no such row.
        """
        self._at(at)
        self._kept[at] = None

    def _at(self, at: int) -> tuple[Row, bytes] | None:
        if not 0 <= at < len(self._kept):
            raise IndexError(f"row {at} of a batch of {len(self._kept)}")
        return self._kept[at]


def is_in_batch(root: bytes, opened: Opened) -> bool:
    """Return whether an opened row is one of the batch with this hash; it raises nothing."""
    if len(opened.salt) != SALT_BYTES or len(opened.path) > MAX_ROWS.bit_length():
        return False
    try:
        found = _leaf(opened.row, opened.salt)
    except ValueError:
        return False
    for left, neighbour in opened.path:
        if len(neighbour) != len(root):
            return False
        found = _node(neighbour, found) if left else _node(found, neighbour)
    return found == root


def _leaf(row: Row, salt: bytes) -> bytes:
    return keccak(_LEAF + salt + row.to_bytes())


def _node(left: bytes, right: bytes) -> bytes:
    return keccak(_NODE + left + right)
