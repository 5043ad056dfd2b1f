"""A restarted validator asks what others hold of its votes, and does not vote where it has forgotten some."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from consensus.actions import Action, Broadcast, BuildProposal, ForwardWork, Send
from consensus.inputs import (
    Committed,
    Executed,
    PeerConnected,
    ProposalReady,
    Started,
    Timer,
    TimerFired,
    TimerKind,
    WorkAvailable,
)
from consensus.messages import Proposal, Recall, Recalled, Status, ViewChange
from consensus.state import Recollection, Stage, recover
from consensus.types import Height, Phase, SignedVote, View
from tests.consensus.machine import BLOCK, BODY, OTHER, Machine

H, V0 = Height(5), View(0)


def restarted(machine: Machine, *, marked: bool = False) -> Machine:
    """Return the machine as a process begins: it asks before it votes."""
    fresh = Machine(machine.size, machine.me, machine.height, records=list(machine.written))
    fresh.state = recover(fresh.config, H, fresh.validators, fresh.records, Recollection(marked))
    fresh.feed(Started())
    return fresh


def said(actions: Sequence[Action]) -> list[object]:
    """Return what was broadcast beside STATUS and RECALL."""
    messages = [each.message for each in actions if isinstance(each, Broadcast)]
    return [each for each in messages if not isinstance(each, Status | Recall)]


def executed(machine: Machine, block: bytes = BLOCK) -> list[Action]:
    """Answer the execution of a block."""
    return machine.feed(Executed(machine.state.height, machine.state.view, block, True))


def test_no_vote_leaves_before_a_quorum_has_answered() -> None:
    m = restarted(Machine())
    m.hear(1, m.proposal())
    assert not said(executed(m))
    assert not said(m.hear(1, Recalled(H, ())))
    assert said(m.hear(2, Recalled(H, ()))) == [m.vote(0, Phase.PREPARE)]


def test_what_the_log_holds_may_be_recalled() -> None:
    before = Machine()
    before.hear(1, before.proposal())
    executed(before)
    m = restarted(before)
    m.hear(1, Recalled(H, (m.vote(0, Phase.PREPARE),)))
    m.hear(2, Recalled(H, ()))
    assert m.state.voting


def test_a_forgotten_vote_bars_its_height() -> None:
    m = restarted(Machine())
    m.hear(1, Recalled(H, (m.vote(0, Phase.PREPARE, block=OTHER),)))
    m.hear(2, Recalled(H, ()))
    m.hear(1, m.proposal())
    assert not said(executed(m))
    for who in (1, 2):
        m.hear(who, m.vote(who, Phase.COMMIT))
    m.hear(3, m.vote(3, Phase.COMMIT))
    actions = m.feed(Committed(H, BLOCK, m.validators, work_remaining=True))
    assert m.state.voting
    assert any(isinstance(action, BuildProposal) for action in actions) == (m.state.leader == m.config.me)


def test_answers_that_come_after_the_decision_change_no_view() -> None:
    m = restarted(Machine())
    m.hear(1, m.proposal())
    executed(m)
    for who in (1, 2, 3):
        m.hear(who, m.vote(who, Phase.COMMIT))
    for who in (2, 3):
        m.hear(who, m.view_change(who, 1))  # f + 1 want a higher view
    for who in (1, 2):
        assert not m.hear(who, Recalled(H, ()))
    assert m.state.stage is Stage.DECIDED
    m.feed(Committed(H, BLOCK, m.validators, work_remaining=False))
    assert m.state.voting


def test_a_forgotten_vote_that_comes_late_bars_too() -> None:
    m = Machine()
    m.hear(2, m.vote(0, Phase.COMMIT, block=OTHER))
    m.hear(1, m.proposal())
    assert not said(executed(m))
    changed = Machine()
    changed.hear(2, changed.view_change(0, 3))
    assert not changed.state.voting


@pytest.mark.parametrize(
    ("size", "me", "told"), [(4, 0, (1, 2)), (4, 1, (2, 3)), (7, 5, (6, 0, 1)), (3, 2, (0,)), (1, 0, ())]
)
def test_one_who_does_not_vote_tells_f_plus_one_leaders_of_work(size: int, me: int, told: tuple[int, ...]) -> None:
    m = restarted(Machine(size, me), marked=True)
    m.state.barred = H
    actions = m.feed(WorkAvailable())
    assert [each.leader for each in actions if isinstance(each, ForwardWork)] == [
        m.validators.keys[who] for who in told
    ]


def test_nobody_can_bar_us_with_a_vote_that_we_did_not_sign() -> None:
    m = restarted(Machine())
    forged = SignedVote(m.vote(0, Phase.PREPARE).vote, m.validators.keys[0], bytes(64))
    m.hear(1, Recalled(H, (forged, m.vote(2, Phase.COMMIT))))
    m.hear(2, Recalled(Height(2**40), (m.vote(0, Phase.PREPARE, height=4),)))
    assert m.state.voting


def test_a_restored_node_votes_above_what_a_quorum_of_others_reports() -> None:
    m = restarted(Machine(), marked=True)
    m.hear(1, Recalled(H, ()))
    m.hear(2, Recalled(H, ()))
    assert m.state.recall is not None  # with the marker three others are needed
    m.hear(3, Recalled(H, ()))
    assert m.state.recall is None
    assert (m.state.barred, m.state.voting) == (5, False)


def test_a_reported_height_counts_when_our_own_chain_has_reached_it() -> None:
    m = restarted(Machine(), marked=True)
    for who, height in ((1, 5), (2, 6), (3, 5)):
        m.hear(who, Recalled(Height(height), ()))
    assert m.state.recall is not None
    m.hear(1, m.proposal())
    for who in (1, 2, 3):
        m.hear(who, m.vote(who, Phase.COMMIT))
    m.feed(Committed(H, BLOCK, m.validators, work_remaining=False))
    assert m.state.recall is None
    assert (m.state.barred, m.state.voting) == (6, False)


def test_a_log_that_is_ahead_of_the_database_bars_what_it_has_signed() -> None:
    six = Machine(height=6)
    behind = recover(six.config, H, six.validators, [six.vote(0, Phase.PREPARE)])
    assert (behind.barred, behind.voting) == (6, False)


def test_one_alone_needs_nobody() -> None:
    m = restarted(Machine(size=1))
    assert m.state.voting
    assert any(isinstance(action, BuildProposal) for action in m.feed(WorkAvailable()))


def test_it_asks_again_and_whoever_connects() -> None:
    m = restarted(Machine())
    fired = m.feed(TimerFired(Timer(TimerKind.STATUS, H, V0)))
    assert Broadcast(Recall()) in fired
    key = m.validators.keys[2]
    assert Send(key, Recall()) in m.feed(PeerConnected(key))


def test_a_peer_is_told_its_votes_once_between_two_statuses() -> None:
    m = Machine()
    change = m.view_change(2, 1)
    m.hear(2, m.vote(2, Phase.PREPARE))
    m.hear(2, change)
    answer = Send(m.validators.keys[2], Recalled(H, (m.vote(2, Phase.PREPARE), change.vote)))
    assert m.hear(2, Recall()) == [answer]
    assert not m.hear(2, Recall())
    m.feed(TimerFired(Timer(TimerKind.STATUS, H, V0)))
    assert m.hear(2, Recall()) == [answer]


def test_a_prepared_one_comes_back_and_still_claims_it() -> None:
    before = Machine()
    before.hear(1, before.proposal())
    executed(before)
    for who in (1, 2):
        before.hear(who, before.vote(who, Phase.PREPARE))
    m = restarted(before)
    for who in (1, 2):
        m.hear(who, Recalled(H, ()))
    changes = said(m.feed(TimerFired(Timer(TimerKind.VIEW, H, V0))))
    assert [type(each) for each in changes] == [ViewChange]
    assert isinstance(changes[0], ViewChange)
    assert changes[0].prepared == before.state.prepared


def test_an_idle_leader_beats_only_if_it_is_told_to() -> None:
    beat = TimerFired(Timer(TimerKind.HEARTBEAT, H, V0))
    leader, backup = Machine(me=1), Machine()
    assert [type(action) for action in leader.feed(beat)] == [BuildProposal]
    assert not backup.feed(beat)
    assert not any(getattr(each, "timer", None) == beat.timer for each in Machine().feed(Started()))
    m = Machine()
    m.config = m.state.config = replace(m.config, heartbeat_ms=700)
    assert any(getattr(each, "timer", None) == beat.timer for each in m.feed(Started()))


def test_an_own_proposal_that_comes_back_early_is_not_taken_twice() -> None:
    before = Machine(me=2)  # who leads view 1
    new_view = before.new_view(1, *(before.view_change(who, 1) for who in (0, 1, 3)))
    before.hear(0, new_view)
    before.feed(ProposalReady(H, View(1), BLOCK, BODY))
    m = restarted(before)
    for who in (0, 1):
        m.hear(who, Recalled(H, ()))
    m.hear(3, before.proposal(view=1))  # a peer replays it before the NEW-VIEW is there again
    actions = m.hear(0, new_view)
    assert [each for each in said(actions) if isinstance(each, Proposal)] == [before.proposal(view=1)]
    assert m.state.proposal == before.proposal(view=1)
