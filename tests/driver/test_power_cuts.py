"""The power goes at every point where something becomes durable: at one node, and at all of them at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.simulation.cluster import Cluster, NetworkModel
from tests.simulation.node import Node, When

HEIGHTS = 3
SCENARIOS: dict[str, tuple[int, ...]] = {"all run": (0, 1, 2, 3), "the first leader is down": (0, 2, 3)}


def play(cluster: Cluster, running: tuple[int, ...]) -> None:
    """Commit a few transactions, all of them at every running node, in whatever order it happens."""
    cluster.start(*running)
    for number in range(HEIGHTS):
        cluster.at(number * 100, lambda number=number: cluster.submit(b"tx %d" % number))  # type: ignore[misc]
    cluster.run(2_500)
    for node in cluster.nodes:
        if not node.running:
            node.start()
    cluster.resubmit()
    cluster.run_until(lambda: cluster.all_committed() and len({n.application.head_height for n in cluster.nodes}) == 1)
    cluster.check_ends()


def persist_points(running: tuple[int, ...]) -> int:
    """Return how many persist points a run without power cuts has."""
    cluster = Cluster(seed=1, network=NetworkModel(delay_ms=(1, 30)))
    play(cluster, running)
    return cluster.persist_points


def cut_at(point: int, when: When) -> Callable[[Node, int], When | None]:
    """Return a plan that cuts the power at one persist point of the cluster."""
    return lambda node, number: when if number == point else None


@pytest.mark.parametrize("when", When)
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("victims", ["one", "all"])
def test_power_cut_at_every_persist_point(scenario: str, when: When, victims: str) -> None:
    running = SCENARIOS[scenario]
    points = persist_points(running)
    assert points > 4 * HEIGHTS
    for point in range(points):
        cluster = Cluster(seed=1, network=NetworkModel(delay_ms=(1, 30)))
        cluster.cut = cut_at(point, when)

        def cut(node: Node, cluster: Cluster = cluster) -> None:
            for victim in cluster.live if victims == "all" else [node]:
                victim.crash()
                cluster.at(50 + 10 * victim.index, victim.start)

        cluster.power_cut = cut
        play(cluster, running)
        assert cluster.persist_points > point


def test_power_cuts_again_and_again_at_every_nth_point() -> None:
    for every in range(2, 12):
        cluster = Cluster(seed=every)
        cluster.cut = lambda node, number, every=every, cluster=cluster: (  # type: ignore[misc]
            (When.BEFORE, When.AFTER)[number % 2] if number % every == 0 and cluster.now_ms < 2_400 else None
        )

        def cut(node: Node, cluster: Cluster = cluster) -> None:
            for victim in cluster.live:
                victim.crash()
                cluster.at(20, victim.start)

        cluster.power_cut = cut
        play(cluster, (0, 1, 2, 3))
