"""The chain clock as a node tells it: wall time mapped to chain time, piecewise linear.

Source: the `grid_clock` method of a node: segments [wall_ms, chain_s, scale]. Before the first segment the chain
clock stands.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


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
    """Maps wall time to chain time and back.

    Args:
        segments: rising in wall and chain time, at least one.
        wall: wall clock in milliseconds (injected by tests).
    """

    def __init__(self, segments: Sequence[Segment], wall: Callable[[], int] = wall_ms) -> None:
        if not segments:
            raise ValueError("a clock needs at least one segment")
        self._segments = tuple(sorted(segments, key=lambda segment: segment.wall_ms))
        self._wall = wall

    @classmethod
    def from_rpc(cls, answer: object, wall: Callable[[], int] = wall_ms) -> ChainClock:
        """Build the clock of a `grid_clock` answer.

        Raises:
            ValueError: the answer is not {"segments": [[wall_ms, chain_s, scale], ...]}.
        """
        rows = answer.get("segments") if isinstance(answer, dict) else None
        if not isinstance(rows, list) or not all(_is_segment(row) for row in rows):
            raise ValueError(f'grid_clock: expected {{"segments": [[wall_ms, chain_s, scale], ...]}}, found {answer!r}')
        return cls([Segment(*row) for row in rows], wall)

    def now_s(self) -> float:
        """Return the chain time now, in seconds with their fraction."""
        wall = self._wall()
        current = next((s for s in reversed(self._segments) if s.wall_ms <= wall), self._segments[0])
        return current.chain_s + max(0, wall - current.wall_ms) * current.scale / 1000

    def wall_until_s(self, chain_s: float) -> float:
        """Return how many wall seconds pass from now until the chain clock shows `chain_s` (0 if it already has)."""
        current = next((s for s in reversed(self._segments) if s.chain_s <= chain_s), self._segments[0])
        wall = current.wall_ms + max(0.0, chain_s - current.chain_s) * 1000 / current.scale
        return max(0.0, wall - self._wall()) / 1000


@dataclass(frozen=True, slots=True)
class Windows:
    """How the market divides chain time (seconds); see the genesis file's schedule."""

    window_zero_s: int
    window_length_s: int
    quarter_length_s: int
    negotiation_close_s: int
    recording_margin_s: int
    settlement_deadline_windows: int

    @property
    def quarters(self) -> int:
        """Quarters in a window."""
        return self.window_length_s // self.quarter_length_s

    def window_at(self, chain_s: float) -> int:
        """Return the window that contains an instant; -1 or less before window 0."""
        return int((chain_s - self.window_zero_s) // self.window_length_s)

    def start_s(self, window: int) -> int:
        """Return when a window begins."""
        return self.window_zero_s + window * self.window_length_s

    def quarters_over(self, chain_s: float) -> int:
        """Return how many quarters since window 0 began are over: the first quarter that is not."""
        return max(0, int((chain_s - self.window_zero_s) // self.quarter_length_s))


def _is_segment(row: object) -> bool:
    return isinstance(row, list) and len(row) == 3 and all(type(part) is int for part in row) and row[2] > 0
