"""The file of `gridpact node export`: certified blocks in the order of their heights, for any node of the same chain.

    head     "gpblocks" ‖ version 2 ‖ chain id 8 ‖ hash of block 0, 32 ‖ first height 8 ‖ last 8 ‖ CRC-32 of these
    block    length 4 ‖ CRC-32 of the payload, from that of the one before on ‖ payload: RLP [body, certificate, record]
    end      0 4 ‖ CRC-32 of the last block

Integers are big-endian. The checksums go on from one to the next, so no block is missing, doubled or moved; they find
damage, not fraud: whoever imports checks the certificates. The whole may be gzipped.
"""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from node.chain import rlp
from node.errors import GridpactError
from node.operations.blocks import Block

MAGIC = b"gpblocks"
VERSION = 1
HEAD = struct.Struct(">8sHQ32sQQ")
CHECK = struct.Struct(">I")
FRAME = struct.Struct(">II")
MAX_PAYLOAD_BYTES = 16 * 1024 * 1024  # a largest block with the certificate of 128 signers is under half of it
GZIP_MAGIC = b"\x1f\x8b"
GZIP_LEVEL = 6


class StreamError(GridpactError):
    """A file of blocks cannot be used: where, what was wrong, what was expected."""

    def __init__(self, path: Path, what: str, expected: str) -> None:
        super().__init__(f"{path}: {what}; expected {expected}")
        self.path = path


@dataclass(frozen=True, slots=True)
class StreamHead:
    """Of which chain a file is, and which heights it holds: chain id, hash of block 0 (32 bytes), first, last."""

    chain_id: int
    genesis_hash: bytes
    first: int
    last: int


def write_stream(path: Path, head: StreamHead, blocks: Iterable[Block], *, compressed: bool) -> int:
    """Write a new file, whole or not at all; return its size in bytes.

    Raises:
        StreamError: the file exists, or cannot be written.
    """
    if path.exists():
        raise StreamError(path, "the file exists", "a new file: none is overwritten")
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as raw:
            if compressed:
                with gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=GZIP_LEVEL, mtime=0) as packed:
                    _write(packed, head, blocks)
            else:
                _write(raw, head, blocks)
            raw.flush()
            os.fsync(raw.fileno())
            size = raw.tell()
        draft.replace(path)
    except OSError as error:
        raise StreamError(path, f"cannot be written ({error.strerror})", "a folder with room") from None
    finally:
        draft.unlink(missing_ok=True)
    return size


def _write(file: IO[bytes] | gzip.GzipFile, head: StreamHead, blocks: Iterable[Block]) -> None:
    raw = HEAD.pack(MAGIC, VERSION, head.chain_id, head.genesis_hash, head.first, head.last)
    check = zlib.crc32(raw)
    file.write(raw + CHECK.pack(check))
    for block in blocks:
        payload = rlp.encode([block.body, block.certificate, block.record])
        check = zlib.crc32(payload, check)
        file.write(FRAME.pack(len(payload), check) + payload)
    file.write(FRAME.pack(0, check))


class Stream:
    """An open file of blocks; `head` says what it holds."""

    def __init__(self, path: Path, file: IO[bytes] | gzip.GzipFile) -> None:
        self._path = path
        self._file = file
        raw = self._read(HEAD.size, "the head")
        (self._check,) = CHECK.unpack(self._read(CHECK.size, "the head"))
        magic, version, chain_id, genesis_hash, first, last = HEAD.unpack(raw)
        if magic != MAGIC:
            raise StreamError(path, f"it begins with {raw[:8]!r}", "a file made by `gridpact node export`")
        if version != VERSION:
            raise StreamError(path, f"version {version}", f"version {VERSION}, or the gridpact that wrote it")
        if zlib.crc32(raw) != self._check or not 1 <= first <= last:
            raise StreamError(path, "the head is damaged", "a head that fits its checksum")
        self.head = StreamHead(chain_id, genesis_hash, first, last)

    def blocks(self) -> Iterator[Block]:
        """Yield the blocks, each after its checksum was found to fit.

        Raises:
            StreamError: the file ends too early, goes on too long, or is damaged; what was yielded before is good.
        """
        check = self._check
        for height in range(self.head.first, self.head.last + 1):
            where = f"height {height}"
            length, expected = FRAME.unpack(self._read(FRAME.size, where))
            if not 0 < length <= MAX_PAYLOAD_BYTES:
                raise StreamError(self._path, f"{where}: {length} bytes", f"a block of 1 to {MAX_PAYLOAD_BYTES} bytes")
            payload = self._read(length, where)
            check = zlib.crc32(payload, check)
            if check != expected:
                raise StreamError(self._path, f"{where}: damaged", "a block that fits its checksum")
            try:
                parts = [rlp.decode_data(part) for part in rlp.decode_list(rlp.decode(payload), 3)]
            except rlp.InvalidRlp as error:
                raise StreamError(self._path, f"{where}: {error}", "body, certificate and record") from None
            yield Block(height, *parts)
        if self._read(FRAME.size, "the end") != FRAME.pack(0, check):
            raise StreamError(self._path, "the end is damaged", "the checksum of the last block")

    def _read(self, size: int, where: str) -> bytes:
        try:
            found = self._file.read(size)
        except (EOFError, OSError, zlib.error) as error:
            raise StreamError(self._path, f"{where}: {error}", "a whole gzip file") from None
        if len(found) != size:
            raise StreamError(self._path, f"{where}: truncated", f"{size - len(found)} more bytes there")
        return found


@contextmanager
def open_stream(path: Path) -> Iterator[Stream]:
    """Open a file of blocks, gzipped or not.

    Raises:
        StreamError: not readable, or no such file of this version.
    """
    try:
        raw = path.open("rb")
    except OSError as error:
        raise StreamError(path, f"cannot be read ({error.strerror})", "a file made by `gridpact node export`") from None
    with raw:
        packed = raw.read(2) == GZIP_MAGIC
        raw.seek(0)
        yield Stream(path, gzip.GzipFile(fileobj=raw, mode="rb") if packed else raw)
