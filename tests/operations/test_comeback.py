"""A validator is backed up, goes on, loses its disk, and is put back: the same head as then, and it validates again.

Real databases, logs and signed transactions on a simulated network, which watches every vote that anybody sends.
"""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

from node.config import CONFIG_NAME, DATABASE_NAME, load_config, render_config
from node.operations.backup import back_up, put_back
from node.restore import is_marked
from tests.node.real_application import RealCluster, ReopenedLog, cluster_genesis
from tests.node.test_four_validators import check_same, settle, transfer
from tests.simulation.watch import Comeback

LOST = 3


def data_directory(real: RealCluster, folder: Path) -> Path:
    """Return a data directory of the lost validator, around its database."""
    folder.mkdir()
    (folder / DATABASE_NAME).symlink_to(real._database(LOST))
    (folder / "genesis.json").write_text(json.dumps(cluster_genesis()[0].content))
    text = render_config(
        genesis="genesis.json", key="key.json", passphrase_file="", p2p_listen="127.0.0.1:0", rpc_listen="127.0.0.1:0"
    )
    (folder / CONFIG_NAME).write_text(text)
    return folder


@pytest.mark.parametrize("seed", range(2))
def test_a_validator_that_was_put_back_contradicts_no_vote_and_validates_again(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    (tmp_path / "cluster").mkdir()
    with RealCluster(tmp_path / "cluster", seed=seed) as real:
        cluster, lost = real.cluster, real.cluster.nodes[LOST]
        cluster.start()
        for number in range(3):
            transfer(real, number)
            settle(real)
        lost.crash()
        real._stores.pop(LOST).close()
        house = data_directory(real, tmp_path / "house")
        manifest = back_up(load_config(house / CONFIG_NAME), tmp_path / "backup")
        lost.start()
        for number in range(3):
            transfer(real, number, 0)
            cluster.run(dice.randint(0, 60))  # the last of its votes may be for a height that nobody has decided yet
        lost.crash()
        forgotten = {key for key in cluster.watch.votes if key[0] == lost.key and key[1] > manifest.height}
        assert forgotten  # votes that left, and of which the backup knows nothing

        real._stores.pop(LOST).close()
        lost.log.close()  # type: ignore[attr-defined]
        shutil.rmtree(real._database(LOST))
        log = real._path / f"{LOST}.wal"
        log.unlink()
        put_back(tmp_path / "backup", tmp_path / "again")
        assert is_marked(tmp_path / "again")
        (tmp_path / "again" / DATABASE_NAME).rename(real._database(LOST))
        lost.log = ReopenedLog(log, real._genesis_hash + lost.key)
        real._logs.append(lost.log)
        lost.restored, lost.committed_height = True, manifest.height
        others = [node for node in cluster.nodes if node is not lost]
        cluster.watch.comebacks[LOST] = Comeback({node.index: node.driver.height for node in others})
        lost.start()
        assert lost.application.head_height == manifest.height  # the same head as when it was backed up
        settle(real)
        transfer(real, 0, 1)  # it may vote above what the others had reached when it came back
        settle(real)
        assert not lost.driver.abstaining
        cluster.nodes[0].crash()  # now its vote is needed
        before = cluster.height()
        transfer(real, 1, 1, 2, LOST)
        cluster.run_until(lambda: all(node.application.head_height > before for node in cluster.live))
        cluster.start(0)
        settle(real)
        check_same(real)
        assert [key for key in cluster.watch.votes if key[0] == lost.key and key[1] > before]
