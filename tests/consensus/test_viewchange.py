"""What a view change claims must be proved, and the choice follows from what is proved."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus.certificates import InvalidCertificate
from consensus.messages import NewView, ViewChange
from consensus.types import Height, Phase
from consensus.viewchange import check_new_view, check_view_change, choose, claim_digest
from tests.consensus.machine import BLOCK, DOMAIN, OTHER, Machine

M = Machine()
PREPARED = M.certificate(Phase.PREPARE, view=0)
LATER = M.certificate(Phase.PREPARE, view=1, block=OTHER)
CHANGE = M.view_change(1, 2, PREPARED)


def test_the_highest_prepared_block_is_chosen() -> None:
    assert choose(M.new_view(2)) is None
    assert choose(M.new_view(2, M.view_change(0, 2), CHANGE, M.view_change(2, 2))) == BLOCK
    assert choose(M.new_view(2, M.view_change(0, 2, LATER), CHANGE, M.view_change(2, 2))) == OTHER


def test_claims_differ_by_view_and_block() -> None:
    claims = [None, PREPARED, LATER, M.certificate(Phase.PREPARE, view=1), M.certificate(Phase.PREPARE, block=OTHER)]
    assert len({claim_digest(each) for each in claims}) == len(claims)
    # Who signed does not matter.
    assert claim_digest(M.certificate(Phase.PREPARE, who=(1, 2, 3))) == claim_digest(PREPARED)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (replace(CHANGE, prepared=None), "not the one that it signs"),  # stripped of its claim
        (replace(CHANGE, prepared=LATER), "not the one that it signs"),
        (M.view_change(1, 0), "view 0"),
        (M.view_change(1, 1, LATER), "prepared at height 5, view 1; expected 5, below 1"),
        (M.view_change(1, 2, replace(PREPARED, height=Height(4))), "prepared at height 4"),
        (M.view_change(1, 2, M.certificate(Phase.COMMIT)), "phase COMMIT, expected PREPARE"),
        (M.view_change(1, 2, M.certificate(Phase.PREPARE, who=(0, 1))), "quorum"),
        (ViewChange(replace(CHANGE.vote, signature=bytes(64)), PREPARED), "does not hold"),
        (ViewChange(replace(CHANGE.vote, signer=bytes(32)), PREPARED), "no validator"),
    ],
)
def test_a_claim_that_is_not_proved_is_refused(change: ViewChange, reason: str) -> None:
    check_view_change(CHANGE, M.validators, DOMAIN)
    with pytest.raises(InvalidCertificate, match=reason):
        check_view_change(change, M.validators, DOMAIN)


def test_a_new_view_needs_a_quorum_of_valid_view_changes() -> None:
    good = M.new_view(2, M.view_change(0, 2), CHANGE, M.view_change(2, 2))
    check_new_view(good, M.validators, DOMAIN)
    few, twice = NewView(good.view_changes[:2]), NewView(good.view_changes[:2] + good.view_changes[1:2])
    lying = M.new_view(2, M.view_change(0, 2), replace(CHANGE, prepared=None), M.view_change(2, 2))
    for bad in (few, twice, NewView(good.view_changes[::-1]), lying):
        with pytest.raises(InvalidCertificate):
            check_new_view(bad, M.validators, DOMAIN)
