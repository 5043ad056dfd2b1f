"""One sponsor's part of the pool, and who in it makes place for a newcomer.

What makes place, in this order: queued before executable, and in each what others sent before what this node's own
clients sent; of several accounts the one of which nothing came for the longest time, of an account what is furthest
ahead. A newcomer takes only the place of what comes earlier in that order than itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

from node.chain.transaction import Transaction
from node.mempool.account import AccountQueue
from node.mempool.limits import Bound

MAX_EVICTED = 64  # for one newcomer: finding them is not to take longer than checking its signature


class Rank(IntEnum):
    """In what order places are made: the lowest go first."""

    QUEUED = 0
    QUEUED_LOCAL = 1
    READY = 2
    READY_LOCAL = 3


@dataclass(slots=True)
class Room:
    """A sponsor's accounts by sender; `queued` and `ready` count what waits, `size` is in bytes.

    `behind` has the senders with something queued, apart for those of others (False) and this node's own (True), the
    one first of which nothing came for the longest time; `poor` those whose next transaction only lacks a balance.
    """

    accounts: dict[bytes, AccountQueue] = field(default_factory=dict)
    count: int = 0
    size: int = 0
    ready: int = 0
    poor: dict[bytes, None] = field(default_factory=dict)
    behind: dict[bool, dict[bytes, None]] = field(default_factory=lambda: {False: {}, True: {}})

    def has_room(self, bound: Bound, size: int, *, count: int = 1) -> bool:
        """Return whether so much more fits."""
        return self.count + count <= bound[0] and self.size + size <= bound[1]

    def note(self, account: AccountQueue, ready_before: int) -> None:
        """Follow a change of an account: how many of it are executable, whether anything of it is queued."""
        self.ready += account.ready - ready_before
        if account.poor:
            self.poor[account.sender] = None
        else:
            self.poor.pop(account.sender, None)
        for local in (False, True):
            if account.queued and account.local is local:
                self.behind[local][account.sender] = None
            else:
                self.behind[local].pop(account.sender, None)

    def touch(self, account: AccountQueue) -> None:
        """Something came of this account: it is the last of those whose turn it is to make place."""
        senders = self.behind[account.local]
        if account.sender in senders:
            del senders[account.sender]
            senders[account.sender] = None

    def victims(
        self, bound: Bound, size: int, count: int, rank: Rank, newcomer: Transaction
    ) -> list[tuple[bytes, int]]:
        """Return (sender, nonce) of what makes place for a newcomer; empty if that cannot be made.

        Args:
            bound: of this room.
            size: bytes that are to be added; less than none if it replaces something larger.
            count: transactions that are to be added: 1, or 0 for a replacement.
            rank: of the newcomer.
            newcomer: of its own account only what is further ahead makes place.
        """
        found: list[tuple[bytes, int]] = []
        for sender, nonce in self._evictable(rank, newcomer.sender):
            if sender == newcomer.sender and nonce <= newcomer.nonce:
                continue
            if len(found) == MAX_EVICTED:
                return []
            found.append((sender, nonce))
            size -= len(self.accounts[sender].entries[nonce].tx.raw)
            count -= 1
            if self.has_room(bound, size, count=count):
                return found
        return []

    def _evictable(self, rank: Rank, newcomer: bytes) -> Iterator[tuple[bytes, int]]:
        for local, own_rank in ((False, Rank.QUEUED), (True, Rank.QUEUED_LOCAL)):
            if own_rank < rank:
                for sender in self.behind[local]:
                    for nonce in self.accounts[sender].behind():
                        yield sender, nonce
        if rank is Rank.READY_LOCAL:
            others = [each for each in self.accounts.values() if not each.local and each.sender != newcomer]
            for account in sorted(others, key=lambda each: (-each.ready, each.active_s)):
                for nonce in range(account.next_nonce - 1, account.nonce - 1, -1):
                    yield account.sender, nonce
