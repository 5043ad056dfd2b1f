"""Who may hold the event loop, and for how long: votes wait for no more than a few milliseconds of requests."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from node.rpc.errors import LimitExceeded

T = TypeVar("T")

PER_TURN = 16  # requests that begin before the event loop does what else waits: some milliseconds
REST = 3  # after a heavy piece of work, its duration times this belongs to others: it takes a quarter of the time
MAX_HEAVY = 64  # pieces of heavy work that wait; a message of the most bytes takes some 30 ms


class Turnstile:
    """Lets some requests through in each turn of the event loop, however many come at once, in their order."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._turning = False

    async def enter(self) -> None:
        """Wait for a turn, at least the next one."""
        loop = asyncio.get_running_loop()
        place = loop.create_future()
        self._waiting.append(place)
        if not self._turning:
            self._turning = True
            loop.call_soon(self._turn, loop)
        await place

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        let_in = 0
        while self._waiting and let_in < PER_TURN:
            place = self._waiting.popleft()
            if not place.done():  # else the request was cancelled
                place.set_result(None)
                let_in += 1
        self._turning = bool(self._waiting)
        if self._turning:
            loop.call_soon(self._turn, loop)


class HeavyWork:
    """Work that holds up the event loop for milliseconds: one piece at a time, with rests in between."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._waiting = 0

    async def run(self, work: Callable[[], T]) -> T:
        """Return `work()`, when it is its turn.

        Raises:
            LimitExceeded: too much waits.
        """
        if self._waiting >= MAX_HEAVY:
            raise LimitExceeded(f"this node is busy with {self._waiting} large requests; try again")
        self._waiting += 1
        try:
            await self._lock.acquire()
        finally:
            self._waiting -= 1
        began = time.perf_counter()
        try:
            return work()
        finally:
            rest_s = REST * (time.perf_counter() - began)
            asyncio.get_running_loop().call_later(rest_s, self._lock.release)
