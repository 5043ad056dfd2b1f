"""What waits of one account: by nonce, the first ones executable, the others queued behind a gap or a low balance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from node.admission import Sponsor, highest_cost
from node.chain.transaction import Transaction


@dataclass(slots=True)
class Waiting:
    """A transaction and when it came, in seconds of the pool's clock."""

    tx: Transaction
    since_s: float


@dataclass(slots=True)
class AccountQueue:
    """One sender's transactions.

    `nonce` and `balance` are those of the committed head as last seen. The first `ready` nonces from there are all
    there and can be paid together; their cost is `spent` wei. `local`: one of them came from this node's own clients.
    `active_s` is when one last came.
    """

    sender: bytes
    sponsor: Sponsor
    nonce: int
    balance: int
    local: bool
    active_s: float
    entries: dict[int, Waiting] = field(default_factory=dict)
    ready: int = 0
    spent: int = 0

    @property
    def next_nonce(self) -> int:
        """The nonce after the last executable one."""
        return self.nonce + self.ready

    @property
    def queued(self) -> int:
        """How many cannot be executed yet."""
        return len(self.entries) - self.ready

    @property
    def poor(self) -> bool:
        """Whether the next one is there, and only the balance is missing."""
        return self.next_nonce in self.entries

    def put(self, entry: Waiting) -> None:
        """Take a transaction at a nonce that is free."""
        self.entries[entry.tx.nonce] = entry
        self._extend()

    def take(self, nonce: int) -> Waiting:
        """Remove the transaction at a nonce; those behind it wait for it."""
        entry = self.entries.pop(nonce)
        if nonce < self.next_nonce:
            self._recount()
        return entry

    def follow(self, nonce: int, balance: int) -> None:
        """The committed head has the account at this nonce with this balance."""
        if (nonce, balance) != (self.nonce, self.balance):
            self.nonce, self.balance = nonce, balance
            self._recount()

    def behind(self) -> Iterator[int]:
        """Yield the nonces of what cannot be executed yet, the furthest ahead first."""
        first = self.next_nonce
        return iter(sorted((nonce for nonce in self.entries if nonce >= first), reverse=True))

    def _recount(self) -> None:
        self.ready = self.spent = 0
        self._extend()

    def _extend(self) -> None:
        while (entry := self.entries.get(self.next_nonce)) is not None:
            cost = highest_cost(entry.tx)
            if self.spent + cost > self.balance:
                return
            self.spent += cost
            self.ready += 1
