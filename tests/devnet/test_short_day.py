"""The short form of a devnet's day for every test run: real processes, three windows at noon, one audit."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.journal import JOURNAL_NAME, Settled, Window, lines_of
from devnet.layout import Options
from devnet.processes import DevnetError, running
from devnet.report import make_report
from devnet.run import reset
from devnet.scenario import find_scenario, load_scenario
from tests.devnet.running import free_port, launched

pytestmark = pytest.mark.xdist_group("devnet")


def test_three_windows_at_noon(tmp_path: Path) -> None:
    scenario = load_scenario(find_scenario("short"))
    root = tmp_path / "devnet"
    with launched(root, scenario, Options(rpc_port=free_port(30))) as devnet:
        with pytest.raises(DevnetError, match="a devnet runs in"):
            reset(root)
        market = devnet.watch_day()
        assert devnet.agents_started()
        devnet.stop_agents()
        assert sorted(running(root)) == [f"node-{index}" for index in range(4)]

        report = make_report(devnet.place, market)
        assert market.contracts
        assert report.missing_windows == ()
        assert market.cash_sum == 0
        assert report.quarters == 4 * scenario.windows
        for index in range(devnet.place.count):
            journal = devnet.place.household(index) / JOURNAL_NAME
            assert [line.window for line in lines_of(journal, Window)] == list(range(scenario.windows))
            assert {line.window for line in lines_of(journal, Settled)} <= set(range(scenario.windows))

        head = devnet.equal_heads()
        assert head is not None
        verdicts = devnet.audit()
        assert all(verdict.startswith("audit: ok") for verdict in verdicts), verdicts
    assert running(root) == {}
    reset(root)
    assert not root.exists()
