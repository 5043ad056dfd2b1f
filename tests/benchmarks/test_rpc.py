"""What `make bench-rpc` counts: subscribers, rounds by phase, and the figure from them."""

from __future__ import annotations

import asyncio
import itertools
import json
from pathlib import Path

import pytest

from benchmarks import lean_socket
from benchmarks.rpc import everyday_result
from benchmarks.rpc_clients import MIX, REQUESTS_PER_S, Tally, Target, questions
from benchmarks.rpc_probe import Phase, add_rounds
from tests.rpc.harness import RunningNode

TARGET = Target("http://127.0.0.1:1", "0x" + "01" * 20, ("0x" + "02" * 20,), ("0x" + "03" * 32,), 3)


def test_lean_subscribers_hear_of_every_head(tmp_path: Path) -> None:
    node = RunningNode(tmp_path / "chain", open_accounts=True)

    async def job() -> dict[int, float]:
        async with lean_socket.subscribers(f"http://127.0.0.1:{node.port}", 3, 2) as heard:
            for _ in range(2):
                node.backend.mine()
            async with asyncio.timeout(10):
                while len(heard.last_heard()) < 2:
                    await asyncio.sleep(0)
            assert heard.ended == 0
            return heard.last_heard()

    try:
        assert sorted(node.run(job())) == [1, 2]
    finally:
        node.close()


def test_a_second_of_reads_has_the_mix() -> None:
    asked = list(itertools.islice(questions(TARGET), REQUESTS_PER_S))
    assert {name: sum(each == name for each, _ in asked) for name in MIX} == MIX
    assert all(json.loads(body)["method"] == name for name, body in asked)


def test_rounds_count_for_the_phase_that_they_end_in(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    for index in range(4):
        rows = [(1.0, 10.0 + index), (2.5, 20.0), (2.6, None)]
        lines = [json.dumps({"time": at, "message": "committed", "round_ms": took}) for at, took in rows]
        (logs / f"node-{index}.log").write_text("\n".join([*lines, "Traceback", ""]), encoding="utf-8")
    phases = [Phase("idle", 0.0, 2.0), Phase("loaded", 2.0, 3.0)]
    add_rounds(tmp_path, phases, 1)
    assert (phases[0].rounds_ms, phases[0].own_rounds_ms) == ([10.0, 11.0, 12.0, 13.0], [11.0])
    assert (phases[1].rounds_ms, phases[1].own_rounds_ms) == ([20.0] * 4, [20.0])


def test_the_figure_is_the_worst_ratio() -> None:
    idle = Phase("idle", 0, 10, waits_ms=[10.0] * 100, rounds_ms=[10.0] * 100, own_rounds_ms=[10.0] * 100)
    loaded = Phase("loaded", 10, 20, waits_ms=[14.0] * 99 + [30.0], rounds_ms=[12.0], own_rounds_ms=[13.0], lost=2)
    tally = Tally(dropped=1, heads_ms=[5.0])
    tally.waits_ms["eth_call"] = [3.0] * 2_000
    result = everyday_result([idle, loaded], [tally], {"idle": 0.05, "loaded": 0.4}, "machine")
    assert result.runs == pytest.approx([1.2, 1.3, 3.0])
    assert result.figure == pytest.approx(3.0)
    assert result.beside["reads"].startswith("200/s answered of 200/s")
    assert (result.beside["subscribers dropped"], result.beside["transfers lost"]) == ("1", "0 idle, 2 loaded")
