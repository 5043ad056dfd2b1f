"""Auditors together: k of n open one amount or one sum, fewer learn nothing, and a wrong part is found out."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.auditors import (
    Dealing,
    add,
    ciphertext_from_bytes_checked,
    combine_shares,
    deal,
    decrypt_partially,
    encrypt,
    find_amount,
    open_together,
    partial_is_right,
    prove_same_amount,
    public_share,
    same_amount_from_bytes_checked,
    same_amount_holds,
    share_is_right,
)
from privacy.commitment import commit, opens, value_base
from privacy.group import InvalidEncoding, Scalar
from privacy.ring import image, scope_base
from privacy.secp256k1 import ORDER, SECP256K1, Point
from tests.privacy.keys import random_bytes, secret

G = SECP256K1
AUDITORS = (1, 2, 3)
REQUEST = b"meter 4, window 12"
DEALINGS = [deal(G, secret(f"dealer {at}"), 2, 3, random_bytes(f"dealer {at}")) for at in AUDITORS]
JOINT_KEY = G.sum(dealing.commitments[0] for dealing in DEALINGS)
SHARES = {at: G.scalar(sum(dealing.shares[at - 1] for dealing in DEALINGS)) for at in AUDITORS}
PUBLIC = {at: G.sum(public_share(G, dealing.commitments, at) for dealing in DEALINGS) for at in AUDITORS}


def parts(ephemeral: Point, *auditors: int) -> dict[int, Point]:
    """Return the parts of some auditors, each checked."""
    found = {}
    for at in auditors:
        partial = decrypt_partially(G, at, SHARES[at], ephemeral, REQUEST, random_bytes(f"part {at}"))
        assert partial_is_right(G, PUBLIC[at], ephemeral, REQUEST, partial)
        found[at] = partial.point
    return found


def test_every_share_can_be_checked_by_its_auditor() -> None:
    for dealing in DEALINGS:
        for at in AUDITORS:
            share = dealing.shares[at - 1]
            assert share_is_right(G, dealing.commitments, at, share)
            for bad in (Scalar((share + 1) % ORDER), Scalar(0), Scalar(ORDER), Scalar(-1)):
                assert not share_is_right(G, dealing.commitments, at, bad)
            assert not share_is_right(G, dealing.commitments, at % 3 + 1, share)


def test_two_of_three_open_an_amount_and_one_does_not() -> None:
    sealed = encrypt(G, JOINT_KEY, 1_234, secret("blinding"))
    assert ciphertext_from_bytes_checked(G, sealed.to_bytes(G)) == sealed
    for chosen in combinations(AUDITORS, 2):
        assert find_amount(G, open_together(G, sealed, parts(sealed.ephemeral, *chosen)), 10_000) == 1_234
    assert find_amount(G, open_together(G, sealed, parts(sealed.ephemeral, *AUDITORS)), 10_000) == 1_234
    for alone in AUDITORS:
        assert find_amount(G, open_together(G, sealed, parts(sealed.ephemeral, alone)), 10_000) is None


def test_a_sum_is_opened_and_its_terms_are_not() -> None:
    amounts = [0, 17, 2_500, 3]
    sealed = [encrypt(G, JOINT_KEY, amount, secret(f"blinding {amount}")) for amount in amounts]
    total = add(G, sealed)
    opened = parts(total.ephemeral, 1, 3)
    assert find_amount(G, open_together(G, total, opened), 10_000) == sum(amounts)
    for each in sealed:
        assert find_amount(G, open_together(G, each, opened), 10_000) is None


def test_an_action_is_traced_by_shares_of_its_members_trace_key() -> None:
    """k is shared when a member registers; k_j·Hp(s) of two auditors are the tag I = k·Hp(s), and k appears nowhere."""
    trace = secret("a member's trace key")
    dealing = deal(G, trace, 2, 3, random_bytes("trace"))
    base = scope_base(G, b"window 12")
    tag = {at: G.multiply(dealing.shares[at - 1], base) for at in (2, 3)}
    assert combine_shares(G, tag) == image(G, trace, b"window 12")
    assert combine_shares(G, {2: tag[2]}) != image(G, trace, b"window 12")
    assert trace not in dealing.shares


def test_a_wrong_part_is_found_out() -> None:
    sealed = encrypt(G, JOINT_KEY, 5, secret("blinding"))
    good = decrypt_partially(G, 1, SHARES[1], sealed.ephemeral, REQUEST, random_bytes("good"))
    for bad in (
        replace(good, point=G.generator),
        replace(good, point=G.identity),
        replace(good, auditor=2),
        replace(good, auditor=0),
        replace(good, auditor=70_000),
        replace(good, proof=replace(good.proof, challenge=Scalar(0))),
        replace(good, proof=replace(good.proof, response=Scalar(ORDER))),
        decrypt_partially(G, 1, SHARES[2], sealed.ephemeral, REQUEST, random_bytes("other share")),
    ):
        assert not partial_is_right(G, PUBLIC[1], sealed.ephemeral, REQUEST, bad)
    assert not partial_is_right(G, PUBLIC[1], sealed.ephemeral, b"another request", good)
    other = encrypt(G, JOINT_KEY, 5, secret("another blinding"))
    assert not partial_is_right(G, PUBLIC[1], other.ephemeral, REQUEST, good)


@pytest.mark.parametrize(("threshold", "count"), [(0, 3), (4, 3), (1, 65), (-1, 3)])
def test_shapes_that_cannot_be_dealt_are_refused(threshold: int, count: int) -> None:
    with pytest.raises(ValueError, match="expected 1 ≤ threshold"):
        deal(G, secret("dealer"), threshold, count, random_bytes("dealer"))


@pytest.mark.parametrize("bad", [0, ORDER, -1])
def test_a_secret_that_is_none_is_not_dealt(bad: int) -> None:
    with pytest.raises(ValueError, match="secret"):
        deal(G, Scalar(bad), 2, 3, random_bytes("dealer"))


@given(st.integers(1, 6), st.data())
def test_any_threshold_of_any_count(threshold: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(threshold, 7))
    chosen = data.draw(st.lists(st.integers(1, count), min_size=threshold, max_size=count, unique=True))
    dealing: Dealing[Point] = deal(G, secret("s"), threshold, count, random_bytes("any"))
    shares = {at: G.multiply_generator(dealing.shares[at - 1]) for at in chosen}
    assert combine_shares(G, shares) == G.multiply_generator(secret("s")) == dealing.commitments[0]


@pytest.mark.parametrize("raw", [b"", bytes(66), bytes(65), b"\2" + bytes(65), b"\xff" * 66, b"\2" * 67])
def test_bytes_that_are_no_ciphertext_are_refused(raw: bytes) -> None:
    with pytest.raises(InvalidEncoding):
        ciphertext_from_bytes_checked(G, raw)


@given(st.integers(0, 2_000), st.integers(0, 2_000))
def test_the_search_finds_exactly_what_is_below_its_bound(amount: int, bound: int) -> None:
    point = G.multiply(G.scalar(amount), value_base(G))
    assert find_amount(G, point, bound) == (amount if amount < bound else None)


def test_commitments_open_to_one_amount_and_add_up() -> None:
    first, second = commit(G, 5, secret("a")), commit(G, 7, secret("b"))
    both = G.scalar(secret("a") + secret("b"))
    assert opens(G, first, 5, secret("a"))
    assert not opens(G, first, 6, secret("a"))
    assert not opens(G, first, 5, secret("b"))
    assert not opens(G, first, 5, Scalar(ORDER + secret("a")))
    assert opens(G, G.sum((first, second)), 12, both)


# -- a ciphertext and a commitment to the same amount

RHO, GAMMA = secret("rho"), secret("gamma")


def test_a_ciphertext_and_a_commitment_to_the_same_amount() -> None:
    encrypted, committed = encrypt(G, JOINT_KEY, 1_234, RHO), commit(G, 1_234, GAMMA)
    proof = prove_same_amount(G, JOINT_KEY, 1_234, RHO, GAMMA, b"quarter 3", random_bytes("same"))
    assert same_amount_holds(G, JOINT_KEY, encrypted, committed, b"quarter 3", proof)
    assert same_amount_from_bytes_checked(G, proof.to_bytes(G)) == proof
    for other_ciphertext, other_commitment in (
        (encrypt(G, JOINT_KEY, 1_235, RHO), committed),
        (encrypted, commit(G, 1_235, GAMMA)),
        (encrypted, commit(G, 1_234, secret("other"))),
        (replace(encrypted, ephemeral=G.identity), committed),
        (replace(encrypted, masked=G.identity), committed),
        (replace(encrypted, ephemeral=encrypted.masked, masked=encrypted.ephemeral), committed),
        (encrypted, G.identity),
        (encrypted, G.negate(committed)),
    ):
        assert not same_amount_holds(G, JOINT_KEY, other_ciphertext, other_commitment, b"quarter 3", proof)
    assert not same_amount_holds(G, JOINT_KEY, encrypted, committed, b"quarter 4", proof)
    assert not same_amount_holds(G, G.generator, encrypted, committed, b"quarter 3", proof)
    assert not same_amount_holds(G, G.identity, encrypted, committed, b"quarter 3", proof)


def test_every_field_of_a_proof_of_the_same_amount_mutated_is_false() -> None:
    encrypted, committed = encrypt(G, JOINT_KEY, 7, RHO), commit(G, 7, GAMMA)
    proof = prove_same_amount(G, JOINT_KEY, 7, RHO, GAMMA, b"", random_bytes("same"))
    for name in ("challenge", "encryption", "commitment"):
        for number in (0, 1, ORDER - 1, ORDER, ORDER + getattr(proof, name), -1, 2**256):
            bad = replace(proof, **{name: Scalar(number)})
            assert not same_amount_holds(G, JOINT_KEY, encrypted, committed, b"", bad)
    for raw in (b"", proof.to_bytes(G)[:-1], proof.to_bytes(G) + b"\0", b"\xff" * 96):
        with pytest.raises(InvalidEncoding):
            same_amount_from_bytes_checked(G, raw)


def test_other_amounts_have_no_proof() -> None:
    """Who knows ρ and γ of different amounts proves nothing: what is committed is another difference."""
    encrypted, committed = encrypt(G, JOINT_KEY, 7, RHO), commit(G, 8, GAMMA)
    for amount in (7, 8):
        proof = prove_same_amount(G, JOINT_KEY, amount, RHO, GAMMA, b"", random_bytes("same"))
        assert not same_amount_holds(G, JOINT_KEY, encrypted, committed, b"", proof)
