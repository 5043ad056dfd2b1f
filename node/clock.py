"""The chain clock: genesis time plus scaled wall time, so that a devnet runs a day in two minutes.

Source: the schedule of `(from_window, time_scale)` steps in the genesis file. Before `wall_start_ms` the chain clock
stands at genesis time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from node.genesis import Genesis


def wall_ms() -> int:
    """Return the machine's wall clock in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Segment:
    """From `wall_ms` on the chain clock shows `chain_s` and runs `scale` times as fast as the wall clock."""

    wall_ms: int
    chain_s: int
    scale: int


class ChainClock:
    """Maps wall time to chain time, piecewise linear.

    Args:
        genesis: its clock steps and schedule.
        wall: wall clock in milliseconds (injected by tests).
    """

    def __init__(self, genesis: Genesis, wall: Callable[[], int] = wall_ms) -> None:
        self._wall = wall
        self.segments = _segments(genesis)

    def now_s(self) -> int:
        """Return the chain time now, in whole seconds."""
        return self.at_s(self._wall())

    def at_s(self, wall: int) -> int:
        """Return the chain time at wall time `wall` (milliseconds), in whole seconds."""
        current = self._segment_at(wall)
        return current.chain_s + max(0, wall - current.wall_ms) * current.scale // 1000

    def scale(self) -> int:
        """Return how many chain seconds a wall second takes now."""
        return self._segment_at(self._wall()).scale

    def latest_acceptable_s(self, tolerance_ms: int) -> int:
        """Return the latest block timestamp to vote for, `tolerance_ms` wall milliseconds ahead of now."""
        return self.at_s(self._wall() + tolerance_ms) + 1

    def _segment_at(self, wall: int) -> Segment:
        return next((s for s in reversed(self.segments) if s.wall_ms <= wall), self.segments[0])


def _segments(genesis: Genesis) -> tuple[Segment, ...]:
    segments: list[Segment] = []
    for from_window, scale in genesis.clock_steps:
        if not segments:
            segments.append(Segment(genesis.wall_start_ms, genesis.genesis_time_s, scale))
            continue
        last = segments[-1]
        chain_s = max(last.chain_s, genesis.window_zero_s + from_window * genesis.window_length_s)
        wall = last.wall_ms + -(-(chain_s - last.chain_s) * 1000 // last.scale)
        segments.append(Segment(wall, chain_s, scale))
    return tuple(segments)
