"""The processes of a devnet: started by the commands a household uses, known by their pid files, ended for sure."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from node.errors import GridpactError

PID_FOLDER = "pids"
LOG_FOLDER = "logs"
STOP_PATIENCE_S = 15.0  # from SIGTERM to SIGKILL
POLL_S = 0.05
PR_SET_PDEATHSIG = 1


class DevnetError(GridpactError):
    """A devnet cannot do what was asked, and why."""


def gridpact() -> str:
    """Return the `gridpact` command of this environment."""
    beside = Path(sys.executable).with_name("gridpact")
    found = str(beside) if beside.exists() else shutil.which("gridpact")
    if found is None:
        raise DevnetError("the command gridpact is not installed beside this Python; run `make devnet`")
    return found


def check_ports(ports: list[tuple[str, int]]) -> None:
    """Raise for the first port that cannot be listened on, naming what it is for.

    Raises:
        DevnetError: a port is in use.
    """
    for what, port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                raise DevnetError(
                    f"port 127.0.0.1:{port}, wanted for {what}, cannot be used ({error.strerror}); "
                    "expected a free port: `gridpact devnet down`, or another --rpc-port"
                ) from None


class Processes:
    """The processes of the devnet in one folder.

    Args:
        root: the devnet's folder.
        attached: whether they end with this process, however it ends.
    """

    def __init__(self, root: Path, *, attached: bool = True) -> None:
        self._root = root
        self._attached = attached
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, words: list[str]) -> None:
        """Start `gridpact` with these words; its output goes to the log of that name."""
        for folder in (PID_FOLDER, LOG_FOLDER):
            (self._root / folder).mkdir(parents=True, exist_ok=True)
        with log_path(self._root, name).open("ab") as log:
            child = subprocess.Popen(
                [gridpact(), *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_end_with_parent(os.getpid()) if self._attached else None,
            )
        self._children[name] = child
        (self._root / PID_FOLDER / name).write_text(f"{child.pid} {_started_at(child.pid)}\n", encoding="ascii")

    def run_together(self, commands: dict[str, list[str]]) -> None:
        """Run several commands at once and wait for all of them.

        Raises:
            DevnetError: one failed; with the end of its output.
        """
        for name, words in commands.items():
            self.start(name, words)
        for name in commands:
            status = self._children.pop(name).wait()
            (self._root / PID_FOLDER / name).unlink(missing_ok=True)
            if status:
                raise DevnetError(f"{name} ended with status {status}: {last_line(self._root, name)}")

    def check(self) -> None:
        """Raise if one of our children has ended.

        Raises:
            DevnetError: naming it, with the end of its log.
        """
        for name, child in self._children.items():
            status = child.poll()
            if status is not None:
                raise DevnetError(f"{name} ended with status {status}: {last_line(self._root, name)}")

    def take_killed(self) -> list[str]:
        """Return the names of our children that a signal ended, and forget them."""
        killed = [name for name, child in self._children.items() if (child.poll() or 0) < 0]
        for name in killed:
            del self._children[name]
        return killed

    def kill(self, name: str) -> None:
        """Kill a process at once (SIGKILL), as a power cut would."""
        child = self._children.pop(name)
        child.kill()
        child.wait()

    def wait_ended(self, name: str, patience_s: float) -> bool:
        """Wait until a process of ours has ended by itself; False if it has not within the patience."""
        try:
            self._children[name].wait(patience_s)
        except subprocess.TimeoutExpired:
            return False
        del self._children[name]
        return True

    def stop_some(self, prefix: str) -> None:
        """End our children whose names begin with `prefix`, gently."""
        chosen = {name: child for name, child in self._children.items() if name.startswith(prefix)}
        for child in chosen.values():
            child.terminate()
        for name, child in chosen.items():
            try:
                child.wait(STOP_PATIENCE_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            del self._children[name]

    def stop(self) -> None:
        """End everything that was started, by us or by an earlier call, and reap what is ours."""
        stop_all(self._root)
        for child in self._children.values():
            child.wait()
        self._children.clear()


def running(root: Path) -> dict[str, int]:
    """Return the pids of a devnet's running processes by name, sorted."""
    found = {}
    for path in sorted((root / PID_FOLDER).glob("*")):
        pid, started = (int(word) for word in path.read_text(encoding="ascii").split())
        if _started_at(pid) == started:
            found[path.name] = pid
    return found


def stop_all(root: Path) -> list[str]:
    """End a devnet's processes, gently first; return their names."""
    names = running(root)
    for pid in names.values():
        _signal(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_PATIENCE_S
    while (left := running(root)) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    for pid in left.values():
        _signal(pid, signal.SIGKILL)
    for path in (root / PID_FOLDER).glob("*"):
        path.unlink(missing_ok=True)
    return list(names)


def log_path(root: Path, name: str) -> Path:
    """Return the log file of a process."""
    return root / LOG_FOLDER / f"{name}.log"


def last_line(root: Path, name: str) -> str:
    """Return the last line of a process's log."""
    try:
        lines = log_path(root, name).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1] if lines else "its log is empty"


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _started_at(pid: int) -> int:
    """Return the start time of a process in clock ticks since boot; 0 if it has ended (or is a zombie)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    fields = text.rpartition(")")[2].split()
    return 0 if fields[0] == "Z" else int(fields[19])


def _end_with_parent(parent: int) -> Callable[[], None]:
    libc = ctypes.CDLL(None)

    def in_child() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return in_child
