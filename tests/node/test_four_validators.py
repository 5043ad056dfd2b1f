"""Four validators with real databases, a real EVM and signed transactions, on a simulated network.

What must hold in every run: no fork, nothing committed lost, the same bytes in every table, and trading goes on.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from consensus.codec import decode_certificate
from node.chain.dual import Chain
from node.sync.target import target_height
from tests.long import short_or_long
from tests.node.real_application import RealCluster, created_address, household
from tests.simulation.cluster import NetworkModel
from tests.simulation.node import Node, When

TARGET = b"\x11" * 20
RUNTIME = bytes.fromhex("60003560005500")  # stores the first word of its input in slot 0
INIT = bytes.fromhex("66") + RUNTIME + bytes.fromhex("600052600760" + "19f3")
NOISY = NetworkModel(delay_ms=(1, 120), loss=0.1, duplicate=0.15)


def transfer(real: RealCluster, sender: int, *at: int) -> bytes:
    """Submit a household's next transfer at some validators; at all by default."""
    raw = real.sign(f"household {sender}", TARGET, value=1)
    real.cluster.submit(raw, *at)
    return raw


def transfer_later(real: RealCluster, delay_ms: int, sender: int, *at: int) -> None:
    """Submit a transfer after a while."""

    def act() -> None:
        transfer(real, sender, *at)

    real.cluster.at(delay_ms, act)


def settle(real: RealCluster, limit_ms: int = 60_000) -> None:
    """Let time pass until all validators run, are at one height, and have committed what was submitted."""
    cluster = real.cluster

    def settled() -> bool:
        heads = {node.application.head_height for node in cluster.live}
        return len(cluster.live) == len(cluster.nodes) and len(heads) == 1 and cluster.all_committed()

    cluster.run_until(settled, limit_ms)


def check_same(real: RealCluster) -> None:
    """Check that no committed block is missing or another one, and that the validators' files say the same."""
    cluster = real.cluster
    cluster.check_ends()
    first, *others = dumps = real.dumps()
    assert len(first["headers"]) == len(first["bodies"]) == max(cluster.watch.blocks) + 1
    for other in others:
        for table, rows in first.items():
            if table != "certificates":  # two quorums for one block are both good
                assert other[table] == rows, table
    for dump in dumps:
        for key, raw in dump["certificates"]:
            height = int.from_bytes(key, "big")
            assert decode_certificate(raw).block_hash == cluster.watch.blocks[height]
        assert [int.from_bytes(key, "big") for key, _ in dump["certificates"]] == sorted(cluster.watch.blocks)


def test_transfers_and_a_contract_commit_with_the_same_bytes_everywhere(tmp_path: Path) -> None:
    with RealCluster(tmp_path) as real:
        cluster = real.cluster
        cluster.start()
        for number in range(22):
            transfer_later(real, 40 * number, number % 4, number % 3)
        cluster.run(40 * 22)
        settle(real)
        creation = real.sign("household 3", None, INIT)
        contract = created_address(household(3), 5)  # after its five transfers
        cluster.submit(creation, 2)
        settle(real)
        cluster.submit(real.sign("household 0", contract, (7).to_bytes(32, "big")), 3)
        settle(real)
        cluster.submit(real.sign("household 1", contract, bytes(32)), 1)
        settle(real)
        check_same(real)
        assert cluster.watch.views == {}
        assert not any(node.rejections for node in cluster.nodes)
        with real.store(0).read() as view:
            head = view.head_height
            receipts = [receipt for height in range(1, head + 1) for receipt in view.receipts(height)]
            account = view.state.account(contract)
            target = view.state.account(TARGET)
            assert account is not None
            assert target is not None
            assert view.state.code(account.code_hash) == RUNTIME
            assert [view.state_at(height).storage(contract, 0) for height in (head - 2, head - 1, head)] == [0, 7, 0]
            assert target.balance == 22
            assert [receipt.status for receipt in receipts] == [1] * 25
            assert view.record(head).ledger_head.number > 3
            assert view.record(head).contract_head.number == 1  # the creation; the new contract is not in the domain
            assert view.chain_block(Chain.CONTRACT, 1) is not None


@pytest.mark.parametrize("how", ["down", "dumb"])
def test_a_silent_leader_is_passed_over(tmp_path: Path, how: str) -> None:
    with RealCluster(tmp_path) as real:
        cluster = real.cluster
        cluster.start(*((0, 2, 3) if how == "down" else ()))
        if how == "dumb":
            cluster.blocked = {(1, other) for other in (0, 2, 3)}
        raws = [transfer(real, sender, 0, 2, 3) for sender in range(3)]
        others = [cluster.nodes[index] for index in (0, 2, 3)]
        cluster.run_until(lambda: all(node.application.holds(raw) for node in others for raw in raws))
        assert cluster.watch.views.get(1, 0) >= 1  # validator 1 leads height 1 in view 0
        cluster.heal()
        cluster.start(1)
        settle(real)
        check_same(real)


