"""New blocks, logs and pending transactions, told to subscribers as they come.

A commit only sets a flag here; a task reads the new blocks and fills the subscribers' queues, a few subscribers at a
time, so that a thousand of them do not hold the event loop. A subscriber whose queue is full is dropped: it never slows
the chain, nor the others.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from itertools import islice
from typing import Protocol

from node.chain.receipt import Log
from node.chain.rlp import InvalidRlp
from node.chain.transaction import Transaction
from node.errors import GridpactError
from node.rpc.backend import Backend
from node.rpc.errors import LimitExceeded
from node.rpc.formats import random_id, to_data
from node.rpc.logs import MAX_KEPT, Criteria
from node.rpc.protocol import encode_json
from node.rpc.reads import BlockCache, BlockData
from node.rpc.render import header_json, logs_json, pending_transaction_json
from node.rpc.syncing import Progress, SyncWatch

MAX_SUBSCRIPTIONS = 64  # of one connection
TURN = 32  # subscribers that are told something before the event loop does what else waits: some milliseconds
LOGS_AT_ONCE = 128  # of a block, which may have tens of thousands; then the loop has its turn
MAX_PENDING = 10_000  # transactions that nobody was told of yet; older ones are passed over
SYNC_POLL_S = 1.0  # between looks whether the node is behind, while somebody wants to know

log = logging.getLogger("rpc")


class Topic(StrEnum):
    """What can be subscribed to."""

    NEW_HEADS = "newHeads"
    LOGS = "logs"
    PENDING = "newPendingTransactions"
    SYNCING = "syncing"


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
        self._topics: dict[Topic, dict[str, Subscription]] = {topic: {} for topic in Topic}
        self._waiting: dict[str, Subscription] = {}
        self._held: dict[Subscriber, dict[str, Topic]] = {}  # by connection, of both
        self._pending: deque[Transaction] = deque(maxlen=MAX_PENDING)
        self._sync = SyncWatch(backend)
        self._syncing = False
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
        return sum(map(len, self._topics.values()))

    @property
    def progress(self) -> Progress | None:
        """How far the node has caught up; None if it is not behind."""
        return self._sync.look()

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
        held = self._held.setdefault(subscriber, {})
        if len(held) >= MAX_SUBSCRIPTIONS:
            raise LimitExceeded(f"at most {MAX_SUBSCRIPTIONS} subscriptions a connection")
        if criteria is not None:
            tables = (self._waiting, self._topics[Topic.LOGS])
            kept = sum(
                entry.criteria.size for table in tables for entry in table.values() if entry.criteria is not None
            )
            if kept + criteria.size > MAX_KEPT:
                raise LimitExceeded(f"the subscriptions hold {kept} addresses and topics; at most {MAX_KEPT} are kept")
        identifier = random_id()
        held[identifier] = topic
        self._waiting[identifier] = Subscription(identifier, subscriber, topic, self._head, criteria, whole)
        return identifier

    def activate(self, identifiers: list[str]) -> None:
        """Start subscriptions whose ids have been sent."""
        for identifier in identifiers:
            found = self._waiting.pop(identifier, None)
            if found is not None:
                self._topics[found.topic][identifier] = replace(found, since=self._head)
                self._wake.set()

    def unsubscribe(self, subscriber: Subscriber, identifier: str) -> bool:
        """End a subscription of a connection; False if it has none with this id."""
        topic = self._held.get(subscriber, {}).pop(identifier, None)
        if topic is None:
            return False
        self._end(identifier, topic)
        return True

    def forget(self, subscriber: Subscriber) -> None:
        """End all subscriptions of a connection."""
        for identifier, topic in self._held.pop(subscriber, {}).items():
            self._end(identifier, topic)

    def _end(self, identifier: str, topic: Topic) -> None:
        if self._waiting.pop(identifier, None) is None:
            del self._topics[topic][identifier]

    # -- what the node tells

    def _on_head(self, height: int) -> None:
        self._head = max(self._head, height)
        self._wake.set()

    def _on_pending(self, transaction: Transaction) -> None:
        if self._topics[Topic.PENDING]:
            self._pending.append(transaction)
            self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._woken()
            try:
                await self._tell_syncing()
            except GridpactError:
                log.exception("subscribers cannot be told how far the node is")
            await self._tell_pending()
            while self._told < self._head:
                if not (self._topics[Topic.NEW_HEADS] or self._topics[Topic.LOGS]):
                    self._told = self._head
                    continue
                height = self._told + 1
                try:
                    with self._backend.store.read() as view:
                        block = self._blocks.read(view, height)
                    await self._tell_block(block)
                except (GridpactError, InvalidRlp):
                    log.exception("a block cannot be told to subscribers", extra={"height": height})
                self._told = height
                await asyncio.sleep(0)  # one block at a time, however many came at once
                await self._tell_pending()

    async def _woken(self) -> None:
        """Wait until there may be something to tell."""
        patience_s = SYNC_POLL_S if self._topics[Topic.SYNCING] else None
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self._wake.wait()
        self._wake.clear()

    async def _tell(self, topic: Topic, say: Callable[[Subscription], Iterable[str]]) -> None:
        """Queue for each subscription what `say` gives for it; whoever leaves meanwhile is told nothing."""
        table = self._topics[topic]
        for number, entry in enumerate(list(table.values()), start=1):
            if entry.id in table:
                for text in say(entry):
                    entry.subscriber.notify(entry.id, text)
            if number % TURN == 0:
                await asyncio.sleep(0)

    async def _tell_syncing(self) -> None:
        """Tell when catching up begins and when it ends, as go-ethereum does."""
        progress = self._sync.look()  # after every commit, to know where the node stood when it falls behind
        if not self._topics[Topic.SYNCING]:
            self._syncing = False
            return
        if self._syncing == (progress is not None):
            return
        self._syncing = progress is not None
        text = encode_json(False if progress is None else {"syncing": True, "status": progress.json()})
        await self._tell(Topic.SYNCING, lambda _: (text,))

    async def _tell_pending(self) -> None:
        while self._pending:
            transaction = self._pending.popleft()
            brief = encode_json(to_data(transaction.hash))
            any_whole = any(entry.whole for entry in self._topics[Topic.PENDING].values())
            whole = encode_json(pending_transaction_json(transaction)) if any_whole else brief
            await self._tell(Topic.PENDING, partial(_form, brief, whole))
            await asyncio.sleep(0)

    async def _tell_block(self, block: BlockData) -> None:
        height = block.header.number
        if self._topics[Topic.NEW_HEADS]:
            head = encode_json(header_json(block.header))
            await self._tell(Topic.NEW_HEADS, lambda entry: (head,) if entry.since < height else ())
        if self._topics[Topic.LOGS]:
            logs = logs_json(block)
            while piece := [(found, encode_json(table)) for found, table in islice(logs, LOGS_AT_ONCE)]:
                await self._tell(Topic.LOGS, partial(_wanted, piece, height))
                await asyncio.sleep(0)


def _wanted(logs: Sequence[tuple[Log, str]], height: int, entry: Subscription) -> Iterable[str]:
    if entry.since >= height:
        return ()
    return [text for log, text in logs if entry.criteria is None or entry.criteria.match(log)]


def _form(brief: str, whole: str, entry: Subscription) -> tuple[str]:
    return (whole if entry.whole else brief,)
