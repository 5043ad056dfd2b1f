"""The signer never contradicts itself, whatever it is asked, before or after a restart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.messages import Claim
from consensus.types import Domain, Epoch, Height, Phase, View, Vote, signature_holds
from consensus.viewchange import claim_digest
from node.driver.signer import Contradiction, LocalSigner

DOMAIN = Domain(2016, b"\x47" * 32)
A, B = b"\xaa" * 32, b"\xbb" * 32


def vote(height: int = 5, view: int = 0, phase: Phase = Phase.PREPARE, block: bytes = A, epoch: int = 0) -> Vote:
    """Return a vote."""
    return Vote(Epoch(epoch), Height(height), View(view), phase, block)


def signer() -> LocalSigner:
    """Return a new signer under the one key."""
    return LocalSigner(b"\x01" * 32, DOMAIN)


def test_signatures_hold_and_repeat() -> None:
    one = signer()
    signed = one.sign(vote())
    assert signature_holds(DOMAIN, signed)
    assert one.sign(vote()) == signed


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (vote(block=B), "aaaa.* was signed"),
        (vote(view=0, phase=Phase.COMMIT), "view 1 was voted in"),
        (vote(height=4), "height 5 was voted on"),
        (vote(phase=Phase.COMMIT, block=B), "PREPARE of aaaa.* was signed"),
        (vote(phase=Phase.COMMIT, epoch=1), "epoch 0 was voted in"),
    ],
)
def test_contradictions_are_refused(other: Vote, reason: str, restart: bool) -> None:
    one = signer()
    votes = (
        [vote()]
        if other.block_hash == B or other.epoch
        else [vote(), vote(view=1, phase=Phase.VIEW_CHANGE, block=bytes(32))]
    )
    for each in votes:
        one.sign(each)
    if restart:
        one = signer()
        one.restore(reversed(votes))
    with pytest.raises(Contradiction, match=reason):
        one.sign(other)


def test_a_view_change_claims_the_newest_commit_or_a_later_block() -> None:
    one = signer()
    for view, block in ((0, A), (2, B)):
        one.sign(vote(view=view, phase=Phase.COMMIT, block=block))
    for claim in (None, Claim(View(0), A)):
        with pytest.raises(Contradiction, match="a later block was prepared"):
            one.sign(vote(view=3, phase=Phase.VIEW_CHANGE, block=claim_digest(claim)))
    one.sign(vote(view=3, phase=Phase.VIEW_CHANGE, block=claim_digest(Claim(View(2), B))))


votes = st.builds(vote, st.integers(1, 3), st.integers(0, 2), st.sampled_from(Phase), st.sampled_from((A, B)))


@given(st.lists(votes | st.none(), max_size=40))
def test_no_sequence_of_requests_and_restarts_yields_a_contradiction(requests: list[Vote | None]) -> None:
    one = signer()
    signed: list[Vote] = []
    for request in requests:
        if request is None:
            one = signer()
            one.restore(signed)
            continue
        try:
            one.sign(request)
        except Contradiction:
            continue
        signed.append(request)
    chosen: dict[tuple[int, int, Phase], bytes] = {}
    for each in signed:
        assert chosen.setdefault((each.height, each.view, each.phase), each.block_hash) == each.block_hash
    assert [(each.height, each.view) for each in signed] == sorted((each.height, each.view) for each in signed)
