"""Range proofs: round trips, amounts out of range, every mutation, batches that cheat, and one real Monero proof."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any, Generic

import pytest
from eth_hash.auto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy import range_proof
from privacy.commitment import VALUE_USE, commit, value_base
from privacy.group import Group, InvalidEncoding, Scalar
from privacy.range_proof import (
    BITS,
    LEFT_USE,
    MAX_COMMITMENTS,
    RIGHT_USE,
    TRANSCRIPT,
    Challenges,
    Hashing,
    P,
    RangeProof,
    Statement,
    prove,
    range_proof_bytes,
    range_proof_from_bytes_checked,
    verify,
    verify_batch,
    verify_each,
)
from privacy.secp256k1 import ORDER, SECP256K1, Point
from tests.privacy.ed25519_monero import MONERO, hash_to_ec, hash_to_scalar
from tests.privacy.keys import random_bytes, secret
from tests.privacy.monero_transaction import transaction_from_bytes_checked
from tests.privacy.plain_secp256k1 import PLAIN
from tests.privacy.vectors import read_json

G = SECP256K1
Opening = tuple[int, Scalar]


def openings(*amounts: int) -> list[Opening]:
    return [(amount, secret(f"blinding {place}")) for place, amount in enumerate(amounts)]


def stated(group: Group[P], opened: list[Opening], bits: int, message: bytes = b"") -> Statement[P]:
    return Statement(tuple(commit(group, v, group.scalar(blinding)) for v, blinding in opened), bits, message)


def proved(*amounts: int, bits: int = 8, message: bytes = b"") -> tuple[Statement[Point], RangeProof[Point]]:
    said = stated(G, openings(*amounts), bits, message)
    return said, prove(G, said, openings(*amounts), random_bytes("prove"))


def test_after_warming_no_statement_hashes_a_base(monkeypatch: pytest.MonkeyPatch) -> None:
    range_proof.warm(G)

    def unexpected(*_: object) -> Point:
        raise AssertionError("a base is hashed")

    monkeypatch.setattr(type(G), "hash_to_point", unexpected)
    for bits in BITS:
        for count in range(1, MAX_COMMITMENTS + 1):
            said = Statement((G.generator,) * count, bits)
            assert [len(each) for each in TRANSCRIPT.bases(G, said.length)] == [said.length] * 2


@pytest.mark.parametrize("amounts", [(0,), (255,), (1, 254), (3, 0, 255), (7, 7, 7, 7)])
def test_amounts_in_range_are_proved_together(amounts: tuple[int, ...]) -> None:
    said, proof = proved(*amounts)
    assert verify(G, said, proof)
    raw = proof.to_bytes(G)
    assert len(raw) == range_proof_bytes(G, said)
    assert range_proof_from_bytes_checked(G, raw, said) == proof


@pytest.mark.parametrize("bits", BITS)
def test_the_ends_of_every_range(bits: int) -> None:
    for amount in (0, 1, (1 << bits) - 1):
        assert verify(G, *proved(amount, bits=bits))
    for amount in (-1, 1 << bits):
        with pytest.raises(ValueError, match="expected 0 to"):
            proved(amount, bits=bits)


def test_the_published_sizes() -> None:
    sizes = {(bits, count): range_proof_bytes(G, proved_size(bits, count)) for bits in (32, 64) for count in (1, 2, 16)}
    assert sizes == {(32, 1): 525, (32, 2): 591, (32, 16): 789, (64, 1): 591, (64, 2): 657, (64, 16): 855}


def proved_size(bits: int, count: int) -> Statement[Point]:
    return Statement((G.generator,) * count, bits)


@settings(max_examples=20)
@given(st.lists(st.integers(0, 255), min_size=1, max_size=3), st.binary(max_size=20), st.binary(min_size=32))
def test_any_amounts_any_message_any_randomness(amounts: list[int], message: bytes, randomness: bytes) -> None:
    said = stated(G, openings(*amounts), 8, message)
    assert verify(G, said, prove(G, said, openings(*amounts), randomness))


def test_both_groups_make_the_same_bytes() -> None:
    said, ours = proved(200)
    its = stated(PLAIN, openings(200), 8)
    plain = prove(PLAIN, its, openings(200), random_bytes("prove"))
    assert plain.to_bytes(PLAIN) == ours.to_bytes(G)
    assert verify(PLAIN, its, plain)
    assert verify(G, said, range_proof_from_bytes_checked(G, plain.to_bytes(PLAIN), said))


def test_bases_are_hashed_from_their_labels_and_all_different() -> None:
    left, right = TRANSCRIPT.bases(G, 64 * MAX_COMMITMENTS)
    for number in (0, 1, 63, 1_023):
        label = number.to_bytes(4, "big")
        for points, use in ((left, LEFT_USE), (right, RIGHT_USE)):
            assert G.point_to_bytes(points[number]) == PLAIN.point_to_bytes(PLAIN.hash_to_point(use, label))
    assert len({*left, *right, value_base(G), G.generator, G.identity}) == 2 * 64 * MAX_COMMITMENTS + 3
    assert G.point_to_bytes(value_base(G)) == PLAIN.point_to_bytes(PLAIN.hash_to_point(VALUE_USE, b""))


def test_a_repeated_seed_gives_nothing_away() -> None:
    one, two = proved(5, message=b"one")[1], proved(5, message=b"two")[1]
    assert {one.r1, one.s1, one.d1}.isdisjoint({two.r1, two.s1, two.d1})
    assert one.a != two.a
    assert proved(5, message=b"one")[1] == one


def test_what_no_verifier_accepts_is_not_proved() -> None:
    opened = openings(1)
    said = stated(G, opened, 8)
    for bad in (replace(said, bits=7), replace(said, bits=128), replace(said, commitments=()), proved_size(8, 17)):
        with pytest.raises(ValueError, match="no verifier"):
            prove(G, bad, opened, random_bytes("prove"))
    with pytest.raises(ValueError, match="not the commitment's"):
        prove(G, said, [(2, opened[0][1])], random_bytes("prove"))
    with pytest.raises(ValueError, match="32"):
        prove(G, said, opened, b"short")


def test_an_amount_out_of_range_has_no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    """The honest algorithm, forced: neither a large amount nor a negative one comes out as a proof that holds."""
    for amount in (256, 257, 1 << 40, -1, -255):
        opened = openings(amount)
        said = stated(G, opened, 8)
        with monkeypatch.context() as patch:
            patch.setattr(range_proof, "opens", lambda *_: True)
            forced = prove(G, said, [(amount % 256, opened[0][1])], random_bytes("prove"))
        assert not verify(G, said, forced)


# -- mutations


def hostile_points(point: Point) -> Iterator[Point]:
    yield from (G.identity, G.generator, G.negate(point), G.multiply(Scalar(2), point))


def hostile_scalars(scalar: Scalar) -> Iterator[Scalar]:
    yield from map(Scalar, (0, 1, ORDER - 1, ORDER, ORDER + scalar, -1, 2**256, 2**300, (scalar + 1) % ORDER))


def with_field(proof: RangeProof[P], name: str, value: Any) -> RangeProof[P]:
    fields: dict[str, Any] = {name: value}
    return replace(proof, **fields)


def bent(proof: RangeProof[Point]) -> Iterator[RangeProof[Point]]:
    """Yield the proof with each of its fields replaced, and of other shapes."""
    for name in ("a", "a1", "b"):
        for point in hostile_points(getattr(proof, name)):
            yield with_field(proof, name, point)
    for name in ("r1", "s1", "d1"):
        for scalar in hostile_scalars(getattr(proof, name)):
            yield with_field(proof, name, scalar)
    for name in ("lefts", "rights"):
        points = getattr(proof, name)
        for place, old in enumerate(points):
            for point in hostile_points(old):
                yield with_field(proof, name, (*points[:place], point, *points[place + 1 :]))
        for other in ((), points[:-1], (*points, G.generator), points[::-1]):
            yield with_field(proof, name, other)
    yield replace(proof, lefts=proof.rights, rights=proof.lefts)
    yield replace(proof, lefts=(), rights=())
    yield replace(proof, lefts=proof.lefts * 40, rights=proof.rights * 40)


def test_every_field_mutated_is_false_and_never_an_exception() -> None:
    said, good = proved(77, 12)
    others = list(bent(good))
    assert len(others) > 80
    for bad in others:
        assert not verify(G, said, bad)
        assert not verify_batch(G, [(said, good), (said, bad)], random_bytes("batch"))


def test_every_part_of_the_statement_is_bound() -> None:
    said, good = proved(77, 12, message=b"said")
    first, second = said.commitments
    for other in (
        replace(said, message=b""),
        replace(said, message=b"another"),
        replace(said, bits=16),
        replace(said, bits=4),
        replace(said, bits=0),
        replace(said, bits=-8),
        replace(said, commitments=()),
        replace(said, commitments=(first,)),
        replace(said, commitments=(second, first)),
        replace(said, commitments=(first, second, second)),
        replace(said, commitments=(first, second) * 20),
        *(replace(said, commitments=(bad, second)) for bad in hostile_points(first)),
        *(replace(said, commitments=(first, bad)) for bad in hostile_points(second)),
    ):
        assert not verify(G, other, good)


@settings(max_examples=60)
@given(st.data())
def test_no_byte_of_an_encoding_can_be_another(data: st.DataObject) -> None:
    said, good = proved(99)
    raw = bytearray(good.to_bytes(G))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        assert not verify(G, said, range_proof_from_bytes_checked(G, bytes(raw), said))
    except InvalidEncoding:
        pass


@given(st.binary(max_size=500), st.sampled_from((1, 2, 3)))
def test_arbitrary_bytes_are_refused(raw: bytes, count: int) -> None:
    with pytest.raises(InvalidEncoding):
        range_proof_from_bytes_checked(G, raw, proved_size(8, count))


def test_all_is_bound_by_each_challenge() -> None:
    """An honest proof with a field changed fails its equation anyway; so the challenges are compared themselves."""
    said, good = proved(77, 12, message=b"said")
    other, first = G.generator, said.commitments[0]

    def drawn(statement: Statement[Point], proof: RangeProof[Point]) -> list[object]:
        challenges = TRANSCRIPT.begin(G, statement)
        y_and_z = challenges.after_bits(proof.a)
        rounds = [challenges.after_round(*pair) for pair in zip(proof.lefts, proof.rights, strict=True)]
        return [y_and_z, *rounds, challenges.after_masks(proof.a1, proof.b)]

    honest = drawn(said, good)
    for statement in (
        replace(said, bits=16),
        replace(said, message=b""),
        replace(said, commitments=(other, said.commitments[1])),
        replace(said, commitments=(first, other)),
        replace(said, commitments=said.commitments[::-1]),
    ):
        assert not any(map(honest.__contains__, drawn(statement, good)))
    assert not any(map(honest.__contains__, drawn(said, replace(good, a=other))))
    for place in range(len(good.lefts)):
        for name in ("lefts", "rights"):
            points = getattr(good, name)
            bent_points = (*points[:place], other, *points[place + 1 :])
            found = drawn(said, with_field(good, name, bent_points))
            assert found[: place + 1] == honest[: place + 1]
            assert not any(map(honest.__contains__, found[place + 1 :]))
    assert drawn(said, replace(good, a1=other))[-1] != honest[-1] != drawn(said, replace(good, b=other))[-1]


def test_the_identity_is_no_commitment_to_be_proved() -> None:
    said = Statement((G.identity,), 8)
    proof = prove(G, said, [(0, Scalar(0))], random_bytes("prove"))
    assert not verify(G, said, proof)
    assert not verify(G, replace(said, bits=8.0), proof)  # type: ignore[arg-type]


def test_a_truncated_an_extended_and_a_zeroed_encoding_are_refused() -> None:
    said, good = proved(99)
    raw = good.to_bytes(G)
    for bad in (raw[:-1], raw + b"\0", b"", raw[33:], bytes(33) + raw[33:], raw[:-32] + b"\xff" * 32):
        with pytest.raises(InvalidEncoding):
            range_proof_from_bytes_checked(G, bad, said)
    with pytest.raises(InvalidEncoding):
        range_proof_from_bytes_checked(G, raw, replace(said, bits=12))


# -- batches


def claims(count: int) -> list[tuple[Statement[Point], RangeProof[Point]]]:
    return [proved(place, message=b"%d" % place, bits=(8, 16)[place % 2]) for place in range(count)]


def test_a_batch_holds_if_all_of_it_does_and_each_verdict_is_told() -> None:
    batch = claims(4)
    assert verify_batch(G, batch, random_bytes("batch"))
    assert verify_batch(G, [], random_bytes("batch"))
    said, good = batch[2]
    batch[2] = (said, replace(good, d1=G.scalar(good.d1 + 1)))
    assert not verify_batch(G, batch, random_bytes("batch"))
    assert verify_each(G, batch, random_bytes("batch")) == [True, True, False, True]
    assert verify_each(G, claims(3), random_bytes("batch")) == [True] * 3
    assert verify_each(G, [], random_bytes("batch")) == []
    with pytest.raises(ValueError, match="32"):
        verify_batch(G, batch, b"short")


def test_one_proof_alone_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    said, good = claims(1)[0]
    wrong = (said, replace(good, d1=G.scalar(good.d1 + 1)))
    counted: list[int] = []
    real = range_proof._Equation.holds

    def holds(equation: range_proof._Equation[Point]) -> bool:
        counted.append(1)
        return real(equation)

    monkeypatch.setattr(range_proof._Equation, "holds", holds)
    assert verify_each(G, [wrong], random_bytes("batch")) == [False]
    assert verify_each(G, [(said, good)], random_bytes("batch")) == [True]
    assert len(counted) == 2


def test_errors_that_cancel_are_seen_because_of_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    (one, first), (two, second) = claims(2)
    cheat = [
        (one, replace(first, d1=G.scalar(first.d1 + 5))),
        (two, replace(second, d1=G.scalar(second.d1 - 5))),
    ]
    assert not verify_batch(G, cheat, random_bytes("batch"))
    with monkeypatch.context() as patch:
        patch.setattr(range_proof, "_weights", lambda *_: iter((1, 1)))
        assert verify_batch(G, cheat, random_bytes("batch"))


def test_weights_depend_on_the_randomness_and_on_every_claim() -> None:
    batch = claims(2)
    drawn = {
        tuple(range_proof._weights(G, each, seed))
        for each in (batch, batch[::-1], [batch[0], batch[0]])
        for seed in (random_bytes("one"), random_bytes("two"))
    }
    assert len(drawn) == 6
    assert len({weight for weights in drawn for weight in weights}) == 12
    assert all(0 < weight <= 1 << 128 for weights in drawn for weight in weights)


# -- Monero


class MoneroHashing:
    """As in bulletproofs_plus.cc: Keccak over 32-byte strings, points divided by 8, bases from a counter."""

    def begin(self, group: Group[P], statement: Statement[P]) -> Challenges[P]:
        """Return the challenges of a proof of these commitments; there is no message."""
        return MoneroChallenges(group, statement)

    def bases(self, group: Group[P], length: int) -> tuple[tuple[P, ...], tuple[P, ...]]:
        """Return G_i and H_i."""
        found = [self._base(2 * number + side) for side in (1, 0) for number in range(length)]
        points = tuple(map(group.point_from_bytes_checked, found))
        return points[:length], points[length:]

    @staticmethod
    @lru_cache(maxsize=1_024)
    def _base(number: int) -> bytes:
        digits = bytes((number,)) if number < 128 else bytes((number % 128 | 128, number // 128))
        return hash_to_ec(keccak(value_base(MONERO) + b"bulletproof_plus" + digits))


class MoneroChallenges(Generic[P]):
    """Challenges by `transcript_update`."""

    def __init__(self, group: Group[P], statement: Statement[P]) -> None:
        self._group = group
        self._said = hash_to_ec(keccak(b"bulletproof_plus_transcript"))
        stored = b"".join(map(self._stored, statement.commitments))
        self._update(MONERO.scalar_to_bytes(hash_to_scalar(stored)))

    def _stored(self, point: P) -> bytes:
        return self._group.point_to_bytes(self._group.multiply(self._group.inverse(Scalar(8)), point))

    def _update(self, *parts: bytes) -> Scalar:
        found = hash_to_scalar(b"".join((self._said, *parts)))
        self._said = MONERO.scalar_to_bytes(found)
        return found

    def after_bits(self, a: P) -> tuple[Scalar, Scalar]:
        """Return y and z."""
        y = self._update(self._stored(a))
        self._said = b""
        return y, self._update(MONERO.scalar_to_bytes(y))

    def after_round(self, left: P, right: P) -> Scalar:
        """Return a round's u."""
        return self._update(self._stored(left), self._stored(right))

    def after_masks(self, a1: P, b: P) -> Scalar:
        """Return e."""
        return self._update(self._stored(a1), self._stored(b))


