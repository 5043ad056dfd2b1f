"""Processes of a devnet: started, known by pid file, ended for sure; ports and folders are checked first."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
from pathlib import Path

import pytest

from devnet import processes
from devnet.processes import (
    DevnetError,
    Processes,
    check_ports,
    gridpact,
    last_line,
    log_path,
    running,
    stop_all,
)
from devnet.run import MARKER, reset
from tests.devnet.running import until

BOUND_S = 30.0
SLEEP = "import signal; print('up', flush=True); signal.pause()"
STUBBORN = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
while True:
    signal.pause()
"""


@pytest.fixture(autouse=True)
def python_in_place_of_gridpact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "gridpact", lambda: sys.executable)


def started(root: Path, *programs: tuple[str, str]) -> Processes:
    """Start Python programs by name; return when each has printed its first line."""
    children = Processes(root)
    for name, program in programs:
        children.start(name, ["-c", program])
    for name, _ in programs:
        until(f"{name} up", lambda name=name: log_path(root, name).read_text(), BOUND_S)  # type: ignore[misc]
    return children


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_stop_ends_everything_that_was_started(tmp_path: Path) -> None:
    children = started(tmp_path, ("node-0", SLEEP), ("node-1", SLEEP))
    pids = running(tmp_path)
    assert list(pids) == ["node-0", "node-1"]
    children.check()
    children.stop()
    assert running(tmp_path) == {}
    assert not any(is_alive(pid) for pid in pids.values())
    children.stop()  # a second time is nothing


def test_what_ignores_a_polite_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "STOP_PATIENCE_S", 0.2)
    children = started(tmp_path, ("node-0", STUBBORN), ("node-1", STUBBORN))
    pids = running(tmp_path)
    children.stop_some("node-0")
    assert list(running(tmp_path)) == ["node-1"]
    children.stop()
    assert not any(is_alive(pid) for pid in pids.values())


def test_a_killed_process_starts_again_under_its_name(tmp_path: Path) -> None:
    children = started(tmp_path, ("node-0", SLEEP))
    first = running(tmp_path)["node-0"]
    children.kill("node-0")
    children.check()  # it was we who ended it
    assert running(tmp_path) == {}
    children.start("node-0", ["-c", SLEEP])
    assert running(tmp_path)["node-0"] != first
    children.stop()


def test_what_is_killed_from_outside_is_named_once(tmp_path: Path) -> None:
    children = started(tmp_path, ("node-0", SLEEP), ("node-1", SLEEP))
    os.kill(running(tmp_path)["node-1"], signal.SIGKILL)
    assert until("node-1 noticed", children.take_killed, BOUND_S) == ["node-1"]
    assert children.take_killed() == []
    children.check()
    children.start("node-1", ["-c", SLEEP])
    children.stop()


def test_another_process_ends_a_detached_devnet(tmp_path: Path) -> None:
    children = Processes(tmp_path, attached=False)
    children.start("node-0", ["-c", SLEEP])
    until("node-0 up", lambda: log_path(tmp_path, "node-0").read_text(), BOUND_S)
    assert stop_all(tmp_path) == ["node-0"]
    assert stop_all(tmp_path) == []
    children.stop()


def test_a_pid_that_now_is_anothers_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / processes.PID_FOLDER
    folder.mkdir()
    (folder / "node-0").write_text(f"{os.getpid()} 1\n")  # our own pid, with another start time
    assert running(tmp_path) == {}
    assert stop_all(tmp_path) == []


def test_a_process_that_ended_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    children = started(tmp_path, ("node-3", "import sys; print('port in use', flush=True); sys.exit(2)"))

    def ended() -> str:
        try:
            children.check()
        except DevnetError as error:
            return str(error)
        return ""

    assert until("node-3 ended", ended, BOUND_S) == "node-3 ended with status 2: port in use"
    children.stop()


def test_run_together_waits_for_all_and_names_the_one_that_failed(tmp_path: Path) -> None:
    children = Processes(tmp_path)
    children.run_together({"init-0": ["-c", "print('made')"], "init-1": ["-c", "print('made')"]})
    assert last_line(tmp_path, "init-1") == "made"
    with pytest.raises(DevnetError, match="init-3 ended with status 1: boom"):
        children.run_together({"init-2": ["-c", "pass"], "init-3": ["-c", "import sys; sys.exit('boom')"]})
    assert last_line(tmp_path, "init-2") == last_line(tmp_path, "never") == "its log is empty"
    assert running(tmp_path) == {}


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(DevnetError, match=rf"127\.0\.0\.1:{port}, wanted for p2p of node 1, cannot be used"):
            check_ports([("p2p of node 1", port)])
    check_ports([("p2p of node 1", port)])


def test_reset_refuses_a_foreign_folder(tmp_path: Path) -> None:
    keep = tmp_path / "home" / "letters.txt"
    keep.parent.mkdir()
    keep.write_text("dear …")
    with pytest.raises(DevnetError, match="is not a devnet's folder"):
        reset(keep.parent)
    assert keep.exists()
    (keep.parent / MARKER).write_text("{}")
    reset(keep.parent)
    assert not keep.parent.exists()
    reset(keep.parent)  # nothing there is nothing to do


def test_reset_refuses_while_something_runs(tmp_path: Path) -> None:
    root = tmp_path / "devnet"
    children = started(root, ("node-0", SLEEP))
    (root / MARKER).write_text("{}")
    with pytest.raises(DevnetError, match=re.escape(f"a devnet runs in {root}: node-0")):
        reset(root)
    children.stop()
    reset(root)
    assert not root.exists()


def test_the_command_is_the_one_of_this_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert Path(gridpact()).parent == Path(sys.executable).parent
