"""Notes: their recipient finds and opens them, nobody else; encodings are strict; what is spent balances."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.auditors import open_together
from privacy.commitment import commit, opens, value_base
from privacy.group import InvalidEncoding, Scalar
from privacy.notes import (
    MAX_AMOUNT,
    Note,
    Opening,
    Spend,
    balancing_blindings,
    make_lock,
    make_note,
    note_from_bytes_checked,
    note_is_sealed,
    scan,
    spends_to_bytes,
)
from privacy.secp256k1 import SECP256K1, Point
from privacy.stealth import MetaAddress, spending_secret
from tests.privacy.keys import random_bytes, secret

G = SECP256K1
VIEW, SPEND = secret("view"), secret("spend")
META = MetaAddress(G.multiply_generator(SPEND), G.multiply_generator(VIEW))
JOINT = secret("auditors together")
JOINT_KEY = G.multiply_generator(JOINT)
KEY, COMMITMENT, EPHEMERAL, TAG, OPENING, SEALED, PROOF = 0, 33, 66, 99, 100, 140, 206


def message_of(key: bytes) -> bytes:
    """What the proofs of these notes are bound to."""
    return sha256(b"these tests" + key).digest()


def note_of(amount: int, seed: str = "seed", **given: Scalar) -> tuple[Note[Point], Opening]:
    """A note for the recipient of these tests."""
    return make_note(G, META, amount, JOINT_KEY, message_of, random_bytes(seed), **given)


@settings(max_examples=20)
@given(st.integers(0, MAX_AMOUNT))
def test_the_recipient_finds_opens_and_can_spend_a_note(amount: int) -> None:
    note, opening = note_of(amount)
    raw = note.to_bytes(G)
    assert len(raw) == 334
    assert note.public_bytes(G) == raw[:206]
    assert note_from_bytes_checked(G, raw) == note
    for form in (raw, raw[:206]):
        found = scan(G, VIEW, META.spending, form)
        assert found is not None
        assert found.opening == opening == Opening(amount, opening.blinding)
        assert G.multiply_generator(spending_secret(G, VIEW, SPEND, found.output.ephemeral)) == note.output.key
    assert opens(G, note.hidden.commitment, amount, opening.blinding)
    assert note_is_sealed(G, JOINT_KEY, note, message_of)


def test_auditors_together_read_the_amount() -> None:
    note, _ = note_of(1_234)
    part = G.multiply(JOINT, note.hidden.ciphertext.ephemeral)
    assert open_together(G, note.hidden.ciphertext, {1: part}) == G.multiply(Scalar(1_234), value_base(G))


def test_nobody_else_finds_a_note() -> None:
    raw = note_of(5)[0].to_bytes(G)
    assert scan(G, secret("stranger"), META.spending, raw) is None
    assert scan(G, VIEW, G.multiply_generator(secret("stranger")), raw) is None


@pytest.mark.parametrize("place", [KEY, COMMITMENT, EPHEMERAL])
def test_a_note_with_another_point_is_passed_over(place: int) -> None:
    raw = note_of(5)[0].public_bytes(G)
    for other in (G.point_to_bytes(G.generator), bytes(33), b"\4" + bytes(32)):
        assert scan(G, VIEW, META.spending, raw[:place] + other + raw[place + 33 :]) is None


def test_a_note_that_lies_about_its_amount_or_tag_is_passed_over() -> None:
    raw = note_of(5)[0].public_bytes(G)
    for at in (TAG, *range(OPENING, SEALED)):
        assert scan(G, VIEW, META.spending, raw[:at] + bytes((raw[at] ^ 1,)) + raw[at + 1 :]) is None
    assert scan(G, VIEW, META.spending, raw) is not None


def test_what_is_no_note_is_refused() -> None:
    raw = note_of(5)[0].to_bytes(G)
    for bad in (b"", raw[:-1], raw + b"\0", raw[:206]):
        with pytest.raises(InvalidEncoding):
            note_from_bytes_checked(G, bad)
    for place in (KEY, COMMITMENT, EPHEMERAL, SEALED, SEALED + 33):
        for point in (bytes(33), b"\5" + raw[place + 1 : place + 33]):
            with pytest.raises(InvalidEncoding):
                note_from_bytes_checked(G, raw[:place] + point + raw[place + 33 :])
    for place in range(PROOF, 334, 32):
        with pytest.raises(InvalidEncoding):
            note_from_bytes_checked(G, raw[:place] + b"\xff" * 32 + raw[place + 32 :])
    with pytest.raises(InvalidEncoding):
        scan(G, VIEW, META.spending, raw[:205])


def test_the_proof_is_of_this_note_key_and_amount() -> None:
    note, other = note_of(5)[0], note_of(6)[0]
    assert not note_is_sealed(G, JOINT_KEY, note, lambda key: message_of(key[::-1]))
    assert not note_is_sealed(G, JOINT_KEY, Note(other.output, note.opening, note.hidden), message_of)
    assert not note_is_sealed(G, G.generator, note, message_of)


def test_secrets_of_a_note_follow_from_all_it_is_for() -> None:
    """The same randomness twice makes no second note with the same key, unless it is the very same note."""
    note = note_of(5)[0]
    assert note_of(5)[0] == note
    elsewhere = MetaAddress(META.viewing, META.spending)
    others = [
        note_of(6)[0],
        note_of(5, "another seed")[0],
        note_of(5, blinding=secret("given"))[0],
        make_note(G, elsewhere, 5, JOINT_KEY, message_of, random_bytes("seed"))[0],
        make_note(G, META, 5, G.generator, message_of, random_bytes("seed"))[0],
    ]
    keys = [each.output.key for each in (note, *others)]
    blindings = [each.hidden.commitment for each in (note, *others)]
    assert len(set(keys)) == len(set(blindings)) == len(keys)


@pytest.mark.parametrize("amount", [-1, MAX_AMOUNT + 1])
def test_an_amount_out_of_range_makes_no_note(amount: int) -> None:
    with pytest.raises(ValueError, match="amount"):
        note_of(amount)
    with pytest.raises(ValueError, match="amount"):
        make_lock(G, amount, JOINT_KEY, bytes(32), random_bytes("lock"))


def test_little_randomness_makes_no_note() -> None:
    with pytest.raises(ValueError, match="random bytes"):
        make_note(G, META, 5, JOINT_KEY, message_of, b"x" * 31)


def test_spends_are_two() -> None:
    spends = (Spend(0, G.generator, value_base(G)), Spend(2**32 - 1, value_base(G), G.generator))
    raw = spends_to_bytes(G, spends)
    g, h = G.point_to_bytes(G.generator), G.point_to_bytes(value_base(G))
    assert raw == bytes(4) + g + h + b"\xff" * 4 + h + g
    for count in (0, 1, 3):
        with pytest.raises(ValueError, match="expected 2"):
            spends_to_bytes(G, (spends[0],) * count)


@settings(max_examples=20)
@given(st.lists(st.integers(0, 2**40), min_size=2, max_size=2), st.integers(0, 2**41), st.integers(0, 2**41))
def test_pseudo_outputs_balance_notes_lock_and_withdrawal(spent: list[int], first: int, lock: int) -> None:
    first = min(first, sum(spent))
    lock = min(lock, sum(spent) - first)
    withdrawal = sum(spent) - first - lock
    (one, a), (two, b) = note_of(first, "one"), note_of(0, "two")
    locked, c = make_lock(G, lock, JOINT_KEY, bytes(32), random_bytes("lock"))
    total = G.scalar(a.blinding + b.blinding + c.blinding)
    blindings = balancing_blindings(G, total, 2, secret("spent"), random_bytes("pseudo"))
    pseudo = [commit(G, amount, blinding) for amount, blinding in zip(spent, blindings, strict=True)]
    outputs = (one.hidden.commitment, two.hidden.commitment, locked.commitment, commit(G, withdrawal, Scalar(0)))
    assert G.sum(pseudo) == G.sum(outputs)
    assert len(locked.to_bytes(G)) == 227


def test_balancing_blindings_are_drawn_anew() -> None:
    first = balancing_blindings(G, Scalar(0), 3, secret("spent"), random_bytes("one"))
    second = balancing_blindings(G, Scalar(0), 3, secret("spent"), random_bytes("two"))
    assert sum(first) % G.order == sum(second) % G.order == 0
    assert not set(first) & set(second)
    assert balancing_blindings(G, Scalar(7), 1, secret("spent"), random_bytes("one")) == (7,)
