"""What a view change claims must be proved, and the choice follows from what is proved."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus.certificates import InvalidCertificate
from consensus.codec import encode_message
from consensus.messages import Claim, ViewChange
from consensus.types import Epoch, Height, Phase, View
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
    told = good.departures
    stripped = tuple(replace(each, claim=None) for each in told)
    claimed = replace(told[0], claim=Claim(View(1), OTHER))
    cases = {
        "needs 3 distinct, sorted": (told[:2], told[:2] + told[1:2], told[::-1]),
        "signature of": (stripped, (replace(told[0], signature=bytes(64)), *told[1:]), (claimed, *told[1:])),
        "no validator": ((replace(told[0], signer=bytes(32)), *told[1:]),),
    }
    for reason, variants in cases.items():
        for departures in variants:
            with pytest.raises(InvalidCertificate, match=reason):
                check_new_view(replace(good, departures=departures), M.validators, DOMAIN)
    for reason, bad in {
        "epoch 0": replace(good, epoch=Epoch(1)),
        "must prove its highest claim": replace(good, prepared=None),
        "highest claim is of view 0": replace(good, prepared=LATER),
        "quorum": replace(good, prepared=M.certificate(Phase.PREPARE, who=(0, 1))),
        "COMMIT, expected PREPARE": replace(good, prepared=M.certificate(Phase.COMMIT)),
        "at height 4": replace(good, prepared=replace(PREPARED, height=Height(4))),
    }.items():
        with pytest.raises(InvalidCertificate, match=reason):
            check_new_view(bad, M.validators, DOMAIN)


def test_a_lower_claim_that_nobody_proved_changes_nothing() -> None:
    liar = M.view_change(0, 3, M.certificate(Phase.PREPARE, who=(0,)))  # one signer is no quorum
    with pytest.raises(InvalidCertificate):
        check_view_change(liar, M.validators, DOMAIN)
    new_view = M.new_view(3, liar, M.view_change(1, 3, LATER), M.view_change(2, 3))
    check_new_view(new_view, M.validators, DOMAIN)
    assert choose(new_view) == OTHER


def test_a_new_view_grows_with_the_validators_not_with_their_square() -> None:
    sizes = {}
    for size in (4, 40):
        many = Machine(size=size)
        proof = many.certificate(Phase.PREPARE, view=0)
        changes = [many.view_change(who, 2, proof) for who in range(many.validators.quorum)]
        sizes[size] = len(encode_message(many.new_view(2, *changes)))
    assert sizes[40] < 10.5 * sizes[4]
