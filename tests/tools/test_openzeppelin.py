"""OpenZeppelin's own ERC-20 tests, from the last package of theirs that holds them, on four validators.

Not run of `test/token/ERC20`: `TokenTimelock` (it turns the chain's clock forward, which nobody can here) and
`SafeERC20` (its helper contracts are not in the package).
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from devnet.run import Devnet
from tests.tools.conftest import FOLDER
from tests.tools.running import run

pytestmark = [pytest.mark.tools, pytest.mark.xdist_group("tools")]

OPENZEPPELIN = FOLDER / "openzeppelin"
SUITES = ("ERC20", "ERC20Burnable", "ERC20Capped", "ERC20Detailed", "ERC20Mintable", "ERC20Pausable")
BOUND_S = 1_200.0  # Truffle looks for a receipt once a second


@pytest.fixture(scope="module")
def project(installed: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hardhat project of the package's contracts and tests, and of the mocks that it leaves out."""
    package = installed(OPENZEPPELIN).parent / "openzeppelin-solidity"
    folder = tmp_path_factory.mktemp("openzeppelin")
    (folder / "node_modules").symlink_to(OPENZEPPELIN / "node_modules")
    for name in ("hardhat.config.js", "package.json"):
        shutil.copy(OPENZEPPELIN / name, folder)
    for part in ("access", "lifecycle", "math", "token/ERC20"):
        shutil.copytree(package / "contracts" / part, folder / "contracts" / part)
    shutil.copytree(OPENZEPPELIN / "mocks", folder / "contracts" / "mocks")
    for part in ("helpers", "access/roles", "token/ERC20"):
        shutil.copytree(package / "test" / part, folder / "test" / part)
    return folder


def test_openzeppelins_own_erc20_tests(project: Path, chain: Devnet) -> None:
    files = [f"test/token/ERC20/{suite}.test.js" for suite in SUITES]
    printed = run(
        [project / "node_modules" / ".bin" / "hardhat", "test", "--network", "gridpact", *files],
        project,
        more={"GRIDPACT_RPC": f"http://{chain.place.rpc(1)}", "HARDHAT_DISABLE_TELEMETRY_PROMPT": "true"},
        bound_s=BOUND_S,
    )
    assert all(f"Contract: {suite}\n" in printed for suite in SUITES)
    passing = re.search(r"\n  (\d+) passing", printed)
    assert passing is not None
    assert int(passing[1]) == printed.count("✔")
    assert not re.search(r"\d+ (failing|pending)", printed)
