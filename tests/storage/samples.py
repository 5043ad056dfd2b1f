"""A chain for storage tests: blocks sealed over flat changes, without execution or signatures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from eth_hash.auto import keccak

from node.chain import rlp
from node.chain.assembly import Executed, SealedBlock, Validators, genesis_block, seal
from node.chain.receipt import Log, make_receipt
from node.chain.transaction import Transaction
from node.rules import Rules
from node.state import EMPTY_CODE_HASH, EMPTY_ROOT, AccountChange, StateChanges, StateDelta, make_delta
from node.state.trie import NO_NODES
from node.storage import Store
from tests.state.slots import named

CHAIN_ID = 2016
CONTRACT = b"\xcc" * 20
CODE = b"\x60\x00" * 20
RULES = Rules(1, CHAIN_ID, contract_domain=(CONTRACT,))
ADDRESSES = [bytes((i,)) * 20 for i in range(1, 9)]
MAP_BYTES = 1 << 28


class _Void:
    def account(self, address: bytes) -> None:
        return None

    def storage(self, address: bytes, slot: int) -> int:
        return 0

    def code(self, code_hash: bytes) -> bytes:
        return b""

    def beginnings(self, code_hash: bytes) -> None:
        return None


def changes_of(
    balances: Mapping[bytes, int | None], storage: Mapping[bytes, Mapping[int, int]] | None = None
) -> StateChanges:
    """Return changes that set balances (None deletes the account) and slots."""
    return StateChanges(
        {
            address: None if balance is None else AccountChange(balance, balance, EMPTY_CODE_HASH)
            for address, balance in balances.items()
        },
        named(storage or {}),
    )


def transaction(seed: int, to: bytes | None) -> Transaction:
    """Return a transaction as far as storage looks at one."""
    raw = b"\2" + rlp.encode((seed, to or b"", bytes(60)))
    return Transaction(raw, keccak(raw), 2, CHAIN_ID, seed, 0, 0, 21_000, to, 0, b"", (), 0, 1, 1, ADDRESSES[seed % 8])


def genesis() -> tuple[SealedBlock, StateDelta]:
    """Return block 0: eight accounts, one with code, one with storage."""
    accounts: dict[bytes, AccountChange | None] = {
        address: AccountChange(0, 1_000, EMPTY_CODE_HASH) for address in ADDRESSES
    }
    accounts[CONTRACT] = AccountChange(1, 0, keccak(CODE))
    delta = make_delta(
        _Void(), NO_NODES, StateChanges(accounts, named({CONTRACT: {1: 5}}), {keccak(CODE): CODE}), EMPTY_ROOT
    )
    sealed = genesis_block(
        file_hash=b"\1" * 32, timestamp=100, state_root=delta.state_root, rules=RULES, validators_hash=b"\3" * 32
    )
    return sealed, delta


def create(path: Path, map_bytes: int = MAP_BYTES) -> Store:
    """Make a database with block 0."""
    sealed, delta = genesis()
    return Store.create(
        path, chain_id=CHAIN_ID, genesis_hash=sealed.header.hash, sealed=sealed, delta=delta, map_bytes=map_bytes
    )


def reopen(path: Path, *, readonly: bool = False, history_heights: int = 0) -> Store:
    """Open a database that `create` made."""
    return Store.open(
        path,
        chain_id=CHAIN_ID,
        genesis_hash=genesis()[0].header.hash,
        readonly=readonly,
        map_bytes=MAP_BYTES,
        history_heights=history_heights,
    )


def make_block(
    store: Store, changes: StateChanges, destinations: Iterable[bytes | None] = ()
) -> tuple[SealedBlock, StateDelta, list[bytes]]:
    """Return (block, delta, senders) of a child of the head with one transaction to each destination."""
    with store.read() as view:
        parent = view.parent()
        delta = make_delta(view.state, view, changes, parent.header.state_root)
    height = parent.header.number + 1
    transactions = [transaction(height * 1_000 + i, to) for i, to in enumerate(destinations)]
    receipts = tuple(
        make_receipt(2, 1, 21_000 * (i + 1), [Log(CONTRACT, (keccak(tx.raw),), b"\1" * i)])
        for i, tx in enumerate(transactions)
    )
    sealed = seal(
        parent,
        timestamp=parent.header.timestamp,
        transactions=transactions,
        executed=Executed(receipts, 21_000 * len(transactions), delta.state_root),
        rules=RULES,
        validators=Validators(0, b"\3" * 32, b"\3" * 32),
    )
    return sealed, delta, [tx.sender for tx in transactions]


def certificate_of(height: int) -> bytes:
    """Return a certificate as far as storage looks at one."""
    return b"certificate" + height.to_bytes(8, "big")


def commit(store: Store, changes: StateChanges, destinations: Iterable[bytes | None] = ()) -> SealedBlock:
    """Commit a child of the head."""
    sealed, delta, senders = make_block(store, changes, destinations)
    store.commit(sealed, delta, certificate_of(sealed.header.number), senders)
    return sealed
