"""Whoever signs two things is found out by whoever holds both; nobody else ever is."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.actions import Action, ReportEvidence, Send
from consensus.evidence import conflict
from consensus.types import Epoch, Height, Phase, SignedVote, View, Vote
from tests.consensus.machine import BLOCK, BODY, OTHER, OTHER_BODY, Machine


def accused(actions: Sequence[Action]) -> list[tuple[bytes, Phase]]:
    """Return whom the actions accuse, of what."""
    return [(each.first.signer, each.first.vote.phase) for each in actions if isinstance(each, ReportEvidence)]


@pytest.mark.parametrize("phase", [Phase.PREPARE, Phase.COMMIT])
def test_two_votes_of_one_phase_are_evidence_once(phase: Phase) -> None:
    m = Machine()
    first, second = m.vote(3, phase), m.vote(3, phase, block=OTHER)
    m.hear(3, first)
    actions = m.hear(2, second)  # whoever relays it
    low, high = sorted((first, second), key=lambda vote: vote.vote.block_hash)
    assert actions == [ReportEvidence(low, high)]
    assert not accused(m.hear(3, second))
    assert m.state.votes[View(0), phase] == {first.signer: first}  # and it is not counted


def test_two_proposals_are_evidence() -> None:
    m = Machine()
    m.hear(1, m.proposal())
    assert accused(m.hear(1, m.proposal(body=OTHER_BODY))) == [(m.validators.keys[1], Phase.PROPOSE)]
    early = Machine()
    early.hear(2, early.proposal(view=1))
    assert accused(early.hear(2, early.proposal(view=1, body=OTHER_BODY))) == [(m.validators.keys[2], Phase.PROPOSE)]


def test_two_view_changes_to_one_view_are_evidence() -> None:
    m = Machine()
    m.hear(3, m.view_change(3, 1))
    claim = m.certificate(Phase.PREPARE, who=(1, 2, 3))
    assert accused(m.hear(3, m.view_change(3, 1, claim))) == [(m.validators.keys[3], Phase.VIEW_CHANGE)]
    other = Machine()
    other.hear(3, other.view_change(3, 1))
    new_view = other.new_view(1, other.view_change(1, 1), other.view_change(2, 1), other.view_change(3, 1, claim))
    assert accused(other.hear(2, new_view)) == [(m.validators.keys[3], Phase.VIEW_CHANGE)]


def test_a_leader_that_tells_each_something_else_is_found_out_by_the_first_two_who_compare() -> None:
    ours, theirs = Machine(me=0), Machine(me=2)
    ours.hear(1, ours.proposal())
    theirs.hear(1, theirs.proposal(body=OTHER_BODY))
    shown = ours.hear(2, ours.vote(2, Phase.PREPARE, block=OTHER))
    assert shown == [Send(ours.validators.keys[2], ours.proposal().vote)] or shown[-1] == Send(
        ours.validators.keys[2], ours.proposal().vote
    )
    assert accused(theirs.hear(0, ours.proposal().vote)) == [(ours.validators.keys[1], Phase.PROPOSE)]


def test_a_prepare_that_came_before_the_proposal_is_answered_too() -> None:
    m = Machine()
    m.hear(2, m.vote(2, Phase.PREPARE, block=OTHER))
    actions = m.hear(1, m.proposal())
    assert Send(m.validators.keys[2], m.proposal().vote) in actions


def test_a_certificate_shows_who_told_us_something_else() -> None:
    m = Machine()
    m.hear(3, m.vote(3, Phase.PREPARE, block=OTHER))
    claim = m.certificate(Phase.PREPARE, who=(1, 2, 3))
    assert accused(m.hear(2, m.view_change(2, 1, claim))) == [(m.validators.keys[3], Phase.PREPARE)]


def test_a_shown_proposal_that_nobody_signed_is_refused_and_one_by_no_leader_forgotten() -> None:
    m = Machine()
    m.hear(1, m.proposal())
    forged = SignedVote(m.vote(1, Phase.PROPOSE, block=OTHER).vote, m.validators.keys[1], bytes(64))
    assert not accused(m.hear(3, forged))
    assert not accused(m.hear(3, m.vote(3, Phase.PROPOSE, block=OTHER)))
    assert list(m.state.votes[View(0), Phase.PROPOSE]) == [m.validators.keys[1]]


def test_a_shown_proposal_does_not_keep_out_the_proposal_itself() -> None:
    m = Machine()
    m.hear(3, m.proposal().vote)
    assert m.state.proposal is None
    assert any(type(action).__name__ == "Execute" for action in m.hear(1, m.proposal()))
    assert m.state.bodies == {BLOCK: BODY}


honest = st.tuples(st.integers(0, 2), st.sampled_from(list(Phase)), st.sampled_from((BLOCK, OTHER)))


@given(st.lists(honest, max_size=30), st.lists(st.tuples(honest, st.integers(0, 3)), max_size=10))
def test_one_who_signs_one_hash_a_place_is_never_accused(
    votes: list[tuple[int, Phase, bytes]], forgeries: list[tuple[tuple[int, Phase, bytes], int]]
) -> None:
    m = Machine()
    signed: dict[tuple[int, Phase], SignedVote] = {}
    for view, phase, block in votes:
        vote = signed.setdefault((view, phase), m.vote(3, phase, view, block))
        assert not accused(m.hear(2, vote))
    for (view, phase, block), who in forgeries:
        forged = Vote(Epoch(0), Height(5), View(view), phase, block)
        claimed = SignedVote(forged, m.validators.keys[3], m.vote(who, phase, view, OTHER).signature)
        if who != 3 or block != OTHER:
            assert not [each for each in accused(m.hear(1, claimed)) if each[0] == m.validators.keys[3]]


def test_only_two_votes_of_one_place_conflict() -> None:
    m = Machine()
    base = m.vote(3, Phase.PREPARE)
    assert conflict(base, m.vote(3, Phase.PREPARE, block=OTHER))
    for other in (
        base,
        m.vote(2, Phase.PREPARE, block=OTHER),
        m.vote(3, Phase.COMMIT, block=OTHER),
        m.vote(3, Phase.PREPARE, view=1, block=OTHER),
        m.vote(3, Phase.PREPARE, height=6, block=OTHER),
        m.sign(3, Vote(Epoch(1), Height(5), View(0), Phase.PREPARE, OTHER)),
    ):
        assert not conflict(base, other)
