"""One seed, one run: trouble of every kind for a while, and in the mode *liveness* calm, in which everything commits.

safety     anything goes, as long as at most f members of every epoch are faulty
liveness   then the network heals, everybody starts, and everything that was submitted must commit everywhere
"""

from __future__ import annotations

import random
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal
from unittest import mock

from consensus.state import Stage
from node.driver import DriverConfig, compact
from tests.simulation.adversary import FaultyNode
from tests.simulation.ambush import Ambush
from tests.simulation.behaviours import BEHAVIOURS
from tests.simulation.cluster import DOMAIN, NetworkModel
from tests.simulation.disk import DiskLog
from tests.simulation.judge import Judge
from tests.simulation.ledger import BODY_FORMAT, admit, hash_of_body, remove, rotate
from tests.simulation.node import MAX_BODY_BYTES, Node
from tests.simulation.signatures import remembered
from tests.simulation.trace import tell
from tests.simulation.treachery import Treacherous
from tests.simulation.watch import Comeback, Violation
from tests.simulation.world import Machine, Twin, World

Mode = Literal["safety", "liveness"]
MODES: tuple[Mode, ...] = ("safety", "liveness")
TROUBLE_MS = (5_000, 12_000, 20_000, 30_000)
CALM_MS = 60_000  # by then everything must be committed everywhere; most runs need two seconds
SIZES = (1, 2, 3, *[4] * 14, *[5] * 4, *[6] * 3, *[7] * 6, 10)
LAST = 4  # transactions after all that, each alone, so that several leaders meet an idle street
JOIN_MS = 3_000  # in which everybody has heard of everybody's view change: STATUS goes out every 200 or 2,000 ms
CLIENTS_MS = 2_000  # how often clients look for what they sent
AMBUSHED = 0.4  # of all runs
TREACHEROUS = 0.8  # of the faulty nodes in such a run
TRACE_LINES = 60


@dataclass(frozen=True)
class Outcome:
    """What a run gave.

    Args:
        seed, mode: of the run.
        violation: what did not hold, or None.
        counts: how often what was exercised.
        trace: the last events before the violation.
        digest: of everything that happened, for comparing runs.
    """

    seed: int
    mode: Mode
    violation: str | None
    counts: Counter[str]
    trace: list[str] = field(default_factory=list)
    digest: str = ""

    @property
    def replay(self) -> str:
        """The command that plays it again."""
        return f"python -m tests.simulation {self.seed} --mode {self.mode}"


def mode_of(seed: int) -> Mode:
    """Return the mode in which a seed is played unless one is asked for."""
    return MODES[seed % len(MODES)]


def run(seed: int, mode: Mode | None = None) -> Outcome:
    """Play a seed.

    Args:
        seed: decides everything that happens.
        mode: "safety" or "liveness"; by the seed, if it is None.
    """
    simulation = Simulation(seed, mode or mode_of(seed))
    return simulation.run()


