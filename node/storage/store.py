"""The database of a node: opened once for writing, read from any thread, committed a height at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Self

import lmdb
from eth_hash.auto import keccak

from node.chain import rlp
from node.chain.assembly import SealedBlock
from node.chain.mmr import Position
from node.chain.rlp import encode_int
from node.state import StateDelta
from node.state.code import beginnings
from node.storage import tables
from node.storage.errors import StorageError
from node.storage.view import Tables, View

GIB = 1 << 30
DEFAULT_MAP_BYTES = 64 * GIB  # address space, not disk: the file is sparse and grows with what is stored
MAX_READERS = 126
LOCK_NAME = "writer.lock"


class Store:
    """One chain's database. Use `Store.create` or `Store.open`.

    Args:
        path: its folder.
        readonly: whether nothing is to be written.
        map_bytes: how large it may grow.
        create: whether its tables are to be made.
        history_heights: how far behind the head the state can be read, in heights; 0 for all the way.
    """

    def __init__(
        self, path: Path, *, readonly: bool, map_bytes: int, create: bool = False, history_heights: int = 0
    ) -> None:
        self.path = path
        self.map_bytes = map_bytes
        self._history_heights = history_heights
        self._lock = None if readonly else _lock(path)
        try:
            self._environment = lmdb.open(
                str(path), map_size=map_bytes, max_dbs=len(tables.TABLES), max_readers=MAX_READERS, readonly=readonly
            )
        except lmdb.Error as error:
            self._unlock()
            raise StorageError(path, str(error), "a gridpact database") from None
        try:
            if not create:
                self._check_schema()  # before the other tables: one of another schema has others
            one = nullcontext() if readonly else self._environment.begin(write=True)
            with one as transaction:  # one for all tables, and so one sync
                self._databases = {
                    name: self._environment.open_db(name.encode(), transaction, create=create) for name in tables.TABLES
                }
            if not readonly:
                self._environment.reader_check()  # readers that were killed give their slots back
        except lmdb.Error as error:
            self.close()
            raise StorageError(path, str(error), "a gridpact database") from None
        except BaseException:
            self.close()
            raise

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        chain_id: int,
        genesis_hash: bytes,
        sealed: SealedBlock,
        delta: StateDelta,
        map_bytes: int = DEFAULT_MAP_BYTES,
    ) -> Store:
        """Make a new database that holds block 0.

        Raises:
            StorageError: there is something at `path` already.
        """
        if path.exists():
            raise StorageError(path, "the folder exists", "a new folder")
        path.mkdir(parents=True)
        store = cls(path, readonly=False, map_bytes=map_bytes, create=True)
        try:
            with store._writing() as write:
                write.put("meta", b"schema", encode_int(tables.SCHEMA_VERSION))
                write.put("meta", b"chain", encode_int(chain_id))
                write.put("meta", b"genesis", genesis_hash)
                write.block(sealed, delta, None, ())
        except BaseException:
            store.close()
            shutil.rmtree(path)  # ours, made a moment ago: nothing half made may stay
            raise
        sync_folders(path)
        return store

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        chain_id: int,
        genesis_hash: bytes,
        readonly: bool = False,
        map_bytes: int = DEFAULT_MAP_BYTES,
        history_heights: int = 0,
    ) -> Self:
        """Open an existing database.

        Args:
            path: its folder.
            chain_id, genesis_hash: of the chain that it is to hold.
            readonly: whether nothing is to be written.
            map_bytes: how large it may grow.
            history_heights: how far behind the head the state can be read, in heights; 0 for all the way.

        Raises:
            StorageError: no database, of another schema, chain or genesis, or in use by another node.
        """
        if not (path / "data.mdb").exists():
            raise StorageError(path, "there is no database", "a folder made by `gridpact node init`")
        store = cls(path, readonly=readonly, map_bytes=map_bytes, history_heights=history_heights)
        try:
            with store.read() as view:
                view.required("meta", b"schema")  # that it is ours was checked on opening
                store._check(view, "chain", encode_int(chain_id), "chain id", numeric=True)
                store._check(view, "genesis", genesis_hash, "genesis hash", numeric=False)
        except BaseException:
            store.close()
            raise
        return store

    def _check_schema(self) -> None:
        """Refuse a database of another schema, and one whose migration was interrupted; say what to do."""
        meta = self._environment.open_db(b"meta", create=False)
        with self._environment.begin() as transaction:
            found = Tables(transaction, {"meta": meta})
            raw, unfinished = found.get("meta", b"schema"), found.get("meta", tables.UNFINISHED)
        if raw is None:
            return  # a draft, which `View` refuses
        version, ours = int.from_bytes(raw, "big"), f"schema version {tables.SCHEMA_VERSION}"
        migrate = f"`gridpact node migrate --data {self.path.parent}`"
        if unfinished is not None:
            raise StorageError(self.path, "a migration was interrupted", f"{ours}; to go on: {migrate}")
        if version < tables.SCHEMA_VERSION:
            raise StorageError(self.path, f"schema version {version}", f"{ours}; back it up, then run {migrate}")
        if version > tables.SCHEMA_VERSION:
            raise StorageError(self.path, f"schema version {version}", f"{ours}, or the newer gridpact that wrote it")

    def _check(self, view: View, key: str, expected: bytes, what: str, *, numeric: bool) -> None:
        found = view.required("meta", key.encode())
        if found != expected:
            have, want = ((int.from_bytes(v, "big") if numeric else "0x" + v.hex()) for v in (found, expected))
            raise StorageError(self.path, f"{what} {have}", f"{what} {want}")

    @property
    def used_bytes(self) -> int:
        """How much of the map has been in use at most: what the file takes on the disk."""
        return int(self._environment.info()["last_pgno"] + 1) * int(self._environment.stat()["psize"])

    @property
    def bounded(self) -> bool:
        """Whether states far behind the head are let go of: what can only be derived from them is written down."""
        return self._history_heights > 0

    @contextmanager
    def read(self) -> Iterator[View]:
        """Open a view of the head: one read transaction. Keep it short, it holds back the reuse of pages.

        Raises:
            StorageError: too many readers at once.
        """
        try:
            transaction = self._environment.begin(buffers=False)
        except lmdb.ReadersFullError:
            raise StorageError(self.path, f"{MAX_READERS} readers at once", "fewer") from None
        with transaction:
            yield View(transaction, self._databases)

    def commit(self, sealed: SealedBlock, delta: StateDelta, certificate: bytes, senders: Sequence[bytes]) -> None:
        """Store everything that belongs to the next height in one write transaction, synced when this returns.

        Raises:
            StorageError: not the child of the head, or the disk or the map is full; nothing is stored then.
        """
        with self.batch() as batch:
            batch.commit(sealed, delta, certificate, senders)

    @contextmanager
    def batch(self) -> Iterator[Batch]:
        """Commit several heights in one write transaction: all of them, or none, synced when the context ends.

        Raises:
            StorageError: the disk or the map is full; nothing is stored then.
        """
        with self._writing() as write:
            yield Batch(self.path, write)

    @contextmanager
    def _writing(self) -> Iterator[_Writer]:
        try:
            with self._environment.begin(write=True) as transaction:
                yield _Writer(transaction, self._databases, self._history_heights)
        except lmdb.Error as error:
            raise StorageError(self.path, f"cannot write: {error}", "free space on the disk and in the map") from None

    def copy_to(self, path: Path) -> None:
        """Write a copy of one head, without free pages, into a new folder; a node may be writing meanwhile.

        Raises:
            StorageError: the folder exists, or the copy cannot be written.
        """
        if path.exists():
            raise StorageError(path, "the folder exists", "a new folder")
        path.mkdir(parents=True)
        try:
            self._environment.copy(str(path), compact=True)
        except lmdb.Error as error:
            raise StorageError(path, f"cannot write: {error}", "free space on the disk") from None
        _sync(path / "data.mdb")
        sync_folders(path)

    def live_bytes(self) -> int:
        """Return how large the database is without its free pages: about what a copy takes."""
        with self._environment.begin() as transaction:
            stats = [transaction.stat(database) for database in self._databases.values()]
        pages = sum(stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"] for stat in stats)
        return int(pages * stats[0]["psize"])

    def release_dead_readers(self) -> None:
        """Give back the places of processes that were killed while they read: what they saw is kept for them."""
        self._environment.reader_check()

    def close(self) -> None:
        """Close the database; views must be closed before."""
        self._environment.close()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def sync_folders(path: Path) -> None:
    """Return when the entries of a folder, and its own, are on the disk."""
    for folder in (path, path.parent):
        _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock(path: Path) -> int:
    descriptor = os.open(path / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise StorageError(path, "another process has this database open", "one node a data directory") from None
    return descriptor


class Batch:
    """Heights that become durable together; made by `Store.batch`, for one thread."""

    def __init__(self, path: Path, write: _Writer) -> None:
        self._path = path
        self._write = write

    def view(self) -> View:
        """Return a view of the head as this batch has made it so far."""
        return self._write.view()

    def keep_transition(self, epoch: int, raw: bytes) -> None:
        """Write down the encoded transition into an epoch; it is derived from a state that may be let go of."""
        self._write.put("meta", tables.transition_key(epoch), raw)

    def commit(self, sealed: SealedBlock, delta: StateDelta, certificate: bytes, senders: Sequence[bytes]) -> None:
        """Add everything that belongs to the next height.

        Raises:
            StorageError: not the child of the head.
        """
        head = int.from_bytes(self._write.required("meta", b"head"), "big")
        parent = self._write.required("headers", tables.height_key(head))
        if sealed.header.number != head + 1 or keccak(parent) != sealed.header.parent_hash:
            raise StorageError(self._path, f"block {sealed.header.number} does not follow", f"a child of block {head}")
        self._write.block(sealed, delta, certificate, senders)


class _Writer:
    """One write transaction."""

    def __init__(
        self, transaction: lmdb.Transaction, databases: dict[str, lmdb._Database], history_heights: int
    ) -> None:
        self._transaction = transaction
        self._databases = databases
        self._history_heights = history_heights

    def put(self, table: str, key: bytes, payload: bytes) -> None:
        self._transaction.put(key, tables.wrap(table, key, payload), db=self._databases[table])

    def delete(self, table: str, key: bytes) -> None:
        self._transaction.delete(key, db=self._databases[table])

    def view(self) -> View:
        return View(self._transaction, self._databases)

    def required(self, table: str, key: bytes) -> bytes:
        return Tables(self._transaction, self._databases).required(table, key)

    def block(
        self, sealed: SealedBlock, delta: StateDelta, certificate: bytes | None, senders: Sequence[bytes]
    ) -> None:
        height = sealed.header.number
        key = tables.height_key(height)
        self.put("headers", key, sealed.header.encode())
        self.put("bodies", key, rlp.encode(list(sealed.transactions)))
        self.put("senders", key, b"".join(senders))
        self.put("receipts", key, rlp.encode_list([receipt.encode_stored() for receipt in sealed.receipts]))
        self.put("records", key, sealed.record.encode())
        if certificate is not None:
            self.put("certificates", key, certificate)
        self.put("heights", sealed.header.hash, key)
        if sealed.record.next_validators_hash != sealed.record.validators_hash:
            self.put("meta", tables.epoch_key(sealed.record.epoch + 1), key)
        self._transactions(sealed, key)
        self.history(sealed.history_nodes)
        self._chains(sealed)
        if height:
            self._before(delta, height)
        self._state(delta)
        self.put("meta", b"history", encode_int(sealed.history.size))
        self.put("meta", b"head", key)

    def _transactions(self, sealed: SealedBlock, key: bytes) -> None:
        for index, raw in enumerate(sealed.transactions):
            self.put("transactions", keccak(raw), key + encode_int(index))

    def history(self, nodes: Mapping[Position, bytes]) -> None:
        for position in sorted(nodes):
            self.put("history", tables.position_key(position), nodes[position])

    def _chains(self, sealed: SealedBlock) -> None:
        leaf = sealed.history.size - len(sealed.chain_blocks)
        for offset, (block, members) in enumerate(zip(sealed.chain_blocks, sealed.members, strict=True)):
            payload = rlp.encode((block.encode(), list(members), leaf + offset))
            self.put("chains", tables.chain_key(block.chain, block.number), payload)

    def _before(self, delta: StateDelta, height: int) -> None:
        """Keep what a height replaces, and let go of what nobody may ask for any more."""
        key, found = tables.height_key(height), Tables(self._transaction, self._databases)
        first = int.from_bytes(found.get("meta", b"state") or b"", "big")
        if self._history_heights and height - self._history_heights > first:
            first = height - self._history_heights
            self.put("meta", b"state", tables.height_key(first))
        for address, before in sorted(delta.accounts_before.items()):
            self._forget("accounts_before", address, first)
            self.put("accounts_before", address + key, b"" if before is None else before.encode())
        for slot, was in sorted(delta.storage_before.items()):
            self._forget("storage_before", slot, first)
            self.put("storage_before", slot + key, encode_int(was))
        replaced = [(path, found.get("trie", path) or b"") for path in sorted(delta.trie_nodes)]
        self.put("trie_before", key, rlp.encode(replaced))
        if height > tables.PROVED_HEIGHTS:
            self.delete("trie_before", tables.height_key(height - tables.PROVED_HEIGHTS))

    def _forget(self, table: str, prefix: bytes, first: int) -> None:
        """Delete what stands under `prefix` for heights up to `first`: no state from `first` on needs it."""
        if not first:
            return
        last = prefix + tables.height_key(first)
        with self._transaction.cursor(db=self._databases[table]) as cursor:
            found = cursor.set_range(prefix)
            while found and prefix < bytes(cursor.key()) <= last:
                found = cursor.delete()

    def _state(self, delta: StateDelta) -> None:
        for address, account in sorted(delta.accounts.items()):
            if account is None:
                self.delete("accounts", address)
            else:
                self.put("accounts", address, account.encode())
        for slot, value in sorted(delta.storage.items()):
            if value:
                self.put("storage", slot, encode_int(value))
            else:
                self.delete("storage", slot)
        for code_hash, code in sorted(delta.codes.items()):
            self.put("codes", code_hash, code)
            self.put("jumps", code_hash, beginnings(code))
        for path, node in sorted(delta.trie_nodes.items()):
            if node is None:
                self.delete("trie", path)
            else:
                self.put("trie", path, node)
