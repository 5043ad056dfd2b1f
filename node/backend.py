"""A validator as its RPC sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from consensus.types import ValidatorSet
from contracts.bindings.consortium_votes import Equivocation
from node.chain.transaction import Transaction
from node.clock import ChainClock
from node.evidence import Reporter
from node.execution import Loop
from node.listeners import Listeners
from node.mempool import Mempool
from node.metrics import Observed, unready
from node.rpc.backend import NodeStatus, PeerStatus
from node.rules import RuleBook
from node.storage import Store
from node.transactions import Transactions
from node.wallet import Wallet


@dataclass(frozen=True, slots=True)
class ValidatorBackend:
    """The RPC's `Backend`; all of it is called on the event loop.

    Args:
        store, loop, rule_book, mempool, wallet, genesis: as in `Backend`.
        node: how it is doing.
        clock: the chain's.
        reporter: knows the evidence.
        transactions: takes a client's.
        heads: tells the height of every commit.
    """

    store: Store
    loop: Loop
    rule_book: RuleBook
    mempool: Mempool
    wallet: Wallet
    genesis: Mapping[str, Any]
    node: Observed
    clock: ChainClock
    reporter: Reporter
    transactions: Transactions
    heads: Listeners[int]

    async def submit(self, raw: bytes) -> bytes:
        """Take a raw transaction into the pool and pass it on; return its hash.

        Raises:
            InvalidTransaction: no valid block can contain it, or the pool does not take it.
        """
        return await self.transactions.submit(raw)

    def status(self) -> NodeStatus:
        """Return how this validator is doing."""
        return NodeStatus(self.node.node_key, self.node.driver.view, self.node.target_height())

    def unready(self) -> Iterable[str]:
        """Yield the reasons why this node is of no use to clients just now."""
        return unready(self.node)

    def peers(self) -> Sequence[PeerStatus]:
        """Return the other validators."""
        up, driver = self.node.up(), self.node.driver
        return [
            PeerStatus(
                member.node_key,
                member.name,
                member.endpoint,
                member.node_key in up,
                None if (told := driver.height_of_peer(member.node_key)) is None else told - 1,
            )
            for member in self.node.members()
            if member.node_key != self.node.node_key
        ]

    def validators(self) -> ValidatorSet:
        """Return the validators of the open height."""
        return self.node.driver.validators

    def clock_segments(self) -> Sequence[tuple[int, int, int]]:
        """Return the chain clock as (wall_ms, chain_s, scale) in rising order."""
        return [(segment.wall_ms, segment.chain_s, segment.scale) for segment in self.clock.segments]

    def chain_time_s(self) -> int:
        """Return the chain time now."""
        return self.clock.now_s()

    def evidence(self) -> Sequence[Equivocation]:
        """Return the equivocations that were found and are not on record yet."""
        return self.reporter.pending

    def on_head(self, listener: Callable[[int], None]) -> Callable[[], None]:
        """Call `listener(height)` after every commit; return what ends that."""
        return self.heads.add(listener)

    def on_pending(self, listener: Callable[[Transaction], None]) -> Callable[[], None]:
        """Call `listener(transaction)` for every new one in the pool; return what ends that."""
        return self.transactions.arrived.add(listener)
