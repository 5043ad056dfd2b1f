"""After a restart: which votes of ours do others hold that we do not? Where there are any, we vote no more.

A write-ahead log that lost votes, or a data directory put back from a backup, would let an honest validator contradict
itself. So before its first vote a process asks its peers what they hold under its key, and a node that was *restored*
(its operator put back older data) also asks how far they are, and votes only above that. What this cannot exclude: that
every peer that still held such a vote has been restarted, or does not answer, since.
"""

from __future__ import annotations

from collections.abc import Iterator

from consensus.actions import Action, Broadcast, Send
from consensus.codec import MAX_RECALLED
from consensus.messages import Recall, Recalled
from consensus.state import State
from consensus.types import Height, SignedVote, signature_holds

Actions = Iterator[Action]


def ask(state: State) -> Actions:
    """Ask all peers, as long as too few have answered."""
    if state.recall is not None and state.seated:
        yield Broadcast(Recall())


def answer(state: State, sender: bytes) -> Actions:
    """Send a validator the votes that we hold under its key, at most once between two STATUS messages of ours."""
    if sender not in state.validators or sender in state.recalled:
        return
    state.recalled.add(sender)
    votes = [held[sender] for _, held in sorted(state.votes.items()) if sender in held]
    change = state.view_changes.get(sender)
    held = [*votes, *([] if change is None else [change.vote])]
    yield Send(sender, Recalled(state.height, tuple(held[-MAX_RECALLED:])))


def note(state: State, sender: bytes, message: Recalled) -> None:
    """Take a peer's answer: bar us from the heights in which it holds votes of ours that we have forgotten."""
    if state.recall is None or sender not in state.validators or sender == state.config.me:
        return
    for signed in message.votes:
        if signed.signer == state.config.me and signature_holds(state.config.domain, signed):
            note_own(state, signed)
    state.recall.answers[sender] = message.height


def note_own(state: State, signed: SignedVote) -> None:
    """Take a vote under our own key, whose signature holds: one that we have forgotten bars us from its height."""
    vote = signed.vote
    known = vote.height == state.height and state.signed.get((vote.view, vote.phase)) == vote.block_hash
    if not known and vote.height >= state.height:
        state.barred = max(state.barred, vote.height)


def settle(state: State) -> bool:
    """Return whether enough have answered just now, so that we may vote (above what we are barred from).

    Without the marker q−1 others suffice: with us a quorum, so nothing is lost by waiting for it. With it, q others (or
    all): of any quorum that our lost votes made, at least f+1 are among them. A height is believed when our own chain
    has reached it, so that a liar cannot bar us for ever by naming one that nobody will see.
    """
    recall, validators = state.recall, state.validators
    if recall is None or not state.seated:
        return False
    counted = [
        height
        for key, height in recall.answers.items()
        if key in validators and (not recall.marked or height <= state.height)
    ]
    needed = min(validators.quorum, validators.size - 1) if recall.marked else validators.quorum - 1
    if len(counted) < needed:
        return False
    if recall.marked:
        state.barred = max(state.barred, *counted, Height(0))
    state.recall = None
    return True
