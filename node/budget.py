"""How many transactions a leader proposes: as many as the slowest part of the consortium digests well within a view.

A line that is too slow for a block costs a view change, and the next leader, whose pool is as full, would propose as
much again. So every validator watches how long busy heights take, whoever leads, and bounds its own proposals by it:
halved when a view failed, otherwise steered towards the size that takes half a view. It is a habit of leaders, not a
rule: nobody refuses a larger block.
"""

from __future__ import annotations

MOST = 2_000  # more than a full block of transfers
LEAST = 16  # below that a block is as slow for what it carries anyway: votes, header
FIRST = 64
TARGET = 0.5  # of the view timeout: what a busy height may take
MOST_STEP = 2.0  # grown or shrunk at most by this factor a block


class BlockBudget:
    """Bounds the transactions of a proposal. Times are seconds of any steady clock."""

    def __init__(self) -> None:
        self.transactions = FIRST
        self._busy_since_s: float | None = None

    def waited_s(self, now_s: float) -> float:
        """Return how long something has waited for the open height; 0 if nothing does."""
        return 0.0 if self._busy_since_s is None else max(0.0, now_s - self._busy_since_s)

    def work(self, now_s: float) -> None:
        """Something waits for the open height; telling it again does nothing."""
        if self._busy_since_s is None:
            self._busy_since_s = now_s

    def committed(self, now_s: float, *, transactions: int, view: int, work: bool, view_timeout_s: float) -> None:
        """A height is committed.

        Args:
            now_s: now.
            transactions: in its block.
            view: that decided it.
            work: whether something waits for the next height already.
            view_timeout_s: of the first view.
        """
        since_s, self._busy_since_s = self._busy_since_s, now_s if work else None
        if view > 0:
            self.transactions = int(self.transactions / MOST_STEP)
        elif since_s is not None:
            wished = TARGET * view_timeout_s / max(now_s - since_s, 1e-3)
            if wished < 1:
                self.transactions = min(self.transactions, int(transactions * max(wished, 1 / MOST_STEP)))
            elif 2 * transactions >= self.transactions:
                self.transactions = int(self.transactions * min(wished, MOST_STEP))
        self.transactions = min(MOST, max(LEAST, self.transactions))
