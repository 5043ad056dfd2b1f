"""What comes into the pool: from clients one by one, from peers in parcels; and what a wrong proof costs its sender.

The proofs of a transaction without an account take tens of milliseconds, on the thread that consensus runs on, and
who makes wrong ones pays nothing. An honest peer passes none on: the first ends its parcel and its connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from eth_hash.auto import keccak

from node.anonymity import InvalidProof
from node.chain.transaction import InvalidTransaction, Transaction, decode_transaction
from node.mempool import Mempool
from node.p2p.allowance import Allowance
from node.rules import Rules
from node.storage import Store, View
from privacy.envelopes import ANONYMOUS_TYPE, SHIELDED_TYPE

CLIENTS_A_SECOND, CLIENTS_BURST_S = 2.0, 4.0  # wrong proofs of all clients together: a tenth of the thread, after eight
PEER_A_SECOND, PEER_BURST_S = 0.1, 10.0  # of a peer that keeps connecting again
PRIVATE_TYPES: Final = (ANONYMOUS_TYPE, SHIELDED_TYPE)


class TooManyWrongProofs(InvalidTransaction):
    """Proofs are not looked at for now: too many from there were wrong."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What the pool took of a parcel.

    Args:
        raws: the transactions, in order.
        work: whether any of them can be executed at once.
        offence: what no honest peer sends, and at which the parcel was put down; nothing if there was none.
    """

    raws: list[bytes]
    work: bool
    offence: str = ""


class Intake:
    """Puts into the pool what comes; one thread, that of the pool, owns it.

    Args:
        mempool: the pool.
        store: whose head decides.
        rules_at: the rules of a height.
        now: seconds of any steady clock.
        on_taken: called with each transaction that is new in the pool.
        on_refused: called with why one was not taken.
    """

    def __init__(
        self,
        mempool: Mempool,
        store: Store,
        rules_at: Callable[[int], Rules],
        now: Callable[[], float],
        on_taken: Callable[[Transaction], None],
        on_refused: Callable[[InvalidTransaction], None] = lambda _: None,
    ) -> None:
        self._mempool = mempool
        self._store = store
        self._rules_at = rules_at
        self._now = now
        self._on_taken = on_taken
        self._on_refused = on_refused
        self._clients = Allowance(CLIENTS_A_SECOND, CLIENTS_BURST_S, now())
        self._peers: dict[bytes, Allowance] = {}  # members' node keys
        self._checking = asyncio.Lock()

    async def submit(self, raw: bytes) -> tuple[Transaction, bool]:
        """Take a client's transaction, as `take` does; between any two with proofs the loop does what else waits.

        Raises:
            InvalidTransaction: no valid block can contain it, or the pool does not take it.
        """
        if not raw or raw[0] not in PRIVATE_TYPES:
            return self.take(raw)
        async with self._checking:
            await asyncio.sleep(0)
            return self.take(raw)

    def take(self, raw: bytes, *, again: bool = False) -> tuple[Transaction, bool]:
        """Take a transaction; return it, and whether it can be executed at once.

        Args:
            raw: what this node's own client sent.
            again: it was taken before the node was started anew; that it is not taken now need not be remembered.

        Raises:
            InvalidTransaction: no valid block can contain it, or the pool does not take it.
        """
        try:
            return self._take(raw, again=again)
        except InvalidTransaction as error:
            self._on_refused(error)
            raise

    def _take(self, raw: bytes, *, again: bool) -> tuple[Transaction, bool]:
        with self._store.read() as view:
            rules = self._rules_at(view.head_height + 1)
            tx = decode_transaction(raw, rules.chain_id)
            try:
                return tx, self._admit(tx, view, rules, self._clients, local=True)
            except InvalidTransaction as error:
                if not again:
                    self._mempool.refuse(tx, error.reason)
                raise

    def receive(self, node_key: bytes, raws: Sequence[bytes]) -> Taken:
        """Take what the pool takes of a peer's parcel, up to the first proof that does not hold."""
        allowance = self._peers.get(node_key)
        if allowance is None:
            allowance = self._peers[node_key] = Allowance(PEER_A_SECOND, PEER_BURST_S, self._now())
        work, taken = False, []
        with self._store.read() as view:
            rules = self._rules_at(view.head_height + 1)
            for raw in raws:
                if self._mempool.get(keccak(raw)) is not None:
                    continue
                try:
                    work |= self._admit(decode_transaction(raw, rules.chain_id), view, rules, allowance)
                    taken.append(raw)
                except InvalidProof as error:
                    self._on_refused(error)
                    return Taken(taken, work, error.reason)
                except InvalidTransaction as error:  # stale, or a peer's pool is not ours
                    self._on_refused(error)
                    continue
        return Taken(taken, work)

    def _admit(self, tx: Transaction, view: View, rules: Rules, allowance: Allowance, *, local: bool = False) -> bool:
        if tx.private is not None and not allowance.has(1, self._now()):
            raise TooManyWrongProofs("too many wrong proofs: try again later")
        try:
            executable = self._mempool.add(tx, view.state, rules, view.head, local=local)
        except InvalidProof:
            allowance.take(1, self._now())
            raise
        self._on_taken(tx)
        return executable
