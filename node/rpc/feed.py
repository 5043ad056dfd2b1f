"""New blocks, logs and pending transactions, told to subscribers as they come.

A commit only sets a flag here; a task reads the new blocks and fills the subscribers' queues. A subscriber whose queue
is full is dropped: it never slows the chain, nor the others.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from node.chain.receipt import Log
from node.chain.transaction import Transaction
from node.errors import GridpactError
from node.rpc.backend import Backend
from node.rpc.errors import LimitExceeded
from node.rpc.formats import to_data
from node.rpc.logs import Criteria
from node.rpc.protocol import encode_json
from node.rpc.reads import BlockCache, BlockData
from node.rpc.render import header_json, logs_json, pending_transaction_json

MAX_SUBSCRIPTIONS = 64  # of one connection
ID_BYTES = 16  # as Ethereum clients expect

log = logging.getLogger("rpc")


class Topic(StrEnum):
    """What can be subscribed to."""

    NEW_HEADS = "newHeads"
    LOGS = "logs"
    PENDING = "newPendingTransactions"


class Subscriber(Protocol):
    """A connection that notifications go to."""

    def notify(self, subscription: str, result: str) -> None:
        """Queue one result (JSON) of a subscription; a subscriber that is too slow drops itself."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """What one connection wants to hear of, after height `since`; `whole` asks for transactions, not their hashes."""

    id: str
    subscriber: Subscriber
    topic: Topic
    since: int
    criteria: Criteria | None = None
    whole: bool = False


class Feed:
    """All subscriptions of a server.

    Args:
        backend: the node.
        blocks: the recent ones.
    """

    def __init__(self, backend: Backend, blocks: BlockCache) -> None:
        self._backend = backend
        self._blocks = blocks
        self._subscriptions: dict[str, Subscription] = {}
        self._waiting: dict[str, Subscription] = {}
        self._head = self._told = 0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._endings: list[Callable[[], None]] = []

    def start(self) -> None:
        """Listen to the node."""
        with self._backend.store.read() as view:
            self._head = self._told = view.head_height
        self._endings = [self._backend.on_head(self._on_head), self._backend.on_pending(self._on_pending)]
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Stop listening."""
        for end in self._endings:
            end()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def __len__(self) -> int:
        """Return how many subscriptions there are."""
        return len(self._subscriptions)

    @property
    def head(self) -> int:
        """The newest height that was heard of."""
        return self._head

    def subscribe(
        self, subscriber: Subscriber, topic: Topic, criteria: Criteria | None = None, *, whole: bool = False
    ) -> str:
        """Make a subscription and return its id; it stays silent until `activate`, so that the id arrives first.

        Raises:
            LimitExceeded: this connection has too many.
        """
        held = [*self._subscriptions.values(), *self._waiting.values()]
        if sum(entry.subscriber is subscriber for entry in held) >= MAX_SUBSCRIPTIONS:
            raise LimitExceeded(f"at most {MAX_SUBSCRIPTIONS} subscriptions a connection")
        identifier = "0x" + secrets.token_hex(ID_BYTES)
        self._waiting[identifier] = Subscription(identifier, subscriber, topic, self._head, criteria, whole)
        return identifier

    def activate(self, identifiers: list[str]) -> None:
        """Start subscriptions whose ids have been sent."""
        for identifier in identifiers:
            found = self._waiting.pop(identifier, None)
            if found is not None:
                self._subscriptions[identifier] = replace(found, since=self._head)

    def unsubscribe(self, subscriber: Subscriber, identifier: str) -> bool:
        """End a subscription of a connection; False if it has none with this id."""
        for table in (self._subscriptions, self._waiting):
            found = table.get(identifier)
            if found is not None and found.subscriber is subscriber:
                del table[identifier]
                return True
        return False

    def forget(self, subscriber: Subscriber) -> None:
        """End all subscriptions of a connection."""
        for table in (self._subscriptions, self._waiting):
            for identifier in [key for key, entry in table.items() if entry.subscriber is subscriber]:
                del table[identifier]

    def _of(self, topic: Topic) -> list[Subscription]:
        return [entry for entry in self._subscriptions.values() if entry.topic is topic]

    # -- what the node tells

    def _on_head(self, height: int) -> None:
        self._head = max(self._head, height)
        self._wake.set()

    def _on_pending(self, transaction: Transaction) -> None:
        listeners = self._of(Topic.PENDING)
        if not listeners:
            return
        brief = encode_json(to_data(transaction.hash))
        whole = encode_json(pending_transaction_json(transaction)) if any(entry.whole for entry in listeners) else ""
        for entry in listeners:
            entry.subscriber.notify(entry.id, whole if entry.whole else brief)

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._told < self._head:
                if not (self._of(Topic.NEW_HEADS) or self._of(Topic.LOGS)):
                    self._told = self._head
                    continue
                height = self._told + 1
                try:
                    with self._backend.store.read() as view:
                        block = self._blocks.read(view, height)
                    self._tell_block(block)
                except GridpactError:
                    log.exception("a block cannot be told to subscribers", extra={"height": height})
                self._told = height
                await asyncio.sleep(0)  # one block at a time, however many came at once

    def _tell_block(self, block: BlockData) -> None:
        height = block.header.number
        heads = [entry for entry in self._of(Topic.NEW_HEADS) if entry.since < height]
        if heads:
            head = encode_json(header_json(block.header))
            for entry in heads:
                entry.subscriber.notify(entry.id, head)
        wanting = [entry for entry in self._of(Topic.LOGS) if entry.since < height]
        if not wanting:
            return
        rendered: list[tuple[Log, str]] = [(found, encode_json(table)) for found, table in logs_json(block)]
        for entry in wanting:
            for found, text in rendered:
                if entry.criteria is None or entry.criteria.match(found):
                    entry.subscriber.notify(entry.id, text)
