"""What executing a block changes, flat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


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
        storage: by address and slot; 0 deletes the slot.
        codes: new code by its hash.
    """

    accounts: Mapping[bytes, AccountChange | None] = field(default_factory=dict)
    storage: Mapping[bytes, Mapping[int, int]] = field(default_factory=dict)
    codes: Mapping[bytes, bytes] = field(default_factory=dict)
