"""From flat changes to a state delta: new root, changed trie nodes, and the values before, for history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from eth_hash.auto import keccak

from node.chain import rlp
from node.state.account import EMPTY_ROOT, Account
from node.state.changes import ADDRESS_BYTES, AccountChange, StateChanges
from node.state.reader import StateReader, TrieReader
from node.state.trie import Trie, build


@dataclass(frozen=True, slots=True)
class StateDelta:
    """What a block changes over the committed head, not yet stored; dropping it leaves no trace.

    Args:
        state_root: the new root (32 bytes).
        accounts: new accounts by address; None where one is deleted.
        storage: new values by `slot_key`; 0 where one is deleted.
        codes: new code by hash.
        trie_nodes: new nodes by path key; None where one is deleted.
        accounts_before, storage_before: the values that are replaced.
    """

    state_root: bytes
    accounts: Mapping[bytes, Account | None]
    storage: Mapping[bytes, int]
    codes: Mapping[bytes, bytes]
    trie_nodes: Mapping[bytes, bytes | None]
    accounts_before: Mapping[bytes, Account | None]
    storage_before: Mapping[bytes, int]


def make_delta(state: StateReader, trie: TrieReader, changes: StateChanges, root: bytes) -> StateDelta:
    """Return what `changes` make of the state with the given root.

    Args:
        state: the committed head, flat.
        trie: the committed head's trie nodes.
        changes: what execution changed.
        root: the committed head's state root.
    """
    accounts: dict[bytes, Account | None] = {}
    before: dict[bytes, Account | None] = {}
    storage: dict[bytes, int] = {}
    storage_before: dict[bytes, int] = {}
    nodes: dict[bytes, bytes | None] = {}
    top = Trie(b"", trie, root)
    wanted = by_address(changes.storage)
    for address in sorted({*changes.accounts, *wanted}):
        old = state.account(address)
        slots = []
        for key, value in wanted.get(address, ()):
            was = state.storage(address, int.from_bytes(key[ADDRESS_BYTES:], "big"))
            if was != value:
                slots.append((key, value))
                storage[key], storage_before[key] = value, was
        storage_root, storage_nodes = _storage_root(trie, address, old, slots)
        change = changes.accounts[address] if address in changes.accounts else _unchanged(old)
        new = None if change is None else Account(change.nonce, change.balance, storage_root, change.code_hash)
        nodes.update(storage_nodes)
        if new == old:
            continue
        accounts[address], before[address] = new, old
        top.put(keccak(address), b"" if new is None else new.encode())
    state_root, account_nodes = top.finish()
    nodes.update(account_nodes)
    return StateDelta(state_root, accounts, storage, dict(changes.codes), nodes, before, storage_before)


def _unchanged(account: Account | None) -> AccountChange | None:
    return None if account is None else AccountChange(account.nonce, account.balance, account.code_hash)


def by_address(storage: Mapping[bytes, int]) -> dict[bytes, list[tuple[bytes, int]]]:
    """Return slots by `slot_key` in groups, one a contract, each in order."""
    return {
        address: list(slots)
        for address, slots in groupby(sorted(storage.items()), lambda slot: slot[0][:ADDRESS_BYTES])
    }


def _storage_root(
    trie: TrieReader, address: bytes, old: Account | None, slots: Sequence[tuple[bytes, int]]
) -> tuple[bytes, Mapping[bytes, bytes | None]]:
    root = EMPTY_ROOT if old is None else old.storage_root
    if not slots:
        return root, {}
    tree = Trie(keccak(address), trie, root)
    for key, value in slots:
        tree.put(keccak(key[ADDRESS_BYTES:]), encode_value(value))
    return tree.finish()


def storage_key(slot: int) -> bytes:
    """Return the key of a slot in a storage trie."""
    return keccak(slot.to_bytes(32, "big"))


def encode_value(value: int) -> bytes:
    """Return a slot's value as it enters a storage trie; empty for 0."""
    return rlp.encode(value) if value else b""


def rebuild(
    accounts: Iterable[tuple[bytes, Account]], storage: Mapping[bytes, int]
) -> tuple[bytes, dict[bytes, bytes | None]]:
    """Return (state root, all trie nodes by path key) built afresh from flat accounts and storage.

    Each account's storage root is computed, not believed.
    """
    nodes: dict[bytes, bytes | None] = {}
    leaves, slots = [], by_address(storage)
    for address, account in accounts:
        below_it = ((keccak(key[ADDRESS_BYTES:]), encode_value(value)) for key, value in slots.get(address, ()))
        root, below = build(below_it, keccak(address))
        nodes.update(below)
        leaves.append((keccak(address), Account(account.nonce, account.balance, root, account.code_hash).encode()))
    state_root, top = build(leaves)
    nodes.update(top)
    return state_root, nodes