def test_a_validator_that_was_down_catches_up_by_certified_blocks(tmp_path: Path) -> None:
    with RealCluster(tmp_path) as real:
        cluster = real.cluster
        cluster.start()
        transfer(real, 0)
        settle(real)
        late = cluster.nodes[3]
        late.crash()
        for number in range(6):
            transfer(real, number % 4, 0, 1, 2)
            cluster.run_until(cluster.all_committed)
        height = cluster.height()
        late.start()
        behind = late.application.head_height
        targets = set()

        def caught_up() -> bool:
            targets.add((late.application.head_height, target_height(late.driver, None)))
            return late.application.head_height == height

        cluster.run_until(caught_up, 5_000)
        seen = [(at, target) for at, target in sorted(targets, key=lambda pair: pair[0]) if target is not None]
        assert seen[0] == (behind, height)  # told by more than f validators
        assert {target for _, target in seen} == {height}
        assert target_height(late.driver, None) is None
        settle(real, 5_000)
        assert behind < height - 4
        assert late.application.head_height == height == cluster.height()  # no new block was made for it
        assert not [key for key in cluster.watch.votes if key[0] == late.key and behind < key[1] <= height]
        cluster.nodes[0].crash()  # now its vote is needed
        for number in range(2):
            transfer(real, number, 1, 2, 3)
            cluster.run_until(cluster.all_committed)
        cluster.start(0)
        settle(real)
        check_same(real)


def test_a_stranger_commits_nothing_even_through_a_lenient_leader(tmp_path: Path) -> None:
    with RealCluster(tmp_path, lenient=[1]) as real:  # validator 1 leads height 1 in view 0
        cluster = real.cluster
        strange = [real.sign("stranger", TARGET) for _ in range(3)]
        cluster.start()
        for raw in strange:
            for node in cluster.nodes:
                node.submit(raw)
        for number in range(6):
            transfer(real, number % 4)
            settle(real)
        proposed = {raw for proposal in cluster.watch.proposals for raw in strange if raw in proposal.body}
        assert proposed  # the lenient leader tried
        assert cluster.watch.views.get(1, 0) >= 1
        check_same(real)
        for dump in real.dumps():
            assert not any(raw in body for _, body in dump["bodies"] for raw in strange)


HEIGHTS = 2
SCENARIOS: dict[str, tuple[int, ...]] = {"all run": (0, 1, 2, 3), "the first leader is down": (0, 2, 3)}


def play(real: RealCluster, running: tuple[int, ...]) -> None:
    """Commit a few transactions through whatever happens, then go on trading with all."""
    cluster = real.cluster
    cluster.start(*running)
    for number in range(HEIGHTS):
        transfer_later(real, 60 * number, number, number, number + 2)
    cluster.run(400 if len(running) == 4 else 1_500)  # long enough to pass over a leader
    for node in cluster.nodes:
        node.start()
    cluster.resubmit()
    settle(real)
    transfer(real, 0, 3)  # trading goes on
    cluster.run(400)
    cluster.resubmit()  # the power may have gone where the only pool was that had it
    settle(real)


def persist_points(path: Path, running: tuple[int, ...]) -> int:
    """Return how many persist points a run without power cuts has."""
    with RealCluster(path, seed=1) as real:
        play(real, running)
        check_same(real)
        return real.cluster.persist_points


@pytest.mark.parametrize("victims", ["one", "all"])
@pytest.mark.parametrize("when", When)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_power_cut_at_every_persist_point(tmp_path: Path, scenario: str, when: When, victims: str) -> None:
    running = SCENARIOS[scenario]
    points = persist_points(tmp_path / "calm", running)
    assert points > 4 * 3 * HEIGHTS  # a proposal or a vote, a prepared block and a commit, at each validator
    first = (when is When.AFTER) ^ (victims == "all")  # in the short form every point is cut in two of the four ways
    for point in range(*short_or_long((first, points, 2), (0, points, 1))):
        with RealCluster(tmp_path / str(point), seed=1) as real:
            cluster = real.cluster
            cluster.cut = lambda node, number, point=point: when if number == point else None  # type: ignore[misc]
            cut: list[int] = []

            def power_cut(node: Node, real: RealCluster = real, cut: list[int] = cut) -> None:
                for victim in real.cluster.live if victims == "all" else [node]:
                    cut.append(victim.index)
                    victim.crash()
                    real.cluster.at(50 + 10 * victim.index, victim.start)

            cluster.power_cut = power_cut
            play(real, running)
            check_same(real)
            assert cut, f"point {point} was not reached"


@pytest.mark.parametrize("seed", range(12))
def test_loss_delay_duplication_partitions_and_power_cuts(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    with RealCluster(tmp_path, seed=seed, network=NOISY) as real:
        cluster = real.cluster

        def power_cut(node: Node) -> None:
            node.crash()
            cluster.at(dice.randint(50, 1_500), node.start)

        cluster.cut = lambda node, point: dice.choice(list(When)) if dice.random() < 0.02 else None
        cluster.power_cut = power_cut
        cluster.start()
        for number in range(8):
            at = dice.sample(range(4), dice.randint(1, 4))
            transfer_later(real, dice.randrange(4_000), number % 4, *at)
        trouble: list[Callable[[], None]] = [
            lambda: cluster.partition({0, 1}, {2, 3}),
            lambda: cluster.partition({dice.randrange(4)}),
            cluster.heal,
            lambda: power_cut(dice.choice(cluster.nodes)),
        ]
        for act in trouble:
            cluster.at(dice.randrange(4_000), act)
        cluster.run(4_000)
        cluster.cut = lambda node, point: None
        cluster.network = NetworkModel()
        cluster.run(2_000)
        cluster.start()
        cluster.heal()
        cluster.resubmit()
        settle(real)
        check_same(real)
