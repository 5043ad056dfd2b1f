"""The chain as an onlooker reckons it from the committed blocks alone: which blocks are valid, and who votes when.

It shares no state with any node, so that a fault that all nodes have in common is still seen.
"""

from __future__ import annotations

from consensus.types import Epoch, ValidatorSet
from tests.simulation.ledger import FORBIDDEN, NO_PARENT, TOLERANCE_MS, Street, hash_of_body, transactions_of

TIME = slice(42, 50)  # of a body: when it was made, in ms
PARENT = slice(10, 42)


class Judge:
    """Reads every committed block once, in order.

    Args:
        genesis: the members at first.
        smallest: members are never fewer.
    """

    def __init__(self, genesis: tuple[bytes, ...], smallest: int) -> None:
        self._streets = [Street(tuple(sorted(genesis)), frozenset(genesis), smallest)]
        self._committed: set[bytes] = set()
        self._head = NO_PARENT
        self._time_ms = 0

    def validators(self, height: int) -> ValidatorSet:
        """Return who votes on a height: the members that the block two below it left. All blocks below are read."""
        street = self._streets[max(0, height - 2)]
        return ValidatorSet(Epoch(street.changes), street.members)

    def read(self, height: int, body: bytes, latest_ms: int) -> str | None:
        """Return why a committed block should not have been; None if it is valid, or was read before.

        Args:
            height: of the block.
            body: its bytes.
            latest_ms: what the fastest honest clock shows. A quorum prepared the block, an honest member among it, so
                by some honest clock it was not too far ahead, and clocks only advance.
        """
        if height < len(self._streets):
            return None
        transactions = transactions_of(body)
        if height > len(self._streets) or transactions is None or body[PARENT] != self._head:
            return "no child of the block below"
        time_ms = int.from_bytes(body[TIME], "big")
        if not self._time_ms <= time_ms <= latest_ms + TOLERANCE_MS:
            return f"of {time_ms} ms, expected {self._time_ms} to {latest_ms + TOLERANCE_MS}"
        if FORBIDDEN in transactions:
            return "with a forbidden transaction"
        if len(set(transactions)) < len(transactions) or self._committed & set(transactions):
            return "with a transaction twice"
        self._streets.append(self._streets[-1].after(transactions))
        self._committed |= set(transactions)
        self._head, self._time_ms = hash_of_body(body) or NO_PARENT, time_ms
        return None
