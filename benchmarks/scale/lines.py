"""Simulated time, and household lines: each node has one up and one down, frames pass each of them one by one."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

SEGMENT_BYTES = 1_448  # payload of a TCP segment on an Ethernet path, with time stamps
SEGMENT_HEADER_BYTES = 52  # IPv4 and TCP with time stamps
RECORD_BYTES = 22 + 8  # TLS 1.3 record and WebSocket header of a frame
ACKNOWLEDGED_SEGMENTS = 2  # a pure acknowledgement for every second segment, and at least one a frame


class Call:
    """Something that is to happen, unless it is cancelled."""

    __slots__ = ("act",)

    def __init__(self, act: Callable[[], None] | None) -> None:
        self.act = act

    def cancel(self) -> None:
        """Let it not happen."""
        self.act = None


class Time:
    """Simulated seconds."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._queue: list[tuple[float, int, Call]] = []
        self._numbers = count()

    def at(self, when_s: float, act: Callable[[], None]) -> Call:
        """Do something at a time."""
        call = Call(act)
        heapq.heappush(self._queue, (when_s, next(self._numbers), call))
        return call

    def later(self, delay_s: float, act: Callable[[], None]) -> Call:
        """Do something after so many seconds."""
        return self.at(self.now_s + delay_s, act)

    def run(self, until_s: float) -> None:
        """Let everything up to a time happen."""
        while self._queue and self._queue[0][0] <= until_s:
            self.now_s, _, call = heapq.heappop(self._queue)
            if call.act is not None:
                call.act()
        self.now_s = until_s


@dataclass
class Line:
    """One direction of a household's line: when it is free again, and what it has carried."""

    bytes_s: float
    free_s: float = 0.0
    carried: int = 0

    def carry(self, now_s: float, size: int) -> tuple[float, float]:
        """Carry so many bytes after all that came before; return when the first and the last is through."""
        begin = max(now_s, self.free_s)
        self.free_s = begin + size / self.bytes_s
        self.carried += size
        return begin, self.free_s


class Household:
    """Both directions of one household's line."""

    def __init__(self, bytes_s: float) -> None:
        self.up, self.down = Line(bytes_s), Line(bytes_s)


def transmit(time: Time, latency_s: float, sender: Household, receiver: Household, size: int, arrive: Call) -> None:
    """Carry a frame of `size` bytes, and its acknowledgement the other way; call `arrive` when it is there."""
    segments = -(-size // SEGMENT_BYTES)
    wire = size + RECORD_BYTES + segments * SEGMENT_HEADER_BYTES
    acknowledgement = -(-segments // ACKNOWLEDGED_SEGMENTS) * SEGMENT_HEADER_BYTES
    first_s, last_s = sender.up.carry(time.now_s, wire)

    def enter() -> None:
        _, through_s = receiver.down.carry(time.now_s, wire)
        receiver.up.carry(time.now_s, acknowledgement)
        sender.down.carry(time.now_s, acknowledgement)
        time.at(max(through_s, last_s + latency_s), lambda: arrive.act() if arrive.act else None)

    time.at(first_s + latency_s, enter)
