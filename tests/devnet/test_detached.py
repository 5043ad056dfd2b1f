"""`gridpact devnet` from another process: detached, looked at, not started twice, ended, removed."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from devnet.processes import gridpact, running, stop_all
from devnet.run import height_of, rpc_call
from tests.devnet.running import free_port

pytestmark = pytest.mark.xdist_group("devnet")

BOUND_S = 120.0
PORT = free_port(40)


def run(*words: str, folder: Path) -> tuple[int, str, str]:
    """Run `gridpact devnet …` in a folder; return status, output and errors."""
    done = subprocess.run(
        [gridpact(), "devnet", *words], cwd=folder, capture_output=True, text=True, timeout=BOUND_S, check=False
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which a bare chain runs, detached, open to every account."""
    made = tmp_path_factory.mktemp("detached")
    try:
        status, output, error = run(
            "up", "--no-market", "--open-accounts", "--detach", "--rpc-port", str(PORT), folder=made
        )
        assert status == 0, error
        for index in range(4):
            assert f"http://127.0.0.1:{PORT + index}" in output  # it prints where to reach the nodes
        yield made
    finally:
        stop_all(made / ".gridpact" / "devnet")


def test_it_is_live_when_the_command_returns(folder: Path) -> None:
    assert [height_of(f"127.0.0.1:{PORT + index}") for index in range(4)] == [0] * 4
    assert rpc_call(f"127.0.0.1:{PORT}", "grid_genesis")["rules"]["open_accounts"] is True
    data = folder / ".gridpact" / "devnet"
    assert sorted(path.name for path in data.glob("node-*")) == [f"node-{index}" for index in range(4)]


def test_status_and_logs(folder: Path) -> None:
    status, output, _ = run("status", folder=folder)
    assert status == 0
    for name, pid in running(folder / ".gridpact" / "devnet").items():
        assert f"pid {pid}" in output
        assert name in output
    assert output.count("height 0") == 4
    status, output, _ = run("logs", "node-2", folder=folder)
    assert status == 0
    assert "validator runs" in output


def test_nothing_is_started_or_removed_over_it(folder: Path) -> None:
    before = running(folder / ".gridpact" / "devnet")
    for words in (["up", "--no-market", "--detach", "--rpc-port", str(PORT + 10)], ["reset"]):
        status, _, error = run(*words, folder=folder)
        assert status == 2
        assert "a devnet runs in" in error
        assert running(folder / ".gridpact" / "devnet") == before
    status, _, error = run(
        "up", "--no-market", "--detach", "--rpc-port", str(PORT + 3), "--data", "other", folder=folder
    )
    assert status == 2
    assert f"port 127.0.0.1:{PORT + 3}, wanted for RPC of node 0" in error
    assert not (folder / "other").exists()
    assert height_of(f"127.0.0.1:{PORT}") == 0


def test_down_ends_it_and_reset_removes_it(folder: Path) -> None:
    status, output, _ = run("down", folder=folder)
    assert status == 0
    assert "ended 4 processes: node-0, node-1, node-2, node-3" in output
    assert height_of(f"127.0.0.1:{PORT}") is None
    assert run("status", folder=folder)[0] == 1
    assert run("down", folder=folder)[0] == 0
    assert run("reset", folder=folder)[0] == 0
    assert not (folder / ".gridpact" / "devnet").exists()
