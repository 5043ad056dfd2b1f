"""What a method's handler works with."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from node.rpc.backend import Backend
from node.rpc.blocks import find_height, read_block
from node.rpc.feed import Feed, Subscriber
from node.rpc.filters import FilterTable
from node.rpc.formats import BlockRef
from node.rpc.pool import ReadPool
from node.rpc.reads import CACHED_BLOCKS, BlockCache, BlockData
from node.rpc.streets import Streets

MAX_WAITING = 64  # clients that wait for receipts: a part of the requests that are worked on at once


@dataclass(frozen=True, slots=True)
class Context:
    """The node, its recent blocks, readers, filters and newest overview, and the connection that asks.

    `subscriber` is the WebSocket connection that asks, None over HTTP; `started` collects the subscriptions that a
    message makes; `waiting` has room for clients that wait for receipts. `namespaces` are those that it may use;
    `denied` collects the methods that it may not.
    """

    backend: Backend
    blocks: BlockCache
    reads: ReadPool
    filters: FilterTable
    feed: Feed
    streets: Streets
    namespaces: frozenset[str] = frozenset()
    subscriber: Subscriber | None = None
    started: list[str] = field(default_factory=list)
    denied: list[str] = field(default_factory=list)
    waiting: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_WAITING))

    @property
    def chain_id(self) -> int:
        """The chain's id, as in EIP-155."""
        return self.backend.rule_book.rules_at(0).chain_id

    def recent(self, height: int) -> BlockData | None:
        """Return one of the newest blocks, which are kept decoded: older ones never take their places."""
        with self.backend.store.read() as view:
            if not view.head_height - CACHED_BLOCKS < height <= view.head_height:
                return None
            return self.blocks.read(view, height)

    async def block(self, ref: BlockRef) -> BlockData | None:
        """Return a committed block, None if there is none; a recent one at once, an old one from a reader."""
        with self.backend.store.read() as view:
            height = find_height(view, ref)
        if height is None:
            return None
        found = self.recent(height)
        return await self.reads.run(read_block, height) if found is None else found
