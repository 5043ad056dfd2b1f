"""An event loop in which nobody waits: where all tasks sleep, time goes on to when the first of them wakes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
LEAST_STEP_S = 1e-5  # time never stands still: who sleeps for less than a clock's rounding would for ever


class WarpLoop(asyncio.SelectorEventLoop):
    """A loop with a time of its own, from 0."""

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 0.0
        select: Callable[[float | None], Any] = self._selector.select  # type: ignore[attr-defined]

        def hurry(timeout: float | None = None) -> Any:
            events = select(0)
            if not events and timeout is None:
                raise RuntimeError("all tasks wait, and for nothing")
            if not events:
                self._now_s += max(timeout or 0.0, LEAST_STEP_S)
            return events

        self._selector.select = hurry  # type: ignore[attr-defined]

    def time(self) -> float:
        """The loop's time in seconds."""
        return self._now_s


def run(scenario: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a scenario to its end."""
    with asyncio.Runner(loop_factory=WarpLoop) as runner:
        return runner.run(scenario())


def wall_ms() -> int:
    """The time of the running loop, as a wall clock in milliseconds."""
    return round(asyncio.get_running_loop().time() * 1000)
