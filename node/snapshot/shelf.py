"""The snapshots that a node keeps: two files, the newest and the one before, so that nobody who reads one loses it."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from eth_hash.auto import keccak

from node.snapshot.format import MAX_MANIFEST_BYTES, InvalidSnapshot, decode_manifest
from node.snapshot.write import SnapshotAborted, write_snapshot
from node.storage import CorruptValue, Store

KEPT = 2
HEAD_BYTES = 4 + 32  # length of the manifest, keccak of it
_NAME = re.compile(r"(\d{12})\.snapshot\Z")

log = logging.getLogger("snapshot")


@dataclass(frozen=True, slots=True)
class Extent:
    """A part of a file: where it begins and how long it is, in bytes."""

    path: Path
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class SnapshotFile:
    """One snapshot on disk."""

    path: Path
    height: int
    manifest: Extent
    chunks: tuple[Extent, ...]


def open_snapshot(path: Path) -> SnapshotFile:
    """Read where everything is in a snapshot file.

    Raises:
        InvalidSnapshot: it is damaged.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        length = int.from_bytes(head[:4], "big")
        if len(head) != HEAD_BYTES or length > MAX_MANIFEST_BYTES:
            raise InvalidSnapshot(str(path), "no head of a snapshot file")
        raw = file.read(length)
        if keccak(raw) != head[4:]:
            raise InvalidSnapshot(str(path), "the manifest is not the one that was written")
        size = file.seek(0, 2)
    manifest = decode_manifest(raw)
    starts = list(accumulate((ref.length for ref in manifest.chunks), initial=HEAD_BYTES + length))
    if starts[-1] != size:
        raise InvalidSnapshot(str(path), f"{size} bytes, expected {starts[-1]}")
    chunks = tuple(Extent(path, at, ref.length) for at, ref in zip(starts, manifest.chunks, strict=False))
    return SnapshotFile(path, manifest.height, Extent(path, HEAD_BYTES, length), chunks)


class Shelf:
    """The folder of snapshots. `newest` and `find` are for the event loop; one thread at a time may `add`.

    Args:
        folder: made when the first snapshot is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[int, SnapshotFile] = {}
        for height in sorted(self._heights())[-KEPT:]:
            try:
                self._open[height] = open_snapshot(self._path(height))
            except (InvalidSnapshot, OSError) as error:
                log.warning("a snapshot cannot be served", extra={"height": height, "reason": str(error)})

    @property
    def newest(self) -> SnapshotFile | None:
        """The newest snapshot; None if there is none."""
        return self._open[max(self._open)] if self._open else None

    def find(self, height: int) -> SnapshotFile | None:
        """Return the snapshot of a height; None if it is not kept."""
        return self._open.get(height)

    def add(self, store: Store, stop: threading.Event | None = None) -> SnapshotFile:
        """Write the snapshot of the store's head, and drop all but the newest `KEPT`.

        Raises:
            SnapshotAborted: `stop` was set.
            CorruptValue: the database is damaged.
            OSError: the disk refuses.
        """
        self._folder.mkdir(exist_ok=True)
        with store.read() as view:
            path = self._path(view.head_height)
            write_snapshot(view, path, stop)
        written = open_snapshot(path)
        kept = sorted({*self._open, written.height})[-KEPT:]
        self._open = {height: self._open.get(height, written) for height in kept}
        for height in self._heights():
            if height not in kept:
                self._path(height).unlink(missing_ok=True)
        return written

    def _path(self, height: int) -> Path:
        return self._folder / f"{height:012d}.snapshot"

    def _heights(self) -> Iterator[int]:
        if self._folder.is_dir():
            for path in self._folder.iterdir():
                match = _NAME.match(path.name)
                if match:
                    yield int(match[1])


class Snapshotter:
    """Writes a snapshot in a thread of its own whenever the chain has passed a multiple of so many heights.

    Args:
        store: the database.
        shelf: where snapshots go.
        every_heights: the distance; 0 for never.
    """

    def __init__(self, store: Store, shelf: Shelf, every_heights: int) -> None:
        self._store = store
        self._shelf = shelf
        self._every = every_heights
        self._stop = threading.Event()
        self._running: Future[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="snapshot")

    def on_head(self, height: int) -> None:
        """Take note of a committed height; begin a snapshot if it is time and none is being written."""
        newest = self._shelf.newest
        due = self._every > 0 and height // self._every > (0 if newest is None else newest.height // self._every)
        if due and (self._running is None or self._running.done()):
            self._running = self._thread.submit(self._write)

    def close(self) -> None:
        """Give up what is being written, and end the thread."""
        self._stop.set()
        self._thread.shutdown(wait=True)

    def _write(self) -> None:
        try:
            written = self._shelf.add(self._store, self._stop)
        except SnapshotAborted:
            return
        except (CorruptValue, OSError) as error:  # the node goes on without: a snapshot is for others
            log.warning("no snapshot", extra={"reason": str(error)})
            return
        log.info("snapshot", extra={"height": written.height, "chunks": len(written.chunks)})
