"""Transactions that a service sends until they succeed: never twice at a time, and not for ever."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Final

from agents.chain import Call, Pending, Sender

MAX_ATTEMPTS: Final = 5  # at one thing: what a contract refuses five times, a person must look at


class Attempts:
    """What was sent for each purpose, and how often."""

    def __init__(self) -> None:
        self._made: dict[Hashable, tuple[Pending, int]] = {}

    def count(self, purpose: Hashable) -> int:
        """Return how often something was sent for a purpose."""
        return self._made[purpose][1] if purpose in self._made else 0

    def due(self, purpose: Hashable) -> bool:
        """Return whether to send for a purpose: nothing is under way or succeeded, and it was not tried too often."""
        if purpose not in self._made:
            return True
        pending, count = self._made[purpose]
        return pending.outcome.done() and not pending.outcome.result() and count < MAX_ATTEMPTS

    async def send(self, sender: Sender, calls: dict[Hashable, Call]) -> None:
        """Send calls in their order, each for its purpose; raises as `Sender.send`."""
        sent = await sender.send(list(calls.values()))
        for purpose, pending in zip(calls, sent, strict=True):
            self._made[purpose] = pending, self.count(purpose) + 1

    def forget(self, purposes: Iterable[Hashable]) -> None:
        """Drop what nobody asks for any more."""
        for purpose in purposes:
            self._made.pop(purpose, None)
