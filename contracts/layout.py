"""Consortium's storage read directly, by the compiler's committed layout: who may send, and who the members are.

Block validity is judged with these on the parent state, so that no call is executed for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from eth_hash.auto import keccak

from contracts.artifact import load_artifact
from contracts.bindings.consortium import Member
from contracts.system import CONSORTIUM

ReadStorage = Callable[[bytes, int], int]
"""(address of 20 bytes, slot) -> the value of the slot."""

_MEMBER = "t_struct(Member)_storage"


@dataclass(frozen=True, slots=True)
class _Layout:
    accounts: int
    members: int
    vouching: int
    queue: int
    code_changes: int
    rule_changes: int
    evidence: int
    fields: Mapping[str, tuple[int, int, int]]  # name -> (slot within the struct, offset in bytes, length in bytes)


def vouching_member(read_storage: ReadStorage, account: bytes) -> bytes | None:
    """Return the account of the member that vouches for `account`; None if nobody does, or one who is no member now."""
    layout = _layout()
    value = read_storage(CONSORTIUM, mapping_slot(layout.vouching, account))
    if not value:
        return None
    member = value.to_bytes(20, "big")
    slot, offset, _ = layout.fields["account"]
    seat = read_storage(CONSORTIUM, mapping_slot(layout.members, member) + slot) >> (8 * offset)
    return member if seat & ((1 << 160) - 1) else None


def members(read_storage: ReadStorage) -> list[Member]:
    """Return the members in the consortium's order."""
    layout = _layout()
    count = read_storage(CONSORTIUM, layout.accounts)
    first = array_slot(layout.accounts)
    return [_member(read_storage, read_storage(CONSORTIUM, first + i).to_bytes(20, "big")) for i in range(count)]


def member_count(read_storage: ReadStorage) -> int:
    """Return how many members the consortium has."""
    return read_storage(CONSORTIUM, _layout().accounts)


@dataclass(frozen=True, slots=True)
class RuleChange:
    """A rule of consensus that the consortium voted: it holds from `from_height` on."""

    from_height: int
    name: str
    value: int


def has_pending(read_storage: ReadStorage) -> bool:
    """Return whether something waits for the start of the next block: a change of the members, or of code."""
    layout = _layout()
    return bool(read_storage(CONSORTIUM, layout.queue) or read_storage(CONSORTIUM, layout.code_changes))


def due_upgrades(read_storage: ReadStorage) -> list[tuple[bytes, bytes]]:
    """Return (system contract, contract whose code it gets), 20 bytes each, due at the start of the next block."""
    slot = _layout().code_changes
    first = array_slot(slot)
    found = []
    for i in range(read_storage(CONSORTIUM, slot)):
        target, source = (read_storage(CONSORTIUM, first + 2 * i + part) for part in (0, 1))
        found.append((target.to_bytes(20, "big"), source.to_bytes(20, "big")))
    return found


def rule_changes(read_storage: ReadStorage) -> list[RuleChange]:
    """Return all rules that were voted so far, in the order in which they were."""
    slot = _layout().rule_changes
    first = array_slot(slot)
    found = []
    for i in range(read_storage(CONSORTIUM, slot)):
        from_height, name, value = (read_storage(CONSORTIUM, first + 3 * i + part) for part in range(3))
        text = name.to_bytes(32, "big").rstrip(b"\0").decode("ascii", errors="replace")
        found.append(RuleChange(from_height, text, value))
    return found


def evidence_recorded(read_storage: ReadStorage, evidence_id: bytes) -> bool:
    """Return whether an equivocation (its identity, 32 bytes) is on record."""
    return bool(read_storage(CONSORTIUM, mapping_slot(_layout().evidence, evidence_id)))


def _member(read_storage: ReadStorage, account: bytes) -> Member:
    layout = _layout()
    base = mapping_slot(layout.members, account)

    def number(name: str) -> int:
        slot, offset, length = layout.fields[name]
        return (read_storage(CONSORTIUM, base + slot) >> (8 * offset)) & ((1 << (8 * length)) - 1)

    return Member(
        account=number("account").to_bytes(20, "big"),
        since_epoch=number("sinceEpoch"),
        node_key=number("nodeKey").to_bytes(32, "big"),
        name=number("name").to_bytes(32, "big").rstrip(b"\0").decode(errors="replace"),
        endpoint=_string(read_storage, base + layout.fields["endpoint"][0]),
    )


def _string(read_storage: ReadStorage, slot: int) -> str:
    # Whatever was once taken for a string, reading the members never fails: no block could be judged any more.
    word = read_storage(CONSORTIUM, slot)
    if not word & 1:
        return word.to_bytes(32, "big")[: (word & 0xFF) // 2].decode(errors="replace")
    length = word // 2
    first = array_slot(slot)
    words = (read_storage(CONSORTIUM, first + i).to_bytes(32, "big") for i in range((length + 31) // 32))
    return b"".join(words)[:length].decode(errors="replace")


def mapping_slot(slot: int, key: bytes) -> int:
    """Return where a mapping at `slot` has the value of a key."""
    return int.from_bytes(keccak(key.rjust(32, b"\0") + slot.to_bytes(32, "big")), "big")


def array_slot(slot: int) -> int:
    """Return where an array at `slot` has its first element; the slot itself holds its length."""
    return int.from_bytes(keccak(slot.to_bytes(32, "big")), "big")


@cache
def _layout() -> _Layout:
    storage: Any = load_artifact("Consortium").storage_layout
    slots = {entry["label"]: int(entry["slot"]) for entry in storage["storage"]}
    types = storage["types"]
    return _Layout(
        accounts=slots["_accounts"],
        members=slots["_members"],
        vouching=slots["_vouching"],
        queue=slots["_queue"],
        code_changes=slots["_codeChanges"],
        rule_changes=slots["_ruleChanges"],
        evidence=slots["_evidence"],
        fields={
            field["label"]: (int(field["slot"]), field["offset"], int(types[field["type"]]["numberOfBytes"]))
            for field in types[_MEMBER]["members"]
        },
    )
