"""A short form of `make sim`, and the simulator's own promises: replays, disks, and that it notices what it must."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from consensus.certificates import Certificate
from consensus.types import Epoch, Height, Phase, View
from tests.long import short_or_long
from tests.simulation.cluster import Cluster
from tests.simulation.disk import DiskLog, Disks, Fault, PowerCut
from tests.simulation.mutants import MUTANTS, Mutant, hunt, mutated
from tests.simulation.simulation import run
from tests.simulation.watch import Violation

ROOT = Path(__file__).resolve().parents[2]
CHUNK = 10
KILLED_AT_ONCE = ("quorum-off-by-one", "vote-sent-before-synced", "epoch-change-too-early-at-some")
FEW_SEEDS = 5
EXERCISED = (
    "admissions",
    "ambushes",
    "blamed",
    "blocks followed",
    "byzantine: treacherous",
    "compact proposals",
    "cuts inside a write",
    "drifting clocks",
    "epochs",
    "equivocations seen whole",
    "evidence",
    "full disks",
    "key rotations",
    "kills",
    "one-way cuts",
    "outages of all",
    "partitions",
    "permanent partitions",
    "power cuts",
    "removals",
    "stale backups",
    "transactions that reach one pool",
    "truncated logs",
    "twins",
    "view changes",
)


@pytest.mark.parametrize("first", range(0, short_or_long(60, 200), CHUNK))
def test_nothing_is_violated(first: int) -> None:
    outcomes = [run(seed) for seed in range(first, first + CHUNK)]
    assert [(outcome.violation, outcome.replay) for outcome in outcomes if outcome.violation] == []


def test_a_few_seeds_exercise_every_trouble() -> None:
    counts: Counter[str] = Counter()
    for seed in range(1_000, 1_025):
        counts += run(seed, "safety").counts
    assert [name for name in EXERCISED if not counts[name]] == []


def test_a_run_does_not_depend_on_the_hash_seed() -> None:
    def digest(hash_seed: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "tests.simulation", "3"],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
        return done.stdout.decode().splitlines()[-1]

    assert digest("1").startswith("digest ")
    assert digest("1") == digest("2")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_fits_the_source(mutant: Mutant) -> None:
    compile(mutated(mutant), mutant.path, "exec")


@pytest.mark.parametrize("name", KILLED_AT_ONCE)
def test_a_mutant_is_killed(name: str) -> None:
    mutant = next(each for each in MUTANTS if each.name == name)
    assert hunt(mutant, FEW_SEEDS) is not None


@pytest.mark.parametrize("seed", range(40))
def test_after_a_power_cut_the_log_holds_what_was_synced(seed: int) -> None:
    dice = random.Random(seed)
    disks = Disks(dice)
    with disks.installed():
        log = DiskLog(disks, "0", b"me")
        assert list(log.records()) == []
        synced: list[bytes] = []
        for number in range(60):
            batch = [b"%d" % number * dice.randint(1, 60)]
            disks.fault = lambda folder: Fault.CUT_BEFORE if dice.random() < 0.2 else None
            try:
                log.append(batch)
                synced += batch
            except PowerCut:
                disks.fault = lambda folder: None
                disks.lose_power("0")
                log = DiskLog(disks, "0", b"me")
                found = list(log.records())
                assert found[: len(synced)] == synced
                assert found[len(synced) :] in ([], batch)
                synced = found
    assert synced
    assert disks.lost_bytes


def test_a_fork_is_noticed() -> None:
    cluster = Cluster()
    cluster.start()
    node = cluster.nodes[0]
    for number, block_hash in enumerate((b"\x01" * 32, b"\x02" * 32)):
        certificate = Certificate(Height(9), Epoch(0), View(number), Phase.COMMIT, block_hash, (), ())
        if number == 0:
            cluster.watch.committed(node, 9, b"", block_hash, certificate)
        else:
            with pytest.raises(Violation, match="fork at height 9"):
                cluster.watch.committed(node, 9, b"", block_hash, certificate)
