"""Full load of ERC-20 transfers that outlives killed validators: what was lost with a pool is sent again.

Every block is read from the first node that has it; a transfer in it has a receipt from then on, and must keep it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from benchmarks.ethereum import Node, RpcError
from benchmarks.presigned import Signed, TokenSenders, batch_body

BATCH = 50
IN_FLIGHT = 600  # sent and not yet seen in a block
POLL_S = 0.05
STALE_S = 2.0  # without a commit of a sender, until what it has in flight is sent again
AWAY = (aiohttp.ClientError, OSError, TimeoutError, RpcError)


@dataclass(slots=True)
class Chain:
    """What the nodes said of the chain.

    Args:
        hashes: of the block at every height that any node showed.
        offences: what did not hold.
    """

    hashes: dict[int, str] = field(default_factory=dict)
    offences: list[str] = field(default_factory=list)

    @property
    def head(self) -> int:
        """The highest height that a node showed."""
        return max(self.hashes, default=0)

    def note(self, who: str, height: int, block_hash: str) -> None:
        """Hold a node's block against what was seen at this height before."""
        known = self.hashes.setdefault(height, block_hash)
        if known != block_hash:
            self.offend(f"fork: {who} has {block_hash} at height {height}, {known} was there before")

    def offend(self, what: str) -> None:
        """Keep what did not hold."""
        self.offences.append(what)


class Load:
    """Keeps `IN_FLIGHT` transfers under way over all nodes that answer.

    Args:
        nodes: the validators' RPC.
        senders: who signs.
        chain: where every block that is read is noted.
        height: from where on blocks are read.
    """

    def __init__(self, nodes: list[Node], senders: TokenSenders, chain: Chain, height: int) -> None:
        self._nodes = nodes
        self._senders = senders
        self._chain = chain
        self._read = height
        self._turn = 0
        self._sending = True
        self._in_flight: dict[int, dict[str, Signed]] = {}  # by sender, in the order of their nonces
        self._moved_s: dict[int, float] = {}  # when a sender's transfers were last sent or committed
        self.committed: dict[str, int] = {}  # the height of every transfer that was seen in a block, by hash

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send while the context lasts; a failure of the load itself comes out of it."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._send()), group.create_task(self._follow())]
            yield
            for task in tasks:
                task.cancel()

    async def drain(self, patience_s: float) -> int:
        """Send nothing new until everything is committed; return how many transfers are not after `patience_s`."""
        self._sending = False
        deadline = time.monotonic() + patience_s
        while (left := self._under_way()) and time.monotonic() < deadline:
            await asyncio.sleep(POLL_S)
        return left

    def _under_way(self) -> int:
        return sum(map(len, self._in_flight.values()))

    async def _send(self) -> None:
        while True:
            await self._send_again()
            if self._sending and self._under_way() + BATCH <= IN_FLIGHT:
                fresh = self._senders.next_transfers(BATCH)
                for each in fresh:
                    if not self._in_flight.setdefault(each.sender, {}):
                        self._moved_s[each.sender] = time.monotonic()
                    self._in_flight[each.sender][each.hash] = each
                await self._post(fresh)
            else:
                await asyncio.sleep(POLL_S)

    async def _send_again(self) -> None:
        """Send what a sender has in flight once more if nothing of it is committed for a while."""
        now = time.monotonic()
        for sender, waiting in self._in_flight.items():
            if waiting and now - self._moved_s[sender] > STALE_S:
                self._moved_s[sender] = now
                await self._post(list(waiting.values()))

    async def _post(self, transfers: list[Signed]) -> None:
        """Send over the next node that answers; what it does not take is sent again later."""
        for _ in self._nodes:
            node = self._nodes[self._turn % len(self._nodes)]
            self._turn += 1
            try:
                async with node.session.post(node.url, data=batch_body(transfers), headers=JSON) as answer:
                    await answer.read()
            except AWAY:
                continue
            return
        await asyncio.sleep(POLL_S)

    async def _follow(self) -> None:
        while True:
            for node in self._nodes:
                with suppress(*AWAY):
                    await self._read_from(node)
            await asyncio.sleep(POLL_S)

    async def _read_from(self, node: Node) -> None:
        """Read what a node has above what was read."""
        head = int(await node.call("eth_blockNumber"), 16)
        if head <= self._read:
            return
        last = min(head, self._read + BATCH)
        for block in await blocks(node, self._read + 1, last):
            if block is None:
                return
            height = int(block["number"], 16)
            self._chain.note(node.url, height, block["hash"])
            self._take(height, block["transactions"])
            self._read = height

    def _take(self, height: int, hashes: list[str]) -> None:
        here = set(hashes)
        now = time.monotonic()
        for sender, waiting in self._in_flight.items():
            for each in here & waiting.keys():
                del waiting[each]
                self.committed[each] = height
                self._moved_s[sender] = now


JSON = {"Content-Type": "application/json"}


async def blocks(node: Node, first: int, last: int) -> list[Any]:
    """Return a node's blocks of these heights, transactions as hashes; None where it has none."""
    return await node.batch([("eth_getBlockByNumber", [hex(height), False]) for height in range(first, last + 1)])
