"""The real application in the simulated cluster: LMDB, the EVM, the pool and the log that a validator runs.

Only clock and network are simulated. Every start of a node closes its database and its write-ahead log and opens them
again, so that a node that was killed knows nothing but what its files hold.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from eth_hash.auto import keccak
from nacl.signing import SigningKey

from consensus.types import Domain, ValidatorSet
from node.application import Application, BlockRefused, make_genesis
from node.budget import MOST
from node.chain import rlp
from node.chain.assembly import SealedBlock, hash_of_body
from node.chain.transaction import InvalidTransaction, Transaction, decode_transaction
from node.clock import ChainClock
from node.driver import DriverConfig, WriteAheadLog
from node.genesis import Genesis, parse_genesis
from node.membership import Membership, membership
from node.mempool import Mempool
from node.ports import StoreArchive
from node.rules import RuleBook
from node.state import StateDelta
from node.storage import Store
from node.storage.tables import TABLES
from tests.node.chains import sign_transaction
from tests.node.samples import account_key, address_of, hex_of, sample_genesis
from tests.simulation.cluster import Cluster, NetworkModel
from tests.simulation.node import MAX_BODY_BYTES

VALIDATORS = 4
MAP_BYTES = 1 << 26
SKEWS_MS = (0, 700, -400, 150)  # no two validators' wall clocks agree
WALL_MS = 10_000  # of a validator whose clock is right when the simulation starts
Dump = dict[str, list[tuple[bytes, bytes]]]


@cache
def cluster_genesis(members: int = VALIDATORS) -> tuple[Genesis, SealedBlock, StateDelta]:
    """Return a genesis whose members hold the simulated validators' keys, with its block and state."""
    content = sample_genesis(members)
    for index, member in enumerate(content["members"]):
        member["node_key"] = hex_of(bytes(SigningKey(bytes([index + 1]) * 32).verify_key))
    genesis = parse_genesis(content)
    rules = RuleBook(genesis.content["rules"], genesis.chain_id).rules_at(0)
    return genesis, *make_genesis(genesis, rules)


def created_address(sender: bytes, nonce: int) -> bytes:
    """Return the address (20 bytes) of the contract that `sender` creates with its transaction `nonce`."""
    return keccak(rlp.encode([sender, nonce]))[12:]


class ReopenedLog:
    """The real write-ahead log, whose file is closed and opened again whenever its records are asked for.

    Args:
        path: the file.
        identity: names the chain and the validator.
    """

    def __init__(self, path: Path, identity: bytes) -> None:
        self._path = path
        self._identity = identity
        self._log = WriteAheadLog(path, identity)

    def records(self) -> Sequence[bytes]:
        """Return what the file holds."""
        self._log.close()
        self._log = WriteAheadLog(self._path, self._identity)
        return self._log.records()

    def append(self, batch: Sequence[bytes]) -> None:
        """Write a batch, synced."""
        self._log.append(batch)

    def clear(self) -> None:
        """Drop the records if the file has grown large."""
        self._log.clear()

    def close(self) -> None:
        """Close the file."""
        self._log.close()


class RealApplication:
    """Application, pool and archive of one validator over an open database, as `node.service` joins them.

    Args:
        store: the open database.
        rule_book: the rules by height.
        clock: the chain clock.
    """

    def __init__(self, store: Store, rule_book: RuleBook, clock: ChainClock) -> None:
        self.store = store
        self._rule_book = rule_book
        self._mempool = Mempool()
        self._application = Application(store, rule_book, clock, self._mempool.get)
        self._archive = StoreArchive(store)
        self._found: set[bytes] = set()

    @property
    def head_height(self) -> int:
        """The committed height."""
        with self.store.read() as view:
            return view.head_height

    def validators(self) -> ValidatorSet:
        """The validators of the next height."""
        return self._application.validators()

    def trusted(self) -> frozenset[bytes]:
        """The node keys whose connections are accepted."""
        return frozenset(self._membership().trusted)

    def waiting(self) -> bool:
        """Whether there is anything to be decided: a transaction, or a change of the members that does not act yet."""
        return bool(self.pending()) or self._membership().pending

    def _membership(self) -> Membership:
        validators = self.validators()
        with self.store.read() as view:
            return membership(view, validators, validators.keys[0])

    def submit(self, transaction: bytes) -> None:
        """Take a raw transaction into the pool, if the pool takes it."""
        with self.store.read() as view, contextlib.suppress(InvalidTransaction):
            rules = self._rule_book.rules_at(view.head_height + 1)
            self._mempool.add(decode_transaction(transaction, rules.chain_id), view.state, rules, view.head)

    def pending(self) -> list[bytes]:
        """Raw transactions that can be executed now."""
        return [tx.raw for tx in self._candidates()]

    def build(self) -> tuple[bytes, bytes]:
        """Return (hash, body) of a new block over the head."""
        prepared = self._application.build(self.head_height + 1, self._candidates())
        return prepared.sealed.header.hash, prepared.body

    def execute(self, body: bytes) -> str | None:
        """Return why a block is invalid over the head; None if it is valid."""
        try:
            self._application.execute(body, voting=True)
        except BlockRefused as error:
            return error.reason
        return None

    def commit(self, body: bytes, certificate: bytes) -> None:
        """Commit a block; durable on return."""
        done = self._application.commit(body, certificate)
        with self.store.read() as view:
            self._mempool.commit(done.transactions, view.state, view.head, open_accounts=True)

    def holds(self, transaction: bytes) -> bool:
        """Whether a raw transaction is committed."""
        key = keccak(transaction)
        if key not in self._found:
            with self.store.read() as view:
                if view.locate(key) is None:
                    return False
            self._found.add(key)  # what is committed stays so; the dumps at the end of a run are read anew
        return True

    def certified_block(self, height: int) -> tuple[bytes, bytes] | None:
        """Return (body, certificate) of a committed height."""
        return self._archive.certified_block(height)

    def _candidates(self) -> list[Transaction]:
        with self.store.read() as view:
            opened = self._rule_book.rules_at(view.head_height + 1).open_accounts
            return list(islice(self._mempool.executable(view.state, view.head, open_accounts=opened), MOST))


