"""Simulated time, and household lines: each node has one up and one down, frames pass each of them one by one."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from itertools import count

SEGMENT_BYTES = 1_448  # payload of a TCP segment on an Ethernet path, with time stamps
SEGMENT_HEADER_BYTES = 52  # IPv4 and TCP with time stamps
RECORD_BYTES = 22 + 8  # TLS 1.3 record and WebSocket header of a frame
QUEUED_BYTES = 4 * 1024 * 1024  # of frames that are not urgent: half a minute of a line of 1 Mbit/s
ACKNOWLEDGED_SEGMENTS = 2  # a pure acknowledgement for every second segment, and at least one a frame


Frame = tuple[int, Callable[[float], None]]


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


class Down:
    """The line into a house: frames in the order in which they come."""

    def __init__(self, bytes_s: float) -> None:
        self._bytes_s = bytes_s
        self._free_s = 0.0

    def carry(self, now_s: float, size: int) -> float:
        """Carry so many bytes after all that came before; return when the last is through."""
        self._free_s = max(now_s, self._free_s) + size / self._bytes_s
        return self._free_s


class Up:
    """The line out of a house: urgent frames before others, each without interruption."""

    def __init__(self, time: Time, bytes_s: float) -> None:
        self.carried = 0
        self._time = time
        self._bytes_s = bytes_s
        self._free_s = 0.0
        self._waiting: tuple[deque[Frame], deque[Frame]] = (deque(), deque())
        self._waiting_bytes = [0, 0]
        self._running = False

    def put(self, urgent: bool, size: int, begin: Callable[[float], None]) -> None:
        """Queue a frame of so many bytes; `begin` is called with the time of its end when its turn has come.

        Frames that are not urgent are dropped when too many wait, as a validator's queues do.
        """
        if not urgent and self._waiting_bytes[1] + size > QUEUED_BYTES:
            return
        self._waiting[not urgent].append((size, begin))
        self._waiting_bytes[not urgent] += size
        if not self._running:
            self._running = True
            self._time.at(max(self._time.now_s, self._free_s), self._next)

    def acknowledge(self, size: int) -> None:
        """Carry an acknowledgement, which waits for nothing."""
        self.carried += size
        self._free_s = max(self._time.now_s, self._free_s) + size / self._bytes_s

    def _next(self) -> None:
        if self._free_s > self._time.now_s:  # acknowledgements went between
            self._time.at(self._free_s, self._next)
            return
        rank = 0 if self._waiting[0] else 1
        if not self._waiting[rank]:
            self._running = False
            return
        size, begin = self._waiting[rank].popleft()
        self._waiting_bytes[rank] -= size
        self.carried += size
        self._free_s = self._time.now_s + size / self._bytes_s
        begin(self._free_s)
        self._time.at(self._free_s, self._next)


class Household:
    """Both directions of one household's line."""

    def __init__(self, time: Time, bytes_s: float) -> None:
        self.up, self.down = Up(time, bytes_s), Down(bytes_s)


def transmit(
    time: Time,
    latency_s: float,
    sender: Household,
    receiver: Household,
    frame_bytes: int,
    *,
    urgent: bool,
    arrive: Callable[[], None],
) -> None:
    """Carry a frame, and its acknowledgement the other way; call `arrive` when it is there."""
    segments = -(-frame_bytes // SEGMENT_BYTES)
    wire = frame_bytes + RECORD_BYTES + segments * SEGMENT_HEADER_BYTES
    acknowledgement = -(-segments // ACKNOWLEDGED_SEGMENTS) * SEGMENT_HEADER_BYTES

    def begin(last_s: float) -> None:
        time.later(latency_s, lambda: enter(last_s))

    def enter(last_s: float) -> None:
        through_s = receiver.down.carry(time.now_s, wire)
        receiver.up.acknowledge(acknowledgement)
        sender.down.carry(time.now_s, acknowledgement)
        time.at(max(through_s, last_s + latency_s), arrive)

    sender.up.put(urgent, wire, begin)
