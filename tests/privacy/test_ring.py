"""Scoped linkable ring signatures: what they show, what they hide, and every way to bend them that we know of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy import ring
from privacy.group import InvalidEncoding, Scalar
from privacy.ring import Column, RingSignature, Statement, image, sign, signature_from_bytes_checked, verify
from privacy.secp256k1 import ORDER, SECP256K1, Point
from tests.privacy.keys import LOGARITHMS, random_bytes, secret
from tests.privacy.plain_secp256k1 import PLAIN

BOTH = (Column.TRACE, Column.RING)
ALL = (Column.TRACE, Column.RING, Column.DELIVERY)
SHAPES = [(Column.RING,), BOTH, (Column.RING, Column.DELIVERY), ALL]
SCOPE = b"chain 7, contract, market, window 12"


def keys(count: int, columns: tuple[Column, ...]) -> list[list[Scalar]]:
    """Return the secrets of members, one a column."""
    return [[secret(f"{column} {member}") for column in columns] for member in range(count)]


def statement(secrets: list[list[Scalar]], columns: tuple[Column, ...], message: bytes = b"offer") -> Statement[Point]:
    members = tuple(tuple(SECP256K1.multiply_generator(each) for each in own) for own in secrets)
    return Statement(columns, members, SCOPE, message)


def signed(
    count: int = 4, columns: tuple[Column, ...] = BOTH, index: int = 1
) -> tuple[Statement[Point], RingSignature[Point]]:
    secrets = keys(count, columns)
    said = statement(secrets, columns)
    return said, sign(SECP256K1, said, secrets[index], index, random_bytes("sign"))


@pytest.mark.parametrize("columns", SHAPES, ids="+".join)
@pytest.mark.parametrize("count", [2, 3, 16])
def test_every_member_can_sign_and_all_signatures_have_one_shape(columns: tuple[Column, ...], count: int) -> None:
    lengths = set()
    for index in (0, count // 2, count - 1):
        said, signature = signed(count, columns, index)
        assert verify(SECP256K1, said, signature)
        raw = signature.to_bytes(SECP256K1)
        assert signature_from_bytes_checked(SECP256K1, raw, len(columns), count) == signature
        lengths.add(len(raw))
    assert lengths == {33 * len(columns) + 32 * (count + 1)}


def test_the_published_sizes() -> None:
    assert len(signed(16, (Column.RING,))[1].to_bytes(SECP256K1)) == 577
    assert len(signed(64, (Column.RING,))[1].to_bytes(SECP256K1)) == 2_113


def test_both_groups_make_the_same_bytes() -> None:
    secrets = keys(3, BOTH)
    said = Statement(BOTH, tuple(tuple(PLAIN.multiply_generator(each) for each in own) for own in secrets), SCOPE, b"m")
    ours = sign(SECP256K1, statement(secrets, BOTH, b"m"), secrets[2], 2, random_bytes("both"))
    plain = sign(PLAIN, said, secrets[2], 2, random_bytes("both"))
    assert plain.to_bytes(PLAIN) == ours.to_bytes(SECP256K1)
    assert verify(PLAIN, said, plain)


# -- what is linked, and what is not


def test_a_second_action_in_a_scope_shows_and_another_scope_shows_nothing() -> None:
    secrets = keys(4, BOTH)
    first = sign(SECP256K1, statement(secrets, BOTH, b"one"), secrets[1], 1, random_bytes("1"))
    second = sign(SECP256K1, statement(secrets, BOTH, b"two"), secrets[1], 1, random_bytes("2"))
    elsewhere = replace(statement(secrets, BOTH, b"one"), scope=b"window 13")
    third = sign(SECP256K1, elsewhere, secrets[1], 1, random_bytes("1"))
    assert first.images == second.images
    assert not set(first.images) & set(third.images)
    assert first.images == (image(SECP256K1, secrets[1][0], SCOPE), image(SECP256K1, secrets[1][1], SCOPE))
    assert not verify(SECP256K1, elsewhere, first)


def test_a_repeated_seed_gives_no_key_away() -> None:
    """Two statements with the same randomness: their nonces differ, else the difference of two responses is the key."""
    secrets = keys(4, BOTH)
    one, two = (
        sign(SECP256K1, statement(secrets, BOTH, message), secrets[1], 1, random_bytes("same"))
        for message in (b"one", b"two")
    )
    assert not set(one.responses) & set(two.responses)
    again = sign(SECP256K1, statement(secrets, BOTH, b"one"), secrets[1], 1, random_bytes("same"))
    assert again == one


@given(st.integers(0, 3), st.binary(max_size=40), st.binary(min_size=32, max_size=64))
def test_any_message_any_signer_any_randomness(index: int, message: bytes, randomness: bytes) -> None:
    secrets = keys(4, BOTH)
    said = statement(secrets, BOTH, message)
    assert verify(SECP256K1, said, sign(SECP256K1, said, secrets[index], index, randomness))


# -- mutations


def hostile_points(point: Point) -> Iterator[Point]:
    yield from (SECP256K1.identity, SECP256K1.generator, SECP256K1.negate(point))
    yield SECP256K1.multiply(Scalar(2), point)


def hostile_scalars(scalar: Scalar) -> Iterator[Scalar]:
    yield from map(Scalar, (0, 1, ORDER - 1, ORDER, ORDER + scalar, -1, 2**256, (scalar + 1) % ORDER))


def test_every_field_of_a_signature_mutated_is_false_and_never_an_exception() -> None:
    said, good = signed(4, ALL)
    for place, point in enumerate(good.images):
        for bad in hostile_points(point):
            images = (*good.images[:place], bad, *good.images[place + 1 :])
            assert not verify(SECP256K1, said, replace(good, images=images))
    for bad_scalar in hostile_scalars(good.challenge):
        assert not verify(SECP256K1, said, replace(good, challenge=bad_scalar))
    for place, scalar in enumerate(good.responses):
        for bad_scalar in hostile_scalars(scalar):
            responses = (*good.responses[:place], bad_scalar, *good.responses[place + 1 :])
            assert not verify(SECP256K1, said, replace(good, responses=responses))
    for shape in (
        replace(good, images=good.images[:-1]),
        replace(good, images=(*good.images, good.images[0])),
        replace(good, images=()),
        replace(good, responses=good.responses[:-1]),
        replace(good, responses=(*good.responses, Scalar(1))),
        replace(good, responses=()),
        replace(good, images=good.images[::-1]),
        replace(good, responses=good.responses[1:] + good.responses[:1]),
    ):
        assert not verify(SECP256K1, said, shape)


def test_every_part_of_the_statement_is_bound() -> None:
    said, good = signed(4, ALL)
    members = said.members
    for other in (
        replace(said, scope=SCOPE + b"x"),
        replace(said, message=b"another"),
        replace(said, columns=(Column.TRACE, Column.DELIVERY, Column.RING)),
        replace(said, columns=(Column.RING, Column.TRACE, Column.DELIVERY)),
        replace(said, columns=(Column.TRACE, Column.RING)),
        replace(said, columns=(Column.TRACE, Column.RING, Column.RING)),
        replace(said, columns=()),
        replace(said, members=members[::-1]),
        replace(said, members=members[1:] + members[:1]),
        replace(said, members=members[:-1]),
        replace(said, members=(*members, members[0])),
        replace(said, members=()),
        replace(said, members=(members[0][:2], *members[1:])),
        replace(said, members=((SECP256K1.identity, *members[0][1:]), *members[1:])),
    ):
        assert not verify(SECP256K1, other, good)


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw[:-1],
        lambda raw: raw + b"\0",
        lambda raw: b"",
        lambda raw: bytes(len(raw)),
        lambda raw: b"\xff" * len(raw),
        lambda raw: raw[:66] + ORDER.to_bytes(32, "big") + raw[98:],
    ],
)
def test_bytes_that_are_no_signature_are_refused(change: Callable[[bytes], bytes]) -> None:
    raw = signed()[1].to_bytes(SECP256K1)
    with pytest.raises(InvalidEncoding, match="expected"):
        signature_from_bytes_checked(SECP256K1, change(raw), 2, 4)


@given(st.integers(0, 33 * 2 + 32 * 5 - 1), st.integers(1, 255))
def test_any_flipped_byte_breaks_it(at: int, difference: int) -> None:
    said, good = signed()
    raw = bytearray(good.to_bytes(SECP256K1))
    raw[at] ^= difference
    try:
        bent = signature_from_bytes_checked(SECP256K1, bytes(raw), 2, 4)
    except InvalidEncoding:
        return
    assert not verify(SECP256K1, said, bent)


def test_a_ring_of_one_and_a_ring_beyond_the_bound_are_no_statements(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = keys(5, BOTH)
    with pytest.raises(ValueError, match="no verifier"):
        sign(SECP256K1, statement(secrets[:1], BOTH), secrets[0], 0, random_bytes("one"))
    said, good = signed(5)
    monkeypatch.setattr(ring, "MAX_MEMBERS", 4)
    assert not verify(SECP256K1, said, good)


def test_only_a_members_own_secrets_sign() -> None:
    secrets = keys(4, BOTH)
    said = statement(secrets, BOTH)
    for bad in (secrets[2], secrets[1][::-1], secrets[1][:1], []):
        with pytest.raises(ValueError, match="not those of the member"):
            sign(SECP256K1, said, bad, 1, random_bytes("not mine"))
    with pytest.raises(ValueError, match="random bytes"):
        sign(SECP256K1, said, secrets[1], 1, bytes(31))


# -- the two-key variant: nobody who knows k alone, the auditors say, can act or frame (docs/privacy.md, (a) to (e))


def test_a_the_nullifier_comes_from_the_ring_key_not_from_the_trace_key() -> None:
    """Whoever knows k makes the trace tag I; D they cannot make, nor a signature that has D."""
    secrets = keys(4, BOTH)
    said, good = signed()
    known_trace, own = secrets[1][0], secret("the auditor's own")
    assert image(SECP256K1, known_trace, SCOPE) == good.images[0]
    with pytest.raises(ValueError, match="not those of the member"):
        sign(SECP256K1, said, [known_trace, own], 1, random_bytes("framing"))
    forged = forge(said, [known_trace, own], 1, good.images)
    assert not verify(SECP256K1, said, forged)


def forge(said: Statement[Point], secrets: list[Scalar], index: int, images: tuple[Point, ...]) -> RingSignature[Point]:
    """Return what `sign` would make of secrets that are not the member's, and images that are not the secrets'."""
    group = SECP256K1
    base = ring.scope_base(group, said.scope)
    transcript, weights = ring._said(group, said, images)
    folded = group.combine(zip(weights, images, strict=True))
    secret_ = group.scalar(sum(weight * each for weight, each in zip(weights, secrets, strict=True)))
    count = len(said.members)
    responses = [transcript.nonce(f"{place}", group, secret_, random_bytes("forge")) for place in range(count)]
    left, right = group.multiply_generator(responses[index]), group.multiply(responses[index], base)
    challenges = [Scalar(0)] * count
    for step in range(1, count + 1):
        place = (index + step) % count
        challenges[place] = ring._next_challenge(group, transcript, left, right)
        if place != index:
            left, right = ring._round(
                group, responses[place], challenges[place], weights, said.members[place], base, folded
            )
    responses[index] = group.scalar(responses[index] - challenges[index] * secret_)
    return RingSignature(images, challenges[0], tuple(responses))


def test_b_no_point_occurs_twice_in_all_key_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever registers the victim's K, with its k, signs with the victim's exact trace tag: no such ring holds."""
    secrets = keys(4, BOTH)
    copied = [*secrets[:3], [secrets[1][0], secrets[3][1]]]  # the last has the trace key of member 1
    said = statement(copied, BOTH)
    forged = forge(said, copied[3], 3, (image(SECP256K1, copied[3][0], SCOPE), image(SECP256K1, copied[3][1], SCOPE)))
    assert forged.images[0] == image(SECP256K1, secrets[1][0], SCOPE)
    assert not verify(SECP256K1, said, forged)
    monkeypatch.setattr(ring, "_well_formed", lambda group, statement: True)
    assert verify(SECP256K1, said, forged)  # the check is what stops it


