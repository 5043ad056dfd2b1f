"""What executing a block changes, flat.

A slot is named by its contract's address and its own 32 bytes together, in memory as on disk: numbers as keys could be
chosen so that Python hashes all of them alike, and every look-up of one walks past the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ADDRESS_BYTES = 20


def slot_key(address: bytes, slot: int) -> bytes:
    """Return the 52 bytes that name a slot of a contract."""
    return address + slot.to_bytes(32, "big")


@dataclass(frozen=True, slots=True)
class AccountChange:
    """An account's new nonce, balance in wei and code hash (32 bytes)."""

    nonce: int
    balance: int
    code_hash: bytes


@dataclass(frozen=True, slots=True)
class StateChanges:
    """New values over a parent state.

    Args:
        accounts: by address; None deletes the account.
        storage: by `slot_key`; 0 deletes the slot.
        codes: new code by its hash.
    """

    accounts: Mapping[bytes, AccountChange | None] = field(default_factory=dict)
    storage: Mapping[bytes, int] = field(default_factory=dict)
    codes: Mapping[bytes, bytes] = field(default_factory=dict)
