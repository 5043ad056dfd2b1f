"""A node's transactions, from wherever they come: into the pool, into the journal, on to the other validators."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path

from node.budget import MOST
from node.chain.transaction import InvalidTransaction, Transaction
from node.gossip import Gossip
from node.intake import Intake
from node.journalling import PoolJournal
from node.listeners import Listeners
from node.mempool import Mempool
from node.metrics import PoolMetrics
from node.p2p import Offence, PeerNetwork
from node.rules import RuleBook
from node.storage import Store, View

log = logging.getLogger("node")


class Transactions:
    """What clients, peers, the journal and this node itself bring; all of it runs on the event loop.

    Args:
        mempool: the pool.
        store: whose head decides.
        rule_book: the rules by height.
        network: the other validators.
        validators: the node keys of those of the open height.
        node_key: ours (32 bytes).
        journal: the file in which own clients' transactions wait for a restart; None for none.
        metrics: told what is admitted and refused.
        on_work: called when something has come that can be executed.
    """

    def __init__(
        self,
        mempool: Mempool,
        store: Store,
        rule_book: RuleBook,
        network: PeerNetwork,
        *,
        validators: Callable[[], Sequence[bytes]],
        node_key: bytes,
        journal: Path | None,
        metrics: PoolMetrics,
        on_work: Callable[[], None],
    ) -> None:
        self.arrived: Listeners[Transaction] = Listeners()
        self.arrived.add(metrics.admitted)
        self._mempool = mempool
        self._store = store
        self._network = network
        self._on_work = on_work
        self._journal = PoolJournal(journal, mempool.local)
        self._intake = Intake(mempool, store, rule_book.rules_at, time.monotonic, self.arrived.tell, metrics.refused)
        self._gossip = Gossip(
            network,
            self.raw,
            validators,
            node_key,
            later=lambda delay_s, act: asyncio.get_running_loop().call_later(delay_s, act),
            now=time.monotonic,
        )
        with store.read() as view:
            self._open_accounts = rule_book.rules_at(view.head_height + 1).open_accounts

    def start(self) -> None:
        """Put back what waited when the node was stopped, beside everything else."""
        self._journal.start(self.put_back)

    async def close(self) -> None:
        """Tell nobody any more, and write down what waits; who brings transactions has been closed before."""
        self._gossip.close()
        await self._journal.close()

    # -- in

    async def submit(self, raw: bytes) -> bytes:
        """Take a client's raw transaction into the pool and pass it on; return its hash.

        Raises:
            InvalidTransaction: no valid block can contain it, or the pool does not take it.
        """
        tx, work = await self._intake.submit(raw)
        self._gossip.publish(tx.hash, tx.raw)
        self._journal.note(tx)
        if work:
            self._on_work()
        return tx.hash

    def report(self, raw: bytes) -> None:
        """Take this node's own report of an equivocation; the commit that it is made in looks for work itself."""
        try:
            tx, _ = self._intake.take(raw)
        except InvalidTransaction as error:
            log.warning("evidence cannot be sent", extra={"reason": str(error)})
            return
        self._gossip.publish(tx.hash, tx.raw)
        self._journal.note(tx)

    def put_back(self, raw: bytes) -> None:
        """Take what was in the journal.

        Raises:
            InvalidTransaction: it is committed, or no valid block can contain it any more.
        """
        tx, work = self._intake.take(raw, again=True)
        self._gossip.publish(tx.hash, tx.raw)
        if work:
            self._on_work()

    def receive(self, node_key: bytes, payload: bytes) -> None:
        """Take what a peer sent.

        Raises:
            Offence: no honest peer sends it.
        """
        try:
            parcel = self._gossip.receive(node_key, payload)
        except ValueError as error:
            self._network.complain(node_key.hex()[:16], str(error))
            return
        taken = self._intake.receive(node_key, parcel.raws)
        self._gossip.pass_on(taken.raws, parcel.onward)
        if taken.work:
            self._on_work()
        if taken.offence:
            self._network.complain(node_key.hex()[:16], taken.offence)
            raise Offence(taken.offence)

    # -- out

    def greet(self, node_key: bytes) -> None:
        """Tell a peer that has just connected what it may not know."""
        self._gossip.greet(node_key)

    def remind(self, node_key: bytes) -> None:
        """Tell a validator what can be executed, and nevertheless waits."""
        self._gossip.announce(node_key, (tx.hash for tx in self.candidates()))

    def raw(self, transaction_hash: bytes) -> bytes | None:
        """Return the raw transaction of a hash if it waits."""
        tx = self._mempool.get(transaction_hash)
        return None if tx is None else tx.raw

    def candidates(self) -> list[Transaction]:
        """Return what can be executed over the committed head, in the order of a block, as many as one may hold."""
        with self._store.read() as view:
            return list(
                islice(self._mempool.executable(view.state, view.head, open_accounts=self._open_accounts), MOST)
            )

    def has_work(self, view: View) -> bool:
        """Return whether anything can be executed over a head."""
        return self._mempool.has_executable(view.state, view.head, open_accounts=self._open_accounts)

    def drop(self, transactions: Iterable[Transaction]) -> None:
        """Let go of what a block had no use for."""
        for tx in transactions:
            self._mempool.drop(tx)

    def committed(self, transactions: Sequence[Transaction], view: View) -> None:
        """Let go of what was committed, and of what that made impossible."""
        self._mempool.commit(transactions, view.state, view.head, open_accounts=self._open_accounts)
