"""Hardhat: OpenZeppelin's ERC-20 in its mocha tests, and a deployment by Ignition, on four validators."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from devnet.run import Devnet, rpc_call
from tests.tools.conftest import FOLDER
from tests.tools.running import run

pytestmark = [pytest.mark.tools, pytest.mark.xdist_group("tools")]


@pytest.fixture(scope="module")
def hardhat(
    chain: Devnet, installed: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., str]:
    """Hardhat's command in a copy of the project, on the network of the devnet."""
    binary = installed(FOLDER) / "hardhat"
    project = tmp_path_factory.mktemp("hardhat")
    shutil.copytree(FOLDER / "hardhat", project, dirs_exist_ok=True)
    shutil.copy(FOLDER / "package.json", project)
    (project / "node_modules").symlink_to(FOLDER / "node_modules")
    more = {
        "GRIDPACT_RPC": f"http://{chain.place.rpc(1)}",
        "HARDHAT_DISABLE_TELEMETRY_PROMPT": "true",
        "HARDHAT_IGNITION_CONFIRM_DEPLOYMENT": "false",
    }

    def command(*words: str) -> str:
        return run([binary, *words, "--network", "gridpact"], project, more=more)

    return command


def test_openzeppelins_erc20(hardhat: Callable[..., str]) -> None:
    printed = hardhat("test")
    written = len(re.findall(r"✔", printed))
    assert re.search(rf"\n  {written} passing", printed)
    assert "failing" not in printed
    assert "pending" not in printed


def test_ignition_deploys_and_finds_what_it_deployed(hardhat: Callable[..., str], chain: Devnet) -> None:
    printed = hardhat("ignition", "deploy", "ignition/modules/Coin.cjs")
    (address,) = re.findall(r"Coin#Coin - (0x[0-9a-fA-F]{40})", printed)
    code = rpc_call(chain.place.rpc(3), "eth_getCode", address, "latest")
    assert len(str(code)) > 1_000
    balance = rpc_call(chain.place.rpc(3), "eth_call", {"to": address, "data": "0x70a08231" + f"{0xAA:064x}"}, "latest")
    assert int(str(balance), 16) == 5
    assert "successfully deployed" in printed
    assert address in hardhat("ignition", "deploy", "ignition/modules/Coin.cjs")  # a second time there is nothing to do
