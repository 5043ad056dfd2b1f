"""From flat changes to a state delta: new root, changed trie nodes, and the values before, for history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from eth_hash.auto import keccak

from node.chain import rlp
from node.state.account import EMPTY_ROOT, Account
from node.state.changes import AccountChange, StateChanges
from node.state.reader import StateReader, TrieReader
from node.state.trie import Trie, build


@dataclass(frozen=True, slots=True)
class StateDelta:
    """What a block changes over the committed head, not yet stored; dropping it leaves no trace.

    Args:
        state_root: the new root (32 bytes).
        accounts: new accounts by address; None where one is deleted.
        storage: new values by (address, slot); 0 where one is deleted.
        codes: new code by hash.
        trie_nodes: new nodes by path key; None where one is deleted.
        accounts_before, storage_before: the values that are replaced.
    """

    state_root: bytes
    accounts: Mapping[bytes, Account | None]
    storage: Mapping[tuple[bytes, int], int]
    codes: Mapping[bytes, bytes]
    trie_nodes: Mapping[bytes, bytes | None]
    accounts_before: Mapping[bytes, Account | None]
    storage_before: Mapping[tuple[bytes, int], int]


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
    storage: dict[tuple[bytes, int], int] = {}
    storage_before: dict[tuple[bytes, int], int] = {}
    nodes: dict[bytes, bytes | None] = {}
    top = Trie(b"", trie, root)
    for address in sorted({*changes.accounts, *changes.storage}):
        old = state.account(address)
        slots = _changed_slots(state, address, changes.storage.get(address, {}))
        storage_root, storage_nodes = _storage_root(trie, address, old, {slot: new for slot, (_, new) in slots.items()})
        change = changes.accounts[address] if address in changes.accounts else _unchanged(old)
        new = None if change is None else Account(change.nonce, change.balance, storage_root, change.code_hash)
        for slot, (was, becomes) in slots.items():
            storage[address, slot] = becomes
            storage_before[address, slot] = was
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


def _changed_slots(state: StateReader, address: bytes, wanted: Mapping[int, int]) -> dict[int, tuple[int, int]]:
    slots = {}
    for slot in sorted(wanted):
        was = state.storage(address, slot)
        if was != wanted[slot]:
            slots[slot] = (was, wanted[slot])
    return slots


def _storage_root(
    trie: TrieReader, address: bytes, old: Account | None, slots: Mapping[int, int]
) -> tuple[bytes, Mapping[bytes, bytes | None]]:
    root = EMPTY_ROOT if old is None else old.storage_root
    if not slots:
        return root, {}
    tree = Trie(keccak(address), trie, root)
    for slot, value in slots.items():
        tree.put(storage_key(slot), encode_value(value))
    return tree.finish()


def storage_key(slot: int) -> bytes:
    """Return the key of a slot in a storage trie."""
    return keccak(slot.to_bytes(32, "big"))


def encode_value(value: int) -> bytes:
    """Return a slot's value as it enters a storage trie; empty for 0."""
    return rlp.encode(value) if value else b""


def rebuild(
    accounts: Iterable[tuple[bytes, Account]], storage: Mapping[bytes, Mapping[int, int]]
) -> tuple[bytes, dict[bytes, bytes | None]]:
    """Return (state root, all trie nodes by path key) built afresh from flat accounts and storage.

    Each account's storage root is computed, not believed.
    """
    nodes: dict[bytes, bytes | None] = {}
    leaves = []
    for address, account in accounts:
        slots = storage.get(address, {})
        root, below = build(((storage_key(s), encode_value(v)) for s, v in slots.items()), keccak(address))
        nodes.update(below)
        leaves.append((keccak(address), Account(account.nonce, account.balance, root, account.code_hash).encode()))
    state_root, top = build(leaves)
    nodes.update(top)
    return state_root, nodes
