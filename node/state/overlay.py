"""A state with blocks upon it that are not stored: simulated ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from eth_hash.auto import keccak

from node.state.account import EMPTY_ROOT, Account
from node.state.changes import ADDRESS_BYTES, StateChanges, slot_key
from node.state.delta import make_delta
from node.state.reader import StateReader, TrieReader
from node.state.trie import Trie


class Overlay:
    """Flat values and trie nodes over a state; what is taken over is kept in memory only.

    Args:
        state, trie: of the block beneath.
        root: its state root (32 bytes).
    """

    def __init__(self, state: StateReader, trie: TrieReader, root: bytes) -> None:
        self._state = state
        self._trie = trie
        self.root = root
        self._accounts: dict[bytes, Account | None] = {}
        self._storage: dict[bytes, int] = {}
        self._codes: dict[bytes, bytes] = {}
        self._nodes: dict[bytes, bytes | None] = {}
        self._emptied: set[bytes] = set()

    def account(self, address: bytes) -> Account | None:
        """Return the account, None if there is none."""
        return self._accounts[address] if address in self._accounts else self._state.account(address)

    def storage(self, address: bytes, slot: int) -> int:
        """Return the value of a slot, 0 if it was never set."""
        found = self._storage.get(slot_key(address, slot))
        if found is not None:
            return found
        return 0 if address in self._emptied else self._state.storage(address, slot)

    def code(self, code_hash: bytes) -> bytes:
        """Return the code with this hash."""
        found = self._codes.get(code_hash)
        return self._state.code(code_hash) if found is None else found

    def beginnings(self, code_hash: bytes) -> bytes | None:
        """Return where that code's instructions begin, if that is kept."""
        return None if code_hash in self._codes else self._state.beginnings(code_hash)

    def node(self, key: bytes) -> bytes | None:
        """Return the trie node under a path key."""
        return self._nodes[key] if key in self._nodes else self._trie.node(key)

    def take(self, changes: StateChanges) -> None:
        """Take over what a block changed; `root` is that after it."""
        delta = make_delta(self, self, changes, self.root)
        self.root = delta.state_root
        self._accounts.update(delta.accounts)
        self._storage.update(delta.storage)
        self._codes.update(delta.codes)
        self._nodes.update(delta.trie_nodes)

    def empty_storage(self, addresses: Iterable[bytes]) -> None:
        """Set every slot of accounts to zero."""
        emptied = set(addresses)
        self._emptied |= emptied
        self._storage = {key: value for key, value in self._storage.items() if key[:ADDRESS_BYTES] not in emptied}
        top = Trie(b"", self, self.root)
        for address in sorted(emptied):
            account = self.account(address)
            if account is not None and account.storage_root != EMPTY_ROOT:
                account = self._accounts[address] = replace(account, storage_root=EMPTY_ROOT)
                top.put(keccak(address), account.encode())
        self.root, nodes = top.finish()
        self._nodes.update(nodes)
