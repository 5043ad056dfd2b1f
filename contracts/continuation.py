"""What a continuation changes in Consortium's storage, and nothing else of the state: those who are lost have no seat.

Source of the slots: the compiler's committed layout. In the order in which they are changed:

| variable | becomes |
|---|---|
| `_accounts` | the survivors, in the order they had |
| `_members` | the lost ones' entries are deleted; the survivors are members since epoch 0 |
| `_proposals` | what is open, waits for readiness or is queued is withdrawn: few votes would be a majority of a few |
| `_queue`, `_queueHead` | empty |
| `_epoch`, `_epochs` | 0 and empty: they are numbered from block 0 on |
| `_changedAtHeight`, `_genesisHash` | 0; block 1 stores the new chain's hash |
| `_ruleChanges` | empty: the rules in force are in the continuation's genesis file |

What stays: who vouches for whom (a lost member's vouching counts for nothing, a survivor may take the account over),
node keys that belong to an account, evidence on record, code that was enacted and is replaced at the start of block 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from contracts.artifact import load_artifact
from contracts.layout import ReadStorage, array_slot, mapping_slot, members
from contracts.system import CONSORTIUM

OPEN, PASSED, WITHDRAWN, QUEUED = 1, 2, 4, 5  # Consortium.ProposalState


def continuation_changes(read_storage: ReadStorage, survivors: Sequence[bytes]) -> dict[int, int]:
    """Return the new values of Consortium's storage by slot; 0 deletes one.

    Args:
        read_storage: the parent chain's state.
        survivors: the accounts (20 bytes each) of the members that stay, all of them members.
    """
    edit = _Edit(read_storage)
    present = [member.account for member in members(read_storage)]
    _keep_members(edit, present, [account for account in present if account in set(survivors)])
    for number in range(1, edit.read(_slot("_proposalCount")) + 1):
        base = mapping_slot(_slot("_proposals"), number.to_bytes(32, "big"))
        if edit.field(base, "Proposal", "state") in (OPEN, PASSED, QUEUED):
            edit.set_field(base, "Proposal", "state", WITHDRAWN)
    for number in range(1, edit.read(_slot("_epoch")) + 1):
        edit.clear(mapping_slot(_slot("_epochs"), number.to_bytes(32, "big")), _words("Epoch"))
    edit.clear_array(_slot("_queue"), 1)
    edit.clear_array(_slot("_ruleChanges"), _words("RuleChange"))
    for label in ("_queueHead", "_epoch", "_changedAtHeight", "_genesisHash"):
        edit.write(_slot(label), 0)
    return edit.changes


def _keep_members(edit: _Edit, present: Sequence[bytes], kept: Sequence[bytes]) -> None:
    accounts = _slot("_accounts")
    edit.clear_array(accounts, 1)
    edit.write(accounts, len(kept))
    for index, account in enumerate(kept):
        edit.write(array_slot(accounts) + index, int.from_bytes(account, "big"))
    for account in present:
        base = mapping_slot(_slot("_members"), account)
        if account in kept:
            edit.set_field(base, "Member", "sinceEpoch", 0)
        else:
            edit.clear_string(base + _field("Member", "endpoint")[0])
            edit.clear(base, _words("Member"))


class _Edit:
    """Storage with changes on top."""

    def __init__(self, read_storage: ReadStorage) -> None:
        self._read_storage = read_storage
        self.changes: dict[int, int] = {}

    def read(self, slot: int) -> int:
        return self.changes[slot] if slot in self.changes else self._read_storage(CONSORTIUM, slot)

    def write(self, slot: int, value: int) -> None:
        if self.read(slot) != value:
            self.changes[slot] = value

    def clear(self, slot: int, words: int) -> None:
        for offset in range(words):
            self.write(slot + offset, 0)

    def clear_array(self, slot: int, words: int) -> None:
        """Delete an array of elements of so many words each."""
        self.clear(array_slot(slot), self.read(slot) * words)
        self.write(slot, 0)

    def clear_string(self, slot: int) -> None:
        word = self.read(slot)
        if word & 1:  # long: twice its length, plus one
            self.clear(array_slot(slot), (word // 2 + 31) // 32)
        self.write(slot, 0)

    def field(self, base: int, struct: str, name: str) -> int:
        slot, offset, length = _field(struct, name)
        return (self.read(base + slot) >> (8 * offset)) & ((1 << (8 * length)) - 1)

    def set_field(self, base: int, struct: str, name: str, value: int) -> None:
        slot, offset, length = _field(struct, name)
        mask = ((1 << (8 * length)) - 1) << (8 * offset)
        self.write(base + slot, self.read(base + slot) & ~mask | value << (8 * offset))


def _layout() -> Any:
    return load_artifact("Consortium").storage_layout


@cache
def _slot(label: str) -> int:
    return next(int(entry["slot"]) for entry in _layout()["storage"] if entry["label"] == label)


@cache
def _words(struct: str) -> int:
    return int(_layout()["types"][f"t_struct({struct})_storage"]["numberOfBytes"]) // 32


@cache
def _field(struct: str, name: str) -> tuple[int, int, int]:
    """Return (slot within the struct, offset in bytes, length in bytes)."""
    types = _layout()["types"]
    entry = next(each for each in types[f"t_struct({struct})_storage"]["members"] if each["label"] == name)
    return int(entry["slot"]), int(entry["offset"]), int(types[entry["type"]]["numberOfBytes"])
