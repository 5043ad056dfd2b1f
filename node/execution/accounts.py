"""Accounts and storage for the EVM: flat dictionaries over a `StateReader`, with an undo log instead of copies.

An empty account (no nonce, balance or code) is the same as none (EIP-161, EIP-7523), so nothing has to be cleared.
"""

from __future__ import annotations

from typing import Any

from eth_hash.auto import keccak

from node.state import EMPTY_CODE_HASH, EMPTY_ROOT, AccountChange, StateChanges, StateReader, slot_key
from node.state.code import Instructions

NOTHING = AccountChange(0, 0, EMPTY_CODE_HASH)
ABSENT = object()


class FlatAccounts:
    """What py-evm asks of an account database, over the parent state.

    Every change notes in the undo log how to take it back; a checkpoint is the log's length.
    """

    def __init__(self, state: StateReader) -> None:
        self._state = state
        self._accounts: dict[bytes, AccountChange] = {}
        self._parents: dict[bytes, AccountChange] = {}
        self._storage: dict[bytes, dict[bytes, int]] = {}  # by address, then slot
        self._parent_storage: dict[bytes, int] = {}
        self._codes: dict[bytes, bytes] = {}
        self._read_codes: dict[bytes, bytes] = {}
        self._instructions: dict[bytes, Instructions] = {}  # by code
        self._transient: dict[bytes, bytes] = {}
        self._originals: dict[bytes, int] = {}
        self._warm: set[bytes] = set()  # addresses, and places of slots
        self._undo: list[tuple[Any, Any, Any]] = []

    # -- checkpoints

    def begin_transaction(self) -> None:
        """Forget what lives for one transaction: warm places, transient storage, original values, undo log."""
        self._transient.clear()
        self._originals.clear()
        self._warm.clear()
        self._undo.clear()

    def record(self) -> int:
        """Return a checkpoint."""
        return len(self._undo)

    def discard(self, checkpoint: int) -> None:
        """Take back everything since a checkpoint."""
        undo = self._undo
        while len(undo) > checkpoint:
            place, key, before = undo.pop()
            if place is self._warm:
                self._warm.discard(key)
            elif before is ABSENT:
                del place[key]
            else:
                place[key] = before

    def commit(self, checkpoint: int) -> None:
        """Keep everything since a checkpoint (nothing to do)."""

    def _put(self, place: dict[Any, Any], key: Any, value: Any) -> None:
        self._undo.append((place, key, place.get(key, ABSENT)))
        place[key] = value

    # -- accounts

    def _account(self, address: bytes) -> AccountChange:
        found = self._accounts.get(address)
        return self._parent(address) if found is None else found

    def _parent(self, address: bytes) -> AccountChange:
        found = self._parents.get(address)
        if found is None:
            account = self._state.account(address)
            found = NOTHING if account is None else AccountChange(account.nonce, account.balance, account.code_hash)
            self._parents[address] = found
        return found

    def get_balance(self, address: bytes) -> int:
        """Return the balance in wei."""
        return self._account(address).balance

    def set_balance(self, address: bytes, balance: int) -> None:
        """Set the balance in wei."""
        account = self._account(address)
        if account.balance != balance:
            self._put(self._accounts, address, AccountChange(account.nonce, balance, account.code_hash))

    def get_nonce(self, address: bytes) -> int:
        """Return the nonce."""
        return self._account(address).nonce

    def set_nonce(self, address: bytes, nonce: int) -> None:
        """Set the nonce."""
        account = self._account(address)
        self._put(self._accounts, address, AccountChange(nonce, account.balance, account.code_hash))

    def increment_nonce(self, address: bytes) -> None:
        """Raise the nonce by one."""
        self.set_nonce(address, self.get_nonce(address) + 1)

    def get_code_hash(self, address: bytes) -> bytes:
        """Return the hash of the code."""
        return self._account(address).code_hash

    def get_code(self, address: bytes) -> bytes:
        """Return the code."""
        code_hash = self._account(address).code_hash
        if code_hash == EMPTY_CODE_HASH:
            return b""
        code = self._codes.get(code_hash)
        if code is None:
            code = self._read_codes.get(code_hash)
        if code is None:
            code = self._read_codes[code_hash] = self._state.code(code_hash)
            self._instructions[code] = Instructions(code, self._state.beginnings(code_hash))
        return code

    def instructions(self, code: bytes) -> Instructions:
        """Return which bytes of a code are instructions; what is found out is kept for the block."""
        found = self._instructions.get(code)
        if found is None:
            found = self._instructions[code] = Instructions(code)
        return found

    def set_code(self, address: bytes, code: bytes) -> None:
        """Set the code."""
        code_hash = keccak(code)
        account = self._account(address)
        if code:
            self._put(self._codes, code_hash, code)
        self._put(self._accounts, address, AccountChange(account.nonce, account.balance, code_hash))

    def account_has_code_or_nonce(self, address: bytes) -> bool:
        """Return whether a contract may not be created here: nor may it over storage alone (EIP-7610)."""
        account = self._account(address)
        if account.nonce != 0 or account.code_hash != EMPTY_CODE_HASH:
            return True
        stored = self._state.account(address)
        return stored is not None and stored.storage_root != EMPTY_ROOT

    def account_exists(self, address: bytes) -> bool:
        """Return whether there is an account that is not empty."""
        return self._account(address) != NOTHING

    def account_is_empty(self, address: bytes) -> bool:
        """Return whether the account is empty or absent."""
        return self._account(address) == NOTHING

    def touch_account(self, address: bytes) -> None:
        """Do nothing: an empty account is the same as none."""

    def delete_account(self, address: bytes) -> None:
        """Delete an account that was created in this transaction (EIP-6780), with its storage."""
        self._put(self._accounts, address, NOTHING)
        self.delete_storage(address)

    # -- storage

    def get_storage(self, address: bytes, slot: int, from_journal: bool = True) -> int:
        """Return a slot's value; with `from_journal` False the one it had when the transaction began."""
        place = slot_key(address, slot)
        if not from_journal:
            original = self._originals.get(place)
            if original is not None:
                return original
        slots = self._storage.get(address)
        value = None if slots is None else slots.get(place)
        return self._parent_value(place) if value is None else value

    def _parent_value(self, place: bytes) -> int:
        value = self._parent_storage.get(place)
        if value is None:
            value = self._state.storage(place[:20], int.from_bytes(place[20:], "big"))
            self._parent_storage[place] = value
        return value

    def set_storage(self, address: bytes, slot: int, value: int) -> None:
        """Set a slot's value."""
        before, place = self.get_storage(address, slot), slot_key(address, slot)
        self._originals.setdefault(place, before)
        if before != value:
            self._put(self._storage.setdefault(address, {}), place, value)

    def delete_storage(self, address: bytes) -> None:
        """Set every slot that was written to zero; a contract that may be deleted has no others."""
        for place, value in list(self._storage.get(address, {}).items()):
            if value:
                self.set_storage(address, int.from_bytes(place[20:], "big"), 0)

    def get_transient(self, address: bytes, slot: int) -> bytes:
        """Return a transient slot's value (EIP-1153)."""
        return self._transient.get(slot_key(address, slot), b"")

    def set_transient(self, address: bytes, slot: int, value: bytes) -> None:
        """Set a transient slot's value (EIP-1153)."""
        self._put(self._transient, slot_key(address, slot), value)

    # -- warm places (EIP-2929)

    def is_address_warm(self, address: bytes) -> bool:
        """Return whether the address was accessed in this transaction."""
        return address in self._warm

    def mark_address_warm(self, address: bytes) -> None:
        """Note that the address was accessed."""
        self._mark(address)

    def is_storage_warm(self, address: bytes, slot: int) -> bool:
        """Return whether the slot was accessed in this transaction."""
        return slot_key(address, slot) in self._warm

    def mark_storage_warm(self, address: bytes, slot: int) -> None:
        """Note that the slot was accessed."""
        self._mark(slot_key(address, slot))

    def access_account(self, address: bytes) -> bool:
        """Mark an address warm, and return whether it was cold."""
        if address in self._warm:
            return False
        self._warm.add(address)
        self._undo.append((self._warm, address, ABSENT))
        return True

    def access_storage(self, address: bytes, slot: int) -> bool:
        """Mark a slot warm, and return whether it was cold."""
        place = slot_key(address, slot)
        if place in self._warm:
            return False
        self._warm.add(place)
        self._undo.append((self._warm, place, ABSENT))
        return True

    def _mark(self, place: bytes) -> None:
        if place not in self._warm:
            self._warm.add(place)
            self._undo.append((self._warm, place, ABSENT))

    # -- the result

    def changes(self) -> StateChanges:
        """Return what differs from the parent state."""
        accounts: dict[bytes, AccountChange | None] = {}
        for address in sorted(self._accounts):
            account = self._accounts[address]
            if account != self._parent(address):
                accounts[address] = None if account == NOTHING else account
        written = sorted(place for places in self._storage.values() for place in places.items())
        storage = {place: value for place, value in written if value != self._parent_value(place)}
        live = {account.code_hash for account in accounts.values() if account is not None}
        codes = {code_hash: code for code_hash, code in sorted(self._codes.items()) if code_hash in live}
        return StateChanges(accounts, storage, codes)
