"""STATUS among many validators: it must not draw n answers of n votes, and still nothing is lost for good."""

from __future__ import annotations

from consensus.actions import Schedule, Send
from consensus.inputs import Started, TimerKind, WorkAvailable
from consensus.messages import Status
from consensus.sync import CROWD, IDLE_FACTOR, RELAYS
from consensus.types import Height, Phase, SignedVote, View
from tests.consensus.machine import Machine
from tests.simulation.cluster import Cluster, NetworkModel

SIZE = 31
EMPTY = Status(Height(5), View(0), entered=True, has_proposal=True, prepares=0, commits=0, view_changes=0)


def sent_votes(machine: Machine, asker: int) -> int:
    """Return how many votes an empty STATUS of a validator draws from this one."""
    actions = machine.hear(asker, EMPTY)
    return sum(isinstance(action, Send) and isinstance(action.message, SignedVote) for action in actions)


def holding(me: int, *voters: int) -> Machine:
    """Return a validator that holds the PREPAREs of some."""
    machine = Machine(size=SIZE, me=me)
    for voter in voters:
        machine.hear(voter, machine.vote(voter, Phase.PREPARE))
    return machine


def test_a_few_in_turn_send_all_that_a_peer_lacks() -> None:
    asker, voters = 9, (3, 4, 5, 6, 7)
    machines = [holding(me, *(each for each in voters if each != me)) for me in range(SIZE) if me != asker]
    drawn = [[sent_votes(machine, asker) > 1 for machine in machines] for _ in range(SIZE)]
    assert {sum(once) for once in drawn} <= {RELAYS, RELAYS - 1}  # the asker's own turn draws one less
    assert all(any(once[place] for once in drawn[: SIZE // RELAYS + 1]) for place in range(SIZE - 1))


def test_few_validators_all_send_all() -> None:
    machine = Machine(size=CROWD, me=0)
    machine.hear(3, machine.vote(3, Phase.PREPARE))
    machine.hear(4, machine.vote(4, Phase.PREPARE))
    assert [sent_votes(machine, 9) for _ in range(3)] == [2, 2, 2]


def test_status_goes_out_less_often_the_more_there_are() -> None:
    def delays(size: int) -> list[int]:
        machine = Machine(size=size, me=0)
        actions = [*machine.feed(Started()), *machine.feed(WorkAvailable())]
        return [
            action.delay_ms // machine.config.status_ms
            for action in actions
            if isinstance(action, Schedule) and action.timer.kind is TimerKind.STATUS
        ]

    assert delays(4) == [IDLE_FACTOR, 1]
    assert delays(100) == [IDLE_FACTOR, 100 // CROWD]


def test_a_crowd_with_silent_members_and_loss_commits() -> None:
    cluster = Cluster(size=13, seed=2, network=NetworkModel(delay_ms=(1, 40), loss=0.2))
    cluster.start(*range(10))
    for number in range(4):
        cluster.submit(b"transaction %d" % number, *range(10))
        cluster.run_until(cluster.all_committed, 300_000)
    cluster.check_ends()
