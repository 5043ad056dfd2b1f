"""From verified chunks to a database: every chunk is rebuilt as the subtrie that the spine names, then stored."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from eth_hash.auto import keccak

from node.chain import rlp
from node.chain.rlp import encode_int
from node.snapshot.format import (
    Accounts,
    Codes,
    InvalidSnapshot,
    Manifest,
    Storage,
    StoragePart,
    decode_chunk,
    require_rising,
)
from node.snapshot.verify import Origin, check_manifest
from node.state import slot_key
from node.state.account import EMPTY_CODE_HASH, EMPTY_ROOT, Account, decode_account
from node.state.code import beginnings
from node.state.delta import encode_value, storage_key
from node.state.trie import build_subtrie, join_subtries, node_key, path_at, path_length
from node.storage.draft import Draft, Row
from node.storage.view import Tables


class Assembly:
    """Fills a draft from a snapshot's chunks, in their order.

    Args:
        manifest: as decoded.
        origin: what the genesis file makes.
        draft: of this very manifest; it may hold chunks of an earlier run.

    Raises:
        InvalidSnapshot: the manifest does not hold.
    """

    def __init__(self, manifest: Manifest, origin: Origin, draft: Draft) -> None:
        self._manifest = manifest
        self._origin = origin
        self._anchor = check_manifest(manifest, origin)
        self._draft = draft

    @property
    def missing(self) -> range:
        """The chunks that are still to be taken."""
        return range(self._draft.done, len(self._manifest.chunks))

    def take(self, index: int, raw: bytes) -> None:
        """Verify a chunk and store it, synced.

        Raises:
            InvalidSnapshot: it is not part of the certified state.
        """
        name = f"chunk {index}"
        chunk = decode_chunk(raw, name)
        match chunk:
            case Accounts():
                rows = self._accounts(chunk, name)
            case Storage():
                rows = [row for part in chunk.parts for row in self._storage(part, name)]
            case Codes():
                rows = self._codes(chunk, name)
        self._draft.add(rows)

    def finish(self) -> None:
        """Check that nothing is lacking, and make the draft a database.

        Raises:
            InvalidSnapshot: naming what is lacking.
        """
        anchor = self._anchor
        with self._draft.look() as stored:
            spine = list(self._check_complete(stored))
        self._draft.finish(
            chain_id=self._manifest.chain_id,
            genesis=self._origin.sealed,
            headers=anchor.headers,
            history_before=anchor.history_before,
            sealed=anchor.sealed,
            certificate=anchor.certificate,
            senders=anchor.senders,
            validators=anchor.next_validators.keys,
            transitions={step.record.epoch + 1: step.encode() for step in anchor.transitions},
            rows=spine,
        )

    # -- chunks

    def _accounts(self, chunk: Accounts, name: str) -> list[Row]:
        require_rising([row.address for row in chunk.rows], name)
        for row in chunk.rows:
            _account(row.account, row.address, name)
        items = [(keccak(row.address), row.account) for row in chunk.rows]
        nodes = _rebuild(chunk.path, items, b"", self._manifest.accounts, name)
        return [("accounts", row.address, row.account) for row in chunk.rows] + nodes

    def _storage(self, part: StoragePart, name: str) -> list[Row]:
        name = f"{name}, storage of 0x{part.address.hex()}"
        with self._draft.look() as stored:
            raw = stored.get("accounts", part.address)
        if raw is None:
            raise InvalidSnapshot(name, "there is no such account")
        spine = self._spine(part.address, _account(raw, part.address, name), name)
        require_rising([slot for slot, _ in part.slots], name)
        if any(not value for _, value in part.slots):
            raise InvalidSnapshot(name, "a slot of value 0")
        items = [(storage_key(slot), encode_value(value)) for slot, value in part.slots]
        nodes = _rebuild(part.path, items, keccak(part.address), spine, name)
        rows: list[Row] = [("storage", slot_key(part.address, slot), encode_int(value)) for slot, value in part.slots]
        return rows + nodes

    def _spine(self, address: bytes, account: Account, name: str) -> tuple[bytes, ...]:
        spine = self._manifest.storages.get(address)
        if spine is None:
            return (account.storage_root,)
        if join_subtries(spine, keccak(address))[0] != account.storage_root:
            raise InvalidSnapshot(name, "its spine does not lead to the account's storage root")
        return spine

    def _codes(self, chunk: Codes, name: str) -> list[Row]:
        rows: list[Row] = []
        for code in chunk.codes:
            code_hash = keccak(code)
            if code_hash not in self._code_hashes:
                raise InvalidSnapshot(name, f"no account has the code 0x{code_hash.hex()}")
            rows += [("codes", code_hash, code), ("jumps", code_hash, beginnings(code))]
        return rows

    @cached_property
    def _code_hashes(self) -> frozenset[bytes]:
        """The code hashes of all accounts, which precede the codes."""
        with self._draft.look() as stored:
            return frozenset(decode_account(raw).code_hash for _, raw in stored.items("accounts"))

    # -- the whole

    def _check_complete(self, stored: Tables) -> Iterator[Row]:
        """Check that every subtrie of every spine is stored; yield the branches above them."""
        yield from _spine_rows(stored, b"", self._manifest.accounts, "accounts")
        for address, raw in stored.items("accounts"):
            name = f"account 0x{address.hex()}"
            account = _account(raw, address, name)
            if account.storage_root != EMPTY_ROOT:
                yield from _spine_rows(stored, keccak(address), self._spine(address, account, name), name)
            if account.code_hash != EMPTY_CODE_HASH and stored.get("codes", account.code_hash) is None:
                raise InvalidSnapshot(name, "its code is lacking")


def _account(raw: bytes, address: bytes, name: str) -> Account:
    try:
        return decode_account(raw)
    except rlp.InvalidRlp as error:
        raise InvalidSnapshot(name, f"account 0x{address.hex()}: {error}") from None


def _rebuild(
    path: bytes, items: list[tuple[bytes, bytes]], owner: bytes, spine: tuple[bytes, ...], name: str
) -> list[Row]:
    """Return the trie nodes below `path`, if they are those of which the spine tells the hash."""
    if len(path) != path_length(len(spine)):
        raise InvalidSnapshot(name, f"a path of {len(path)} nibbles, the spine has {path_length(len(spine))}")
    try:
        found, nodes = build_subtrie(path, items, owner)
    except ValueError as error:
        raise InvalidSnapshot(name, str(error)) from None
    expected = spine[int(path.hex()[1::2] or "0", 16)]
    if not found or found != expected:
        raise InvalidSnapshot(
            name,
            f"under path {path.hex()[1::2] or 'none'} its root is 0x{found.hex()}, the state's is 0x{expected.hex()}",
        )
    return [("trie", key, node) for key, node in nodes.items() if node is not None]


def _spine_rows(stored: Tables, owner: bytes, spine: tuple[bytes, ...], name: str) -> Iterator[Row]:
    depth = path_length(len(spine))
    for place, expected in enumerate(spine):
        path = path_at(place, depth)
        if expected and stored.get("trie", node_key(owner, path)) is None:
            raise InvalidSnapshot(name, f"the part below path {path.hex()[1::2] or 'none'} is lacking")
    for key, node in join_subtries(spine, owner)[1].items():
        yield "trie", key, node
