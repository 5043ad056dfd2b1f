"""How the world state is read: flat, and as trie nodes by path."""

from __future__ import annotations

from typing import Protocol

from node.state.account import Account


class StateReader(Protocol):
    """The world state at one height. Addresses have 20 bytes, slots and values are 256-bit integers."""

    def account(self, address: bytes) -> Account | None:
        """Return the account, None if there is none."""

    def storage(self, address: bytes, slot: int) -> int:
        """Return the value of a slot, 0 if it was never set."""

    def code(self, code_hash: bytes) -> bytes:
        """Return the code with this hash (32 bytes), empty for the hash of nothing."""

    def beginnings(self, code_hash: bytes) -> bytes | None:
        """Return what `node.state.code.beginnings` says of that code; None if that is not kept."""


class TrieReader(Protocol):
    """The stored trie nodes."""

    def node(self, key: bytes) -> bytes | None:
        """Return the RLP of the node under a path key (`node.state.trie.node_key`); None if there is none."""
