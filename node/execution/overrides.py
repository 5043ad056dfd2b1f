"""State that a call sees instead of what is committed: balances, nonces, code, storage, moved precompiled contracts.

Source: go-ethereum, "State override set"; execution-apis, schemas/execute.yaml. Everything is dropped with the call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from node.execution.accounts import FlatAccounts
from node.state import EMPTY_ROOT, Account, StateReader


@dataclass(frozen=True, slots=True)
class AccountOverride:
    """What is different about one account; None leaves it as it is.

    Args:
        balance: wei.
        nonce: the next one.
        code: of the contract; empty for none.
        state: all of its storage, by slot; every other slot is zero.
        state_diff: single slots of it. Not together with `state`.
        move_precompile_to: where the precompiled contract at this address is called instead (20 bytes).
    """

    balance: int | None = None
    nonce: int | None = None
    code: bytes | None = None
    state: Mapping[int, int] | None = None
    state_diff: Mapping[int, int] | None = None
    move_precompile_to: bytes | None = None


StateOverrides = Mapping[bytes, AccountOverride]
"""By address (20 bytes)."""
NO_OVERRIDES: StateOverrides = {}


class InvalidOverride(Exception):
    """Overrides that contradict each other or name what is not there.

    Args:
        reason: in go-ethereum's words; "{address}" stands for the address.
        address: which account (20 bytes).
        code: execution-apis' number for it, None if it has none.
    """

    def __init__(self, reason: str, address: bytes, code: int | None = None) -> None:
        super().__init__(reason, address, code)
        self.reason = reason
        self.address = address
        self.code = code


SELF_REFERENCE, SAME_TARGET = -38022, -38023


class ReplacedStorage:
    """A state in which the storage of some accounts is empty.

    Args:
        state: what is beneath.
        replaced: addresses.
    """

    def __init__(self, state: StateReader, replaced: frozenset[bytes]) -> None:
        self._state = state
        self._replaced = replaced

    def account(self, address: bytes) -> Account | None:
        """Return the account, without a storage root where its storage is replaced."""
        found = self._state.account(address)
        return replace(found, storage_root=EMPTY_ROOT) if found is not None and address in self._replaced else found

    def storage(self, address: bytes, slot: int) -> int:
        """Return the value of a slot."""
        return 0 if address in self._replaced else self._state.storage(address, slot)

    def code(self, code_hash: bytes) -> bytes:
        """Return the code with this hash."""
        return self._state.code(code_hash)

    def beginnings(self, code_hash: bytes) -> bytes | None:
        """Return where that code's instructions begin, if that is kept."""
        return self._state.beginnings(code_hash)


def beneath(state: StateReader, overrides: StateOverrides) -> StateReader:
    """Return the state that overridden accounts stand over: without the storage that is replaced."""
    replaced = frozenset(address for address, account in overrides.items() if account.state is not None)
    return ReplacedStorage(state, replaced) if replaced else state


def apply_overrides(accounts: FlatAccounts, overrides: StateOverrides) -> None:
    """Write overrides, as if a transaction before the first had made them.

    Args:
        accounts: over what `beneath` returned.
        overrides: as `check_overrides` found them sound.
    """
    for address, account in overrides.items():
        if account.nonce is not None:
            accounts.set_nonce(address, account.nonce)
        if account.code is not None:
            accounts.set_code(address, account.code)
        if account.balance is not None:
            accounts.set_balance(address, account.balance)
        for slot, value in (account.state or account.state_diff or {}).items():
            accounts.set_storage(address, slot, value)
    accounts.begin_transaction()


def override_precompiles(precompiles: Mapping[bytes, Any], overrides: StateOverrides) -> Mapping[bytes, Any]:
    """Return the precompiled contracts by address where some are moved, or overridden, which takes them away.

    Raises:
        InvalidOverride: one is moved from where there is none, to itself, or to where another account is overridden.
    """
    if not any(address in precompiles or account.move_precompile_to for address, account in overrides.items()):
        return precompiles
    table = dict(precompiles)
    taken: set[bytes] = set()
    for address, account in sorted(overrides.items(), key=lambda entry: entry[0]):
        target = account.move_precompile_to
        if target is not None:
            if address not in precompiles:
                raise InvalidOverride("account {address} is not a precompile", address)
            if target == address:
                raise InvalidOverride("account {address} is moved to itself", address, SELF_REFERENCE)
            if target in taken:
                reason = "account {address} has already been overridden by a precompile"
                raise InvalidOverride(reason, target, SAME_TARGET)
            if target in overrides:
                raise InvalidOverride("account {address} is already overridden", target)
            taken.add(target)
            table[target] = precompiles[address]
        if address in precompiles:
            del table[address]
    return table


def check_overrides(overrides: StateOverrides) -> None:
    """Check that no account has its storage replaced and changed at once.

    Raises:
        InvalidOverride: one has.
    """
    for address, account in sorted(overrides.items(), key=lambda entry: entry[0]):
        if account.state is not None and account.state_diff is not None:
            raise InvalidOverride("account {address} has both 'state' and 'stateDiff'", address)
