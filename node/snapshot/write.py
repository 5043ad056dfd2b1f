"""Writing a snapshot: one read transaction, memory bounded whatever the state's size, one file, named when whole."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

from eth_hash.auto import keccak

from node.application import following_keys
from node.chain import mmr
from node.chain.dual import Chain, ChainBlock
from node.epochs import transitions
from node.snapshot.format import (
    KEPT_HEADERS,
    MAX_DEPTH,
    TARGET_CODE_BYTES,
    TARGET_ENTRIES,
    AccountRow,
    Accounts,
    ChunkRef,
    Codes,
    Manifest,
    Storage,
    StoragePart,
)
from node.state.account import EMPTY_CODE_HASH, decode_account
from node.state.delta import storage_key
from node.state.trie import nibbles, path_at, subtrie_hashes
from node.storage import CorruptValue, NotKept, View

SPILL_BYTES = 16 * 1024 * 1024  # rows held in memory while they are sorted by the hash of their keys
COPY_BYTES = 1024 * 1024


class SnapshotAborted(Exception):
    """The node stops before the snapshot is whole; nothing of it stays."""


class _Buckets:
    """Rows by the path that the hash of their key begins with; what does not fit in memory waits in files."""

    def __init__(self, folder: Path, depth: int, width: int) -> None:
        self._folder = folder
        self._depth = depth
        self._width = width  # bytes of a row
        self._rows: dict[bytes, bytearray] = {}
        self._held = 0

    def add(self, hashed: bytes, row: bytes) -> None:
        """Put a row where it belongs."""
        self._rows.setdefault(nibbles(hashed)[: self._depth], bytearray()).extend(row)
        self._held += len(row)
        if self._held > SPILL_BYTES:
            for path, rows in self._rows.items():
                with self._file(path).open("ab") as file:
                    file.write(rows)
            self._rows.clear()
            self._held = 0

    def take(self) -> Iterator[tuple[bytes, list[bytes]]]:
        """Yield (path, rows as they were added) in the order of the paths, those without rows left out."""
        for place in range(16**self._depth):
            path = path_at(place, self._depth)
            spilled = self._file(path)
            rows = spilled.read_bytes() if spilled.exists() else b""
            spilled.unlink(missing_ok=True)
            rows += bytes(self._rows.pop(path, b""))
            if rows:
                yield path, [rows[at : at + self._width] for at in range(0, len(rows), self._width)]

    def _file(self, path: bytes) -> Path:
        return self._folder / f"bucket-{path.hex()}"


class _Body:
    """The chunks, one after the other, while the manifest is not known yet."""

    def __init__(self, file: BinaryIO, stop: threading.Event) -> None:
        self._file = file
        self._stop = stop
        self.refs: list[ChunkRef] = []

    def put(self, chunk: Accounts | Storage | Codes) -> None:
        """Append a chunk."""
        if self._stop.is_set():
            raise SnapshotAborted
        raw = chunk.encode()
        self._file.write(raw)
        self.refs.append(ChunkRef(len(raw), keccak(raw)))


def write_snapshot(view: View, path: Path, stop: threading.Event | None = None) -> int:
    """Write the snapshot of the view's head; return its size in bytes. The file appears whole or not at all.

    Args:
        view: the database; its read transaction stays open meanwhile.
        path: of the new file, in an existing folder.
        stop: set by another thread to end the work early.

    Raises:
        CorruptValue: the database is damaged.
        SnapshotAborted: `stop` was set.
        OSError: the disk is full, or the folder not writable.
    """
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".writing-") as scratch:
        folder = Path(scratch)
        with (folder / "chunks").open("w+b") as chunks:
            body = _Body(chunks, stop or threading.Event())
            accounts, code_hashes = _write_accounts(view, body, folder)
            storages = _write_storages(view, body, folder)
            _write_codes(view, body, code_hashes)
            manifest = _manifest(view, accounts, storages, body.refs).encode()
            whole = folder / "snapshot"
            with whole.open("wb") as file:
                file.write(len(manifest).to_bytes(4, "big") + keccak(manifest) + manifest)
                chunks.seek(0)
                while block := chunks.read(COPY_BYTES):
                    file.write(block)
                file.flush()
                os.fsync(file.fileno())
                size = file.tell()
        whole.replace(path)
    _sync_folder(path.parent)
    return size


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _spine(view: View, root: bytes, entries: int, owner: bytes = b"") -> tuple[bytes, ...]:
    """Return the subtries' hashes at the depth that makes chunks of about `TARGET_ENTRIES`."""
    depth = 0
    while entries > TARGET_ENTRIES * 16**depth and depth < MAX_DEPTH:
        depth += 1
    while (hashes := subtrie_hashes(view, root, depth, owner)) is None:
        depth -= 1
    return hashes


