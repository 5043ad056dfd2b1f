"""The hour at which a chain forks if anything was forgotten: one has decided, and nobody else will hear of it in time.

The first machine that holds a certificate is cut off, all other honest ones lose their power at once, and with it every
COMMIT that was under way. What they have on disk, and a view change, must bring out the same block.
"""

from __future__ import annotations

import random

from tests.simulation.world import Machine, World

SHARE = 0.35  # of the decisions that meet an ambush, while none lasts
ISOLATED_MS = (4_000, 12_000)
DOWN_MS = (20, 300)  # longer than the network's largest delay


class Ambush:
    """Lies in wait for decisions.

    Args:
        world: in which they are made.
        dice: whether and for how long.
    """

    def __init__(self, world: World, dice: random.Random) -> None:
        self._world = world
        self._dice = dice
        self._highest = 0
        self._lifted = False
        self.held: set[tuple[int, int]] = set()  # links that stay cut while it lasts
        world.on_decision = self._decided

    def lift(self) -> None:
        """End it for good."""
        self.held = set()
        self._lifted = True

    def _decided(self, machine: Machine, height: int) -> None:
        if height <= self._highest or self._lifted:
            return
        self._highest = height
        if not self.held and self._dice.random() < SHARE:
            self._spring(machine)

    def _spring(self, machine: Machine) -> None:
        world = self._world
        others = [node for node in world.nodes if node is not machine]
        self.held = {(machine.index, each.index) for each in others} | {(each.index, machine.index) for each in others}
        world.blocked |= self.held
        world.counts["ambushes"] += 1
        world.note(machine, "decides and is cut off")
        world.at(self._dice.randint(*ISOLATED_MS), self._release)
        # In a moment of its own: the decision may have come while another machine was doing something.
        world.at(0, lambda: self._darken(machine))

    def _darken(self, machine: Machine) -> None:
        world = self._world
        for node in world.machines:
            if node is not machine:
                world.fail(node, power=True)
                world.at(world.network.delay_ms[1] + self._dice.randint(*DOWN_MS), node.start)

    def _release(self) -> None:
        world = self._world
        world.blocked -= self.held
        self.held = set()
