"""Four processes, one of which lost its disk: it comes back from a member's snapshot and votes again."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from devnet.layout import Options, init_command
from devnet.processes import gridpact
from devnet.run import height_of, rpc_call
from devnet.scenario import find_scenario, load_scenario
from node.config import RESTORED_NAME
from tests.devnet.load import Load
from tests.devnet.running import free_port, launched, until

pytestmark = pytest.mark.xdist_group("devnet")

LOST = 3
BOUND_S = 90.0


def test_a_lost_disk_is_replaced_by_a_snapshot(tmp_path: Path) -> None:
    scenario = load_scenario(find_scenario("street"))
    with launched(tmp_path / "devnet", scenario, Options(rpc_port=free_port(70), market=False)) as devnet:
        place = devnet.place
        load = Load(place.rpc(1), 1)
        load.start()
        until("a snapshot", lambda: any((place.node(0) / "snapshots").glob("*.snapshot")), BOUND_S)
        devnet.processes.kill(f"node-{LOST}")
        shutil.rmtree(place.node(LOST))
        words = [gridpact(), *init_command(place, LOST), "--join", f"http://{place.rpc(0)}"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=BOUND_S, check=False)
        assert done.returncode == 0, done.stderr
        assert "verified from the genesis file" in done.stdout
        assert (place.node(LOST) / RESTORED_NAME).exists()  # its key has a seat: it has voted, and forgotten what
        devnet.start_node(LOST)
        target = (height_of(place.rpc(0)) or 0) + 4
        until("the height of the others", lambda: (height_of(place.rpc(LOST)) or 0) >= target, BOUND_S)
        load.stop()

        def signs_again() -> bool:
            certificate = rpc_call(place.rpc(0), "grid_getCertificate", "latest")
            return certificate is not None and own_key in certificate["signers"]

        own_key = rpc_call(place.rpc(LOST), "grid_status")["nodeKey"]
        more = Load(place.rpc(LOST), 2)
        more.start()
        until("a certificate with its signature", signs_again, BOUND_S)
        more.stop()
        assert not (place.node(LOST) / RESTORED_NAME).exists()
