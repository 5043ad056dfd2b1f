"""The short form of `make soak-kill`, and that it finds what it looks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.soak import kill
from devnet.run import Devnet
from node.config import DATABASE_NAME
from tests.devnet.running import free_port

pytestmark = [pytest.mark.kill, pytest.mark.xdist_group("devnet")]

KILLS = 3


def test_killed_under_full_load(tmp_path: Path) -> None:
    said: list[str] = []
    assert kill.Soak(tmp_path / "devnet", free_port(84), 2016, said.append).run(KILLS) == [], said
    assert sum("audit: ok" in line for line in said) == 4


def test_a_database_that_does_not_open_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start_node, started = Devnet.start_node, set[int]()

    def damaged(devnet: Devnet, index: int) -> None:
        if index in started:
            data = devnet.place.node(index) / DATABASE_NAME / "data.mdb"
            with data.open("r+b") as file:
                file.write(b"\xff" * 8192)  # both meta pages
        started.add(index)
        start_node(devnet, index)

    monkeypatch.setattr(Devnet, "start_node", damaged)
    said: list[str] = []
    offences = kill.Soak(tmp_path / "devnet", free_port(88), 2016, said.append).run(1)
    assert len(offences) == 1
    assert "ended with status" in offences[0]
