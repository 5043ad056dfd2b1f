"""A one-process chain for tests: the real application on a real database, signed transactions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coincurve import PrivateKey
from eth_hash.auto import keccak

from node.application import Application, Prepared, make_genesis
from node.chain import rlp
from node.chain.transaction import Transaction, decode_transaction
from node.clock import ChainClock
from node.genesis import Genesis, parse_genesis
from node.rules import RuleBook
from node.storage import Store
from tests.node.samples import account_key, sample_genesis

CERTIFICATE = b"certificate"  # the application stores what consensus gives it


def sign_transaction(
    key: PrivateKey,
    *,
    chain_id: int,
    nonce: int,
    to: bytes | None,
    data: bytes = b"",
    value: int = 0,
    gas: int = 500_000,
    kind: int = 2,
    price: int = 0,
) -> bytes:
    """Return a signed raw transaction of type 0, 1 or 2."""
    target = to or b""
    if kind == 0:
        unsigned: list[Any] = [nonce, price, gas, target, value, data]
        digest = keccak(rlp.encode([*unsigned, chain_id, 0, 0]))
    elif kind == 1:
        unsigned = [chain_id, nonce, price, gas, target, value, data, []]
        digest = keccak(b"\1" + rlp.encode(unsigned))
    else:
        unsigned = [chain_id, nonce, price, price, gas, target, value, data, []]
        digest = keccak(bytes((kind,)) + rlp.encode(unsigned))
    signature = key.sign_recoverable(digest, hasher=None)
    r, s, parity = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big"), signature[64]
    if kind == 0:
        return rlp.encode([*unsigned, chain_id * 2 + 35 + parity, r, s])
    return bytes((kind,)) + rlp.encode([*unsigned, parity, r, s])


class OneChain:
    """A database, its application and its rules; `mine` commits a block of the given transactions.

    `sections` are those of a genesis file that the sample has not.
    """

    def __init__(self, path: Path, sections: Mapping[str, Any] | None = None, **rules: Any) -> None:
        self.genesis: Genesis = parse_genesis({**sample_genesis(**rules), **(sections or {})})
        self.rule_book = RuleBook(self.genesis.content["rules"], self.genesis.chain_id)
        sealed, delta = make_genesis(self.genesis, self.rule_book.rules_at(0))
        self.genesis_hash = sealed.header.hash
        self.path = path
        self.store = Store.create(
            path, chain_id=self.genesis.chain_id, genesis_hash=self.genesis_hash, sealed=sealed, delta=delta
        )
        self.wall_ms = 1_000
        self.clock = ChainClock(self.genesis, lambda: self.wall_ms)
        self.application = Application(self.store, self.rule_book, self.clock)
        self.nonces: dict[str, int] = {}

    def transaction(self, label: str, to: bytes | None, data: bytes = b"", **options: Any) -> Transaction:
        """Return the next transaction of the account that `label` names."""
        nonce = self.nonces.get(label, 0)
        self.nonces[label] = nonce + 1
        raw = sign_transaction(
            account_key(label), chain_id=self.genesis.chain_id, nonce=nonce, to=to, data=data, **options
        )
        return decode_transaction(raw, self.genesis.chain_id)

    @property
    def height(self) -> int:
        """The committed height."""
        with self.store.read() as view:
            return view.head_height

    def mine(self, *transactions: Transaction) -> Prepared:
        """Build and commit a block."""
        built = self.application.build(self.height + 1, transactions)
        return self.application.commit(built.body, CERTIFICATE)

    def close(self) -> None:
        """Close the database."""
        self.store.close()
