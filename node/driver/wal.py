"""The write-ahead log: what must survive a power cut before a vote leaves.

One file, append-only. A frame is `magic 4 ‖ length 4 ‖ CRC-32 of these 8 ‖ CRC-32 of the payload ‖ payload`, integers
big-endian, and holds one batch of records; a batch is written and synced as one frame, so at most the last frame can be
torn. A torn tail is dropped on opening; damage that valid frames follow is an error, because a synced vote is gone. The
first frame holds a salt and names the chain. All later checksums start from the salt, so that a peer cannot hide in a
block's body a frame that would look valid after a power cut.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

from node.errors import GridpactError

MAGIC = b"gpW1"
HEAD = struct.Struct(">4sIII")
LENGTH_END = 8  # magic and length, which have a checksum of their own
SALT_BYTES = 8
COUNT = struct.Struct(">I")
ROTATE_BYTES = 8 * 1024 * 1024  # dropped after the commit that finds it larger: read back in milliseconds on opening


class WriteAheadLogError(GridpactError):
    """The log cannot be used: where, what was wrong, and what was expected."""

    def __init__(self, path: Path, what: str, expected: str) -> None:
        super().__init__(f"{path}: {what}; expected {expected}")
        self.path = path
        self.what = what
        self.expected = expected


class WriteAheadLog:
    """A file of records that are durable when `append` returns. Implements the port `Log`.

    Args:
        path: the file; created, with its directory entry synced, if it does not exist.
        identity: names the chain and the validator (any bytes); a log of another one is refused.

    Raises:
        WriteAheadLogError: damaged in the middle, of another identity, or not writable.
    """

    def __init__(self, path: Path, identity: bytes) -> None:
        self._path = path
        self._identity = identity
        self._fd = -1
        self._size = 0
        self._salt = b""
        self._records: list[bytes] = []
        try:
            self._open()
        except OSError as error:
            raise WriteAheadLogError(path, error.strerror or str(error), "a readable and writable file") from error

    def records(self) -> Sequence[bytes]:
        """Return the records found on opening, in order."""
        return tuple(self._records)

    def append(self, batch: Sequence[bytes]) -> None:
        """Write a batch of records and return when it is on the disk.

        Raises:
            WriteAheadLogError: the disk refused; the log is closed, and what it holds stays readable.
        """
        if self._fd < 0:
            raise WriteAheadLogError(self._path, "the log is closed", "an open log")
        try:
            self._write(self._fd, _frame(_pack(batch), self._salt))
        except OSError as error:
            self.close()
            raise WriteAheadLogError(self._path, error.strerror or str(error), "room to write") from error

    def clear(self) -> None:
        """Drop the records if the file has grown beyond `ROTATE_BYTES`; otherwise keep them (they do no harm).

        Raises:
            WriteAheadLogError: the disk refused; the log is closed.
        """
        self._records = []
        if self._fd >= 0 and self._size > ROTATE_BYTES:
            try:
                self._rotate()
            except OSError as error:
                self.close()
                raise WriteAheadLogError(self._path, error.strerror or str(error), "room to write") from error

    def close(self) -> None:
        """Close the file; closing again does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> None:
        # A rotation that a crash interrupted leaves a new file without its name: it is simply made again.
        if not self._path.exists():
            self._rotate()
            return
        content = self._path.read_bytes()
        first = _frame_at(content, 0, b"")
        if first is None or len(first) < SALT_BYTES:
            # The file is made under another name and gets its own when synced, so its first frame is never torn.
            raise WriteAheadLogError(self._path, "no valid first frame", "a write-ahead log of gridpact")
        self._salt, identity = first[:SALT_BYTES], first[SALT_BYTES:]
        if identity != self._identity:
            raise WriteAheadLogError(self._path, "it belongs to another chain or validator", "this node's own log")
        frames, self._size = _frames(self._path, content, HEAD.size + len(first), self._salt)
        self._records = [record for frame in frames for record in _unpack(self._path, frame)]
        self._fd = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        if self._size < len(content):
            os.ftruncate(self._fd, self._size)
            os.fsync(self._fd)

    def _rotate(self) -> None:
        fresh = self._path.with_name(self._path.name + ".new")
        fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            self._size = 0
            self._salt = os.urandom(SALT_BYTES)
            self._write(fd, _frame(self._salt + self._identity, b""))
            fresh.replace(self._path)
            _sync_directory(self._path.parent)
        except OSError:
            os.close(fd)
            raise
        self.close()
        self._fd = fd

    def _write(self, fd: int, frame: bytes) -> None:
        rest = memoryview(frame)
        while rest:
            rest = rest[os.write(fd, rest) :]
        os.fsync(fd)
        self._size += len(frame)


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _frame(payload: bytes, salt: bytes) -> bytes:
    start = zlib.crc32(salt)
    length = MAGIC + COUNT.pack(len(payload))
    return HEAD.pack(MAGIC, len(payload), zlib.crc32(length, start), zlib.crc32(payload, start)) + payload


def _frame_at(content: bytes, at: int, salt: bytes) -> bytes | None:
    """Return the payload of the frame at a place; None if there is no whole, undamaged one."""
    if len(content) - at < HEAD.size:
        return None
    start = zlib.crc32(salt)
    magic, length, length_crc, crc = HEAD.unpack_from(content, at)
    if magic != MAGIC or zlib.crc32(content[at : at + LENGTH_END], start) != length_crc:
        return None
    payload = content[at + HEAD.size : at + HEAD.size + length]
    return payload if len(payload) == length and zlib.crc32(payload, start) == crc else None


def _frames(path: Path, content: bytes, at: int, salt: bytes) -> tuple[list[bytes], int]:
    """Return the valid frames from `at` on and where they end; raise if a valid frame follows a broken one."""
    frames: list[bytes] = []
    while (payload := _frame_at(content, at, salt)) is not None:
        frames.append(payload)
        at += HEAD.size + len(payload)
    later = content.find(MAGIC, at + 1)
    while later >= 0:
        if _frame_at(content, later, salt) is not None:
            what = f"damage at byte {at}, valid records from byte {later}"
            raise WriteAheadLogError(path, what, "records without a gap")
        later = content.find(MAGIC, later + 1)
    return frames, at


def _pack(batch: Sequence[bytes]) -> bytes:
    return b"".join(COUNT.pack(len(record)) + record for record in batch)


def _unpack(path: Path, payload: bytes) -> list[bytes]:
    records, at = [], 0
    while at < len(payload):
        end = at + COUNT.size + (COUNT.unpack_from(payload, at)[0] if len(payload) - at >= COUNT.size else 1)
        if end > len(payload):
            raise WriteAheadLogError(path, "a batch of records that does not fit its frame", "whole records")
        records.append(payload[at + COUNT.size : end])
        at = end
    return records