def _write_accounts(view: View, body: _Body, folder: Path) -> tuple[tuple[bytes, ...], list[bytes]]:
    """Write the accounts; return their spine, and the hashes of all code that one of them has."""
    spine = _spine(view, view.header(view.head_height).state_root, view.count("accounts"))
    buckets = _Buckets(folder, (len(spine).bit_length() - 1) // 4, 20)
    codes: set[bytes] = set()
    for address, raw in view.items("accounts"):
        codes.add(decode_account(raw).code_hash)
        buckets.add(keccak(address), address)
    for path, addresses in buckets.take():
        rows = [AccountRow(address, view.required("accounts", address)) for address in addresses]
        body.put(Accounts(path, tuple(rows)))
    return spine, sorted(codes - {EMPTY_CODE_HASH})


def _write_storages(view: View, body: _Body, folder: Path) -> dict[bytes, tuple[bytes, ...]]:
    """Write all storage, small ones together; return the spines of the large ones by address."""
    large = {address: count for address, count in _slot_counts(view) if count > TARGET_ENTRIES}
    spines: dict[bytes, tuple[bytes, ...]] = {}
    waiting: list[StoragePart] = []
    slots = 0
    for address, rows in groupby(view.items("storage"), lambda row: row[0][:20]):
        if address in large:
            spines[address] = _write_large(view, body, folder, address, rows, large[address])
            continue
        part = StoragePart(address, b"", tuple((_number(key[20:]), _number(value)) for key, value in rows))
        if waiting and slots + len(part.slots) > TARGET_ENTRIES:
            body.put(Storage(tuple(waiting)))
            waiting, slots = [], 0
        waiting.append(part)
        slots += len(part.slots)
    if waiting:
        body.put(Storage(tuple(waiting)))
    return spines


def _slot_counts(view: View) -> Iterator[tuple[bytes, int]]:
    for address, rows in groupby(view.items("storage"), lambda row: row[0][:20]):
        yield address, sum(1 for _ in rows)


def _write_large(
    view: View, body: _Body, folder: Path, address: bytes, rows: Iterable[tuple[bytes, bytes]], count: int
) -> tuple[bytes, ...]:
    account = view.state.account(address)
    if account is None:
        raise CorruptValue("storage", address, "slots of an account that does not exist")
    spine = _spine(view, account.storage_root, count, keccak(address))
    buckets = _Buckets(folder, (len(spine).bit_length() - 1) // 4, 64)
    for key, value in rows:
        buckets.add(storage_key(_number(key[20:])), key[20:] + value.rjust(32, b"\0"))
    for path, found in buckets.take():
        slots = tuple((_number(row[:32]), _number(row[32:])) for row in found)
        body.put(Storage((StoragePart(address, path, slots),)))
    return spine


def _number(raw: bytes) -> int:
    return int.from_bytes(raw, "big")


def _write_codes(view: View, body: _Body, hashes: list[bytes]) -> None:
    waiting: list[bytes] = []
    for code_hash in hashes:
        waiting.append(view.required("codes", code_hash))
        if sum(map(len, waiting)) > TARGET_CODE_BYTES:
            body.put(Codes(tuple(waiting)))
            waiting = []
    if waiting:
        body.put(Codes(tuple(waiting)))


def _blocks_of(view: View, height: int) -> list[ChainBlock]:
    """Return the blocks that a height added to the chains; a head that is not kept is of a lower height."""
    record = view.record(height)
    blocks = []
    for chain, head in ((Chain.CONTRACT, record.contract_head), (Chain.LEDGER, record.ledger_head)):
        with contextlib.suppress(NotKept):
            block = view.chain_block(chain, head.number) if head.number else None
            if block is not None and block.height == height:
                blocks.append(block)
    return blocks


def _manifest(
    view: View, accounts: tuple[bytes, ...], storages: dict[bytes, tuple[bytes, ...]], refs: list[ChunkRef]
) -> Manifest:
    height = view.head_height
    record, certificate = view.record(height), view.certificate(height)
    if certificate is None:
        raise CorruptValue("certificates", height.to_bytes(8, "big"), "the value is missing")
    blocks = _blocks_of(view, height)
    size = view.history_size_at(height) - len(blocks)
    headers = range(max(0, height - KEPT_HEADERS + 1), height + 1)
    return Manifest(
        chain_id=_number(view.required("meta", b"chain")),
        genesis_hash=view.required("meta", b"genesis"),
        height=height,
        headers=tuple(view.header(each).encode() for each in headers),
        record=record.encode(),
        certificate=certificate,
        transactions=view.transactions(height),
        receipts=tuple(receipt.encode_stored() for receipt in view.receipts(height)),
        chain_blocks=tuple(block.encode() for block in blocks),
        history_size=size,
        peaks=tuple(view.history_node(position) for position in mmr.peak_positions(size)),
        next_keys=tuple(sorted(following_keys(view, height))),
        transitions=tuple(step.encode() for step in transitions(view, height)),
        accounts=accounts,
        storages=storages,
        chunks=tuple(refs),
    )
