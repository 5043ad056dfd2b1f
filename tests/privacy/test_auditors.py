"""Auditors together: k of n open one amount or one sum, fewer learn nothing, and a wrong part is found out."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy import auditors
from privacy.auditors import (
    Ciphertext,
    Dealer,
    Dealing,
    SameAmountProof,
    add,
    ciphertext_from_bytes_checked,
    combine_shares,
    deal,
    decrypt_partially,
    encrypt,
    find_amount,
    joint_key_of,
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
from privacy.possession import Registration, Role, prove_possession
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
            assert share_is_right(G, dealing.commitments, at, share, threshold=2)
            for bad in (Scalar((share + 1) % ORDER), Scalar(0), Scalar(ORDER), Scalar(-1)):
                assert not share_is_right(G, dealing.commitments, at, bad, threshold=2)
            assert not share_is_right(G, dealing.commitments, at % 3 + 1, share, threshold=2)


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
    for name in ("challenge", "amount", "encryption", "commitment"):
        for number in (0, 1, ORDER - 1, ORDER, ORDER + getattr(proof, name), -1, 2**256):
            bad = replace(proof, **{name: Scalar(number)})
            assert not same_amount_holds(G, JOINT_KEY, encrypted, committed, b"", bad)
    for raw in (b"", proof.to_bytes(G)[:-1], proof.to_bytes(G) + b"\0", b"\xff" * 128):
        with pytest.raises(InvalidEncoding):
            same_amount_from_bytes_checked(G, raw)


def test_other_amounts_have_no_proof() -> None:
    """Who knows ρ and γ of different amounts proves nothing: what is committed is another difference."""
    encrypted, committed = encrypt(G, JOINT_KEY, 7, RHO), commit(G, 8, GAMMA)
    for amount in (7, 8):
        proof = prove_same_amount(G, JOINT_KEY, amount, RHO, GAMMA, b"", random_bytes("same"))
        assert not same_amount_holds(G, JOINT_KEY, encrypted, committed, b"", proof)


def test_a_ciphertext_that_opens_to_no_amount_has_no_proof() -> None:
    """M = v·H + δ·G + ρ·Y: M − C still has a representation in Y and G, but nobody knows v, ρ and γ for all three."""
    delta, proof = secret("delta"), prove_same_amount(G, JOINT_KEY, 7, RHO, GAMMA, b"", random_bytes("same"))
    honest, committed = encrypt(G, JOINT_KEY, 7, RHO), commit(G, 7, GAMMA)
    hostile = replace(honest, masked=G.sum((honest.masked, G.multiply_generator(delta))))
    assert same_amount_holds(G, JOINT_KEY, honest, committed, b"", proof)
    assert not same_amount_holds(G, JOINT_KEY, hostile, committed, b"", proof)
    for gamma in (GAMMA, G.scalar(GAMMA - delta), G.scalar(GAMMA + delta)):
        forced = forge_same_amount(hostile, committed, gamma)
        assert not same_amount_holds(G, JOINT_KEY, hostile, committed, b"", forced)


def forge_same_amount(ciphertext: Ciphertext[Point], commitment: Point, gamma: Scalar) -> SameAmountProof:
    """What the honest prover would answer for these points, with this γ."""
    said = auditors._said_same(G, JOINT_KEY, ciphertext, commitment, b"")
    masks = [secret(f"mask {at}") for at in range(3)]
    challenge = auditors._same_challenge(G, said, auditors._same_points(G, JOINT_KEY, *masks))
    secrets = (7, RHO, gamma)
    return SameAmountProof(
        challenge, *(G.scalar(mask - challenge * each) for mask, each in zip(masks, secrets, strict=True))
    )


def test_one_blinding_for_both_is_refused() -> None:
    with pytest.raises(ValueError, match="gives the amount away"):
        prove_same_amount(G, JOINT_KEY, 7, RHO, RHO, b"", random_bytes("same"))


def test_all_is_bound_by_the_challenge_of_the_same_amount() -> None:
    """An honest proof with a field changed fails its equation anyway; so what is hashed is compared itself."""
    encrypted, committed = encrypt(G, JOINT_KEY, 7, RHO), commit(G, 7, GAMMA)
    point = G.generator

    def said(joint: Point, ciphertext: Ciphertext[Point], commitment: Point, message: bytes) -> bytes:
        return auditors._said_same(G, joint, ciphertext, commitment, message).challenge_bytes("compare")

    others = {
        said(JOINT_KEY, encrypted, committed, b""),
        said(point, encrypted, committed, b""),
        said(JOINT_KEY, replace(encrypted, ephemeral=point), committed, b""),
        said(JOINT_KEY, replace(encrypted, masked=point), committed, b""),
        said(JOINT_KEY, encrypted, point, b""),
        said(JOINT_KEY, encrypted, committed, b"another"),
    }
    assert len(others) == 6
    transcript = auditors._said_same(G, JOINT_KEY, encrypted, committed, b"")
    masks = [point, encrypted.masked, committed]
    drawn = {
        auditors._same_challenge(G, transcript, [*masks[:at], encrypted.ephemeral, *masks[at + 1 :]]) for at in range(3)
    }
    assert len(drawn | {auditors._same_challenge(G, transcript, masks)}) == 4


# -- dealers who cheat


DOMAIN = b"\x53" * 32


def dealer(name: str, dealing: Dealing[Point], epoch: int = 7) -> Dealer[Point]:
    here = Registration(DOMAIN, name.encode().rjust(20, b"\0"), epoch)
    return Dealer(here, dealing.commitments, prove_possession(G, Role.AUDITOR, here, secret(name), random_bytes(name)))


DEALERS = [dealer(f"dealer {at}", dealing) for at, dealing in zip(AUDITORS, DEALINGS, strict=True)]


def test_the_joint_key_is_the_sum_of_dealers_who_know_their_secrets() -> None:
    assert joint_key_of(G, DEALERS, DOMAIN, 7, threshold=2) == JOINT_KEY
    for dealers, epoch, threshold, match in (
        ([], 7, 2, "each once"),
        ([*DEALERS, DEALERS[0]], 7, 2, "each once"),
        (DEALERS, 8, 2, "another chain"),
        (DEALERS, 7, 3, "expected 3"),
        ([replace(DEALERS[0], registration=DEALERS[1].registration), *DEALERS[2:]], 7, 2, "possession"),
    ):
        with pytest.raises(ValueError, match=match):
            joint_key_of(G, dealers, DOMAIN, epoch, threshold=threshold)


def test_who_deals_last_cannot_take_the_others_keys_away() -> None:
    """A_0 = t·G − ΣA_0 of the others would make t the joint secret; its logarithm is nobody's to prove."""
    mine = secret("mine")
    rogue = G.subtract(G.multiply_generator(mine), G.sum(each.commitments[0] for each in DEALINGS[:2]))
    here = Registration(DOMAIN, b"\0" * 14 + b"dealer", 7)
    for known in (mine, secret("dealer 3")):
        proof = prove_possession(G, Role.AUDITOR, here, known, random_bytes("rogue"))
        cheat = Dealer(here, (rogue, G.generator), proof)
        with pytest.raises(ValueError, match="proof of possession"):
            joint_key_of(G, [*DEALERS[:2], cheat], DOMAIN, 7, threshold=2)


def test_a_polynomial_of_another_degree_is_no_dealing() -> None:
    """With a coefficient more, every share passes its own check, and two auditors together open to nothing."""
    longer = deal(G, secret("dealer 1"), 3, 3, random_bytes("longer"))
    for at in AUDITORS:
        assert share_is_right(G, longer.commitments, at, longer.shares[at - 1], threshold=3)
        assert not share_is_right(G, longer.commitments, at, longer.shares[at - 1], threshold=2)
    assert not share_is_right(G, (), 1, Scalar(0), threshold=1)
    dealing = DEALINGS[0]
    for at in (0, -1, 65, ORDER):
        assert not share_is_right(G, dealing.commitments, at, secret("dealer 1"), threshold=2)


@pytest.mark.parametrize("at", [0, -1, 65, ORDER + 1])
def test_parts_of_auditors_there_are_not_are_not_combined(at: int) -> None:
    with pytest.raises(ValueError, match="expected numbers from 1"):
        combine_shares(G, {at: G.generator, 2: G.generator})
