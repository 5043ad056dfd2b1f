"""A bucket that fills at a steady rate: what may be taken, and how long to wait for it."""

from __future__ import annotations


class Allowance:
    """Bytes, or anything else that is counted.

    Args:
        rate: what comes in a second.
        burst_s: how many seconds of it are kept.
        now_s: seconds of any steady clock; the bucket is full then.
    """

    def __init__(self, rate: float, burst_s: float, now_s: float) -> None:
        self._rate = rate
        self._most = self._left = rate * burst_s
        self._at_s = now_s

    def take(self, size: int, now_s: float) -> bool:
        """Take so much; False, and nothing taken, if it is not there."""
        if not self.has(size, now_s):
            return False
        self._left -= size
        return True

    def has(self, size: int, now_s: float) -> bool:
        """Return whether so much is there; nothing is taken."""
        self._fill(now_s)
        return size <= self._left

    def owe(self, size: int, now_s: float) -> float:
        """Take so much in any case; return how many seconds to wait before anything more is taken."""
        self._fill(now_s)
        self._left -= size
        return max(0.0, -self._left / self._rate)

    def _fill(self, now_s: float) -> None:
        self._left = min(self._most, self._left + (now_s - self._at_s) * self._rate)
        self._at_s = now_s