@pytest.mark.parametrize("twice", [((0, 0), (1, 0)), ((0, 1), (1, 1)), ((0, 0), (0, 1)), ((0, 0), (2, 1))])
def test_b_also_across_the_columns(twice: tuple[tuple[int, int], tuple[int, int]]) -> None:
    secrets = keys(4, BOTH)
    (member, column), (other, its) = twice
    secrets[other][its] = secrets[member][column]
    with pytest.raises(ValueError, match="no verifier"):
        sign(SECP256K1, statement(secrets, BOTH), secrets[3], 3, random_bytes("twice"))


def test_c_both_hashes_bind_all_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the nullifier out of them, and it can be chosen last, to go with the victim's own trace tag: slander."""
    group, secrets = SECP256K1, keys(4, BOTH)
    said, own = statement(secrets, BOTH), secrets[3]
    base, victim = ring.scope_base(group, SCOPE), image(group, secrets[1][0], SCOPE)

    def slander() -> RingSignature[Point]:
        """Return a signature with the victim's trace tag, and the nullifier that the weights then ask for."""
        _, weights = ring._said(group, said, (victim, group.generator))
        folded = group.multiply(group.scalar(weights[0] * own[0] + weights[1] * own[1]), base)
        rest = group.subtract(folded, group.multiply(weights[0], victim))
        return forge(said, own, 3, (victim, group.multiply(group.inverse(weights[1]), rest)))

    assert not verify(group, said, slander())
    bound = ring._said
    monkeypatch.setattr(ring, "_said", lambda g, stated, images: bound(g, stated, (images[0], g.generator)))
    slandering = slander()
    assert verify(group, said, slandering)
    assert slandering.images[0] == victim


