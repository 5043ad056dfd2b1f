"""What this node's own clients sent, in a file, so that it survives a restart.

A header line, then records `length ‖ crc32 ‖ raw transaction`, both numbers of four bytes, big-endian. Records are only
appended; a rotation writes what still waits to a new file that takes the place of the old one. The file is a
convenience: its end may be torn, whatever is wrong with it stops nobody, and nothing in it is believed.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node.chain.transaction import MAX_TRANSACTION_BYTES

HEADER: Final = b"gridpact pool journal 1\n"
MAX_READ_BYTES: Final = 256 * 1024 * 1024  # all members' rooms, full
MAX_SET_ASIDE: Final = 9  # damaged journals that are kept
_NUMBERS = 8


@dataclass(frozen=True, slots=True)
class Found:
    """What a journal holds: raw transactions, how many bytes were good, and what is wrong with it if anything is."""

    raws: list[bytes]
    good_bytes: int
    damage: str = ""


def encode_records(raws: Iterable[bytes]) -> bytes:
    """Return records of raw transactions."""
    parts = ((len(raw).to_bytes(4, "big"), zlib.crc32(raw).to_bytes(4, "big"), raw) for raw in raws)
    return b"".join(part for record in parts for part in record)


def decode_journal(content: bytes) -> Found:
    """Return what a journal's bytes hold; an end that was not written whole is no damage."""
    if not content.startswith(HEADER):
        torn = HEADER.startswith(content)
        return Found([], 0, "" if torn else "it does not begin as a journal does")
    raws: list[bytes] = []
    at = len(HEADER)
    while at < len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        begin, end = at + _NUMBERS, at + _NUMBERS + length
        raw = content[begin:end]
        if 0 < length <= MAX_TRANSACTION_BYTES and len(raw) == length:
            if zlib.crc32(raw) == int.from_bytes(content[at + 4 : begin], "big"):
                raws.append(raw)
                at = end
                continue
            torn = end == len(content)
        else:  # the rest may be one record of which a part was written, or room that was never filled
            torn = not any(content[at:]) or (length <= MAX_TRANSACTION_BYTES and end > len(content))
        return Found(raws, at, "" if torn else f"no record at byte {at} of {len(content)}")
    return Found(raws, at)


class Journal:
    """The file. Every method waits for the disk, so it is called in a thread; one at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0  # bytes known to be good; after an error more may lie behind them

    def read(self) -> Found:
        """Return what is there; a damaged file is set aside, and what was good of it is returned.

        Raises:
            OSError: it cannot be read or set aside.
        """
        try:
            with self.path.open("rb") as file:
                found = decode_journal(file.read(MAX_READ_BYTES))
        except FileNotFoundError:
            return Found([], 0)
        if found.damage:
            aside = self._aside()
            self.path.replace(aside)
            return Found(found.raws, 0, f"{found.damage}; it is now {aside}")
        self.size = found.good_bytes
        return found

    def append(self, raws: Iterable[bytes]) -> None:
        """Add records; they are on the disk on return.

        Raises:
            OSError: they are not.
        """
        records = encode_records(raws)
        if not self.size:
            self.rewrite([])
        with self.path.open("r+b") as file:
            file.truncate(self.size)
            file.seek(self.size)
            file.write(records)
            file.flush()
            os.fdatasync(file.fileno())
        self.size += len(records)

    def rewrite(self, raws: Iterable[bytes]) -> None:
        """Put a journal of these transactions in the place of this one; whole or not at all.

        Raises:
            OSError: the old one is still there.
        """
        content = HEADER + encode_records(raws)
        draft = self.path.with_name(self.path.name + ".new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.path)
        self.size = len(content)

    def _aside(self) -> Path:
        names = [self.path.with_name(f"{self.path.name}.damaged-{number}") for number in range(1, MAX_SET_ASIDE + 1)]
        return next((name for name in names if not name.exists()), names[-1])