class RealCluster:
    """Four validators with real databases in one process; use as a context manager.

    Args:
        path: a new folder for their files.
        seed: of everything that is random.
        network: how messages are treated.
        lenient: indices of validators that admit strangers, against the rules of this chain.
        members: of the genesis file, which are the nodes with the lowest numbers of their keys.
        nodes: in all; who is no member follows.
    """

    def __init__(
        self,
        path: Path,
        *,
        seed: int = 0,
        network: NetworkModel | None = None,
        lenient: Sequence[int] = (),
        members: int = VALIDATORS,
        nodes: int = VALIDATORS,
    ) -> None:
        self.genesis, sealed, delta = cluster_genesis(members)
        self._path = path
        self._genesis_hash = sealed.header.hash
        self._lenient = lenient
        self._nonces: dict[str, int] = {}
        self._stores: dict[int, Store] = {}
        config = DriverConfig(
            domain=Domain(self.genesis.chain_id, self._genesis_hash),
            hash_of_body=hash_of_body,
            max_body_bytes=MAX_BODY_BYTES,
            view_timeout_ms=1_000,
            max_view_timeout_ms=8_000,
            status_ms=200,
        )
        self.cluster = Cluster(nodes, seed, network, make_application=self._open, config=config)
        self._logs = []
        for node in self.cluster.nodes:
            Store.create(
                self._database(node.index),
                chain_id=self.genesis.chain_id,
                genesis_hash=self._genesis_hash,
                sealed=sealed,
                delta=delta,
                map_bytes=MAP_BYTES,
            ).close()
            log = ReopenedLog(path / f"{node.index}.wal", self._genesis_hash + node.key)
            self._logs.append(log)
            node.log = log

    def __enter__(self) -> RealCluster:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close every file."""
        for store in self._stores.values():
            store.close()
        for log in self._logs:
            log.close()

    def sign(self, label: str, to: bytes | None, data: bytes = b"", **options: Any) -> bytes:
        """Return the next raw transaction of the account that `label` names."""
        nonce = self._nonces.get(label, 0)
        self._nonces[label] = nonce + 1
        return sign_transaction(
            account_key(label), chain_id=self.genesis.chain_id, nonce=nonce, to=to, data=data, **options
        )

    def store(self, index: int) -> Store:
        """Return a validator's open database."""
        return self._stores[index]

    def dumps(self) -> list[Dump]:
        """Return every table of every validator, its checksums verified, read from files that were opened anew.

        A running node is left without its database: for the end of a run.
        """
        found = []
        for node in self.cluster.nodes:
            with self._open(node.index).store.read() as view:
                found.append({name: list(view.items(name)) for name in TABLES})
        return found

    def _database(self, index: int) -> Path:
        return self._path / str(index)

    def _open(self, index: int) -> RealApplication:
        """Open a validator's database; what had it open before is closed, as LMDB wants a file opened once."""
        held = self._stores.pop(index, None)
        if held is not None:
            held.close()
        store = self._stores[index] = Store.open(
            self._database(index), chain_id=self.genesis.chain_id, genesis_hash=self._genesis_hash, map_bytes=MAP_BYTES
        )
        rules = dict(self.genesis.content["rules"])
        if index in self._lenient:
            rules["open_accounts"] = True
        return RealApplication(
            store, RuleBook(rules, self.genesis.chain_id), ChainClock(self.genesis, self._wall(index))
        )

    def _wall(self, index: int) -> Callable[[], int]:
        return lambda: WALL_MS + self.cluster.now_ms + SKEWS_MS[index % len(SKEWS_MS)]


def household(index: int) -> bytes:
    """Return the account (20 bytes) of the household `index`."""
    return address_of(account_key(f"household {index}"))
