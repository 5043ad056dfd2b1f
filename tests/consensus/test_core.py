"""The state machine, branch by branch. Height 5 of four validators: 1 leads view 0, 2 view 1, 3 view 2, 0 view 3."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import pytest

from consensus.actions import (
    Action,
    Broadcast,
    BuildProposal,
    Cancel,
    CommitBlock,
    Execute,
    ForwardWork,
    Persist,
    Reject,
    Schedule,
    Send,
    ServeBlocks,
)
from consensus.inputs import (
    Committed,
    Executed,
    PeerConnected,
    ProposalReady,
    Received,
    Started,
    Timer,
    TimerFired,
    TimerKind,
    WorkAvailable,
)
from consensus.messages import (
    BlocksRequest,
    Body,
    BodyRequest,
    CertifiedBlock,
    NewView,
    Proposal,
    Record,
    Status,
)
from consensus.state import Stage
from consensus.types import Epoch, Height, Phase, SignedVote, View
from tests.consensus.machine import BLOCK, BODY, OTHER, OTHER_BODY, Machine, validator_set

H, V0 = Height(5), View(0)
T = TypeVar("T")


def only(actions: Sequence[Action], kind: type[T]) -> list[T]:
    """Return the actions of a kind."""
    return [action for action in actions if isinstance(action, kind)]


def said(actions: Sequence[Action]) -> list[object]:
    """Return what was broadcast, without STATUS."""
    return [each.message for each in only(actions, Broadcast) if not isinstance(each.message, Status)]


def fire(machine: Machine, kind: TimerKind = TimerKind.VIEW) -> list[Action]:
    """Let the running timer of a kind fire."""
    return machine.feed(TimerFired(Timer(kind, machine.state.height, machine.state.view)))


def executed(machine: Machine, *, valid: bool = True, block: bytes = BLOCK) -> list[Action]:
    """Answer the execution of a block in the present view."""
    return machine.feed(Executed(machine.state.height, machine.state.view, block, valid))


def prepared(machine: Machine) -> Machine:
    """Bring a backup to PREPARED in view 0."""
    machine.hear(1, machine.proposal())
    executed(machine)
    for who in (1, 2):
        machine.hear(who, machine.vote(who, Phase.PREPARE))
    assert machine.state.stage is Stage.PREPARED
    return machine


# --- Normal case ---


def test_a_backup_executes_prepares_commits_and_decides() -> None:
    m = Machine()
    actions = m.hear(1, m.proposal())
    assert only(actions, Execute) == [Execute(H, V0, BLOCK, BODY)]
    assert not said(actions)

    actions = executed(m)
    own = m.vote(0, Phase.PREPARE)
    assert actions[:2] == [Persist((own,)), Broadcast(own)]  # written down first

    assert not said(m.hear(1, m.vote(1, Phase.PREPARE)))
    actions = m.hear(2, m.vote(2, Phase.PREPARE))
    own = m.vote(0, Phase.COMMIT)
    certificate = m.certificate(Phase.PREPARE, who=(0, 1, 2))
    # Body and prepared certificate are durable before COMMIT leaves.
    assert actions == [Persist((Body(H, BODY), certificate, own)), Broadcast(own)]

    m.hear(1, m.vote(1, Phase.COMMIT))
    actions = m.hear(3, m.vote(3, Phase.COMMIT))
    decided = m.certificate(Phase.COMMIT, who=(0, 1, 3))
    assert only(actions, CommitBlock) == [CommitBlock(H, BLOCK, BODY, decided)]
    assert Cancel(TimerKind.VIEW) in actions

    m.feed(Committed(H, BLOCK, m.validators, work_remaining=False))
    assert (m.state.height, m.state.view, m.state.stage, m.state.work) == (6, 0, Stage.WAITING, False)


def test_a_leader_proposes_its_block_prepares_it_and_does_not_execute_it() -> None:
    m = Machine(me=1)
    assert only(m.feed(WorkAvailable()), BuildProposal) == [BuildProposal(H, V0)]
    actions = m.feed(ProposalReady(H, V0, BLOCK, BODY))
    assert said(actions) == [m.proposal(), m.vote(1, Phase.PREPARE)]
    assert not only(actions, Execute)
    assert m.written == [Body(H, BODY), m.vote(1, Phase.PROPOSE), m.vote(1, Phase.PREPARE)]


def test_votes_that_come_before_their_proposal_count() -> None:
    m = Machine()
    for who in (1, 2, 3):
        m.hear(who, m.vote(who, Phase.PREPARE))
    m.hear(1, m.proposal())
    assert said(executed(m)) == [m.vote(0, Phase.PREPARE), m.vote(0, Phase.COMMIT)]


def test_a_single_validator_decides_alone() -> None:
    m = Machine(size=1)
    m.feed(WorkAvailable())
    assert only(m.feed(ProposalReady(H, V0, BLOCK, BODY)), CommitBlock)


def test_an_invalid_proposal_changes_the_view_at_once() -> None:
    m = Machine()
    m.hear(1, m.proposal())
    assert said(executed(m, valid=False)) == [m.view_change(0, 1)]


def test_a_verdict_that_comes_too_late_changes_nothing() -> None:
    m = Machine()
    m.hear(1, m.proposal())
    fire(m)
    assert not m.feed(Executed(H, V0, BLOCK, valid=False))
    assert m.state.view == 1


def test_votes_and_proposals_for_two_blocks_do_not_mix() -> None:
    m = Machine()
    m.hear(1, m.proposal())
    assert not only(m.hear(1, m.proposal(body=OTHER_BODY)), Execute)  # the first one stands
    executed(m)
    for who in (1, 2, 3):
        m.hear(who, m.vote(who, Phase.PREPARE, block=OTHER))
        m.hear(who, m.vote(who, Phase.PREPARE))  # a second vote of the same phase is not counted
    assert m.state.stage is Stage.PREPARING


@pytest.mark.parametrize("case", ["leader", "signature", "body", "epoch", "malformed"])
def test_a_bad_proposal_is_rejected(case: str) -> None:
    m = Machine()
    good = m.proposal()
    bad = {
        "leader": m.proposal(who=2),
        "signature": Proposal(replace(good.vote, signature=bytes(64)), BODY),
        "body": Proposal(good.vote, OTHER_BODY),
        "epoch": Proposal(m.sign(1, replace(good.vote.vote, epoch=Epoch(1))), BODY),
        "malformed": m.proposal(body=b"malformed"),
    }[case]
    assert [type(action) for action in m.hear(3, bad)] == [Reject]
    assert only(m.hear(1, good), Execute)


def test_bad_votes_are_rejected_and_not_counted() -> None:
    m = prepared(Machine())
    stranger = Machine(size=5)
    for bad in (
        replace(m.vote(1, Phase.COMMIT), signature=bytes(64)),
        stranger.vote(next(i for i, k in enumerate(stranger.validators.keys) if k not in m.validators), Phase.COMMIT),
        m.sign(1, replace(m.vote(1, Phase.COMMIT).vote, epoch=Epoch(7))),
    ):
        assert [type(action) for action in m.hear(1, bad)] == [Reject]
    assert not m.hear(1, m.vote(1, Phase.COMMIT, view=100))  # beyond the horizon
    assert not m.hear(1, m.vote(1, Phase.COMMIT, height=4))  # of the past


# --- Work and timers ---


def test_idle_is_not_faulty() -> None:
    m = Machine()
    m.feed(Started())
    assert m.state.armed is None
    actions = m.feed(WorkAvailable())
    assert Schedule(Timer(TimerKind.VIEW, H, V0), 1_000) in actions
    assert ForwardWork(m.validators.keys[1]) in actions
    assert not m.feed(WorkAvailable())


def test_work_that_remains_arms_the_next_height() -> None:
    m = prepared(Machine())
    for who in (1, 2):
        m.hear(who, m.vote(who, Phase.COMMIT))
    actions = m.feed(Committed(H, BLOCK, m.validators, work_remaining=True))
    assert only(actions, ForwardWork) == [ForwardWork(m.validators.keys[2])]
    assert Schedule(Timer(TimerKind.VIEW, Height(6), V0), 1_000) in actions


def test_timeouts_double_and_are_capped() -> None:
    m = Machine()
    assert [m.config.timeout_ms(view) for view in (0, 1, 2, 3, 40)] == [1_000, 2_000, 4_000, 5_000, 5_000]


def test_a_timer_of_another_view_or_height_does_nothing() -> None:
    m = Machine()
    m.feed(WorkAvailable())
    assert not m.feed(TimerFired(Timer(TimerKind.VIEW, Height(4), V0)))
    assert not m.feed(TimerFired(Timer(TimerKind.VIEW, H, View(1))))
    assert said(fire(m)) == [m.view_change(0, 1)]


def test_a_view_change_that_somebody_begins_is_work_for_all() -> None:
    leader = Machine(me=1)
    assert only(leader.hear(3, leader.view_change(3, 1)), BuildProposal) == [BuildProposal(H, V0)]
    backup = Machine()
    backup.hear(3, backup.view_change(3, 1))
    assert backup.state.armed == 0


# --- View change ---


def test_the_timer_of_a_new_view_runs_once_a_quorum_wants_it() -> None:
    m = Machine()
    m.feed(WorkAvailable())
    fire(m)
    assert m.state.armed == 0
    m.hear(1, m.view_change(1, 1))
    assert m.state.armed == 0
    actions = m.hear(3, m.view_change(3, 2))  # one that is further on counts
    assert Schedule(Timer(TimerKind.VIEW, H, View(1)), 2_000) in actions


def test_f_plus_one_higher_view_changes_take_a_node_along_to_the_lowest() -> None:
    m = Machine()
    m.hear(1, m.view_change(1, 4))
    assert m.state.view == 0
    assert said(m.hear(2, m.view_change(2, 2))) == [m.view_change(0, 2)]


def test_the_new_leader_opens_the_view_and_builds() -> None:
    m = Machine(me=2)
    m.hear(0, m.view_change(0, 1))
    m.hear(1, m.view_change(1, 1))  # takes us along; ours makes the quorum
    assert m.state.new_view == m.new_view(1)
    assert m.state.stage is Stage.BUILDING


def test_the_new_leader_proposes_a_prepared_block_again_byte_for_byte() -> None:
    m = Machine(me=2)
    m.hear(1, m.proposal())  # has the body, but did not prepare
    certificate = m.certificate(Phase.PREPARE, who=(0, 1, 3))
    m.hear(0, m.view_change(0, 1, certificate))
    actions = m.hear(1, m.view_change(1, 1))
    new_view, again = said(actions)[-2:]
    assert isinstance(new_view, NewView)
    assert again == m.proposal(view=1)  # the same body and hash
    assert only(actions, Execute) == [Execute(H, View(1), BLOCK, BODY)]


def test_a_leader_that_lacks_the_body_fetches_it_before_new_view() -> None:
    m = Machine(me=2)
    certificate = m.certificate(Phase.PREPARE, who=(0, 1, 3))
    m.hear(0, m.view_change(0, 1, certificate))
    actions = m.hear(1, m.view_change(1, 1))
    asked = [each for each in only(actions, Send) if isinstance(each.message, BodyRequest)]
    assert [each.message for each in asked] == [BodyRequest(H, BLOCK)]
    assert not [each for each in said(actions) if isinstance(each, NewView)]
    assert not m.hear(0, Body(H, OTHER_BODY))  # not what was asked for
    again = fire(m, TimerKind.FETCH)  # no answer: ask another
    assert only(again, Send)[0].to != asked[0].to
    assert [type(each) for each in said(m.hear(0, Body(H, BODY)))] == [NewView, Proposal]


def test_a_backup_recomputes_the_choice_and_refuses_another_block() -> None:
    m = Machine()
    certificate = m.certificate(Phase.PREPARE, who=(1, 2, 3))
    changes = (m.view_change(1, 1, certificate), m.view_change(2, 1), m.view_change(3, 1))
    m.hear(2, m.new_view(1, *changes))
    assert (m.state.view, m.state.choice, m.state.stage) == (1, BLOCK, Stage.WAITING)
    actions = m.hear(2, m.proposal(view=1, body=OTHER_BODY))
    assert not only(actions, Execute)
    assert said(actions) == [m.view_change(0, 2)]


def test_a_lying_new_view_is_rejected() -> None:
    m = Machine()
    certificate = m.certificate(Phase.PREPARE, who=(1, 2, 3))
    honest = m.new_view(1, m.view_change(1, 1, certificate), m.view_change(2, 1), m.view_change(3, 1))
    stripped = tuple(replace(each, claim=None) for each in honest.departures)
    for lie in (
        replace(honest, departures=stripped, prepared=None),
        replace(honest, prepared=None),
        replace(honest, prepared=m.certificate(Phase.PREPARE, block=OTHER, who=(1, 2, 3))),
        replace(honest, departures=honest.departures[1:]),
    ):
        assert [type(action) for action in m.hear(2, lie)] == [Reject]
    assert m.state.view == 0


def test_a_proposal_that_comes_before_its_new_view_is_kept() -> None:
    m = Machine()
    assert not m.hear(2, m.proposal(view=1))
    assert only(m.hear(2, m.new_view(1)), Execute) == [Execute(H, View(1), BLOCK, BODY)]


def test_what_is_prepared_goes_into_the_view_change() -> None:
    m = prepared(Machine())
    certificate = m.certificate(Phase.PREPARE, who=(0, 1, 2))
    assert said(fire(m)) == [m.view_change(0, 1, certificate)]
    assert m.written[-1] == m.view_change(0, 1, certificate)


def test_a_block_once_executed_is_not_executed_again_in_a_later_view() -> None:
    m = prepared(Machine())
    certificate = m.certificate(Phase.PREPARE, who=(0, 1, 2))
    m.hear(2, m.new_view(1, m.view_change(1, 1, certificate), m.view_change(2, 1), m.view_change(3, 1)))
    actions = m.hear(2, m.proposal(view=1))
    assert not only(actions, Execute)
    assert said(actions) == [m.vote(0, Phase.PREPARE, view=1)]


def test_a_node_in_view_change_prepares_nothing_but_accepts_a_certificate() -> None:
    m = Machine()
    m.hear(1, m.proposal())
    fire(m)
    assert not said(executed(m))
    for who in (1, 2, 3):
        m.hear(who, m.vote(who, Phase.PREPARE))
    assert m.state.stage is Stage.CHANGING
    for who in (1, 2):
        m.hear(who, m.vote(who, Phase.COMMIT))
    assert only(m.hear(3, m.vote(3, Phase.COMMIT)), CommitBlock)


# --- Restart ---


def restarted(machine: Machine) -> Machine:
    """Return the machine as it is after a restart."""
    return Machine(machine.size, machine.me, machine.height, records=list(machine.written))


def test_a_prepared_backup_comes_back_with_its_claim_and_its_votes() -> None:
    m = restarted(prepared(Machine()))
    m.feed(Started())
    assert (m.state.stage, m.state.armed, m.state.bodies) == (Stage.WAITING, 0, {BLOCK: BODY})
    m.hear(1, m.proposal(body=OTHER_BODY))
    assert not said(executed(m, block=OTHER))  # voted for another block before: it abstains
    certificate = m.certificate(Phase.PREPARE, who=(0, 1, 2))
    assert said(fire(m)) == [m.view_change(0, 1, certificate)]


def test_a_leader_comes_back_with_the_very_proposal_that_it_sent() -> None:
    m = Machine(me=1)
    m.feed(WorkAvailable())
    m.feed(ProposalReady(H, V0, BLOCK, BODY))
    again = restarted(m)
    actions = again.feed(Started())
    assert not only(actions, BuildProposal)
    assert said(actions) == [again.proposal()]
    assert said(executed(again)) == [again.vote(1, Phase.PREPARE)]


def test_a_node_comes_back_in_the_view_that_it_wanted() -> None:
    m = prepared(Machine())
    fire(m)
    again = restarted(m)
    again.feed(Started())
    assert (again.state.view, again.state.stage, again.state.armed) == (1, Stage.CHANGING, 1)
    assert not again.hear(1, again.proposal())  # never votes in a lower view
    certificate = again.certificate(Phase.PREPARE, who=(0, 1, 2))
    theirs = Status(H, View(1), entered=False, has_proposal=False, prepares=0, commits=0, view_changes=0)
    assert Send(again.validators.keys[2], again.view_change(0, 1, certificate)) in again.hear(2, theirs)


def test_records_of_other_heights_are_passed_over() -> None:
    m = prepared(Machine())
    later = Machine(height=6, records=list(m.written))
    assert (later.state.signed, later.state.bodies, later.state.prepared) == ({}, {}, None)


# --- Status, resending, catching up ---


def status(m: Machine, **changes: object) -> Status:
    """Return the status of a peer that holds nothing at height 5, view 0."""
    empty = Status(H, V0, entered=True, has_proposal=False, prepares=0, commits=0, view_changes=0)
    return replace(empty, **changes)  # type: ignore[arg-type]


def test_a_peer_is_sent_what_it_lacks() -> None:
    m = prepared(Machine())
    sent = [each.message for each in only(m.hear(3, status(m, prepares=0b0010)), Send)]
    assert sent == [m.vote(0, Phase.PREPARE), m.vote(2, Phase.PREPARE), m.vote(0, Phase.COMMIT)]
    assert not m.hear(3, status(m, prepares=0b0111, commits=0b0001, has_proposal=True))


def test_the_leader_resends_its_proposal_ever_more_rarely() -> None:
    m = Machine(me=1)
    m.feed(WorkAvailable())
    m.feed(ProposalReady(H, V0, BLOCK, BODY))
    sent = [any(isinstance(each.message, Proposal) for each in only(m.hear(3, status(m)), Send)) for _ in range(9)]
    assert [number for number, again in enumerate(sent, 1) if again] == [1, 2, 4, 8]


def test_a_peer_in_a_lower_view_is_sent_the_new_view() -> None:
    m = Machine()
    m.hear(2, m.new_view(1))
    assert only(m.hear(3, status(m)), Send)[0].message == m.new_view(1)
    waiting = status(m, view=View(1), entered=False)
    assert only(m.hear(3, waiting), Send)[0].message == m.new_view(1)


def test_a_peer_behind_is_told_and_served() -> None:
    m = Machine()
    sent = only(m.hear(3, status(m, height=Height(2))), Send)
    assert [type(each.message) for each in sent] == [Status]
    assert m.hear(3, BlocksRequest(Height(2), 3)) == [ServeBlocks(m.validators.keys[3], Height(2), 3)]
    assert m.hear(3, BodyRequest(Height(4), BLOCK)) == [ServeBlocks(m.validators.keys[3], Height(4), 1)]


def test_status_goes_out_often_only_while_a_height_is_open() -> None:
    m = Machine()
    m.feed(Started())
    assert Schedule(Timer(TimerKind.STATUS, H, V0), 1_000) in fire(m, TimerKind.STATUS)
    assert Schedule(Timer(TimerKind.STATUS, H, V0), 100) in m.hear(2, m.vote(2, Phase.PREPARE))
    assert m.state.armed is None  # but a vote is no work


def test_a_node_far_behind_asks_applies_in_order_and_rotates() -> None:
    m = Machine()
    ahead = [type(each) for each in m.hear(3, status(m, height=Height(6)))]
    assert not ahead  # one height is a matter of moments
    assert only(fire(m, TimerKind.STATUS), Send) == [Send(m.validators.keys[3], BlocksRequest(H, 16))]
    m.hear(2, status(m, height=Height(9)))
    assert Send(m.validators.keys[2], BlocksRequest(H, 16)) in fire(m, TimerKind.FETCH)

    six = Machine(height=6)
    later = CertifiedBlock(OTHER_BODY, six.certificate(Phase.COMMIT, block=OTHER))
    assert not m.hear(2, later)
    actions = m.hear(2, CertifiedBlock(BODY, m.certificate(Phase.COMMIT)))
    assert only(actions, CommitBlock)[0].height == 5
    actions = m.feed(Committed(H, BLOCK, m.validators, work_remaining=False))
    assert only(actions, CommitBlock)[0].block_hash == OTHER
    actions = m.feed(Committed(Height(6), OTHER, m.validators, work_remaining=False))
    assert only(actions, Send) == [Send(m.validators.keys[2], BlocksRequest(Height(7), 16))]


def test_one_who_is_no_validator_yet_is_asked_for_blocks_too() -> None:
    m = Machine()
    fresh = [bytes([number]) * 32 for number in (1, 2, 3)]
    for key in fresh:
        assert not m.feed(Received(key, status(m, height=Height(6))))
    assert set(m.state.heights) == set(fresh[:2])  # of those who are none, few are remembered
    asked = only(fire(m, TimerKind.STATUS), Send) + only(fire(m, TimerKind.FETCH), Send)
    assert asked == [Send(key, BlocksRequest(H, 16)) for key in fresh[:2]]
    assert not only(fire(m, TimerKind.FETCH), Send)
    assert only(m.feed(Received(fresh[0], CertifiedBlock(BODY, m.certificate(Phase.COMMIT)))), CommitBlock)


def test_certified_blocks_that_prove_nothing_are_rejected() -> None:
    m = Machine()
    for bad in (
        CertifiedBlock(BODY, m.certificate(Phase.COMMIT, who=(1, 2))),
        CertifiedBlock(OTHER_BODY, m.certificate(Phase.COMMIT)),
        CertifiedBlock(BODY, m.certificate(Phase.PREPARE)),
    ):
        assert [type(action) for action in m.hear(1, bad)] == [Reject]
    assert not m.hear(1, CertifiedBlock(BODY, Machine(height=9).certificate(Phase.COMMIT)))  # nobody asked for it
    assert not m.state.fetched


def test_a_certificate_without_its_body_fetches_it() -> None:
    m = Machine()
    for who in (1, 2):
        m.hear(who, m.vote(who, Phase.COMMIT))
    actions = m.hear(3, m.vote(3, Phase.COMMIT))
    assert [each.message for each in only(actions, Send)] == [BodyRequest(H, BLOCK)]
    assert only(m.hear(1, Body(H, BODY)), CommitBlock)


def test_messages_for_the_next_height_are_kept_within_bounds() -> None:
    m = prepared(Machine())
    six = Machine(height=6)
    m.hear(2, six.proposal())
    for view in range(200):
        m.hear(3, six.vote(3, Phase.PREPARE, view=view))
    assert len(m.state.ahead.take()) == 1 + 64
    m.hear(2, six.proposal())
    for who in (1, 2):
        m.hear(who, m.vote(who, Phase.COMMIT))
    actions = m.feed(Committed(H, BLOCK, m.validators, work_remaining=False))
    assert only(actions, Execute) == [Execute(Height(6), V0, BLOCK, BODY)]


def test_the_validators_of_the_next_height_come_with_the_commit() -> None:
    m = prepared(Machine())
    for who in (1, 2):
        m.hear(who, m.vote(who, Phase.COMMIT))
    m.feed(Committed(H, BLOCK, validator_set(7, epoch=1), work_remaining=False))
    assert (m.state.validators.size, m.state.validators.epoch) == (7, 1)
    old = Machine(height=6).vote(3, Phase.PREPARE)
    assert [type(action) for action in m.hear(3, old)] == [Reject]


def test_one_that_is_no_validator_follows_and_says_nothing() -> None:
    m = Machine(size=4, me=0)
    m.validators = validator_set(4)
    m.config = replace(m.config, me=b"\xff" * 32)
    m.state.config = m.config
    m.feed(WorkAvailable())
    m.hear(1, m.proposal())
    assert not said(executed(m))
    for who in (1, 2):
        m.hear(who, m.vote(who, Phase.COMMIT))
    assert only(m.hear(3, m.vote(3, Phase.COMMIT)), CommitBlock)
    assert m.state.armed is None


def test_a_peer_that_connects_hears_where_we_stand() -> None:
    m = Machine()
    key = m.validators.keys[2]
    sent = only(m.feed(PeerConnected(key)), Send)
    assert [(each.to, type(each.message)) for each in sent] == [(key, Status)]


def test_every_own_vote_is_written_before_it_leaves() -> None:
    m = Machine(me=1)
    m.feed(WorkAvailable())
    actions = m.feed(ProposalReady(H, V0, BLOCK, BODY))
    written: list[Record] = []
    for action in actions:
        if isinstance(action, Persist):
            written += action.records
        if isinstance(action, Broadcast) and isinstance(action.message, SignedVote):
            assert action.message in written
        if isinstance(action, Broadcast) and isinstance(action.message, Proposal):
            assert action.message.vote in written
