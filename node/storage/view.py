"""Reading: a view is one LMDB read transaction, so everything it returns belongs to one head."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import lmdb

from node.chain import mmr, rlp
from node.chain.assembly import Parent
from node.chain.dual import Chain, ChainBlock, decode_chain_block
from node.chain.header import BLOOM_AT, Header, InvalidHeader, decode_header
from node.chain.receipt import BLOOM_BYTES, Receipt, decode_stored
from node.chain.record import RoundRecord, decode_record
from node.state import TrieReader, slot_key
from node.state.account import EMPTY_CODE_HASH, Account, decode_account
from node.storage import tables
from node.storage.errors import CorruptValue, NotKept, StateNotKept


class Tables:
    """The values of one transaction."""

    def __init__(self, transaction: lmdb.Transaction, databases: Mapping[str, Any]) -> None:
        self._transaction = transaction
        self._databases = databases

    def get(self, table: str, key: bytes) -> bytes | None:
        """Return the payload under a key, None if there is none.

        Raises:
            CorruptValue: the checksum does not match.
        """
        try:
            value = self._transaction.get(key, db=self._databases[table])
        except lmdb.Error as error:
            raise CorruptValue(table, key, str(error)) from None
        return None if value is None else tables.unwrap(table, key, bytes(value))

    def required(self, table: str, key: bytes) -> bytes:
        """Return the payload under a key.

        Raises:
            CorruptValue: the checksum does not match, or there is no value.
        """
        payload = self.get(table, key)
        if payload is None:
            raise CorruptValue(table, key, "the value is missing")
        return payload

    def items(self, table: str) -> Iterator[tuple[bytes, bytes]]:
        """Yield every (key, payload) of a table in the order of the keys."""
        try:
            with self._transaction.cursor(db=self._databases[table]) as cursor:
                for key, value in cursor:
                    yield bytes(key), tables.unwrap(table, bytes(key), bytes(value))
        except lmdb.Error as error:
            raise CorruptValue(table, b"", str(error)) from None

    def count(self, table: str) -> int:
        """Return how many values a table holds."""
        return int(self._transaction.stat(self._databases[table])["entries"])


class View(Tables):
    """The database at one head, from any thread; made by `Store.read`."""

    def __init__(self, transaction: lmdb.Transaction, databases: Mapping[str, Any]) -> None:
        super().__init__(transaction, databases)
        self.head_height = int.from_bytes(self.required("meta", b"head"), "big")
        self.first_height = int.from_bytes(self.get("meta", b"first") or b"", "big")

    def keeps(self, height: int) -> bool:
        """Return whether a committed height is stored whole: block 0, and everything from the first height on."""
        return height == 0 or height >= self.first_height

    def require_kept(self, height: int) -> bytes:
        """Return the key of a committed height.

        Raises:
            NotKept: it lies below the snapshot that this database was made from.
        """
        if not self.keeps(height):
            raise NotKept(height, self.first_height)
        return tables.height_key(height)

    # -- round blocks

    def header(self, height: int) -> Header:
        """Return the header of a committed height (those of the 255 heights below the first one are kept too)."""
        key = tables.height_key(height)
        raw = self.get("headers", key)
        if raw is None:
            raise CorruptValue("headers", self.require_kept(height), "the value is missing")
        try:
            return decode_header(raw)
        except InvalidHeader as error:
            raise CorruptValue("headers", key, str(error)) from None

    def raw_header(self, height: int) -> bytes:
        """Return the RLP of a committed height's header."""
        return self.required("headers", self.require_kept(height))

    def height_of(self, block_hash: bytes) -> int | None:
        """Return the height of a block by its hash, None if it is not committed."""
        payload = self.get("heights", block_hash)
        return None if payload is None else int.from_bytes(payload, "big")

    def transactions(self, height: int) -> tuple[bytes, ...]:
        """Return the raw transactions of a height."""
        key = self.require_kept(height)
        raw = self.required("bodies", key)
        try:
            return tuple(rlp.decode_data(item) for item in rlp.decode_list(rlp.decode(raw)))
        except rlp.InvalidRlp as error:
            raise CorruptValue("bodies", key, str(error)) from None

    def body(self, height: int) -> bytes:
        """Return the body of a height as it was proposed."""
        key = self.require_kept(height)
        return rlp.encode_list([self.required("headers", key), self.required("bodies", key)])

    def senders(self, height: int) -> tuple[bytes, ...]:
        """Return the senders of a height's transactions."""
        raw = self.required("senders", self.require_kept(height))
        return tuple(raw[at : at + 20] for at in range(0, len(raw), 20))

    def receipts(self, height: int) -> tuple[Receipt, ...]:
        """Return the receipts of a height."""
        key = self.require_kept(height)
        raw = self.required("receipts", key)
        try:
            return tuple(decode_stored(item) for item in rlp.decode_list(rlp.decode(raw)))
        except rlp.InvalidRlp as error:
            raise CorruptValue("receipts", key, str(error)) from None

    def stored_receipts(self, height: int) -> list[bytes]:
        """Return the receipts of a height as they are stored (`Receipt.encode_stored`), not decoded."""
        key = self.require_kept(height)
        try:
            return rlp.split(self.required("receipts", key))
        except rlp.InvalidRlp as error:
            raise CorruptValue("receipts", key, str(error)) from None

    def blooms(self, heights: range) -> list[bytes]:
        """Return the blooms (256 bytes) of committed heights, one after the other; the headers are not decoded.

        Raises:
            NotKept: one of them lies below the snapshot that this database was made from.
        """
        found: list[bytes] = []
        try:
            with self._transaction.cursor(db=self._databases["headers"]) as cursor:
                cursor.set_range(tables.height_key(heights.start))
                for height, (key, value) in zip(heights, cursor.iternext(), strict=False):
                    if key != tables.height_key(height):
                        break
                    raw = tables.unwrap("headers", bytes(key), bytes(value))
                    found.append(raw[BLOOM_AT : BLOOM_AT + BLOOM_BYTES])
        except lmdb.Error as error:
            raise CorruptValue("headers", tables.height_key(heights.start + len(found)), str(error)) from None
        if len(found) < len(heights):
            self.header(heights[len(found)])
            raise CorruptValue("headers", tables.height_key(heights[len(found)]), "the value is out of its order")
        return found

    def record(self, height: int) -> RoundRecord:
        """Return the round record of a height."""
        key = self.require_kept(height)
        try:
            return decode_record(self.required("records", key))
        except rlp.InvalidRlp as error:
            raise CorruptValue("records", key, str(error)) from None

    def certificate(self, height: int) -> bytes | None:
        """Return the encoded certificate of a height; None for height 0 and heights above the head."""
        return self.get("certificates", self.require_kept(height))

    def locate(self, transaction_hash: bytes) -> tuple[int, int] | None:
        """Return (height, index) of a committed transaction, None if it is not committed."""
        payload = self.get("transactions", transaction_hash)
        return None if payload is None else (int.from_bytes(payload[:8], "big"), int.from_bytes(payload[8:], "big"))

    @property
    def head(self) -> Header:
        """The header of the head."""
        return self.header(self.head_height)

    def parent(self) -> Parent:
        """Return all of the head that its child is made from."""
        size = int.from_bytes(self.required("meta", b"history"), "big")
        peaks = tuple(self.history_node(position) for position in mmr.peak_positions(size))
        return Parent(self.head, self.record(self.head_height), mmr.Range(size, peaks))

    # -- the two chains

    def chain_block(self, chain: Chain, number: int) -> ChainBlock | None:
        """Return a chain's block by number, None if there is none."""
        found = self._chain_entry(chain, number)
        return None if found is None else found[0]

    def chain_block_members(self, chain: Chain, number: int) -> tuple[int, ...]:
        """Return the indices, in its round block, of the transactions of a chain's block (empty if there is none)."""
        found = self._chain_entry(chain, number)
        return () if found is None else found[1]

    def history_index(self, chain: Chain, number: int) -> int | None:
        """Return the index of a chain's block among the leaves of the history."""
        found = self._chain_entry(chain, number)
        return None if found is None else found[2]

    def history_node(self, position: mmr.Position) -> bytes:
        """Return a node of the history range."""
        return self.required("history", tables.position_key(position))

    def history_size_at(self, height: int) -> int:
        """Return how many leaves the history had as of a height: the blocks of both chains up to it."""
        record = self.record(height)
        return record.contract_head.number + record.ledger_head.number

    def history_proof(self, chain: Chain, number: int, height: int) -> mmr.HistoryProof | None:
        """Return the proof that a chain's block is under the history root of `height`; None if there is no block."""
        index = self.history_index(chain, number)
        if index is None:
            return None
        return mmr.prove(self.history_size_at(height), index, self.history_node)

    def _chain_entry(self, chain: Chain, number: int) -> tuple[ChainBlock, tuple[int, ...], int] | None:
        key = tables.chain_key(chain, number)
        raw = self.get("chains", key)
        if raw is None:
            self._require_chain_kept(chain, number)
            return None
        try:
            block, indices, leaf = rlp.decode_list(rlp.decode(raw), 3)
            members = tuple(rlp.decode_int(item, 32) for item in rlp.decode_list(indices))
            return decode_chain_block(rlp.decode_data(block)), members, rlp.decode_int(leaf, 64)
        except rlp.InvalidRlp as error:
            raise CorruptValue("chains", key, str(error)) from None

    def _require_chain_kept(self, chain: Chain, number: int) -> None:
        if self.first_height:
            record = self.record(self.first_height)
            if number <= (record.contract_head, record.ledger_head)[chain].number:
                raise NotKept(self.first_height - 1, self.first_height)

    # -- epochs

    def first_validators(self) -> list[bytes]:
        """Return the node keys of the validators of the height after the first, as a snapshot's database was told."""
        keys = self.required("meta", b"validators")
        return [keys[at : at + 32] for at in range(0, len(keys), 32)]

    def epoch_end(self, epoch: int) -> int | None:
        """Return the height whose round record names the validators of `epoch`; None if that is not in the chain."""
        raw = self.get("meta", tables.epoch_key(epoch))
        return None if raw is None else int.from_bytes(raw, "big")

    def told_transition(self, epoch: int) -> bytes | None:
        """Return the encoded transition into `epoch` that was written down; None if states that are kept tell it."""
        return self.get("meta", tables.transition_key(epoch))

    # -- state

    @property
    def state(self) -> StateView:
        """The world state at the head."""
        return StateView(self, None)

    @property
    def first_state_height(self) -> int:
        """Return the lowest height whose state can be read, as far as the height itself is kept."""
        return int.from_bytes(self.get("meta", b"state") or b"", "big")

    def state_at(self, height: int) -> StateView:
        """Return the world state after a height."""
        if not 0 <= height <= self.head_height:
            raise ValueError(f"no height {height}: expected 0 to {self.head_height}")
        if height < self.first_height:
            raise NotKept(height, self.first_height)
        first = self.first_state_height
        if height < first:
            raise StateNotKept(height, first)
        return StateView(self, None if height == self.head_height else height)

    def nodes_at(self, height: int) -> TrieReader:
        """Return the trie nodes after one of the last `PROVED_HEIGHTS` heights, by path key.

        Raises:
            StateNotKept: they are not kept so far back.
        """
        first = max(self.head_height - tables.PROVED_HEIGHTS, self.first_height, 0)
        if height < first:
            raise StateNotKept(height, first)
        before: dict[bytes, bytes] = {}
        for later in range(height + 1, self.head_height + 1):
            key = tables.height_key(later)
            try:
                rows = [
                    rlp.decode_list(row, 2) for row in rlp.decode_list(rlp.decode(self.required("trie_before", key)))
                ]
                for path, node in rows:
                    before.setdefault(rlp.decode_data(path), rlp.decode_data(node))
            except rlp.InvalidRlp as error:
                raise CorruptValue("trie_before", key, str(error)) from None
        return _NodesAt(self, before)

    def node(self, key: bytes) -> bytes | None:
        """Return a trie node of the head by path key (a view is a `TrieReader`)."""
        return self.get("trie", key)

    def first_at_or_after(self, table: str, prefix: bytes, height: int) -> bytes | None:
        """Return the first value of `table` under `prefix` ‖ h with h ≥ height: one seek."""
        with self._transaction.cursor(db=self._databases[table]) as cursor:
            if not cursor.set_range(prefix + tables.height_key(height)):
                return None
            key = bytes(cursor.key())
            if not key.startswith(prefix):
                return None
            return tables.unwrap(table, key, bytes(cursor.value()))


