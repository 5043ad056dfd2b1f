"""Four processes: one's data directory is lost, and a backup put back that was taken while it ran; it votes again."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from devnet.layout import Options
from devnet.processes import gridpact
from devnet.run import height_of, rpc_call
from devnet.scenario import find_scenario, load_scenario
from node.config import CONFIG_NAME, RESTORED_NAME
from tests.devnet.load import Load
from tests.devnet.running import free_port, launched, until

pytestmark = pytest.mark.xdist_group("devnet")

LOST = 3
BOUND_S = 90.0


def run(*words: str) -> None:
    """Run a command of `gridpact node`."""
    done = subprocess.run([gridpact(), "node", *words], capture_output=True, text=True, timeout=BOUND_S, check=False)
    assert done.returncode == 0, done.stderr


def test_a_backup_is_put_back_and_the_node_votes_when_that_is_safe(tmp_path: Path) -> None:
    scenario = load_scenario(find_scenario("street"))
    with launched(tmp_path / "devnet", scenario, Options(rpc_port=free_port(75), market=False)) as devnet:
        place = devnet.place
        node, backup = place.node(LOST), tmp_path / "backup"
        load = Load(place.rpc(1), 1)
        load.start()
        until("a few heights", lambda: (height_of(place.rpc(LOST)) or 0) >= 3, BOUND_S)
        run("backup", "--config", str(node / CONFIG_NAME), "--out", str(backup))
        assert (backup / RESTORED_NAME).exists()
        later = (height_of(place.rpc(LOST)) or 0) + 3
        until("more heights", lambda: (height_of(place.rpc(LOST)) or 0) >= later, BOUND_S)
        devnet.processes.kill(f"node-{LOST}")
        shutil.rmtree(node)
        run("restore", "--from", str(backup), "--data", str(node))
        devnet.start_node(LOST)
        until("the marker's end", lambda: not (node / RESTORED_NAME).exists(), BOUND_S)
        own_key = rpc_call(place.rpc(LOST), "grid_status")["nodeKey"]

        def signs_again() -> bool:
            certificate = rpc_call(place.rpc(0), "grid_getCertificate", "latest")
            return certificate is not None and own_key in certificate["signers"]

        until("a certificate with its signature", signs_again, BOUND_S)
        load.stop()
