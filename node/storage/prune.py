"""Letting go of old states, and giving the file's free pages back to the disk: `gridpact node prune`.

Blocks, receipts, records and certificates stay, so the whole chain can still be audited and served; what goes are the
values by which `eth_call` and `eth_getBalance` look further back than a number of heights.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from node.storage import tables
from node.storage.errors import StorageError
from node.storage.store import Store, sync_folders

HISTORIES = ("accounts_before", "storage_before")
PORTION = 5_000  # values that are looked at in one transaction
BLOCK_BYTES = 512  # st_blocks counts in these


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was let go of.

    Args:
        first: the height from which on states can still be read.
        values: how many values of the history were removed.
        before, after: bytes that the database takes on the disk.
    """

    first: int
    values: int
    before: int
    after: int


class Pruner(Store):
    """An open database that nobody else uses; use `Pruner.open`."""

    def prune(self, first: int, reached: Callable[[int, int], None]) -> Pruned:
        """Let go of states before a height, compact the file, and close the database.

        It can be interrupted: what is gone was not needed any more, and the compacted file takes the old one's place
        whole or not at all.

        Args:
            first: the height.
            reached: told how many values of how many were looked at.

        Raises:
            StorageError: another process reads the database, or there is no room for the compacted copy.
        """
        self._refuse_readers()
        before = self._disk_bytes()
        removed = self._forget_before(first, reached)
        self._compact()
        return Pruned(first, removed, before, self._disk_bytes())

    def _forget_before(self, first: int, reached: Callable[[int, int], None]) -> int:
        with self._writing() as write:
            write.put("meta", b"state", tables.height_key(first))
        last = tables.height_key(first)
        with self._environment.begin() as look:
            total = sum(int(look.stat(self._databases[table])["entries"]) for table in HISTORIES)
        seen = removed = 0
        for table in HISTORIES:
            place: bytes | None = b""
            while place is not None:
                with self._environment.begin(write=True, db=self._databases[table]) as transaction:
                    with transaction.cursor() as cursor:
                        found = cursor.set_range(place)
                        keys = [bytes(key) for key in islice(cursor.iternext(values=False), PORTION)] if found else []
                    for key in keys:
                        if key[-len(last) :] <= last:
                            removed += transaction.delete(key)
                place = keys[-1] + b"\0" if len(keys) == PORTION else None
                seen += len(keys)
                reached(seen, total)
        return removed

    def _compact(self) -> None:
        draft = self.path / "compacted"
        if draft.exists():
            shutil.rmtree(draft)  # ours, of a run that was interrupted
        need, free = self.live_bytes(), shutil.disk_usage(self.path).free
        if free < need:
            raise StorageError(self.path, f"{free} bytes are free", f"room for the compacted copy, {need} bytes")
        self.copy_to(draft)
        self._environment.close()
        (self.path / "lock.mdb").unlink(missing_ok=True)  # it counts the old file's transactions
        (draft / "data.mdb").replace(self.path / "data.mdb")
        shutil.rmtree(draft)
        sync_folders(self.path)
        self._unlock()

    def _refuse_readers(self) -> None:
        rows = [line.split() for line in str(self._environment.readers()).splitlines()]
        others = sorted({row[0] for row in rows if row and row[0].isdigit() and int(row[0]) != os.getpid()})
        if others:
            raise StorageError(self.path, f"processes {', '.join(others)} read it", "nobody: wait for an audit to end")

    def _disk_bytes(self) -> int:
        return (self.path / "data.mdb").stat().st_blocks * BLOCK_BYTES
