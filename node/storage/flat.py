"""The whole state after a height, flat: the live one, with what later heights changed put back."""

from __future__ import annotations

from dataclasses import dataclass, field

from node.state import EMPTY_CODE_HASH, Account
from node.storage.view import View


@dataclass(slots=True)
class FlatState:
    """Accounts by address, values that are not 0 by `slot_key`, and the accounts' codes by hash."""

    accounts: dict[bytes, Account] = field(default_factory=dict)
    slots: dict[bytes, int] = field(default_factory=dict)
    codes: dict[bytes, bytes] = field(default_factory=dict)


def flat_state(view: View, height: int) -> FlatState:
    """Read the state after `height`.

    Raises:
        NotKept: the database begins above it.
        CorruptValue: a stored value is damaged.
    """
    then, flat = view.state_at(height), FlatState()
    addresses = {key for key, _ in view.items("accounts")} | {key[:20] for key, _ in view.items("accounts_before")}
    for address in sorted(addresses):
        account = then.account(address)
        if account is not None:
            flat.accounts[address] = account
            if account.code_hash != EMPTY_CODE_HASH:
                flat.codes[account.code_hash] = then.code(account.code_hash)
    keys = {key for key, _ in view.items("storage")} | {key[:52] for key, _ in view.items("storage_before")}
    for key in sorted(keys):
        value = then.storage(key[:20], int.from_bytes(key[20:], "big"))
        if value:
            flat.slots[key] = value
    return flat
