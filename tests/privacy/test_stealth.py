"""Stealth addresses: the recipient finds and spends, nobody else does; with one key pair it is the paper's."""

from __future__ import annotations

import pytest
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st

from privacy.group import Scalar
from privacy.secp256k1 import ORDER, SECP256K1
from privacy.stealth import MetaAddress, OneTimeKey, amount_key, belongs, derive, shared_secret, spending_secret
from tests.privacy.keys import secret
from tests.privacy.plain_secp256k1 import PLAIN

G = SECP256K1
VIEW, SPEND = secret("view"), secret("spend")
META = MetaAddress(G.multiply_generator(SPEND), G.multiply_generator(VIEW))
scalars = st.integers(1, ORDER - 1).map(Scalar)


@given(scalars)
def test_the_recipient_finds_and_spends_what_was_sent(ephemeral: Scalar) -> None:
    output = derive(G, META, ephemeral)
    assert belongs(G, VIEW, META.spending, output)
    assert G.multiply_generator(spending_secret(G, VIEW, SPEND, output.ephemeral)) == output.key
    assert shared_secret(G, VIEW, output.ephemeral)[0] == output.view_tag
    assert not belongs(G, secret("somebody else"), META.spending, output)
    assert not belongs(G, VIEW, G.multiply_generator(secret("somebody else")), output)


def test_the_equations_of_the_paper() -> None:
    """(1) P = F + S, (2) F = Hash(rS)G, (3) rS = sR: one key pair for viewing and spending."""
    s, r = secret("s"), secret("r")
    public = G.multiply_generator(s)
    output = derive(G, MetaAddress(public, public), r)
    factor = int.from_bytes(keccak(G.point_to_bytes(G.multiply(r, public))), "big")
    assert output.key == G.sum((G.multiply_generator(G.scalar(factor)), public))
    assert G.multiply(r, public) == G.multiply(s, output.ephemeral)
    assert G.multiply_generator(spending_secret(G, s, s, output.ephemeral)) == output.key


def test_whoever_sees_two_payments_cannot_tell_that_they_have_one_recipient() -> None:
    first, second = (derive(G, META, secret(name)) for name in ("one", "two"))
    assert first.key != second.key
    assert first.ephemeral != second.ephemeral


def test_the_view_tag_passes_over_nearly_all_foreign_payments() -> None:
    viewing = secret("a stranger's")
    outputs = [derive(G, META, secret(f"{at}")) for at in range(300)]
    same = sum(shared_secret(G, viewing, each.ephemeral)[0] == each.view_tag for each in outputs)
    assert same < 10


def test_a_changed_output_is_not_the_recipients() -> None:
    output = derive(G, META, secret("r"))
    for bent in (
        OneTimeKey(G.negate(output.key), output.ephemeral, output.view_tag),
        OneTimeKey(output.key, G.generator, output.view_tag),
        OneTimeKey(output.key, G.identity, output.view_tag),
        OneTimeKey(output.key, output.ephemeral, output.view_tag ^ 1),
    ):
        assert not belongs(G, VIEW, META.spending, bent)


@pytest.mark.parametrize("bad", [0, ORDER, -1])
def test_an_ephemeral_scalar_is_one(bad: int) -> None:
    with pytest.raises(ValueError, match="ephemeral"):
        derive(G, META, Scalar(bad))


def test_both_groups_derive_the_same() -> None:
    ours = derive(G, META, secret("r"))
    plain = derive(PLAIN, MetaAddress(PLAIN.multiply_generator(SPEND), PLAIN.multiply_generator(VIEW)), secret("r"))
    assert PLAIN.point_to_bytes(plain.key) == G.point_to_bytes(ours.key)
    assert plain.view_tag == ours.view_tag


def test_a_key_that_is_the_identity_is_nobodys() -> None:
    good = MetaAddress(G.generator, G.generator)
    for bad in (MetaAddress(G.identity, G.generator), MetaAddress(G.generator, G.identity)):
        with pytest.raises(ValueError, match="identity"):
            derive(G, bad, secret("r"))
    output = derive(G, good, secret("r"))
    nothing = OneTimeKey(output.key, G.identity, shared_secret(G, VIEW, G.identity)[0])
    assert not belongs(G, VIEW, G.generator, nothing)


def test_the_amounts_key_is_both_sides_and_not_the_tweaks() -> None:
    ephemeral, viewing = secret("r"), G.multiply_generator(VIEW)
    shared = G.multiply_generator(ephemeral)
    assert amount_key(G, VIEW, shared) == amount_key(G, ephemeral, viewing)
    assert amount_key(G, VIEW, shared) != shared_secret(G, VIEW, shared)
