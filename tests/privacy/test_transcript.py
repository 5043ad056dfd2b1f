"""Transcripts: everything said counts, where it ends counts too, and nonces need the secret.

An honest proof with a field changed fails its equation whether or not the field was hashed; so what a protocol says is
compared here by its challenges ("Frozen Heart").
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from privacy import equality, ring
from privacy.group import Scalar
from privacy.secp256k1 import SECP256K1, Point
from privacy.transcript import Transcript
from tests.privacy.keys import random_bytes, secret

G = SECP256K1
POINTS = tuple(G.multiply_generator(secret(f"point {at}")) for at in range(6))


def drawn(*said: tuple[str, bytes], use: str = "test") -> bytes:
    transcript = Transcript(use)
    for label, data in said:
        transcript.append(label, data)
    return transcript.challenge_bytes("draw")


def test_use_labels_data_order_and_where_each_ends_count() -> None:
    found = [
        drawn(("a", b"bc")),
        drawn(("a", b"bc"), use="other"),
        drawn(("ab", b"c")),
        drawn(("a", b"b"), ("", b"c")),
        drawn(("a", b"b"), ("c", b"")),
        drawn(("a", b"b")),
        drawn(("c", b""), ("a", b"b")),
        drawn(),
    ]
    assert len(set(found)) == len(found)


def test_a_challenge_is_said_too() -> None:
    one, other = Transcript("test"), Transcript("test")
    one.challenge("first", G)
    assert one.challenge("second", G) != other.challenge("second", G)
    twice = Transcript("test")
    assert twice.challenge("same", G) != twice.challenge("same", G)


def test_a_nonce_needs_the_secret_the_statement_and_the_randomness() -> None:
    said, other = Transcript("test"), Transcript("test")
    other.append("statement", b"another")
    one, two = random_bytes("one"), random_bytes("two")
    nonces = {
        said.nonce("nonce", G, secret("x"), one),
        said.nonce("nonce", G, secret("y"), one),
        said.nonce("nonce", G, secret("x"), two),
        said.nonce("other", G, secret("x"), one),
        other.nonce("nonce", G, secret("x"), one),
    }
    assert len(nonces) == 5
    assert said.nonce("nonce", G, secret("x"), one) in nonces
    with pytest.raises(ValueError, match="32"):
        said.nonce("nonce", G, secret("x"), b"short")


def test_an_equality_says_use_bases_points_message_and_commitments() -> None:
    def said(use: str, bases: tuple[Point, ...], points: tuple[Point, ...], message: bytes) -> bytes:
        return equality._said(G, use, bases, points, message).challenge_bytes("compare")

    a, b, c, d, other, _ = POINTS
    found = {
        said("use", (a, b), (c, d), b""),
        said("other", (a, b), (c, d), b""),
        said("use", (other, b), (c, d), b""),
        said("use", (a, other), (c, d), b""),
        said("use", (a, b), (other, d), b""),
        said("use", (a, b), (c, other), b""),
        said("use", (a, b), (c, d), b"message"),
    }
    assert len(found) == 7
    transcript = equality._said(G, "use", (a, b), (c, d), b"")
    assert len({equality._challenge(G, transcript, masks) for masks in ((a, b), (other, b), (a, other), (a,))}) == 4


def test_a_denial_says_all_its_points() -> None:
    def said(use: str, points: list[Point], message: bytes) -> bytes:
        base, other_base, key, point, blinded = points
        found = equality._said_different(G, use, base, other_base, key, point, blinded, message)
        return found.challenge_bytes("compare")

    honest, other = list(POINTS[:5]), POINTS[5]
    found = {said("use", [*honest[:at], other, *honest[at + 1 :]], b"") for at in range(5)}
    found |= {said("use", honest, b""), said("other", honest, b""), said("use", honest, b"message")}
    assert len(found) == 8


def test_a_ring_says_columns_members_scope_images_and_message() -> None:
    members = (POINTS[:2], POINTS[2:4])
    honest = ring.Statement(ring.KEYS, members, b"scope", b"message")
    images, other = POINTS[4:6], G.generator

    def weights(said: ring.Statement[Point], shown: tuple[Point, ...] = images) -> tuple[Scalar, ...]:
        return tuple(ring._said(G, said, shown)[1])

    found = [
        weights(honest),
        weights(replace(honest, scope=b"other")),
        weights(replace(honest, members=members[::-1])),
        *(
            weights(replace(honest, members=changed))
            for changed in (((other, POINTS[1]), members[1]), (members[0], (POINTS[2], other)))
        ),
        weights(replace(honest, columns=(ring.Column.RING, ring.Column.DELIVERY))),
        weights(honest, (other, images[1])),
        weights(honest, (images[0], other)),
    ]
    assert len(set(found)) == len(found)
    assert len({weight for each in found for weight in each}) == 2 * len(found)
    one, another = (ring._said(G, replace(honest, message=message), images)[0] for message in (b"one", b"two"))
    rounds = {ring._next_challenge(G, said, *pair) for said in (one, another) for pair in (images, images[::-1])}
    assert len(rounds) == 4
