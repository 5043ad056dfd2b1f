"""Evidence: two votes by one validator where an honest one signs one. Whoever holds both can prove it to everybody.

An honest validator cannot be framed: both signatures are its own, over the very bytes that a contract rebuilds.
"""

from __future__ import annotations

from collections.abc import Iterator

from consensus.actions import Action, ReportEvidence, Send
from consensus.certificates import Certificate
from consensus.messages import ViewChange
from consensus.state import State
from consensus.types import Phase, SignedVote, signature_holds

Actions = Iterator[Action]


def conflict(first: SignedVote, second: SignedVote) -> bool:
    """Return whether one signer says two things at one height, in one view and phase."""
    ours, theirs = first.vote, second.vote
    return (
        first.signer == second.signer
        and (ours.epoch, ours.height, ours.view, ours.phase) == (theirs.epoch, theirs.height, theirs.view, theirs.phase)
        and ours.block_hash != theirs.block_hash
    )


def weigh(state: State, signed: SignedVote) -> Actions:
    """Hold a vote against the one of its kind that we hold, verified, and report if both are its signer's."""
    vote = signed.vote
    held = _held(state, signed)
    place = (signed.signer, vote.view, vote.phase)
    if held is None or not conflict(held, signed) or place in state.accused or signed.signer == state.config.me:
        return
    if signature_holds(state.config.domain, signed):
        state.accused.add(place)
        first, second = sorted((held, signed), key=lambda each: each.vote.block_hash)
        yield ReportEvidence(first, second)


def weigh_certificate(state: State, certificate: Certificate) -> Actions:
    """Hold the votes of a verified certificate of this height against those that we hold."""
    for signed in certificate.votes():
        yield from weigh(state, signed)


def show_proposal(state: State, signed: SignedVote) -> Actions:
    """Show one who prepares another block than the leader proposed to us what the leader signed for us.

    A leader that tells each of us something else is found out by the first two who compare.
    """
    vote = signed.vote
    leader = state.validators.leader(vote.height, vote.view)
    proposed = state.votes.get((vote.view, Phase.PROPOSE), {}).get(leader)
    if vote.phase is Phase.PREPARE and proposed is not None and proposed.vote.block_hash != vote.block_hash:
        yield Send(signed.signer, proposed)


def _held(state: State, signed: SignedVote) -> SignedVote | None:
    if signed.vote.phase is Phase.VIEW_CHANGE:
        change: ViewChange | None = state.view_changes.get(signed.signer)
        return None if change is None else change.vote
    return state.votes.get((signed.vote.view, signed.vote.phase), {}).get(signed.signer)
