"""Whole clusters on simulated ports: what must go on, goes on; what must never happen, does not."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from consensus.codec import encode_message
from consensus.messages import Message
from consensus.types import Phase
from node.driver import DriverConfig, MessageReceived, TimerFired, WriteAheadLog
from node.driver.signer import Contradiction, LocalSigner
from tests.consensus.machine import Machine
from tests.simulation.cluster import DOMAIN, Cluster, NetworkModel
from tests.simulation.ledger import FORBIDDEN, NO_PARENT, encode_body, hash_of_body
from tests.simulation.node import MAX_BODY_BYTES, Node

ROOT = Path(__file__).resolve().parents[2]


def trade(cluster: Cluster, count: int, start: int = 0, limit_ms: int = 60_000) -> None:
    """Commit `count` transactions one after the other."""
    for number in range(start, start + count):
        cluster.submit(b"tx %d" % number, *[node.index for node in cluster.live])
        cluster.run_until(cluster.all_committed, limit_ms)


@pytest.mark.parametrize("size", range(1, 21))
def test_any_number_of_validators_commits(size: int) -> None:
    cluster = Cluster(size)
    cluster.start()
    trade(cluster, 2)
    cluster.check_ends()
    assert cluster.height() == 2
    assert cluster.watch.views == {}  # nobody had to change the view
    assert (cluster.nodes[0].driver.warning is None) == (size >= 4)
    assert not any(node.rejections for node in cluster.nodes)


def test_each_block_is_executed_once_by_each_backup_and_not_by_its_leader() -> None:
    cluster = Cluster()
    cluster.start()
    trade(cluster, 4)
    for node in cluster.nodes:
        executions = node.application.executions  # type: ignore[attr-defined]
        assert len(executions) == len({block for _, block in executions}) == 3


def test_idle_nodes_change_no_view_and_make_no_block() -> None:
    cluster = Cluster()
    cluster.start()
    trade(cluster, 1)
    cluster.run(120_000)
    assert cluster.height() == 1
    assert cluster.watch.views == {}


@pytest.mark.parametrize("size", [4, 7])
def test_f_silent_backups_and_leaders_stop_nothing(size: int) -> None:
    faults = (size - 1) // 3
    cluster = Cluster(size)
    cluster.start(*range(faults, size))
    trade(cluster, 2 * size)  # each of the silent leads in turn
    cluster.check_ends()
    assert len(cluster.watch.views) >= faults  # a view was changed wherever a silent one led


def test_beyond_f_silent_nothing_commits_until_one_returns() -> None:
    cluster = Cluster()
    cluster.start(0, 1)
    cluster.submit(b"tx", 0, 1)
    cluster.run(120_000)
    assert cluster.height() == 0
    cluster.start(2)
    cluster.run_until(cluster.all_committed)
    cluster.start(3)
    cluster.run_until(cluster.all_committed)


def test_a_transaction_that_reached_one_pool_only_is_committed_with_a_dead_leader() -> None:
    for lone in (0, 2, 3):
        cluster = Cluster()
        cluster.start(0, 2, 3)  # 1 leads height 1, view 0
        cluster.submit(b"lonely", lone)
        cluster.run_until(cluster.all_committed)


def test_a_forbidden_proposal_changes_the_view_at_once() -> None:
    cluster = Cluster()
    cluster.start()
    cluster.submit(FORBIDDEN, 1)  # the leader's pool only; it does not check what it builds
    cluster.run(900)  # well before the view timer
    assert cluster.watch.views[1] >= 1
    assert cluster.height() >= 1
    assert not any(node.application.holds(FORBIDDEN) for node in cluster.nodes)


def test_a_partition_without_quorum_waits_and_heals() -> None:
    cluster = Cluster()
    cluster.start()
    trade(cluster, 1)
    cluster.partition({0, 1}, {2, 3})
    cluster.submit(b"divided")
    cluster.run(60_000)
    assert cluster.height() == 1
    assert max(node.driver.view for node in cluster.nodes) == 1  # without a quorum views do not run away
    cluster.heal()
    cluster.run_until(cluster.all_committed, 20_000)
    cluster.check_ends()


def test_a_node_that_was_cut_off_catches_up_and_votes_again() -> None:
    cluster = Cluster()
    cluster.start()
    cluster.partition({0}, {1, 2, 3})
    for number in range(50):
        cluster.submit(b"tx %d" % number, 1, 2, 3)
        cluster.run_until(lambda number=number: cluster.nodes[1].application.holds(b"tx %d" % number))  # type: ignore[misc]
    assert cluster.nodes[0].application.head_height == 0
    cluster.heal()
    cluster.run_until(cluster.all_committed, 5_000)
    cluster.nodes[1].crash()  # now its vote is needed
    trade(cluster, 4, start=100)


def test_a_node_behind_asks_another_peer_if_one_does_not_answer() -> None:
    cluster = Cluster()
    cluster.start(1, 2, 3)
    trade(cluster, 20)
    cluster.start(0)
    cluster.blocked = {(1, 0), (0, 1), (2, 0), (0, 2)}
    cluster.run_until(cluster.all_committed, 30_000)


def test_an_idle_node_that_missed_a_block_learns_of_it() -> None:
    cluster = Cluster()
    cluster.start()
    cluster.partition({0}, {1, 2, 3})
    cluster.submit(b"missed", 1, 2, 3)
    cluster.run(20_000)
    cluster.blocked = set()  # the network heals, and no connection is made anew
    cluster.run_until(cluster.all_committed, 5_000)


def test_everybody_lost_and_all_messages_reordered_and_doubled_still_commits() -> None:
    cluster = Cluster(network=NetworkModel(delay_ms=(1, 300), loss=0.25, duplicate=0.3))
    cluster.start()
    trade(cluster, 8, limit_ms=120_000)
    cluster.check_ends()


def test_a_prepared_block_is_proposed_again_byte_for_byte() -> None:
    cluster = Cluster()
    cluster.start()
    commits = Phase.COMMIT

    def cut_commits(sender: Node, receiver: Node, payload: bytes) -> None:
        if payload[0] != 2 or payload[1 + 24] != commits:
            carry(sender, receiver, payload)

    carry, cluster.transmit = cluster.transmit, cut_commits  # type: ignore[method-assign]
    cluster.submit(b"prepared")
    cluster.run_until(lambda: max(each.vote.vote.view for each in cluster.watch.proposals or [NOTHING]) == 2)
    first, second, third = cluster.watch.proposals
    assert first.body == second.body == third.body
    assert [each.vote.vote.view for each in (first, second, third)] == [0, 1, 2]
    cluster.transmit = carry  # type: ignore[method-assign]
    cluster.run_until(cluster.all_committed)
    assert cluster.watch.blocks[1] == hash_of_body(first.body)


NOTHING = Machine().proposal()


def test_an_equivocating_leader_forks_nothing_and_stops_nothing() -> None:
    cluster = Cluster()
    cluster.start(0, 2, 3)  # we speak for 1, who leads height 1
    forger = Machine(size=4, height=1, domain=DOMAIN)
    cluster.watch.liars = {forger.validators.keys[1]}
    bodies = [encode_body(1, number, NO_PARENT, 0, []) for number in (1, 2)]
    for receiver, body in ((0, bodies[0]), (2, bodies[0]), (3, bodies[1])):
        proposal = forger.proposal(body=body)
        block_hash = proposal.vote.vote.block_hash
        votes = [forger.vote(1, phase, block=block_hash) for phase in (Phase.PREPARE, Phase.COMMIT)]
        messages: list[Message] = [proposal, *votes]
        for message in messages:
            event = MessageReceived(forger.validators.keys[1], encode_message(message))
            cluster.at(1, lambda receiver=receiver, event=event: cluster.nodes[receiver].handle(event))  # type: ignore[misc]
    trade(cluster, 3)
    cluster.check_ends()


def test_garbage_is_rejected_with_its_reason_and_changes_nothing() -> None:
    cluster = Cluster()
    cluster.start()
    node = cluster.nodes[0]
    for payload in (b"", b"\xff", os.urandom(0) + b"\x01" * 500, b"\x09" + bytes(8) + b"\xff" * 4):
        node.handle(MessageReceived(cluster.nodes[1].key, payload))
    assert len(node.rejections) == 4
    trade(cluster, 1)


def test_a_refusing_signer_makes_a_node_abstain() -> None:
    class Refusing(LocalSigner):
        def sign(self, vote):  # type: ignore[no-untyped-def]
            if vote.phase is Phase.COMMIT:
                raise Contradiction(vote, "a remote signer knows better")
            return super().sign(vote)

    cluster = Cluster()
    honest, keys = cluster.make_signer, {cluster.nodes[0].seed}
    cluster.make_signer = lambda seed: Refusing(seed, DOMAIN) if seed in keys else honest(seed)
    cluster.start()
    trade(cluster, 5)
    assert not any(key[0] == cluster.nodes[0].key and key[3] is Phase.COMMIT for key in cluster.watch.votes)


def test_the_real_log_serves_a_cluster_through_restarts(tmp_path: Path) -> None:
    cluster = Cluster()

    def boot(node: Node) -> None:
        node.log = WriteAheadLog(tmp_path / str(node.index), node.key)
        node.start()

    for node in cluster.nodes:
        boot(node)
    for number in range(6):
        cluster.submit(b"tx %d" % number)
        cluster.run(11 + 7 * number)
        for node in cluster.nodes:
            node.crash()
            node.log.close()  # type: ignore[attr-defined]
        for node in cluster.nodes:
            boot(node)
        cluster.resubmit()
        cluster.run_until(cluster.all_committed)
    cluster.check_ends()


def test_a_timer_that_fires_twice_or_late_does_no_harm() -> None:
    cluster = Cluster()
    cluster.start()
    seen = []
    for node in cluster.nodes:
        schedule = node.schedule
        node.schedule = lambda timer, ms, s=schedule: (seen.append(timer), s(timer, ms))  # type: ignore[assignment,misc,func-returns-value]
    trade(cluster, 3)
    for node in cluster.nodes:
        for timer in seen:
            if timer.height < node.driver.height:
                node.handle(TimerFired(timer))
    trade(cluster, 1, start=3)
    assert cluster.watch.views == {}


def test_timeouts_follow_the_rules() -> None:
    slow = replace(
        Cluster().config,
        view_timeout_ms=5_000,
        max_view_timeout_ms=5_000,
    )
    cluster = Cluster(config=slow)
    cluster.start(0, 2, 3)
    cluster.submit(b"tx", 0, 2, 3)
    cluster.run(4_900)
    assert cluster.watch.views == {}
    cluster.run_until(cluster.all_committed, 1_000)
    assert isinstance(slow, DriverConfig)
    assert slow.max_body_bytes == MAX_BODY_BYTES


SHORT_RUN = """
import sys
from tests.simulation.cluster import Cluster, NetworkModel
from hashlib import sha256
cluster = Cluster(seed=7, network=NetworkModel(delay_ms=(1, 200), loss=0.1, duplicate=0.1))
cluster.start(0, 2, 3)
for number in range(5):
    cluster.submit(b"tx %d" % number, 0, 2, 3)
    cluster.run_until(cluster.all_committed)
cluster.start(1)
cluster.run_until(cluster.all_committed)
sys.stdout.write(sha256(repr(list(cluster.trace)).encode()).hexdigest())
"""


def test_a_run_does_not_depend_on_the_hash_seed() -> None:
    def run(seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", SHORT_RUN], env=environment, cwd=ROOT, capture_output=True, check=True
        )
        return done.stdout.decode()

    one, two = run("1"), run("2")
    assert len(one) == len(sha256().hexdigest())
    assert one == two