KECCAK: Hashing = MoneroHashing()


@cache
def published() -> tuple[Statement[bytes], RangeProof[bytes]]:
    """Return the commitments of a Monero transaction's outputs, and its one proof."""
    found = transaction_from_bytes_checked(bytes.fromhex(read_json("monero/clsag_tx.json")["hex"]))

    def whole(stored: bytes) -> bytes:
        return MONERO.multiply(Scalar(8), MONERO.point_from_bytes_checked(stored))

    proof, scalar = found.proof, MONERO.scalar_from_bytes_checked
    said = Statement(tuple(map(MONERO.point_from_bytes_checked, found.commitments)), 64)
    lefts, rights = tuple(map(whole, proof.L)), tuple(map(whole, proof.R))
    points = whole(proof.A), whole(proof.A1), whole(proof.B)
    return said, RangeProof(*points, scalar(proof.r1), scalar(proof.s1), scalar(proof.d1), lefts, rights)


def test_the_range_proof_of_a_monero_transaction_verifies() -> None:
    said, proof = published()
    assert len(said.commitments) > 1
    assert verify(MONERO, said, proof, KECCAK)
    assert verify_batch(MONERO, [(said, proof)] * 2, random_bytes("batch"), KECCAK)


def test_no_part_of_moneros_proof_can_be_another() -> None:
    said, proof = published()
    other = MONERO.generator
    bad: list[tuple[Statement[bytes], RangeProof[bytes]]] = []
    bad += [(said, with_field(proof, name, other)) for name in ("a", "a1", "b")]
    bad += [(said, with_field(proof, name, Scalar(7))) for name in ("r1", "s1", "d1")]
    for name in ("lefts", "rights"):
        points = getattr(proof, name)
        for place in range(len(points)):
            bad.append((said, with_field(proof, name, (*points[:place], other, *points[place + 1 :]))))
    for place in range(len(said.commitments)):
        changed = (*said.commitments[:place], other, *said.commitments[place + 1 :])
        bad.append((replace(said, commitments=changed), proof))
    assert not any(verify(MONERO, *each, KECCAK) for each in bad)
    assert not verify(MONERO, said, proof, TRANSCRIPT)


def test_the_same_code_proves_over_moneros_group() -> None:
    said = stated(MONERO, [(200, MONERO.scalar(secret("blinding 0")))], 8)
    good = prove(MONERO, said, [(200, MONERO.scalar(secret("blinding 0")))], random_bytes("monero"), KECCAK)
    assert verify(MONERO, said, good, KECCAK)
    assert not verify(MONERO, said, good, TRANSCRIPT)
