"""Brings a database of an earlier schema to this one, step by step: `gridpact node migrate`.

A step goes from one schema version to the next, in portions; a portion is one write transaction, which also notes how
far the step has come. So whoever is killed in the middle runs it again, and it goes on. From its first portion on the
database says that it has the new version and is unfinished: no software opens it before all steps are done.

A change of the tables adds one `Step` to `STEPS`, and 1 to `SCHEMA_VERSION`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import lmdb

from node.chain.rlp import encode_int
from node.state.code import beginnings
from node.storage import tables
from node.storage.errors import StorageError
from node.storage.store import DEFAULT_MAP_BYTES, Store
from node.storage.tables import UNFINISHED, VERSION_BYTES
from node.storage.view import Tables, View

PORTION = 2_000  # values of one transaction: little is done again after a kill


class Portion(Tables):
    """One write transaction of a step; it knows the tables of this software, those that are new are empty."""

    def __init__(self, transaction: lmdb.Transaction, databases: dict[str, Any]) -> None:
        super().__init__(transaction, databases)

    def put(self, table: str, key: bytes, payload: bytes) -> None:
        """Store a payload under a key, with its checksum."""
        self._transaction.put(key, tables.wrap(table, key, payload), db=self._databases[table])

    def delete(self, table: str, key: bytes) -> None:
        """Remove what stands under a key, if there is anything."""
        self._transaction.delete(key, db=self._databases[table])

    def view(self) -> View:
        """Return the database as this transaction sees it."""
        return View(self._transaction, self._databases)

    def after(self, table: str, key: bytes, most: int) -> list[tuple[bytes, bytes]]:
        """Return up to `most` (key, payload) of a table whose keys are above `key` (empty: from the first on).

        Raises:
            CorruptValue: the checksum of one of them does not match.
        """
        with self._transaction.cursor(db=self._databases[table]) as cursor:
            if not cursor.set_range(key):
                return []
            rows = ((bytes(found), bytes(value)) for found, value in cursor.iternext())
            fresh = ((found, value) for found, value in rows if not key or found != key)
            return [(found, tables.unwrap(table, found, value)) for found, value in islice(fresh, most)]


@dataclass(frozen=True, slots=True)
class Step:
    """From `version` to the next.

    Args:
        version: of the schema that it begins with.
        what: it does, for who waits.
        total: how much there is to do, for a progress bar.
        portion: does one portion from a place on (empty at first); returns the next place and how much was done, and
            None for the place when the step is done.
    """

    version: int
    what: str
    total: Callable[[Tables], int]
    portion: Callable[[Portion, bytes], tuple[bytes | None, int]]


def _jumps(portion: Portion, place: bytes) -> tuple[bytes | None, int]:
    """Keep where instructions begin beside every code."""
    rows = portion.after("codes", place, PORTION)
    for code_hash, code in rows:
        portion.put("jumps", code_hash, beginnings(code))
    return (rows[-1][0] if len(rows) == PORTION else None), len(rows)


STEPS = (Step(2, "where instructions begin in each code", lambda found: found.count("codes"), _jumps),)


@dataclass(frozen=True, slots=True)
class Migrated:
    """What a migration did: the schema version found, and the one it is now."""

    found: int
    now: int


class Migration(Store):
    """An open database of any schema; nobody else writes it meanwhile.

    Args:
        path: its folder.
        map_bytes: how large it may grow.

    Raises:
        StorageError: no database, one that is being joined, in use, or of a schema from which no steps lead here.
    """

    def __init__(self, path: Path, *, map_bytes: int = DEFAULT_MAP_BYTES) -> None:
        if not (path / "data.mdb").exists():
            raise StorageError(path, "there is no database", "a folder made by `gridpact node init`")
        super().__init__(path, readonly=False, map_bytes=map_bytes, create=True)
        try:
            with self._look() as found:
                version = found.get("meta", b"schema")
                unfinished = found.get("meta", UNFINISHED)
            if version is None:
                raise StorageError(path, "a database without a head", "one that `gridpact node init` has finished")
            self.version = int.from_bytes(version, "big")
            self._place = b""
            if unfinished is not None:
                self.version = int.from_bytes(unfinished[:VERSION_BYTES], "big")
                self._place = unfinished[VERSION_BYTES:]
            oldest = STEPS[0].version
            if not oldest <= self.version <= tables.SCHEMA_VERSION:
                expected = f"schema version {oldest} to {tables.SCHEMA_VERSION}"
                raise StorageError(path, f"schema version {self.version}", expected)
        except BaseException:
            self.close()
            raise

    def run(self, progress: Callable[[str, int, int], None] = lambda _what, _done, _total: None) -> Migrated:
        """Do all steps that are left.

        Args:
            progress: told what the present step does, how much of it is done, and of how much, after every portion.

        Raises:
            CorruptValue: a stored value is damaged; what was done stays done.
            StorageError: the disk or the map is full.
        """
        found = self.version
        for step in STEPS:
            if step.version >= self.version:
                self._run(step, progress)
        return Migrated(found, self.version)

    def _run(self, step: Step, progress: Callable[[str, int, int], None]) -> None:
        with self._look() as before:
            total = step.total(before)
        place: bytes | None = self._place
        done = 0
        while place is not None:
            with self._portion() as portion:
                portion.put("meta", b"schema", encode_int(step.version + 1))
                place, count = step.portion(portion, place)
                if place is None:
                    portion.delete("meta", UNFINISHED)
                else:
                    portion.put("meta", UNFINISHED, step.version.to_bytes(VERSION_BYTES, "big") + place)
            done += count
            progress(step.what, done, total)
        self.version, self._place = step.version + 1, b""

    @contextmanager
    def _look(self) -> Iterator[Tables]:
        with self._environment.begin(buffers=False) as transaction:
            yield Tables(transaction, self._databases)

    @contextmanager
    def _portion(self) -> Iterator[Portion]:
        try:
            with self._environment.begin(write=True) as transaction:
                yield Portion(transaction, self._databases)
        except lmdb.Error as error:
            raise StorageError(self.path, f"cannot write: {error}", "free space on the disk and in the map") from None
