"""Claims: what is good holds, any byte of it changed does not, and nothing that is read raises."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy import claims
from privacy.commitment import value_base
from privacy.group import Scalar
from privacy.ring import MAX_MEMBERS
from privacy.secp256k1 import ORDER, SECP256K1
from tests.privacy.claims import all_terms, delivery_claim, good, range_claim
from tests.privacy.keys import secret

G = SECP256K1
HOLDS: dict[int, Callable[[bytes], bool]] = {
    0x4701: claims.ring_holds,
    0x4702: claims.note_holds,
    0x4703: claims.range_holds,
    0x4705: claims.equality_holds,
}
SHAPES: dict[int, Callable[[bytes], claims.Shape | None]] = {
    0x4701: claims.ring_shape,
    0x4702: claims.note_shape,
    0x4703: claims.range_shape,
    0x4705: claims.equality_shape,
}
NAMES = (
    "ring of one column",
    "ring of two columns",
    "ring of three columns",
    "delivery",
    "note",
    "range",
    "possession",
    "part",
    "same amount",
)


def test_there_is_a_claim_of_every_kind() -> None:
    assert tuple(good()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_good_claim_holds_and_has_the_length_that_its_head_says(name: str) -> None:
    number, raw = good()[name]
    assert HOLDS[number](raw)
    shape = SHAPES[number](raw[: claims.HEAD_BYTES])
    assert shape is not None
    assert shape.length == len(raw)


@pytest.mark.parametrize("name", NAMES)
def test_a_claim_cut_short_or_made_longer_does_not_hold(name: str) -> None:
    number, raw = good()[name]
    for bad in (b"", raw[:1], raw[:3], raw[: len(raw) // 2], raw[:-1], raw + b"\0", raw + raw):
        assert not HOLDS[number](bad)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25)
@given(data=st.data())
def test_no_byte_of_a_claim_can_be_another(name: str, data: st.DataObject) -> None:
    number, raw = good()[name]
    bad = bytearray(raw)
    bad[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    assert not HOLDS[number](bytes(bad))


@pytest.mark.parametrize("name", NAMES)
def test_no_part_of_a_claim_can_be_zero_the_order_or_infinity(name: str) -> None:
    number, raw = good()[name]
    for at in range(0, len(raw) - 33, 16):
        for other in (bytes(33), b"\xff" * 33, ORDER.to_bytes(33, "big"), G.point_to_bytes(G.generator)):
            assert not HOLDS[number](raw[:at] + other + raw[at + 33 :])


@given(st.binary(max_size=400), st.sampled_from(sorted(HOLDS)))
def test_arbitrary_bytes_are_no_claim_and_raise_nothing(raw: bytes, number: int) -> None:
    assert not HOLDS[number](raw)
    SHAPES[number](raw[: claims.HEAD_BYTES])


def test_what_there_is_not_has_no_shape() -> None:
    many = (MAX_MEMBERS + 1).to_bytes(2, "big")
    for head in (b"", b"\1", b"\0\0\2", b"\5\0\2", b"\4\0", b"\1" + many):
        assert claims.ring_shape(head) is None
    for head in (b"", b"\0", many):
        assert claims.note_shape(head) is None
    for head in (b"", b"\x08", b"\x08\0", b"\x08\x11", b"\x07\1"):
        assert claims.range_shape(head) is None
    for head in (b"", b"\0", b"\4"):
        assert claims.equality_shape(head) is None
    for head in (b"", b"\0\1\0", b"\0\1\0\2"):
        assert claims.sum_shape(head) is None


def test_a_claim_of_one_kind_is_none_of_another() -> None:
    for number, raw in good().values():
        assert not any(HOLDS[other](raw) for other in HOLDS if other != number)


def test_a_range_claims_bits_cannot_be_less() -> None:
    raw = range_claim(200, bits=16)
    assert claims.range_holds(raw)
    assert not claims.range_holds(b"\x08" + raw[1:])


# -- deliveries


def test_who_read_nothing_says_so_too() -> None:
    assert claims.ring_holds(delivery_claim(signer=0, told=0))


def test_a_member_cannot_say_another_reading_than_its_own() -> None:
    for signer, told in ((1, 501), (1, 70), (0, 1)):
        with pytest.raises(ValueError, match="secrets that are not those"):
            delivery_claim(signer=signer, told=told)


def test_a_delivery_that_is_a_members_very_commitment_or_none_does_not_hold() -> None:
    raw = delivery_claim()
    at = 3 + 32 + 32
    readings = [at + 33 + 99 * member + 66 for member in range(3)]
    assert raw[readings[0] : readings[0] + 33] == bytes(33)
    assert not claims.ring_holds(raw[:at] + bytes(33) + raw[at + 33 :])
    for place in readings[1:]:
        assert not claims.ring_holds(raw[:at] + raw[place : place + 33] + raw[at + 33 :])
        assert not claims.ring_holds(raw[:place] + bytes(33) + raw[place + 33 :])


# -- sums


def test_a_sum_of_every_kind_of_term() -> None:
    raw = claims.sum_claim(all_terms())
    point, scalar = G.multiply_generator(secret("point")), secret("scalar")
    expected = G.sum(
        (
            point,
            G.negate(G.generator),
            G.multiply(scalar, point),
            G.multiply(scalar, value_base(G)),
            G.multiply_generator(scalar),
        )
    )
    assert claims.summed(raw) == G.point_to_bytes(expected)
    shape = claims.sum_shape(raw[: claims.HEAD_BYTES])
    assert shape is not None
    assert shape.numbers == (5, 3)
    assert len(raw) <= shape.length


def test_a_sum_that_is_nothing_is_zeros() -> None:
    one, minus = claims.Term(claims.PLUS, G.generator), claims.Term(claims.MINUS, G.generator)
    zero = claims.Term(claims.TIMES_GENERATOR, scalar=Scalar(0))
    for terms in ([], [one, minus], [zero]):
        assert claims.summed(claims.sum_claim(terms)) == bytes(33)


def test_sums_that_cannot_be_read_are_none() -> None:
    raw = claims.sum_claim(all_terms())
    kind = len(claims.sum_claim(all_terms()[:1])) - 34
    for bad in (
        b"",
        raw[:-1],
        raw + b"\0",
        b"\0\6" + raw[2:],
        b"\0\4" + raw[2:],
        raw[:2] + b"\0\2" + raw[4:],
        raw[:2] + b"\0\4" + raw[4:],
        raw[:kind] + b"\5" + raw[kind + 1 :],
        raw[:5] + bytes(33) + raw[38:],
        b"\0\1\0\1\4" + ORDER.to_bytes(32, "big"),
    ):
        assert claims.summed(bad) is None


@given(st.binary(max_size=300))
def test_any_bytes_are_a_sum_or_none(raw: bytes) -> None:
    found = claims.summed(raw)
    assert found is None or len(found) == 33
