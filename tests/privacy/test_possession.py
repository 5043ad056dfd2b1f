"""Proofs of possession: bound to role, account, epoch and key, and rogue keys have none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from privacy.equality import equality_from_bytes_checked
from privacy.group import Scalar
from privacy.possession import Registration, Role, possession_holds, prove_possession
from privacy.secp256k1 import ORDER, SECP256K1
from tests.privacy.keys import random_bytes, secret
from tests.privacy.plain_secp256k1 import PLAIN

G = SECP256K1
HERE = Registration(b"\x53" * 32, b"\xaa" * 20, 7)
OTHER = b"\xbb" * 20
KEY = G.multiply_generator(secret("key"))
PROOF = prove_possession(G, Role.TRACE, HERE, secret("key"), random_bytes("prove"))


def test_who_knows_the_secret_registers_the_key() -> None:
    assert possession_holds(G, Role.TRACE, HERE, KEY, PROOF)
    assert equality_from_bytes_checked(G, PROOF.to_bytes(G)) == PROOF
    plain = prove_possession(PLAIN, Role.TRACE, HERE, secret("key"), random_bytes("prove"))
    assert plain == PROOF


@pytest.mark.parametrize("role", [role for role in Role if role != Role.TRACE])
def test_a_proof_for_one_role_is_none_for_another(role: Role) -> None:
    assert not possession_holds(G, role, HERE, KEY, PROOF)


def test_a_proof_of_one_account_or_epoch_is_none_of_another() -> None:
    assert not possession_holds(G, Role.TRACE, replace(HERE, account=OTHER), KEY, PROOF)
    assert not possession_holds(G, Role.TRACE, replace(HERE, epoch=8), KEY, PROOF)
    assert not possession_holds(G, Role.TRACE, replace(HERE, domain=bytes(32)), KEY, PROOF)
    assert not possession_holds(G, Role.TRACE, replace(HERE, domain=b"short"), KEY, PROOF)


def test_every_field_mutated_is_false() -> None:
    for name in ("challenge", "response"):
        for number in (0, 1, ORDER, ORDER + getattr(PROOF, name), -1, 2**256):
            bad = replace(PROOF, **{name: Scalar(number)})
            assert not possession_holds(G, Role.TRACE, HERE, KEY, bad)
    for point in (G.identity, G.generator, G.negate(KEY), G.multiply(Scalar(2), KEY)):
        assert not possession_holds(G, Role.TRACE, HERE, point, PROOF)


def test_a_key_made_of_others_keys_has_no_proof() -> None:
    """A rogue key a·G − K: whoever made it knows a, not the logarithm; neither a's proof nor K's fits it."""
    rogue = G.subtract(G.multiply_generator(secret("a")), KEY)
    of_a = prove_possession(G, Role.TRACE, replace(HERE, account=OTHER), secret("a"), random_bytes("a"))
    difference = replace(of_a, response=G.scalar(of_a.response - PROOF.response))
    for proof in (of_a, PROOF, difference):
        assert not possession_holds(G, Role.TRACE, replace(HERE, account=OTHER), rogue, proof)


def test_an_account_has_twenty_bytes() -> None:
    with pytest.raises(ValueError, match="expected 20"):
        prove_possession(G, Role.RING, replace(HERE, account=b"short"), secret("key"), random_bytes("prove"))
    assert not possession_holds(G, Role.TRACE, replace(HERE, account=b"short"), KEY, PROOF)


@pytest.mark.parametrize("epoch", [-1, 2**64, 2**70])
def test_an_epoch_that_there_is_not_is_refused(epoch: int) -> None:
    with pytest.raises(ValueError, match="epoch"):
        prove_possession(G, Role.RING, replace(HERE, epoch=epoch), secret("key"), random_bytes("prove"))
    assert not possession_holds(G, Role.TRACE, replace(HERE, epoch=epoch), KEY, PROOF)
