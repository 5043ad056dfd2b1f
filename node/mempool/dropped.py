"""What became of transactions that left the pool without being committed: remembered for a while, counted for good."""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MAX_REMEMBERED: Final = 8_192  # some 2 MB; a member's room twice


class Reason(StrEnum):
    """Why a transaction is not, or no longer, in the pool."""

    REFUSED = "refused"  # it never was: only those that this node's own clients sent are remembered
    REPLACED = "replaced"
    EVICTED = "evicted"
    EXPIRED = "expired"
    STALE = "stale"
    UNVOUCHED = "unvouched"
    INVALID = "invalid"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Dropped:
    """A transaction that left: who sent it, why it left, in words, when, and what took its place if something did.

    `at_s` is of the pool's steady clock; `by` is a hash.
    """

    sender: bytes
    nonce: int
    reason: Reason
    detail: str
    at_s: float
    by: bytes | None = None


class Departures:
    """The last `MAX_REMEMBERED` transactions that left, by hash, and how many left for each reason since the start."""

    def __init__(self) -> None:
        self.counts: Counter[Reason] = Counter()
        self._last: OrderedDict[bytes, Dropped] = OrderedDict()

    def __len__(self) -> int:
        """Return how many are remembered."""
        return len(self._last)

    def note(self, transaction_hash: bytes, dropped: Dropped) -> None:
        """Remember one; the oldest is forgotten for it."""
        self.counts[dropped.reason] += 1
        self._last[transaction_hash] = dropped
        self._last.move_to_end(transaction_hash)
        while len(self._last) > MAX_REMEMBERED:
            self._last.popitem(last=False)

    def find(self, transaction_hash: bytes) -> Dropped | None:
        """Return why a transaction left; None if it is not remembered."""
        return self._last.get(transaction_hash)

    def forget(self, transaction_hash: bytes) -> None:
        """It has come back, or was committed."""
        self._last.pop(transaction_hash, None)