class Simulation:
    """A run of a world with a plan of troubles, all drawn from the seed."""

    def __init__(self, seed: int, mode: Mode) -> None:
        self.seed = seed
        self.mode = mode
        self.dice = dice = random.Random(f"{seed} {mode}")
        size = dice.choice(SIZES)
        self.smallest = dice.choice((size, size, max(1, size - 1), max(1, size - 3)))
        config = DriverConfig(
            domain=DOMAIN,
            hash_of_body=hash_of_body,
            max_body_bytes=MAX_BODY_BYTES,
            # Timeouts shorter than the delays make for many views; the doubling brings longer ones.
            view_timeout_ms=dice.choice((1_000, 1_000, 400, 100)),
            max_view_timeout_ms=8_000,
            status_ms=200,
            heartbeat_ms=dice.choice((0, 0, 0, 700)),
            body_format=dice.choice((None, BODY_FORMAT)),
        )
        network = NetworkModel(
            delay_ms=(1, dice.choice((20, 100, 400))),
            loss=dice.choice((0, 0.05, 0.2)),
            duplicate=dice.choice((0, 0.1, 0.3)),
        )
        self.world = World(size, dice, network, config, self.smallest)
        self.world.work_ms = dice.choice(((1, 10), (1, 10), (1, 300), (1, 1_500)))
        self.world.power_cut = self._power_cut
        self.counts = self.world.counts
        self.counts["compact proposals"] += config.body_format is not None
        self.counts["heartbeats"] += config.heartbeat_ms > 0
        self.trouble_ms = dice.choice(TROUBLE_MS)
        self.budget = (self.smallest - 1) // 3  # members of any epoch that may be faulty
        self.ambush = Ambush(self.world, dice) if size > 1 and dice.random() < AMBUSHED else None
        self._numbers = 0
        self.slowest_ms = 0
        self._populate(size)

    # --- who takes part ---

    def _populate(self, size: int) -> None:
        world, dice = self.world, self.dice
        joiners = dice.choice((0, 0, 1, 2, 3))
        faulty = dice.choice((self.budget, self.budget, dice.randint(0, self.budget)))
        self.budget -= faulty
        places = dice.sample(range(size + min(joiners, 1)), faulty)
        for index in range(size + joiners):
            key = world.new_key()
            if index not in places:
                self._add(Machine(world, index, key))
                continue
            world.watch.liars.add(bytes(key.verify_key))
            if dice.random() < (0.25 if self.ambush is None else 0.1):
                self.counts["twins"] += 1
                self._add(Twin(world, len(world.nodes), key, world.adversary))
                self._add(Twin(world, len(world.nodes), key, world.adversary))
            else:
                self._add(self._byzantine(FaultyNode(world, len(world.nodes), key, world.adversary)))
        world.genesis = tuple(sorted({node.key for node in world.nodes if self._founder(node, size)}))
        world.watch.judge = Judge(world.genesis, self.smallest)
        for node in world.nodes:
            dishonest_clock = dice.random() < (0.2 if self.mode == "safety" else 0)
            node.skew_ms = dice.randint(-5_000, 5_000) if dishonest_clock else dice.randint(-600, 600)
            node.tempo = dice.choice((1.0, dice.uniform(0.8, 1.25)))
            self.counts["skewed clocks"] += abs(node.skew_ms) > 500
            self.counts["drifting clocks"] += node.tempo != 1.0
        self.counts[f"{size} validators"] += 1

    def _add(self, node: Node) -> None:
        node.index = len(self.world.nodes)
        if isinstance(node, FaultyNode):
            node.log = DiskLog(self.world.disks, f"{node.index}-0", node.key)
        self.world.add(node)

    def _founder(self, node: Node, size: int) -> bool:
        keys = list(dict.fromkeys(each.key for each in self.world.nodes))
        return keys.index(node.key) < size

    def _byzantine(self, node: FaultyNode) -> FaultyNode:
        if self.ambush is not None and self.dice.random() < TREACHEROUS:
            self.counts["byzantine: treacherous"] += 1
            node.behaviours = [Treacherous(node)]
            return node
        kinds = self.dice.sample(sorted(BEHAVIOURS), self.dice.choice((1, 1, 2, 3)))
        for kind in kinds:
            self.counts[f"byzantine: {kind}"] += 1
        node.behaviours = [BEHAVIOURS[kind](node) for kind in kinds]
        return node

    # --- the run ---

    def run(self) -> Outcome:
        """Play the seed."""
        violation, trace = None, []
        with self.world.disks.installed(), remembered(), mock.patch.object(compact, "SPARED_BYTES", 0):
            try:
                self._trouble()
                if self.mode == "liveness":
                    self._calm()
                self.world.check_ends()
            except Violation as error:
                violation, trace = str(error), tell(self.world, TRACE_LINES)
            except Exception as error:  # whatever a peer sends, nothing of ours may raise
                violation = f"{type(error).__name__}: {error}"
                trace = [*tell(self.world, TRACE_LINES), *traceback.format_exception(error)]
        world = self.world
        self.counts["heights"] = len(world.watch.blocks)
        self.counts["view changes"] = sum(world.watch.views.values())
        self.counts["evidence"] = world.watch.counts["evidence"]
        self.counts["blamed"] = len(world.watch.blamed)
        self.counts["epochs"] = max((each.epoch for each in world.watch.validators.values()), default=0)
        self.counts.update({f"sent: {name}": number for name, number in world.adversary.counts.items()})
        return Outcome(self.seed, self.mode, violation, self.counts, trace, self._digest())

    def _digest(self) -> str:
        from hashlib import sha256

        told = repr((sorted(self.counts.items()), sorted(self.world.watch.blocks.items()), list(self.world.trace)))
        return sha256(told.encode()).hexdigest()

    def _sometime(self, act: Callable[[], None], share: float = 1.0) -> None:
        self.world.at(self.dice.randrange(round(self.trouble_ms * share)), act)

    def _trouble(self) -> None:
        world, dice = self.world, self.dice
        world.disk_fault(dice.choice((0, 0, 0.002, 0.01)), dice)
        for node in world.nodes:
            world.at(dice.choice((0, 0, dice.randrange(3_000))), node.start)
        for _ in range(dice.choice((6, 20, 40))):
            self._sometime(self._trade)
        for act in self._changes():
            self._sometime(act, 0.8)
        for _ in range(dice.randint(0, self.trouble_ms // 2_500)):
            self._sometime(dice.choice((self._partition, self._partition, self._one_way, self._isolate)))
            self._sometime(self._heal)
        for _ in range(dice.randint(0, self.trouble_ms // 2_500)):
            self._sometime(dice.choice((self._kill, self._kill, self._power_out, self._outage)))
        for _ in range(dice.choice((0, 0, 1))):
            self._sometime(self._backup, 0.6)
        if dice.random() < 0.3:
            self._sometime(self._cut_off)
        world.run(self.trouble_ms)

    def _calm(self) -> None:
        world = self.world
        world.note(world.nodes[0], "calm begins")
        world.disk_fault(0, self.dice)
        world.network = NetworkModel()
        world.work_ms = (1, 10)
        if self.ambush is not None:
            self.ambush.lift()
        self._heal()
        for node in world.nodes:
            node.start()
        begun_ms = world.now_ms
        world.at(JOIN_MS, lambda: self._join({}))
        world.run_until(self._steady, CALM_MS)
        self._clients()
        for number in range(LAST):
            world.submitted.append(b"last %d" % number)
            world.run_until(lambda: self._settled(world.submitted), CALM_MS)
        self.slowest_ms = world.now_ms - begun_ms
        self.counts["healed"] += 1

    def _join(self, wanted: dict[int, tuple[int, int]]) -> None:
        """Nobody stays long in a view when f+1 honest machines of its height have gone on to higher ones (§4.5.2).

        Args:
            wanted: the height at which each was, and the view that it should have reached by now.
        """
        voters = [node for node in self._connected if node.running and node.driver._state.voting]
        for node in voters:
            height, view = wanted.get(node.index, (0, 0))
            if node.driver.height == height and node.driver.view < view and node.driver.stage is not Stage.DECIDED:
                raise Violation(
                    f"node {node.index} stays in view {node.driver.view}, f+1 others are in {view} or above"
                )
        following: dict[int, tuple[int, int]] = {}
        for node in voters:
            views = sorted(each.driver.view for each in voters if each.driver.height == node.driver.height)
            faults = node.driver.validators.faults
            if len(views) > faults:
                following[node.index] = (node.driver.height, views[-1 - faults])
        self.world.at(JOIN_MS, lambda: self._join(following))

    @property
    def _connected(self) -> list[Machine]:
        """The honest machines of which something may be expected."""
        return [node for node in self.world.machines if not node.cut_off]

    def _steady(self) -> bool:
        """All run, stand at one height, and no epoch change is pending."""
        machines = self._connected
        if not all(node.running for node in machines):
            return False
        ledgers = [self.world.ledger(node.index) for node in machines]
        return len({each.head_height for each in ledgers}) <= 1 and not any(each.unsettled for each in ledgers)

    def _settled(self, transactions: list[bytes]) -> bool:
        """And these transactions are committed everywhere."""
        if not self._steady():
            return False
        ledgers = [self.world.ledger(node.index) for node in self._connected]
        return all(ledger.holds(transaction) for ledger in ledgers for transaction in transactions)

    # --- what clients do ---

    def _trade(self) -> None:
        """Give a transaction to one pool, or to some."""
        self._numbers += 1
        self._spread(b"tx %d" % self._numbers)

    def _spread(self, transaction: bytes) -> None:
        nodes = self.world.nodes
        some = self.dice.choice((1, 1, self.dice.randint(1, len(nodes))))
        self.counts["transactions that reach one pool"] += some == 1
        self.world.submitted.append(transaction)
        for node in self.dice.sample(nodes, some):
            node.submit(transaction)

    def _clients(self) -> None:
        """Whatever is neither committed nor in any pool, somebody gives to one honest member: one pool must do."""
        self.world.at(CLIENTS_MS, self._clients)
        machines = [node for node in self._connected if node.running]
        members = [node for node in machines if node.key in node.trusted]
        for transaction in self.world.submitted:
            known = any(node.application.holds(transaction) for node in machines)
            waits = any(transaction in node.application.pending() for node in members)
            if members and not known and not waits:
                self.dice.choice(members).submit(transaction)

    def _changes(self) -> list[Callable[[], None]]:
        """Return what members are to vote in this run: late ones join, some leave, some take another key."""
        world, dice = self.world, self.dice
        acts: list[Callable[[], None]] = []
        for key in dict.fromkeys(node.key for node in world.nodes):
            if key not in world.genesis and dice.random() < 0.9:
                acts.append(lambda key=key: self._change("admissions", admit(key)))  # type: ignore[misc]
        for _ in range(dice.choice((0, 0, 1, 2))):
            node = dice.choice(world.nodes)
            acts.append(lambda node=node: self._change("removals", remove(node.key)))  # type: ignore[misc]
        for _ in range(dice.choice((0, 0, 1, 2))):
            machine = dice.choice(world.machines) if world.machines else None
            if machine is not None:
                acts.append(lambda machine=machine: self._rotate(machine))  # type: ignore[misc]
        return acts

    def _change(self, name: str, transaction: bytes) -> None:
        self.counts[name] += 1
        if transaction not in self.world.submitted:
            self._spread(transaction)

    def _rotate(self, machine: Machine) -> None:
        fresh = self.world.new_key()
        old = bytes(machine.identities[-1].verify_key)
        machine.identities.append(fresh)
        self._change("rotations asked", rotate(old, bytes(fresh.verify_key)))

    # --- what the world does ---

    def _partition(self) -> None:
        self.counts["partitions"] += 1
        indices = list(range(len(self.world.nodes)))
        self.dice.shuffle(indices)
        where = self.dice.randint(0, len(indices))
        self.world.partition(indices[:where], indices[where:])
        self._hold()
        self._note(f"partition {sorted(indices[:where])} {sorted(indices[where:])}")

    def _one_way(self) -> None:
        """Some hear others who do not hear them."""
        self.counts["one-way cuts"] += 1
        indices = range(len(self.world.nodes))
        share = self.dice.choice((0.1, 0.3, 0.5))
        self.world.blocked |= {(a, b) for a in indices for b in indices if a != b and self.dice.random() < share}
        self._note("one-way cuts")

    def _isolate(self) -> None:
        """One node does not hear anybody, or nobody hears it."""
        self.counts["one-way cuts"] += 1
        self.world.blocked |= self._one_sided(self.dice.choice(self.world.nodes).index)

    def _one_sided(self, index: int) -> set[tuple[int, int]]:
        others = [node.index for node in self.world.nodes if node.index != index]
        into, out = {(other, index) for other in others}, {(index, other) for other in others}
        self._note(f"{index} is cut off")
        return self.dice.choice((into, out, into | out))

    def _cut_off(self) -> None:
        """A partition that does not heal: one node counts as faulty from now on."""
        if self.mode == "liveness" and self.budget < 1:
            return
        self.budget -= 1
        node = self.dice.choice(self.world.nodes)
        if isinstance(node, Machine):
            node.cut_off = True
        self.counts["permanent partitions"] += 1
        self._permanent = self._one_sided(node.index)
        self.world.blocked |= self._permanent

    _permanent: set[tuple[int, int]] = frozenset()  # type: ignore[assignment]

    def _heal(self) -> None:
        self._note("heals")
        self.world.heal()
        self.world.blocked = set(self._permanent)
        self._hold()

    def _hold(self) -> None:
        """Keep up what no other trouble may undo."""
        if self.ambush is not None:
            self.world.blocked |= self.ambush.held

    def _power_cut(self, node: Node) -> None:
        self.world.fail(node, power=True)
        self.world.at(self.dice.randint(20, 2_000), node.start)

    def _kill(self) -> None:
        node = self.dice.choice(self.world.nodes)
        self.world.fail(node, power=False)
        self.world.at(self.dice.randint(20, 2_000), node.start)

    def _power_out(self) -> None:
        self._power_cut(self.dice.choice(self.world.nodes))

    def _outage(self) -> None:
        """The whole street loses its power at once."""
        self.counts["outages of all"] += 1
        for node in self.world.nodes:
            self._power_cut(node)

    def _backup(self) -> None:
        """Copy a node's disk now, and put the copy back later."""
        machines = [node for node in self.world.machines if node.starts]
        if self.smallest < 2:
            return  # who votes alone has nobody to ask what it has forgotten
        if not machines or (self.mode == "liveness" and self.budget < 1):
            return
        self.budget -= 1
        node = self.dice.choice(machines)
        height = len(self.world.databases[node.index].blocks)
        with_log = self.dice.choice((True, True, False))
        folder = f"{node.index}-{node.place}"
        content = self.world.disks.copy(folder) if with_log else None
        self.world.at(self.dice.randint(200, 4_000), lambda: self._put_back(node, height, folder, content))

    def _put_back(self, node: Machine, height: int, folder: str, content: bytes | None) -> None:
        machines = [each for each in self.world.machines if each.starts]
        self.counts["stale backups"] += 1
        self.world.note(node, f"is restored to height {height}")
        node.crash()
        self.world.databases[node.index].cut(height)
        for other in self.world.disks.folders(f"{node.index}-"):
            self.world.disks.put(other, content if other == folder else None)
        node.committed_height = height
        node.restored = True
        self.world.watch.comebacks[node.index] = Comeback(
            {
                each.index: each.driver.height if each.running else each.committed_height + 1
                for each in machines
                if each is not node
            }
        )
        # It may have forgotten votes that nobody who answers has heard of; so it may contradict itself.
        self.world.watch.liars |= {bytes(key.verify_key) for key in node.identities}
        # Later than anything that was sent to the life before, which might answer a question of this one.
        self.world.at(self.world.network.delay_ms[1] + self.dice.randint(20, 1_000), node.start)

    def _note(self, what: str) -> None:
        self.world.note(self.world.nodes[0], what)


def replayed(outcome: Outcome) -> Outcome:
    """Return what the same seed gives again."""
    return replace(run(outcome.seed, outcome.mode))