def shown(signature: RingSignature[Point]) -> set[bytes]:
    """Return all points and scalars that a signature shows."""
    points = {*map(SECP256K1.point_to_bytes, signature.images)}
    return points | {SECP256K1.scalar_to_bytes(each) for each in (signature.challenge, *signature.responses)}


@pytest.mark.parametrize("randomness", ["the same every time", None])
def test_e_nothing_derived_from_long_term_keys_repeats_across_windows(randomness: str | None) -> None:
    """Not one point or scalar, for any member, in any two of twenty windows; nor the keys themselves."""
    secrets = keys(4, BOTH)
    seen = {SECP256K1.point_to_bytes(point) for row in statement(secrets, BOTH).members for point in row}
    for window in range(20):
        said = replace(statement(secrets, BOTH), scope=b"window %d" % window)
        for member in range(4):
            chance = random_bytes(randomness or f"{window} {member}")
            parts = shown(sign(SECP256K1, said, secrets[member], member, chance))
            assert not parts & seen
            seen |= parts


def test_e_who_steals_rotated_keys_learns_nothing_of_windows_before() -> None:
    """A stolen x or k names its owner in every past scope of those keys; after a rotation, in none of them."""
    old, new = keys(4, BOTH), [[secret(f"rotated {column} {member}") for column in BOTH] for member in range(4)]
    scopes = [b"window %d" % window for window in range(6)]
    ledger = [
        sign(SECP256K1, replace(statement(held, BOTH), scope=scope), held[1], 1, random_bytes("rotation"))
        for scope, held in zip(scopes, [old] * 3 + [new] * 3, strict=True)
    ]

    def named(stolen: list[Scalar]) -> list[int]:
        """Return the windows in which a thief of these secrets recognises an image."""
        images = [{image(SECP256K1, each, scope) for each in stolen} for scope in scopes]
        return [
            at for at, (found, signature) in enumerate(zip(images, ledger, strict=True)) if found & {*signature.images}
        ]

    assert named(old[1]) == [0, 1, 2]
    assert named(new[1]) == [3, 4, 5]
    assert named(old[1][:1]) == [0, 1, 2]  # k alone, x alone
    assert named(old[1][1:]) == [0, 1, 2]
    assert named(old[2]) == []


