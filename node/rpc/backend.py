"""What the RPC needs of a node, and nothing else of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from consensus import ValidatorSet
from contracts.bindings.consortium_votes import Equivocation
from node.chain.transaction import Transaction
from node.execution import Loop
from node.mempool import Mempool
from node.rules import RuleBook
from node.storage import Store
from node.wallet import Wallet


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """Another validator, by its node key (32 bytes): where it listens, whether it is connected, the height it told."""

    node_key: bytes
    name: str
    endpoint: str
    connected: bool
    height: int | None


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """This validator: its node key (32 bytes), its view of the open height, and where it is heading.

    `target_height` is the highest certified height heard of while this node is behind it; None when it is not.
    """

    node_key: bytes
    view: int
    target_height: int | None


class Backend(Protocol):
    """The node behind the RPC. Everything here is called on the event loop."""

    @property
    def store(self) -> Store:
        """The database, for read transactions."""

    @property
    def loop(self) -> Loop:
        """Which opcode loop runs calls and estimates."""

    @property
    def rule_book(self) -> RuleBook:
        """The rules by height."""

    @property
    def mempool(self) -> Mempool:
        """The transactions that wait."""

    @property
    def wallet(self) -> Wallet:
        """The accounts that the operator unlocked."""

    @property
    def genesis(self) -> Mapping[str, Any]:
        """The genesis file as parsed."""

    async def submit(self, raw: bytes) -> bytes:
        """Take a raw transaction into the pool and pass it on; return its hash.

        Raises:
            InvalidTransaction: no valid block can contain it.
            PoolRejected: it may be valid, but the pool does not take it.
        """

    def status(self) -> NodeStatus:
        """Return how this validator is doing."""

    def unready(self) -> Iterable[str]:
        """Yield the reasons why this node is of no use to clients just now, a line each; none if it is."""

    def peers(self) -> Sequence[PeerStatus]:
        """Return the other validators."""

    def validators(self) -> ValidatorSet:
        """Return the validators of the open height."""

    def clock_segments(self) -> Sequence[tuple[int, int, int]]:
        """Return the chain clock as (wall_ms, chain_s, scale) in rising order."""

    def chain_time_s(self) -> int:
        """Return the chain time now."""

    def evidence(self) -> Sequence[Equivocation]:
        """Return the equivocations that were found and are not on record yet."""

    def on_head(self, listener: Callable[[int], None]) -> Callable[[], None]:
        """Call `listener(height)` on the event loop after every commit; return what ends that."""

    def on_pending(self, listener: Callable[[Transaction], None]) -> Callable[[], None]:
        """Call `listener(transaction)` on the event loop for every new one in the pool; return what ends that."""
