"""Accounts, what a block changes of them, and the Merkle-Patricia tries over them; pure."""

from node.state.account import EMPTY_CODE_HASH, EMPTY_ROOT, Account
from node.state.changes import AccountChange, StateChanges, slot_key
from node.state.delta import StateDelta, make_delta
from node.state.reader import StateReader, TrieReader

__all__ = [
    "EMPTY_CODE_HASH",
    "EMPTY_ROOT",
    "Account",
    "AccountChange",
    "StateChanges",
    "StateDelta",
    "StateReader",
    "TrieReader",
    "make_delta",
    "slot_key",
]
