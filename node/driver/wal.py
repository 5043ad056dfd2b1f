"""The write-ahead log: what must survive a power cut before a vote leaves.

One file, append-only. A frame is `magic 4 ‖ number 4 ‖ length 4 ‖ CRC-32 of these 12 ‖ CRC-32 of the payload ‖
payload`, integers big-endian, and holds one batch of records; the payload's checksum starts from the head's. Frames are
numbered, so that none is missing or there twice. The first frame holds a salt, the schema version and whose log it is.
All later checksums start from the salt, so that a peer cannot hide in a block's body a frame that would look valid
after a power cut.

A batch is written and synced as one frame; then an empty frame, the seal, is written without waiting for the disk. So
at most the last frame and the seal before it can be torn, and whatever anything valid follows had been synced. A torn
tail is dropped on opening. All else is an error, because a vote that was sent may be gone: the operator moves the log
aside with `gridpact node restore`. What no log can tell is that it ends too early: where a whole tail is lost, or an
older copy was put back, the peers remember its votes (consensus/recall.py).
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

from node.config import CONFIG_NAME
from node.errors import GridpactError

MAGIC = b"gpW1"
HEAD = struct.Struct(">4sIIII")
CHECKED = 12  # of the head: magic, number and length, which have a checksum of their own
SALT_BYTES = 8
SCHEMA_VERSION = 2  # of the frames and of the records in them; version 1 did not say so
VERSION = struct.Struct(">I")
COUNT = struct.Struct(">I")
_UNNUMBERED = 16 + SALT_BYTES  # where version 1 had the identity: behind a shorter head and the salt
ROTATE_BYTES = 8 * 1024 * 1024  # dropped after the commit that finds it larger: read back in milliseconds on opening


class WriteAheadLogError(GridpactError):
    """The log cannot be used: where, what was wrong, and what was expected."""

    def __init__(self, path: Path, what: str, expected: str) -> None:
        super().__init__(f"{path}: {what}; expected {expected}")
        self.path = path
        self.what = what
        self.expected = expected


class DamagedLog(WriteAheadLogError):
    """The log is there but cannot be read as it was written, so votes that were sent may be missing in it.

    `at` is the first byte that is wrong.
    """

    def __init__(self, path: Path, at: int, what: str, expected: str) -> None:
        go_on = f"gridpact node restore --config {path.with_name(CONFIG_NAME)}"
        super().__init__(path, what, f"{expected}; to go on: `{go_on}`, which deletes nothing")
        self.at = at


class OtherLog(WriteAheadLogError):
    """The log is whole, but of another chain or validator; `identity` is whose."""

    def __init__(self, path: Path, identity: bytes) -> None:
        super().__init__(path, "it belongs to another chain or validator", "this node's own log")
        self.identity = identity


class WriteAheadLog:
    """A file of records that are durable when `append` returns. Implements the port `Log`.

    Args:
        path: the file; created, with its directory entry synced, if it does not exist.
        identity: names the chain and the validator (any bytes); a log of another one is refused.

    Raises:
        DamagedLog: damaged otherwise than by a write that was cut off, or of another schema version.
        OtherLog: of another identity.
        WriteAheadLogError: not writable.
    """

    def __init__(self, path: Path, identity: bytes) -> None:
        self._path = path
        self._identity = identity
        self._fd = -1
        self._size = 0
        self._number = 0  # of the next frame
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
            self._write(self._fd, _pack(batch))
            os.fsync(self._fd)
            self._write(self._fd, b"")  # the seal
        except OSError as error:
            self.close()
            raise WriteAheadLogError(self._path, error.strerror or str(error), "room to write") from error

    def clear(self, keep: Sequence[bytes] = ()) -> None:
        """Drop all records but `keep` if the file has grown beyond `ROTATE_BYTES`; otherwise keep all: they do no harm.

        Raises:
            WriteAheadLogError: the disk refused; the log is closed.
        """
        self._records = []
        if self._fd >= 0 and self._size > ROTATE_BYTES:
            try:
                self._rotate(keep)
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
        start = self._read_first(content)
        payloads, self._size = _payloads(self._path, content, start, self._salt)
        self._records = [record for payload in payloads for record in _unpack(self._path, payload)]
        self._number = 1 + len(payloads)
        self._fd = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        try:
            if self._size < len(content):
                os.ftruncate(self._fd, self._size)
            os.fsync(self._fd)  # the process that wrote the last frame may have been killed before it was synced
            _sync_directory(self._path.parent)
            if payloads and payloads[-1]:
                self._write(self._fd, b"")
        except OSError:
            self.close()
            raise

    def _read_first(self, content: bytes) -> int:
        """Take the salt from the first frame; return where the second begins."""
        first = _payload_at(content, 0, 0, b"")
        if first is None or len(first) < SALT_BYTES:
            if content[: len(MAGIC)] == MAGIC and content.endswith(
                self._identity, 0, _UNNUMBERED + len(self._identity)
            ):
                raise self._old_schema(1)
            # The file is made under another name and gets its own when synced, so its first frame is never torn.
            raise DamagedLog(self._path, 0, "damage at byte 0: no valid first frame", "a write-ahead log of gridpact")
        self._salt, rest = first[:SALT_BYTES], first[SALT_BYTES:]
        version = VERSION.unpack_from(rest)[0] if len(rest) >= VERSION.size else 0
        if version != SCHEMA_VERSION:
            raise self._old_schema(version)
        if rest[VERSION.size :] != self._identity:
            raise OtherLog(self._path, rest[VERSION.size :])
        return HEAD.size + len(first)

    def _old_schema(self, version: int) -> DamagedLog:
        what = f"schema version {version}"
        return DamagedLog(self._path, 0, what, f"schema version {SCHEMA_VERSION}, or the gridpact that wrote it")

    def _rotate(self, keep: Sequence[bytes] = ()) -> None:
        fresh = self._path.with_name(self._path.name + ".new")
        fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            salt = os.urandom(SALT_BYTES)
            self._size, self._number, self._salt = 0, 0, b""
            self._write(fd, salt + VERSION.pack(SCHEMA_VERSION) + self._identity)
            self._salt = salt
            if keep:
                self._write(fd, _pack(keep))
            os.fsync(fd)
            fresh.replace(self._path)
            _sync_directory(self._path.parent)
        except OSError:
            os.close(fd)
            raise
        self.close()
        self._fd = fd

    def _write(self, fd: int, payload: bytes) -> None:
        frame = _frame(self._number, payload, self._salt)
        rest = memoryview(frame)
        while rest:
            rest = rest[os.write(fd, rest) :]
        self._size += len(frame)
        self._number += 1


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _frame(number: int, payload: bytes, salt: bytes) -> bytes:
    head = MAGIC + COUNT.pack(number) + COUNT.pack(len(payload))
    crc = zlib.crc32(head, zlib.crc32(salt))
    return head + COUNT.pack(crc) + COUNT.pack(zlib.crc32(payload, crc)) + payload


def _head_at(content: bytes, at: int, salt: bytes) -> tuple[int, int] | None:
    """Return (number, length) of the frame whose head is at a place; None if there is no whole, undamaged head."""
    if len(content) - at < HEAD.size:
        return None
    magic, number, length, crc, _ = HEAD.unpack_from(content, at)
    if magic != MAGIC or zlib.crc32(content[at : at + CHECKED], zlib.crc32(salt)) != crc:
        return None
    return number, length


def _payload_at(content: bytes, at: int, number: int, salt: bytes) -> bytes | None:
    """Return the payload of the frame with this number at a place; None if there is no whole, undamaged one."""
    head = _head_at(content, at, salt)
    if head is None or head[0] != number:
        return None
    _, _, length, crc, payload_crc = HEAD.unpack_from(content, at)
    payload = content[at + HEAD.size : at + HEAD.size + length]
    return payload if len(payload) == length and zlib.crc32(payload, crc) == payload_crc else None


def _payloads(path: Path, content: bytes, at: int, salt: bytes) -> tuple[list[bytes], int]:
    """Return the payloads of the frames from the second on, which is at `at`, and where the last whole one ends.

    Raises:
        DamagedLog: what follows them is not just a write that was cut off.
    """
    payloads: list[bytes] = []
    while at < len(content):
        payload = _payload_at(content, at, 1 + len(payloads), salt)
        if payload is None:
            if not _is_lost_seal(content, at, 1 + len(payloads), salt):
                _check_torn(path, content, at, 1 + len(payloads), salt)
                break
            payload = b""
        payloads.append(payload)
        at += HEAD.size + len(payload)
    return payloads, at


def _is_lost_seal(content: bytes, at: int, number: int, salt: bytes) -> bool:
    """Return whether just a head's length is damaged before the next frame: that was a seal, which holds nothing."""
    here, after = _head_at(content, at, salt), _head_at(content, at + HEAD.size, salt)
    return here in (None, (number, 0)) and after is not None and after[0] == number + 1


def _check_torn(path: Path, content: bytes, at: int, number: int, salt: bytes) -> None:
    """Raise unless all from `at` on can be one write that was cut off: nothing was written behind it."""
    head = _head_at(content, at, salt)
    if head is not None and head[0] != number:
        what = f"damage at byte {at}: frame {head[0]} in the place of frame {number}"
        raise DamagedLog(path, at, what, "every frame once")
    if head is not None and head[1] and at + HEAD.size + head[1] < len(content):  # a seal is not waited for
        what = f"damage at byte {at}: frame {number} does not match its checksum, and more follows it"
        raise DamagedLog(path, at, what, "whole frames")
    later = content.find(MAGIC, at + 1)
    while later >= 0:
        if _head_at(content, later, salt) is not None:
            what = f"damage at byte {at}, a valid frame at byte {later}"
            raise DamagedLog(path, at, what, "frames without a gap")
        later = content.find(MAGIC, later + 1)


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