def test_e_keys_that_were_rotated_away_sign_no_more() -> None:
    old, new = keys(4, BOTH), [[secret(f"rotated {column} {member}") for column in BOTH] for member in range(4)]
    said = statement(new, BOTH)
    with pytest.raises(ValueError, match="not those of the member"):
        sign(SECP256K1, said, old[1], 1, random_bytes("old"))
    images = (image(SECP256K1, old[1][0], SCOPE), image(SECP256K1, old[1][1], SCOPE))
    assert not verify(SECP256K1, said, forge(said, old[1], 1, images))


def test_an_image_over_a_base_of_known_logarithm_names_the_signer(monkeypatch: pytest.MonkeyPatch) -> None:
    """With Hp(s) = h·G, everyone computes h·P_i; so the base is the RFC's point, and no hash of s times G."""
    rows = statement(keys(4, BOTH), BOTH).members

    def named(images: Sequence[Point], logarithm: Scalar) -> set[int]:
        own = {at: {SECP256K1.multiply(logarithm, point) for point in row} for at, row in enumerate(rows)}
        return {at for at, found in own.items() if found & {*images}}

    base = ring.scope_base(SECP256K1, SCOPE)
    assert SECP256K1.point_to_bytes(base) == PLAIN.point_to_bytes(PLAIN.hash_to_point("scope", SCOPE))
    honest = signed()[1].images
    for hashed in (each(SCOPE) for each in LOGARITHMS):
        assert base != SECP256K1.multiply_generator(hashed)
        assert named(honest, hashed) == set()
        with monkeypatch.context() as patch:
            patch.setattr(ring, "scope_base", lambda group, scope, h=hashed: group.multiply_generator(h))
            assert named(signed()[1].images, hashed) == {1}


