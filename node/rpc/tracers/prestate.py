"""`prestateTracer`: the accounts and slots that a transaction needs, as they were before it, or what it changed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from eth_hash.auto import keccak

from node.chain.transaction import Transaction
from node.execution.tracer import Entry, StateBefore, Tracer
from node.rpc.formats import Json, to_data, to_quantity
from node.rpc.render import contract_address
from node.rpc.tracers.budget import TraceBudget

ACCOUNT_CHARACTERS = 260
SLOT_CHARACTERS = 140
CREATES = ("CREATE", "CREATE2")
DELEGATION, DELEGATION_BYTES = bytes.fromhex("ef0100"), 23  # EIP-7702


@dataclass(frozen=True, slots=True)
class PrestateOptions:
    """`diff`: what changed rather than what was; whether code and storage are shown, and accounts that were empty."""

    diff: bool = False
    code: bool = True
    storage: bool = True
    empty: bool = False


@dataclass(slots=True)
class _Account:
    balance: int
    nonce: int
    code: bytes
    slots: dict[int, int] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        return not (self.balance or self.nonce or self.code)


class PrestateTracer(Tracer):
    """Keeps every account and slot as it is when it is first touched, which is before it changes."""

    def __init__(self, options: PrestateOptions, budget: TraceBudget) -> None:
        self._options = options
        self._budget = budget
        self._accounts: StateBefore | None = None
        self._before: dict[bytes, _Account] = {}
        self._post: dict[str, Json] = {}
        self._created: set[bytes] = set()
        self._deleted: set[bytes] = set()
        self._running = False

    def start(self, accounts: StateBefore, tx: Transaction, coinbase: bytes) -> None:
        """Keep the accounts that every transaction touches."""
        self._accounts = accounts
        to = tx.to
        if to is None:
            to = contract_address(tx.sender, accounts.get_nonce(tx.sender))
            self._created.add(to)
        else:
            code = accounts.get_code(to)
            if len(code) == DELEGATION_BYTES and code.startswith(DELEGATION):
                self._keep(code[3:])
        for address in (tx.sender, to, coinbase):
            self._keep(address)

    def enter(self, entry: Entry) -> None:
        """Begin to listen: an access list alone touches nothing. Note what is created and destroyed (EIP-6780)."""
        self._running = True
        if entry.kind in CREATES and any(entry.to):
            self._created.add(entry.to)
        elif entry.kind == "SELFDESTRUCT" and entry.sender in self._created:
            self._deleted.add(entry.sender)

    def touch(self, address: bytes, slot: int | None = None) -> None:
        """Keep what is touched for the first time."""
        if not self._running:
            return
        account = self._keep(address)
        if slot is not None and self._options.storage and slot not in account.slots:
            assert self._accounts is not None
            self._budget.spend(SLOT_CHARACTERS)
            account.slots[slot] = self._accounts.get_storage(address, slot)

    def _keep(self, address: bytes) -> _Account:
        account = self._before.get(address)
        if account is None:
            account = self._before[address] = self._read(address)
            self._budget.spend(ACCOUNT_CHARACTERS + (2 * len(account.code) if self._options.code else 0))
        return account

    def _read(self, address: bytes) -> _Account:
        accounts = self._accounts
        assert accounts is not None
        return _Account(accounts.get_balance(address), accounts.get_nonce(address), accounts.get_code(address))

    def finish(self, gas_used: int) -> None:
        """Compare with what the transaction left."""
        if self._options.diff:
            for address in list(self._before):
                if address not in self._deleted:
                    self._compare(address)

    def _compare(self, address: bytes) -> None:
        before, after = self._before[address], self._read(address)
        assert self._accounts is not None
        change: dict[str, Json] = {}
        if after.balance != before.balance:
            change["balance"] = to_quantity(after.balance)
        if after.nonce != before.nonce and after.nonce:
            change["nonce"] = after.nonce
        if after.code != before.code:
            self._budget.spend(2 * len(after.code))
            change["codeHash"] = to_data(keccak(after.code))
            if self._options.code:
                change["code"] = to_data(after.code)
        changed, storage = False, {}
        for slot, value in list(before.slots.items()):
            found = self._accounts.get_storage(address, slot)
            changed = changed or found != value
            if found == value or not value:
                del before.slots[slot]
            if found and found != value:
                storage[_word(slot)] = _word(found)
        if storage:
            change["storage"] = storage
        if change or changed or after.nonce != before.nonce:
            self._post[to_data(address)] = change
        else:
            del self._before[address]

    def result(self) -> str:
        """Return the state before as JSON; with `diff`, what of it changed, before and after."""
        before = {
            to_data(address): self._shown(account)
            for address, account in sorted(self._before.items())
            if self._options.empty or not account.empty
        }
        shown = {"post": dict(sorted(self._post.items())), "pre": before} if self._options.diff else before
        return json.dumps(shown, separators=(",", ":"))

    def _shown(self, account: _Account) -> dict[str, Json]:
        table: dict[str, Json] = {"balance": to_quantity(account.balance)}
        if account.code:
            if self._options.code:
                table["code"] = to_data(account.code)
            table["codeHash"] = to_data(keccak(account.code))
        if account.nonce:
            table["nonce"] = account.nonce
        if account.slots:
            table["storage"] = {_word(slot): _word(value) for slot, value in sorted(account.slots.items())}
        return table


def _word(value: int) -> str:
    return f"0x{value:064x}"
