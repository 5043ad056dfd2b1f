"""Equal and different logarithms: members confirm and deny, auditors show that their part is right."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.equality import (
    DifferenceProof,
    EqualityProof,
    difference_from_bytes_checked,
    equality_from_bytes_checked,
    prove_different,
    prove_equal,
    verify_different,
    verify_equal,
)
from privacy.group import InvalidEncoding, Scalar
from privacy.ring import image, scope_base
from privacy.secp256k1 import ORDER, SECP256K1, Point
from tests.privacy.keys import random_bytes, secret
from tests.privacy.plain_secp256k1 import PLAIN

G = SECP256K1
SCOPE = b"window 3"
BASES = (G.generator, scope_base(G, SCOPE))
MINE, OTHERS = secret("mine"), secret("others")
POINTS = tuple(G.multiply(MINE, base) for base in BASES)
PROOF = prove_equal(G, "confirm", BASES, MINE, b"request 1", random_bytes("equal"))
BAD_SCALARS = [Scalar(0), Scalar(1), Scalar(ORDER), Scalar(-1), Scalar(2**256)]


def test_a_member_confirms_an_action_of_its_own() -> None:
    assert POINTS[1] == image(G, MINE, SCOPE)
    assert verify_equal(G, "confirm", BASES, POINTS, b"request 1", PROOF)
    assert equality_from_bytes_checked(G, PROOF.to_bytes(G)) == PROOF
    plain_bases = tuple(PLAIN.point_from_bytes_checked(G.point_to_bytes(base)) for base in BASES)
    assert prove_equal(PLAIN, "confirm", plain_bases, MINE, b"request 1", random_bytes("equal")) == PROOF


def test_nothing_else_is_confirmed() -> None:
    foreign = (POINTS[0], image(G, OTHERS, SCOPE))
    assert not verify_equal(G, "confirm", BASES, foreign, b"request 1", PROOF)
    assert not verify_equal(G, "deny", BASES, POINTS, b"request 1", PROOF)
    assert not verify_equal(G, "confirm", BASES, POINTS, b"request 2", PROOF)
    assert not verify_equal(G, "confirm", BASES[::-1], POINTS[::-1], b"request 1", PROOF)
    assert not verify_equal(G, "confirm", BASES, POINTS[:1], b"request 1", PROOF)
    assert not verify_equal(G, "confirm", (), (), b"request 1", PROOF)
    assert not verify_equal(G, "confirm", (G.identity, BASES[1]), POINTS, b"request 1", PROOF)
    lying = prove_equal(G, "confirm", BASES, OTHERS, b"request 1", random_bytes("lie"))
    assert not verify_equal(G, "confirm", BASES, POINTS, b"request 1", lying)


@pytest.mark.parametrize("bad", BAD_SCALARS)
def test_mutated_proofs_are_false_and_never_an_exception(bad: Scalar) -> None:
    for proof in (replace(PROOF, challenge=bad), replace(PROOF, response=bad), EqualityProof(bad, bad)):
        assert not verify_equal(G, "confirm", BASES, POINTS, b"request 1", proof)


@given(st.binary(max_size=70))
def test_bytes_are_a_proof_that_holds_or_are_refused(raw: bytes) -> None:
    try:
        proof = equality_from_bytes_checked(G, raw)
    except InvalidEncoding:
        return
    assert not verify_equal(G, "confirm", BASES, POINTS, b"request 1", proof)


# -- denial


def denial(action: Point) -> DifferenceProof[Point]:
    return prove_different(G, "deny", G.generator, BASES[1], action, MINE, b"request 1", random_bytes("deny"))


def holds(action: Point, proof: DifferenceProof[Point], message: bytes = b"request 1") -> bool:
    return verify_different(G, "deny", G.generator, BASES[1], POINTS[0], action, message, proof)


def test_everyone_else_denies_and_the_one_who_did_it_cannot() -> None:
    foreign = image(G, OTHERS, SCOPE)
    proof = denial(foreign)
    assert holds(foreign, proof)
    assert difference_from_bytes_checked(G, proof.to_bytes(G)) == proof
    assert not holds(foreign, proof, b"request 2")
    assert not holds(POINTS[1], proof)
    with pytest.raises(ValueError, match="the same"):
        denial(POINTS[1])


def test_mutated_denials_are_false_and_never_an_exception() -> None:
    foreign = image(G, OTHERS, SCOPE)
    proof = denial(foreign)
    for point in (G.identity, G.generator, G.negate(proof.blinded)):
        assert not holds(foreign, replace(proof, blinded=point))
    for bad in BAD_SCALARS:
        assert not holds(foreign, replace(proof, challenge=bad))
        assert not holds(foreign, replace(proof, responses=(bad, proof.responses[1])))
        assert not holds(foreign, replace(proof, responses=(proof.responses[0], bad)))
        assert not holds(foreign, DifferenceProof(proof.blinded, bad, (bad, bad)))
    raw = proof.to_bytes(G)
    for cut in (raw[:-1], raw + b"\0", b"", bytes(33) + raw[33:]):
        with pytest.raises(InvalidEncoding):
            difference_from_bytes_checked(G, cut)
