"""What one client, and all of them together, may ask of a node."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

MAX_TRACKED = 4_096  # connections whose rate is remembered; the least recently used is forgotten


class TokenBucket:
    """So many a second, with a reserve for bursts.

    Args:
        rate_per_s: how fast the bucket fills.
        burst: how much it holds.
        clock: seconds, monotonic.
    """

    def __init__(self, rate_per_s: float, burst: float, clock: Callable[[], float]) -> None:
        self._rate = rate_per_s
        self._burst = burst
        self._clock = clock
        self._level = burst
        self._at = clock()

    def take(self, amount: int) -> bool:
        """Take `amount` if the bucket holds as much; False, and take nothing, if it does not."""
        now = self._clock()
        self._level = min(self._burst, self._level + (now - self._at) * self._rate)
        self._at = now
        if amount > self._level:
            return False
        self._level -= amount
        return True


class RateLimits:
    """A bucket a connection, for a bounded number of connections."""

    def __init__(self, rate_per_s: float, burst: float, clock: Callable[[], float]) -> None:
        self._rate = rate_per_s
        self._burst = burst
        self._clock = clock
        self._buckets: OrderedDict[Hashable, TokenBucket] = OrderedDict()

    def of(self, connection: Hashable) -> TokenBucket:
        """Return the bucket of a connection (its remote address and port)."""
        bucket = self._buckets.get(connection)
        if bucket is None:
            bucket = self._buckets[connection] = TokenBucket(self._rate, self._burst, self._clock)
            while len(self._buckets) > MAX_TRACKED:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(connection)
        return bucket
