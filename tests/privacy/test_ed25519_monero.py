"""Monero's conventions over ed25519, against what Monero published; every operation is total, only parsing refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.commitment import value_base
from privacy.group import InvalidEncoding, Scalar
from tests.privacy.ed25519_monero import FIELD, MONERO, ORDER, SODIUM_IDENTITY, decode, encode, hash_to_ec
from tests.privacy.vectors import read

scalars = st.one_of(st.integers(0, 3), st.integers(ORDER - 3, ORDER - 1), st.integers(0, ORDER - 1)).map(Scalar)
G = MONERO.generator


def lines(kind: str) -> list[list[str]]:
    """Return the arguments of every published line of a kind."""
    parts = [line.split() for line in read("monero/tests.txt").decode().splitlines()]
    return [rest for name, *rest in parts if name == kind]


def test_keys_that_monero_takes_for_points() -> None:
    cases = lines("check_key")
    assert len(cases) == 372
    for key, expected in cases:
        assert (decode(bytes.fromhex(key)) is not None) == (expected == "true"), key


def test_keys_that_monero_hashes_to_points() -> None:
    cases = lines("hash_to_ec")
    assert len(cases) == 256
    for key, expected in cases:
        assert hash_to_ec(bytes.fromhex(key)).hex() == expected
        assert MONERO.point_from_bytes_checked(hash_to_ec(bytes.fromhex(key))).hex() == expected


def test_the_base_of_amounts_is_moneros() -> None:
    assert value_base(MONERO).hex() == "8b655970153799af2aeadc9ff1add0ea6c7251d54154cfa92c173a0dd39c1f94"


@given(scalars, scalars)
def test_the_laws_of_a_group(a: Scalar, b: Scalar) -> None:
    point = MONERO.hash_to_point("test", b"laws")
    assert MONERO.combine([(a, point), (b, point)]) == MONERO.multiply(MONERO.scalar(a + b), point)
    assert MONERO.multiply(b, MONERO.multiply_generator(a)) == MONERO.multiply(MONERO.scalar(a * b), G)
    left, right = MONERO.multiply_generator(a), MONERO.multiply_generator(b)
    assert MONERO.subtract(left, right) == MONERO.multiply_generator(MONERO.scalar(a - b))
    if a:
        assert MONERO.multiply(MONERO.inverse(a), left) == G
        found = decode(left)
        assert found is not None
        assert encode(found) == left == MONERO.point_from_bytes_checked(left)


@given(st.binary(min_size=32, max_size=32))
def test_all_hashes_are_in_the_subgroup(data: bytes) -> None:
    assert MONERO.point_from_bytes_checked(hash_to_ec(data)) == hash_to_ec(data)


def test_the_identity_is_a_point_that_no_bytes_encode() -> None:
    zero = Scalar(0)
    for point in (
        MONERO.identity,
        MONERO.sum(()),
        MONERO.multiply(zero, G),
        MONERO.multiply_generator(zero),
        MONERO.multiply(Scalar(5), MONERO.identity),
        MONERO.negate(MONERO.identity),
        MONERO.sum((G, MONERO.negate(G), MONERO.identity)),
    ):
        assert MONERO.is_identity(point)
        assert MONERO.point_to_bytes(point) == bytes(32)


ORDER_TWO = (FIELD - 1).to_bytes(32, "little")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        G[:-1],
        G + b"\0",
        bytes(32),  # of order 4
        SODIUM_IDENTITY,
        ORDER_TWO,
        (FIELD + 1).to_bytes(32, "little"),  # y = 1, not reduced
        b"\1" + bytes(30) + b"\x80",  # x = 0 with a sign
        b"\2" + bytes(31),  # no point has y = 2
        b"\3" + bytes(31),  # a point, of eight times the order
        b"\xff" * 32,
    ],
    ids=lambda raw: raw.hex()[:12] or "empty",
)
def test_hostile_points_are_refused(raw: bytes) -> None:
    with pytest.raises(InvalidEncoding, match="expected"):
        MONERO.point_from_bytes_checked(raw)


@pytest.mark.parametrize("number", [ORDER, ORDER + 1, 2**256 - 1])
def test_scalars_are_below_the_order(number: int) -> None:
    with pytest.raises(InvalidEncoding, match="below the order"):
        MONERO.scalar_from_bytes_checked(number.to_bytes(32, "little"))
    with pytest.raises(ValueError, match="is no scalar"):
        MONERO.multiply(Scalar(number), G)
    with pytest.raises(ValueError, match="is no scalar"):
        MONERO.multiply_generator(Scalar(number))


def test_scalars_are_little_endian() -> None:
    assert MONERO.scalar_from_bytes_checked(b"\5" + bytes(31)) == 5
    assert MONERO.scalar_to_bytes(Scalar(5)) == b"\5" + bytes(31)
    assert MONERO.scalar_from_bytes_wide(b"\5" + bytes(63)) == 5
    for length in (0, 31, 33, 63, 65):
        with pytest.raises(InvalidEncoding):
            MONERO.scalar_from_bytes_checked(bytes(length))
        with pytest.raises(InvalidEncoding):
            MONERO.scalar_from_bytes_wide(bytes(length))
