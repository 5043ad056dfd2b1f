"""One bare chain of four validators for all tools, and the tools that npm installs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devnet.layout import Options
from devnet.run import Devnet
from devnet.scenario import find_scenario, load_scenario
from tests.devnet.running import free_port, launched

FOLDER = Path(__file__).parent
INSTALL_BOUND_S = 900.0
HEARTBEAT_S = 2  # some tools wait for blocks on top of a transaction's own


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    """Four validators without agents, on which no tool has been."""
    options = Options(rpc_port=free_port(50), market=False, heartbeat_s=HEARTBEAT_S)
    with launched(tmp_path_factory.mktemp("tools") / "devnet", load_scenario(find_scenario("street")), options) as it:
        yield it


@pytest.fixture(scope="session")
def installed() -> Callable[[Path], Path]:
    """Give the `node_modules/.bin` of a folder, installed as its lock file says if it is not yet; else skip."""

    def install(folder: Path) -> Path:
        lock, done = folder / "package-lock.json", folder / "node_modules" / ".installed"
        if not done.is_file() or done.read_bytes() != lock.read_bytes():
            if shutil.which("npm") is None:
                pytest.skip("npm is not installed")
            command = ["npm", "ci", "--no-audit", "--no-fund"]
            try:
                subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=INSTALL_BOUND_S)
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
                pytest.skip(f"npm ci in {folder.name}: {str(error.stderr or error)[-300:]}")
            done.write_bytes(lock.read_bytes())
        return folder / "node_modules" / ".bin"

    return install
