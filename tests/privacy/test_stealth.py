"""Stealth addresses: the recipient finds and spends, nobody else does; with one key pair it is the paper's."""

from __future__ import annotations

import pytest
from eth_hash.auto import keccak
from eth_keys.datatypes import PublicKey
from hypothesis import given
from hypothesis import strategies as st

from privacy.group import Scalar
from privacy.secp256k1 import ORDER, SECP256K1
from privacy.stealth import MetaAddress, OneTimeKey, amount_key, belongs, derive, shared_secret, spending_secret
from tests.privacy.keys import LOGARITHMS, secret
from tests.privacy.make_vectors import written
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


def test_payments_to_one_recipient_share_no_point_and_no_simple_relation() -> None:
    """Whoever has all outputs and the meta-address finds no point twice, also not among differences and sums."""
    outputs = [derive(G, META, secret(f"payment {at}")) for at in range(20)]
    points = [point for each in outputs for point in (each.key, each.ephemeral)]
    known = [META.spending, META.viewing, G.generator, G.identity]
    assert len({*points, *known}) == len(points) + len(known)
    related = [G.subtract(left, right) for left in points for right in points if left is not right]
    related += [G.subtract(left, right) for left in points for right in known[:2]]
    related += [G.sum((left, right)) for place, left in enumerate(points) for right in points[:place]]
    assert len({*related, *points, *known}) == len(related) + len(points) + len(known)


def test_the_meta_address_alone_finds_no_payment() -> None:
    """P − S is the F of a payment, but what hashes to it takes v, or r: neither a public key nor its bytes will do."""
    outputs = [derive(G, META, secret(f"payment {at}")) for at in range(20)]
    publics = (META.spending, META.viewing, G.generator)
    for output in outputs:
        factor = G.subtract(output.key, META.spending)
        for public in (*publics, output.ephemeral, output.key):
            for logarithm in LOGARITHMS:
                guess = logarithm(G.point_to_bytes(public))
                assert G.multiply_generator(guess) != factor
                assert not belongs(G, guess, META.spending, output)
    assert all(belongs(G, VIEW, META.spending, output) for output in outputs)


@pytest.mark.parametrize("case", written("erc5564")["cases"], ids=lambda case: case["viewTag"])
def test_an_independent_sdks_keys_and_addresses(case: dict[str, str]) -> None:
    """ScopeLift's SDK, with fixed ephemeral keys; the file says which version, and how the keys were made."""
    spend, view, ephemeral, private = (
        G.scalar_from_bytes_checked(bytes.fromhex(case[f"{name}PrivateKey"][2:]))
        for name in ("spending", "viewing", "ephemeral", "stealth")
    )
    meta = MetaAddress(G.multiply_generator(spend), G.multiply_generator(view))
    raws = [G.point_to_bytes(meta.spending), *([] if spend == view else [G.point_to_bytes(meta.viewing)])]
    assert case["stealthMetaAddressURI"] == f"st:eth:0x{b''.join(raws).hex()}"
    output = derive(G, meta, ephemeral)
    assert G.point_to_bytes(output.ephemeral).hex() == case["ephemeralPublicKey"][2:]
    assert output.view_tag == int(case["viewTag"], 16)
    assert spending_secret(G, view, spend, output.ephemeral) == private
    assert G.multiply_generator(private) == output.key
    assert PublicKey.from_compressed_bytes(G.point_to_bytes(output.key)).to_checksum_address() == case["stealthAddress"]


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
