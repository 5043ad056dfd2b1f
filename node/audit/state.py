"""The auditor's own world state: built from genesis by its own execution, never read from the node."""

from __future__ import annotations

from collections.abc import Mapping

from node.chain import rlp
from node.chain.rlp import encode_int
from node.state import EMPTY_CODE_HASH, Account, StateDelta, slot_key
from node.state.code import beginnings
from node.storage import tables


class OwnState:
    """Flat state, trie nodes and history in memory; a `StateReader` and a `TrieReader`."""

    def __init__(self) -> None:
        self.accounts: dict[bytes, Account] = {}
        self.slots: dict[bytes, int] = {}
        self.codes: dict[bytes, bytes] = {}
        self.jumps: dict[bytes, bytes] = {}  # where instructions begin in them
        self.nodes: dict[bytes, bytes] = {}
        self.accounts_before: dict[bytes, bytes] = {}
        self.slots_before: dict[bytes, bytes] = {}
        self.nodes_before: dict[bytes, bytes] = {}  # of the last heights, as the node keeps them

    def account(self, address: bytes) -> Account | None:
        """Return the account, None if there is none."""
        return self.accounts.get(address)

    def storage(self, address: bytes, slot: int) -> int:
        """Return the value of a slot."""
        return self.slots.get(slot_key(address, slot), 0)

    def code(self, code_hash: bytes) -> bytes:
        """Return the code with this hash."""
        return b"" if code_hash == EMPTY_CODE_HASH else self.codes[code_hash]

    def beginnings(self, code_hash: bytes) -> bytes | None:
        """Return where instructions begin in that code."""
        return self.jumps.get(code_hash)

    def node(self, key: bytes) -> bytes | None:
        """Return a trie node by path key."""
        return self.nodes.get(key)

    def add_codes(self, codes: Mapping[bytes, bytes]) -> None:
        """Keep codes by hash, and where instructions begin in them."""
        self.codes.update(codes)
        self.jumps.update((code_hash, beginnings(code)) for code_hash, code in codes.items())

    def apply(self, delta: StateDelta, height: int) -> None:
        """Become the state after a height; keep what was replaced, as the node's history should."""
        for address, account in delta.accounts.items():
            if account is None:
                self.accounts.pop(address, None)
            else:
                self.accounts[address] = account
        for slot, value in delta.storage.items():
            if value:
                self.slots[slot] = value
            else:
                self.slots.pop(slot, None)
        self.add_codes(delta.codes)
        if height:
            replaced = [(path, self.nodes.get(path, b"")) for path in sorted(delta.trie_nodes)]
            self.nodes_before[tables.height_key(height)] = rlp.encode(replaced)
            self.nodes_before.pop(tables.height_key(max(0, height - tables.PROVED_HEIGHTS)), None)
        for key, node in delta.trie_nodes.items():
            if node is None:
                self.nodes.pop(key, None)
            else:
                self.nodes[key] = node
        if not height:
            return
        suffix = tables.height_key(height)
        for address, before in delta.accounts_before.items():
            self.accounts_before[address + suffix] = b"" if before is None else before.encode()
        for slot, was in delta.storage_before.items():
            self.slots_before[slot + suffix] = encode_int(was)
