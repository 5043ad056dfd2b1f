"""One seed, one run of a cluster under everything that a neighbourhood's network and power can do at once.

Replay: `python -m tests.driver.chaos SEED SIZE`.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from dataclasses import replace

from tests.simulation.cluster import Cluster, NetworkModel, Node, Violation, When

TROUBLE_MS = 8_000
CALM_MS = 60_000  # by then everything must be committed everywhere
TRANSACTIONS = 12


class Chaos:
    """A run: trouble for a while, then calm, in which everything must commit.

    Args:
        seed: of everything.
        size: number of validators.
    """

    def __init__(self, seed: int, size: int) -> None:
        self.seed = seed
        self.random = random.Random(seed * 7919 + size)
        model = NetworkModel(
            delay_ms=(1, self.random.choice((20, 100, 400))),
            loss=self.random.choice((0, 0.05, 0.2)),
            duplicate=self.random.choice((0, 0.1)),
        )
        # Timeouts shorter than the delays make for many views; calm brings longer ones, as the doubling does.
        timeout_ms = self.random.choice((1_000, 1_000, 100))
        config = replace(Cluster(1).config, view_timeout_ms=timeout_ms)
        self.cluster = Cluster(size, seed, model, config=config)
        self.cluster.work_ms = self.random.choice(((1, 10), (1, 10), (1, 1_500)))
        self.counts: Counter[str] = Counter()

    def run(self) -> Counter[str]:
        """Play the seed; return how often what happened.

        Raises:
            Violation: something that must always hold did not; the message says how to replay it.
        """
        try:
            self._trouble()
            self._calm()
        except Violation as violation:
            size = len(self.cluster.nodes)
            raise Violation(f"{violation} (replay: python -m tests.driver.chaos {self.seed} {size})") from violation
        self.counts["view changes"] = sum(self.cluster.watch.views.values())
        self.counts["heights"] = self.cluster.height()
        return self.counts

    def _trouble(self) -> None:
        cluster, indices = self.cluster, range(len(self.cluster.nodes))
        cluster.cut = lambda node, point: self.random.choice(list(When)) if self.random.random() < 0.02 else None
        cluster.power_cut = self._power_cut
        cluster.start()
        for number in range(TRANSACTIONS):
            some = self.random.sample(indices, self.random.randint(1, len(indices)))
            cluster.at(
                self.random.randrange(TROUBLE_MS),
                lambda number=number, some=some: cluster.submit(b"tx %d" % number, *some),  # type: ignore[misc]
            )
        for _ in range(4):
            cluster.at(self.random.randrange(TROUBLE_MS), self._partition)
            cluster.at(self.random.randrange(TROUBLE_MS), cluster.heal)
            cluster.at(self.random.randrange(TROUBLE_MS), self._kill)
        cluster.run(TROUBLE_MS)

    def _calm(self) -> None:
        cluster = self.cluster
        cluster.cut = lambda node, point: None
        cluster.network = NetworkModel()
        cluster.work_ms = (1, 10)
        cluster.heal()
        cluster.run(2_500)
        cluster.resubmit()
        cluster.run_until(self._settled, CALM_MS)
        cluster.check_ends()

    def _settled(self) -> bool:
        heads = {node.application.head_height for node in self.cluster.nodes}
        return len(heads) == 1 and self.cluster.all_committed()

    def _power_cut(self, node: Node) -> None:
        self.counts["power cuts"] += 1
        node.crash()
        self.cluster.at(self.random.randint(50, 2_000), node.start)

    def _kill(self) -> None:
        node = self.random.choice(self.cluster.nodes)
        if node.running:
            self._power_cut(node)

    def _partition(self) -> None:
        self.counts["partitions"] += 1
        indices = list(range(len(self.cluster.nodes)))
        self.random.shuffle(indices)
        where = self.random.randint(1, len(indices))
        self.cluster.partition(indices[:where], indices[where:])


if __name__ == "__main__":
    seed, size = (int(argument) for argument in sys.argv[1:3])
    print(dict(Chaos(seed, size).run()))
