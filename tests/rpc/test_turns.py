"""However much clients ask at once, the event loop does other things in between."""

from __future__ import annotations

import asyncio
import time

import pytest

from node.rpc import turns
from node.rpc.errors import LimitExceeded
from node.rpc.turns import PER_TURN, HeavyWork, Turnstile


def test_a_turn_lets_so_many_through_in_order() -> None:
    async def job() -> list[list[int]]:
        turnstile, begun = Turnstile(), list[int]()

        async def request(number: int) -> None:
            await turnstile.enter()
            begun.append(number)

        tasks = [asyncio.create_task(request(number)) for number in range(3 * PER_TURN)]
        await asyncio.sleep(0)  # all wait now
        tasks[1].cancel()
        seen = []
        while not all(task.done() for task in tasks):
            before = len(begun)
            await asyncio.sleep(0)
            seen.append(begun[before:])
        return [each for each in seen if each]

    seen = asyncio.run(job())
    assert [number for each in seen for number in each] == [number for number in range(3 * PER_TURN) if number != 1]
    assert [len(each) for each in seen] == [PER_TURN, PER_TURN, PER_TURN - 1]


def test_heavy_work_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter((0.0, 0.004, 10.0, 10.0))  # the first takes 4 ms, the second nothing
    monkeypatch.setattr(time, "perf_counter", lambda: next(now))

    async def job() -> float:
        heavy, loop = HeavyWork(), asyncio.get_running_loop()
        first = asyncio.create_task(heavy.run(lambda: "first"))
        second = asyncio.create_task(heavy.run(lambda: "second"))
        assert await first == "first"
        began = loop.time()
        assert await second == "second"
        return loop.time() - began

    assert asyncio.run(job()) >= 0.011


def test_work_that_fails_or_is_cancelled_frees_its_place() -> None:
    def fail() -> None:
        raise ValueError

    async def job() -> str:
        heavy = HeavyWork()
        with pytest.raises(ValueError):
            await heavy.run(fail)
        waiting = asyncio.create_task(heavy.run(lambda: "never"))
        await asyncio.sleep(0)
        waiting.cancel()
        return await heavy.run(lambda: "done")

    assert asyncio.run(job()) == "done"


def test_too_much_heavy_work_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "MAX_HEAVY", 2)

    async def job() -> list[object]:
        heavy = HeavyWork()
        work = [heavy.run(lambda: time.sleep(0.001)) for _ in range(4)]
        return await asyncio.gather(*work, return_exceptions=True)

    done = asyncio.run(job())
    assert done[:3] == [None, None, None]  # one ran at once, two waited
    assert isinstance(done[3], LimitExceeded)