class StateView:
    """The world state after one height; a `StateReader`.

    Args:
        view: the database.
        height: None for the head; else older values are looked up in the history.
    """

    def __init__(self, view: View, height: int | None) -> None:
        self._view = view
        self._height = height

    def account(self, address: bytes) -> Account | None:
        """Return the account, None if there is none."""
        raw = self._before("accounts_before", address)
        if raw is None:
            raw = self._view.get("accounts", address)
        if not raw:
            return None
        try:
            return decode_account(raw)
        except rlp.InvalidRlp as error:
            raise CorruptValue("accounts", address, str(error)) from None

    def storage(self, address: bytes, slot: int) -> int:
        """Return the value of a slot, 0 if it was never set."""
        key = slot_key(address, slot)
        raw = self._before("storage_before", key)
        if raw is None:
            raw = self._view.get("storage", key)
        return int.from_bytes(raw, "big") if raw else 0

    def code(self, code_hash: bytes) -> bytes:
        """Return the code with this hash."""
        return b"" if code_hash == EMPTY_CODE_HASH else self._view.required("codes", code_hash)

    def beginnings(self, code_hash: bytes) -> bytes | None:
        """Return where instructions begin in the code with this hash (`node.state.code`)."""
        return self._view.get("jumps", code_hash)

    def _before(self, table: str, prefix: bytes) -> bytes | None:
        if self._height is None:
            return None
        return self._view.first_at_or_after(table, prefix, self._height + 1)


class _NodesAt:
    """A `TrieReader` of an earlier height: the nodes replaced since then, else the live ones."""

    def __init__(self, view: View, before: Mapping[bytes, bytes]) -> None:
        self._view = view
        self._before = before

    def node(self, key: bytes) -> bytes | None:
        """Return a trie node by path key."""
        found = self._before.get(key)
        return self._view.node(key) if found is None else found or None
