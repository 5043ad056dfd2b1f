"""A database in the making, from a snapshot: filled over several runs, and no database until it is finished."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from node.chain import mmr
from node.chain.assembly import SealedBlock
from node.chain.header import Header
from node.chain.rlp import encode_int
from node.state import StateDelta
from node.storage import tables
from node.storage.store import DEFAULT_MAP_BYTES, Store
from node.storage.view import Tables

Row = tuple[str, bytes, bytes]
"""(table, key, payload)."""

_PURPOSE, _DONE = b"draft", b"draft-done"


class Draft(Store):
    """Has no head, so that `Store.open` refuses it, until `finish` gives it one.

    Args:
        path: the folder; made if it does not exist.
        purpose: what it is made from (32 bytes); one of another purpose, or another schema, is not gone on with.
    """

    def __init__(self, path: Path, purpose: bytes, *, map_bytes: int = DEFAULT_MAP_BYTES) -> None:
        path.mkdir(parents=True, exist_ok=True)
        super().__init__(path, readonly=False, map_bytes=map_bytes, create=True)
        purpose += encode_int(tables.SCHEMA_VERSION)
        with self.look() as found:
            self.matches = found.get("meta", _PURPOSE) in (None, purpose)
            self.done = int.from_bytes(found.get("meta", _DONE) or b"", "big")
        self._purpose = purpose

    @contextmanager
    def look(self) -> Iterator[Tables]:
        """Open what is stored so far for reading."""
        with self._environment.begin(buffers=False) as transaction:
            yield Tables(transaction, self._databases)

    def add(self, rows: Iterable[Row]) -> None:
        """Store one piece, whole and synced, and count it as done."""
        with self._writing() as write:
            for table, key, payload in rows:
                write.put(table, key, payload)
            write.put("meta", _PURPOSE, self._purpose)
            write.put("meta", _DONE, encode_int(self.done + 1))
        self.done += 1

    def finish(
        self,
        *,
        chain_id: int,
        genesis: SealedBlock,
        headers: Sequence[Header],
        history_before: mmr.Range,
        sealed: SealedBlock,
        certificate: bytes,
        senders: Sequence[bytes],
        validators: Sequence[bytes],
        transitions: Mapping[int, bytes],
        rows: Iterable[Row],
    ) -> None:
        """Make it a database that begins with `sealed`, in one transaction.

        Args:
            chain_id: of the chain.
            genesis: block 0, which is kept without its state.
            headers: the ones just below the first height.
            history_before: the Merkle Mountain Range below it.
            sealed, certificate, senders: the first height.
            validators: node keys of the height after it.
            transitions: by epoch, the encoded epoch changes below it.
            rows: what is left to store.
        """
        with self._writing() as write:
            for table, key, payload in rows:
                write.put(table, key, payload)
            write.put("meta", b"schema", encode_int(tables.SCHEMA_VERSION))
            write.put("meta", b"chain", encode_int(chain_id))
            write.put("meta", b"genesis", genesis.header.hash)
            write.put("meta", b"first", tables.height_key(sealed.header.number))
            write.put("meta", b"validators", b"".join(validators))
            for epoch, raw in sorted(transitions.items()):
                write.put("meta", tables.transition_key(epoch), raw)
            write.block(genesis, _no_change(genesis), None, ())
            for header in headers:
                write.put("headers", tables.height_key(header.number), header.encode())
            peaks = zip(mmr.peak_positions(history_before.size), history_before.peaks, strict=True)
            write.history(dict(peaks))
            write.block(sealed, _no_change(sealed), certificate, senders)
            write.delete("meta", _PURPOSE)
            write.delete("meta", _DONE)


def _no_change(sealed: SealedBlock) -> StateDelta:
    return StateDelta(sealed.header.state_root, {}, {}, {}, {}, {}, {})
