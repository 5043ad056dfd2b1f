"""Every scenario runs on both event loops, in debug mode."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import uvloop


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Any], None]:
    def runner(coroutine: Any) -> None:
        with asyncio.Runner(loop_factory=request.param, debug=True) as loop:
            loop.run(coroutine)

    return runner