@pytest.mark.parametrize(
    ("columns", "members"), [(0, 4), (-1, 1), (-1, 4), (2, 0), (2, 1), (2, -1), (4, 4), (1, 2**20)]
)
def test_numbers_that_no_ring_has_are_no_encoding(columns: int, members: int) -> None:
    for length in (0, 31, 33, 66, 98, ring.signature_bytes(SECP256K1, columns, members) % 4_096):
        with pytest.raises(InvalidEncoding, match="expected"):
            signature_from_bytes_checked(SECP256K1, b"\2" * length, columns, members)


# -- the delivery pair


def test_a_delivery_that_differs_by_a_watt_hour_cannot_be_signed() -> None:
    from privacy.commitment import commit

    columns = (Column.RING, Column.DELIVERY)
    rings = [secret(f"ring {member}") for member in range(4)]
    blindings = [secret(f"blinding {member}") for member in range(4)]
    meters = [commit(SECP256K1, 500 + member, blindings[member]) for member in range(4)]
    posted_blinding = secret("posted")
    for claimed, holds in ((501, True), (502, False)):
        posted = commit(SECP256K1, claimed, posted_blinding)
        members = tuple(
            (SECP256K1.multiply_generator(rings[at]), SECP256K1.subtract(meters[at], posted)) for at in range(4)
        )
        said = Statement(columns, members, SCOPE, b"settle")
        own = [rings[1], SECP256K1.scalar(blindings[1] - posted_blinding)]
        if holds:
            assert verify(SECP256K1, said, sign(SECP256K1, said, own, 1, random_bytes("delivery")))
        else:
            with pytest.raises(ValueError, match="not those of the member"):
                sign(SECP256K1, said, own, 1, random_bytes("delivery"))
            images = (image(SECP256K1, own[0], SCOPE), image(SECP256K1, own[1], SCOPE))
            assert not verify(SECP256K1, said, forge(said, own, 1, images))
