"""The two chains that web3.py's tests meet: four gridpact validators, and anvil."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest

from devnet.layout import Options
from devnet.processes import running
from devnet.run import rpc_call
from devnet.scenario import find_scenario, load_scenario
from tests.devnet.running import free_port, launched, until

VARIABLE = "GRIDPACT_WEB3PY_AGAINST"  # which chain, "gridpact" unless set
RPC_PORT = "GRIDPACT_WEB3PY_PORT"
FOLDER = Path(__file__).parent
ANVIL = Path("node_modules") / "@foundry-rs" / "anvil-linux-amd64" / "bin" / "anvil"
CHAIN_ID = 131_277_322_940_537  # «web3py»: stands in web3.py's tests as a number
HEARTBEAT_S = 2
START_BOUND_S = 30.0
DRAIN_BOUND_S = 60.0
HELD_BACK = ("node-2", "node-3")  # without them there is no quorum of four


class Target(Protocol):
    """A chain under test."""

    name: str
    client: str
    """What `web3_clientVersion` begins with."""
    endpoint: str
    folder: Path
    """Where its data are."""

    def settle(self) -> None:
        """Let every transaction that waits into a block."""

    def held(self) -> AbstractContextManager[None]:
        """Let it take transactions and put none into a block."""


class Gridpact:
    """Four validators with unlocked accounts; the first one is asked."""

    name, client = "gridpact", "gridpact/"

    def __init__(self, root: Path, endpoint: str) -> None:
        self._root, self.endpoint = root, endpoint
        self.folder = root / "node-0"

    def settle(self) -> None:
        """Wait until nothing is left in the pool."""
        until("an empty pool", self._drained, DRAIN_BOUND_S)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Stop two of the four validators for a while."""
        pids = [pid for name, pid in running(self._root).items() if name in HELD_BACK]
        assert len(pids) == len(HELD_BACK)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def _drained(self) -> bool:
        status: Any = rpc_call(self.endpoint, "txpool_status")
        return status is not None and int(status["pending"], 16) == 0


class Anvil:
    """Foundry's development chain, with a block a second."""

    name, client = "anvil", "anvil/"

    def __init__(self, folder: Path, endpoint: str) -> None:
        self.folder, self.endpoint = folder, endpoint

    def settle(self) -> None:
        """Mine a block."""
        rpc_call(self.endpoint, "evm_mine")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Stop mining for a while."""
        rpc_call(self.endpoint, "evm_setIntervalMining", 0)
        try:
            yield
        finally:
            rpc_call(self.endpoint, "evm_setIntervalMining", 1)


def chosen() -> str:
    """Return which chain the tests are run against."""
    return os.environ.get(VARIABLE, Gridpact.name)


def _first_port() -> int:
    return int(os.environ.get(RPC_PORT, free_port(40)))


@contextmanager
def gridpact(folder: Path) -> Iterator[Target]:
    """Start four validators that sign for ten known accounts, and end them afterwards."""
    options = Options(
        rpc_port=_first_port(),
        market=False,
        open_accounts=True,
        unlock=True,
        heartbeat_s=HEARTBEAT_S,
        chain_id=CHAIN_ID,
    )
    root = folder / "devnet"
    with launched(root, load_scenario(find_scenario("street")), options) as devnet:
        yield Gridpact(root, devnet.place.rpc(0))


@contextmanager
def anvil(folder: Path, tools: Path) -> Iterator[Target]:
    """Start anvil, as npm installed it below `tools`, and end it afterwards."""
    binary = tools / ANVIL
    if not binary.is_file():
        pytest.skip("anvil is not installed for this platform")
    port = _first_port()
    words = ["--port", str(port), "--chain-id", str(CHAIN_ID), "--block-time", "1", "--silent"]
    process = subprocess.Popen([str(binary), *words], cwd=folder, env={**os.environ, "HOME": str(folder)})
    try:
        until("anvil", lambda: _listens(port), START_BOUND_S)
        yield Anvil(folder, f"127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(START_BOUND_S)
        shutil.rmtree(folder / ".foundry", ignore_errors=True)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
