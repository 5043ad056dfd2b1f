"""secp256k1 by its library, against plain integers and Wycheproof; every operation is total, only parsing refuses."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.group import InvalidEncoding, Scalar
from privacy.secp256k1 import _TABLES, ORDER, SECP256K1, TABLES_KEPT, Point
from tests.privacy.plain_secp256k1 import FIELD, PLAIN
from tests.privacy.vectors import read_json

scalars = st.one_of(st.integers(0, 3), st.integers(ORDER - 3, ORDER - 1), st.integers(0, ORDER - 1)).map(Scalar)


def same(point: Point, plain: tuple[int, int] | None) -> bool:
    return SECP256K1.point_to_bytes(point) == PLAIN.point_to_bytes(plain)


@given(scalars, scalars)
def test_both_groups_agree(first: Scalar, second: Scalar) -> None:
    left, right = SECP256K1.multiply_generator(first), SECP256K1.multiply_generator(second)
    plain_left, plain_right = PLAIN.multiply_generator(first), PLAIN.multiply_generator(second)
    assert same(left, plain_left)
    assert same(SECP256K1.sum((left, right)), PLAIN.sum((plain_left, plain_right)))
    assert same(SECP256K1.subtract(left, right), PLAIN.subtract(plain_left, plain_right))
    assert same(SECP256K1.multiply(second, left), PLAIN.multiply(second, plain_left))
    assert same(SECP256K1.negate(left), PLAIN.negate(plain_left))


@given(scalars, st.lists(scalars, max_size=3))
def test_a_verifiers_generator_is_the_generator(scalar: Scalar, others: list[Scalar]) -> None:
    """Also where nothing is left of the sum, or a part of it is the identity."""
    points = [SECP256K1.multiply_generator(each) for each in others]
    expected = SECP256K1.sum((SECP256K1.multiply_generator(scalar), *points))
    assert SECP256K1.add_generator(scalar, points) == expected
    assert SECP256K1.is_identity(
        SECP256K1.add_generator(scalar, [SECP256K1.negate(SECP256K1.multiply_generator(scalar))])
    )
    plain = [PLAIN.multiply_generator(each) for each in others]
    assert same(expected, PLAIN.add_generator(scalar, plain))


@given(scalars, st.lists(scalars, max_size=2))
def test_a_prepared_base_gives_the_same_sums(scalar: Scalar, others: list[Scalar]) -> None:
    group = SECP256K1
    points = [group.multiply_generator(each) for each in others]
    base = group.hash_to_point("test", b"prepared")
    expected = group.sum((group.multiply(scalar, base), *points))
    group.prepare(base)
    assert group.add_multiple(scalar, base, points) == expected
    assert group.add_multiple(scalar, group.hash_to_point("test", b"not prepared"), points) != expected or not scalar
    assert group.is_identity(group.add_multiple(scalar, base, [group.negate(group.multiply(scalar, base))]))
    assert group.add_multiple(scalar, group.identity, points) == group.sum(points)


def test_few_tables_are_kept_and_the_identity_has_none() -> None:
    group = SECP256K1
    bases = [group.hash_to_point("test", bytes((number,))) for number in range(TABLES_KEPT + 2)]
    for base in (*bases, group.identity, bases[-1]):
        group.prepare(base)
    assert list(_TABLES) == [group.point_to_bytes(base) for base in bases[-TABLES_KEPT:]]
    for base in bases:
        assert group.add_multiple(Scalar(77), base, ()) == group.multiply(Scalar(77), base)


@given(scalars, scalars)
def test_the_laws_of_a_group(a: Scalar, b: Scalar) -> None:
    group = SECP256K1
    point = group.hash_to_point("test", b"laws")
    total = group.scalar(a + b)
    assert group.combine([(a, point), (b, point)]) == group.multiply(total, point)
    assert group.subtract(group.multiply(a, point), group.multiply(a, point)) == group.identity
    if a:
        assert group.multiply(group.inverse(a), group.multiply(a, point)) == point


def test_the_identity_is_a_point_that_no_bytes_encode() -> None:
    group = SECP256K1
    zero = Scalar(0)
    for point in (
        group.identity,
        group.sum(()),
        group.multiply(zero, group.generator),
        group.multiply_generator(zero),
        group.multiply(Scalar(5), group.identity),
        group.negate(group.identity),
        group.sum((group.generator, group.negate(group.generator), group.identity)),
    ):
        assert group.is_identity(point)
        assert group.point_to_bytes(point) == bytes(33)
    with pytest.raises(InvalidEncoding):
        group.point_from_bytes_checked(bytes(33))


G = SECP256K1.point_to_bytes(SECP256K1.generator)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        G[:-1],
        G + b"\0",
        b"\x04" + G[1:],
        b"\x06" + G[1:],
        b"\x00" + G[1:],
        b"\x02" + bytes(32),  # x = 0 is on no curve point
        b"\x02" + FIELD.to_bytes(32, "big"),
        b"\x02" + (FIELD + 1).to_bytes(32, "big"),  # x = 1, not reduced
        b"\x02" + b"\xff" * 32,
        b"\x02" + (5).to_bytes(32, "big"),  # 5³ + 7 has no root
    ],
    ids=lambda raw: raw.hex()[:12] or "empty",
)
def test_hostile_points_are_refused_by_both(raw: bytes) -> None:
    for group in (SECP256K1, PLAIN):
        with pytest.raises(InvalidEncoding, match="expected"):
            group.point_from_bytes_checked(raw)


@given(st.binary(min_size=30, max_size=36))
def test_any_bytes_are_a_point_for_both_or_for_none(raw: bytes) -> None:
    try:
        found = SECP256K1.point_from_bytes_checked(raw)
    except InvalidEncoding:
        with pytest.raises(InvalidEncoding):
            PLAIN.point_from_bytes_checked(raw)
    else:
        assert SECP256K1.point_to_bytes(found) == raw == PLAIN.point_to_bytes(PLAIN.point_from_bytes_checked(raw))


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_of_any_kind_are_read_and_refused_alike(kind: Callable[[bytes], Any]) -> None:
    point = SECP256K1.point_from_bytes_checked(kind(G))
    assert point == SECP256K1.generator
    assert type(SECP256K1.point_to_bytes(point)) is bytes
    assert SECP256K1.scalar_from_bytes_checked(kind(b"\0" * 31 + b"\5")) == 5
    for bad in (b"", bytes(33), b"\xff" * 33):
        with pytest.raises(InvalidEncoding):
            SECP256K1.point_from_bytes_checked(kind(bad))
        with pytest.raises(InvalidEncoding):
            SECP256K1.scalar_from_bytes_checked(kind(bad))


def test_a_point_keeps_its_bytes_when_those_it_was_read_from_change() -> None:
    raw: Any = bytearray(G)
    point = SECP256K1.point_from_bytes_checked(cast(bytes, memoryview(raw)))
    raw[1] ^= 1
    assert SECP256K1.point_to_bytes(point) == G


@pytest.mark.parametrize("number", [ORDER, ORDER + 1, 2**256 - 1])
def test_scalars_are_below_the_order(number: int) -> None:
    with pytest.raises(InvalidEncoding, match="below the order"):
        SECP256K1.scalar_from_bytes_checked(number.to_bytes(32, "big"))
    with pytest.raises(ValueError, match="is no scalar"):
        SECP256K1.multiply(Scalar(number), SECP256K1.generator)
    with pytest.raises(ValueError, match="is no scalar"):
        SECP256K1.multiply_generator(Scalar(number))


@pytest.mark.parametrize("length", [0, 31, 33])
def test_scalars_have_32_bytes(length: int) -> None:
    with pytest.raises(InvalidEncoding):
        SECP256K1.scalar_from_bytes_checked(bytes(length))


def test_wycheproof_shared_secrets() -> None:
    """ECDH on secp256k1: every valid public key in the plain form of SEC 1, times the private key."""
    checked = 0
    for case in (
        each for group in read_json("wycheproof/ecdh_secp256k1_test.json.gz")["testGroups"] for each in group["tests"]
    ):
        public, private = bytes.fromhex(case["public"]), int(case["private"], 16)
        if case["result"] != "valid" or len(public) != 88 or not 0 < private < ORDER:
            continue
        x, y = public[-64:-32], public[-1]
        point = SECP256K1.point_from_bytes_checked(bytes((2 + (y & 1),)) + x)
        shared = SECP256K1.multiply(Scalar(private), point)
        assert SECP256K1.point_to_bytes(shared)[1:].hex() == case["shared"], case["tcId"]
        checked += 1
    assert checked > 450


def test_sums_of_many_points() -> None:
    chance = random.Random(7)
    numbers = [Scalar(chance.randrange(ORDER)) for _ in range(300)]
    points = [SECP256K1.multiply_generator(each) for each in numbers]
    assert SECP256K1.sum(points) == SECP256K1.multiply_generator(SECP256K1.scalar(sum(numbers)))
    assert SECP256K1.sum([*points, *map(SECP256K1.negate, points)]) == SECP256K1.identity
