"""States in dictionaries, and their roots: what the tests of execution start from and compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from eth_hash.auto import keccak

from node.chain.assembly import genesis_block
from node.chain.header import Header
from node.execution import VOID
from node.rules import Rules
from node.state import EMPTY_CODE_HASH, EMPTY_ROOT, Account, AccountChange, StateChanges, make_delta
from node.state.code import beginnings
from node.state.delta import encode_value, storage_key
from node.state.trie import NO_NODES, build
from tests.state.slots import named


def header_at(number: int, timestamp: int) -> Header:
    """Return a header of a height and chain second over some state or other."""
    rules = Rules(version=1, chain_id=2016)
    sealed = genesis_block(
        file_hash=bytes(32), timestamp=timestamp, state_root=EMPTY_ROOT, rules=rules, validators_hash=bytes(32)
    )
    return replace(sealed.header, number=number)


@dataclass(frozen=True, slots=True)
class Holding:
    """An account of a test's state: balance in wei, nonce, code, storage."""

    balance: int = 0
    nonce: int = 0
    code: bytes = b""
    storage: Mapping[int, int] = field(default_factory=dict)


class DictState:
    """A `StateReader` over holdings by address."""

    def __init__(self, holdings: Mapping[bytes, Holding]) -> None:
        self.holdings = dict(holdings)
        self._codes = {keccak(holding.code): holding.code for holding in holdings.values()}

    def account(self, address: bytes) -> Account | None:
        """Return the account, None where there is none."""
        held = self.holdings.get(address)
        if held is None:
            return None
        root, _ = build((storage_key(slot), encode_value(value)) for slot, value in held.storage.items() if value)
        return Account(held.nonce, held.balance, root, keccak(held.code))

    def storage(self, address: bytes, slot: int) -> int:
        """Return a slot's value."""
        held = self.holdings.get(address)
        return 0 if held is None else held.storage.get(slot, 0)

    def code(self, code_hash: bytes) -> bytes:
        """Return code by its hash."""
        return self._codes[code_hash]

    def beginnings(self, code_hash: bytes) -> bytes | None:
        """Return where instructions begin, for every other code."""
        return beginnings(self._codes[code_hash]) if code_hash[0] & 1 else None

    def after(self, changes: StateChanges) -> DictState:
        """Return the state with `changes`."""
        codes = self._codes | dict(changes.codes) | {EMPTY_CODE_HASH: b""}
        holdings = dict(self.holdings)
        changed: dict[bytes, dict[int, int]] = {}
        for key, value in changes.storage.items():
            changed.setdefault(key[:20], {})[int.from_bytes(key[20:], "big")] = value
        for address in sorted({*changes.accounts, *changed}):
            held = holdings.get(address, Holding())
            slots = {**held.storage, **changed.get(address, {})}
            storage = {slot: value for slot, value in slots.items() if value}
            if address not in changes.accounts:
                holdings[address] = Holding(held.balance, held.nonce, held.code, storage)
                continue
            change = changes.accounts[address]
            if change is None:
                holdings.pop(address, None)
            else:
                holdings[address] = Holding(change.balance, change.nonce, codes[change.code_hash], storage)
        return DictState(holdings)

    def root(self) -> bytes:
        """Return the state root (32 bytes)."""
        accounts = {
            address: AccountChange(held.nonce, held.balance, keccak(held.code))
            for address, held in sorted(self.holdings.items())
        }
        storage = named({address: held.storage for address, held in sorted(self.holdings.items())})
        codes = {keccak(held.code): held.code for held in self.holdings.values() if held.code}
        return make_delta(VOID, NO_NODES, StateChanges(accounts, storage, codes), EMPTY_ROOT).state_root
