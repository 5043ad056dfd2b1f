"""CLSAG: round trips, every way to bend one that we know of, and both signatures of a real Monero transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy import clsag
from privacy.claims import note_claim, note_holds
from privacy.clsag import (
    TRANSCRIPT,
    Clsag,
    Drawn,
    Hashing,
    Member,
    P,
    Secrets,
    Statement,
    clsag_from_bytes_checked,
    image_base,
    key_image,
    sign,
    verify,
)
from privacy.commitment import commit
from privacy.group import Group, InvalidEncoding, Scalar
from privacy.secp256k1 import ORDER, SECP256K1, Point
from tests.privacy.ed25519_monero import MONERO, hash_to_scalar
from tests.privacy.keys import LOGARITHMS, random_bytes, secret
from tests.privacy.monero_transaction import InvalidTransaction, transaction_from_bytes_checked
from tests.privacy.plain_secp256k1 import PLAIN
from tests.privacy.vectors import read_json

G = SECP256K1


def amount(member: int) -> int:
    """Return the amount of a note."""
    return 1_000 + member


def note(group: Group[P], member: int) -> Member[P]:
    key, blinding = (group.scalar(secret(f"{what} {member}")) for what in ("key", "blinding"))
    return Member(group.multiply_generator(key), commit(group, amount(member), blinding))


def statement(group: Group[P], count: int, index: int, message: bytes = b"payment", more: int = 0) -> Statement[P]:
    """Return a ring of which `index` is spent, as an amount that is `more` than the note's."""
    pseudo_output = commit(group, amount(index) + more, group.scalar(secret("pseudo-output")))
    return Statement(tuple(note(group, member) for member in range(count)), pseudo_output, message)


def owned(group: Group[P], index: int) -> Secrets:
    """Return what the owner of a note knows."""
    key, blinding, other = (
        group.scalar(secret(each)) for each in (f"key {index}", f"blinding {index}", "pseudo-output")
    )
    return Secrets(key, group.scalar(blinding - other))


def signed(count: int = 4, index: int = 1, message: bytes = b"payment") -> tuple[Statement[Point], Clsag[Point]]:
    said = statement(G, count, index, message)
    return said, sign(G, said, owned(G, index), index, random_bytes("sign"))


@pytest.mark.parametrize("count", [2, 3, 16])
def test_every_note_can_be_spent_and_all_signatures_have_one_shape(count: int) -> None:
    lengths = set()
    for index in (0, count // 2, count - 1):
        said, signature = signed(count, index)
        assert verify(G, said, signature)
        raw = signature.to_bytes(G)
        assert clsag_from_bytes_checked(G, raw, count) == signature
        lengths.add(len(raw))
    assert lengths == {33 * 2 + 32 * (count + 1)}


def test_the_published_size() -> None:
    assert len(signed(16)[1].to_bytes(G)) == 610


def test_both_groups_make_the_same_bytes() -> None:
    said, ours = signed(3, 2)
    its = statement(PLAIN, 3, 2)
    plain = sign(PLAIN, its, owned(PLAIN, 2), 2, random_bytes("sign"))
    assert plain.to_bytes(PLAIN) == ours.to_bytes(G)
    assert verify(PLAIN, its, plain)
    assert verify(G, said, clsag_from_bytes_checked(G, plain.to_bytes(PLAIN), 3))


@settings(max_examples=25)
@given(st.integers(0, 3), st.binary(max_size=40), st.binary(min_size=32, max_size=64))
def test_any_message_any_note_any_randomness(index: int, message: bytes, randomness: bytes) -> None:
    said = statement(G, 4, index, message)
    assert verify(G, said, sign(G, said, owned(G, index), index, randomness))


# -- what is linked, and what is not


def test_a_note_spent_twice_shows_and_nothing_else_links() -> None:
    first, second = signed(4, 1, b"one")[1], signed(4, 1, b"two")[1]
    assert first.image == second.image == key_image(G, owned(G, 1).key)
    images = [signed(4, index)[1].image for index in range(4)]
    assert len(set(images)) == 4
    elsewhere = replace(statement(G, 4, 1), members=tuple(note(G, member) for member in (7, 8, 1, 9)))
    assert sign(G, elsewhere, owned(G, 1), 2, random_bytes("elsewhere")).image == first.image
    fresh = replace(statement(G, 4, 1), pseudo_output=commit(G, amount(1), secret("fresh")))
    again = sign(G, fresh, Secrets(secret("key 1"), G.scalar(secret("blinding 1") - secret("fresh"))), 1, b"r" * 32)
    assert verify(G, fresh, again)
    assert again.image == first.image
    assert again.auxiliary != first.auxiliary


def test_an_image_over_a_base_of_known_logarithm_names_the_note(monkeypatch: pytest.MonkeyPatch) -> None:
    """With Hp(P) = h(P)·G, everyone computes h(P_i)·P_i; so the base is the RFC's point, and no hash times G."""

    def named(signature: Clsag[Point], logarithms: Sequence[Callable[[bytes], Scalar]]) -> set[int]:
        keys = {member: note(G, member).key for member in range(4)}
        return {
            member
            for member, key in keys.items()
            for logarithm in logarithms
            if G.multiply(logarithm(G.point_to_bytes(key)), key) == signature.image
        }

    assert named(signed(4, 1)[1], LOGARITHMS) == set()
    for member in range(4):
        key = note(G, member).key
        encoded = G.point_to_bytes(key)
        rfc = PLAIN.hash_to_point("key-image", encoded)
        assert G.point_to_bytes(image_base(G, key)) == PLAIN.point_to_bytes(rfc)
        assert image_base(G, key) not in {G.multiply_generator(each(encoded)) for each in LOGARITHMS}
    for logarithm in LOGARITHMS:
        with monkeypatch.context() as patch:
            patch.setattr(
                clsag,
                "image_base",
                lambda group, key, h=logarithm: group.multiply_generator(h(group.point_to_bytes(key))),
            )
            assert named(signed(4, 1)[1], [logarithm]) == {1}


def test_a_repeated_seed_gives_no_key_away() -> None:
    one, two = signed(message=b"one")[1], signed(message=b"two")[1]
    assert not set(one.responses) & set(two.responses)
    assert signed(message=b"one")[1] == one


# -- mutations


def hostile_points(point: Point) -> Iterator[Point]:
    yield from (G.identity, G.generator, G.negate(point), G.multiply(Scalar(2), point))


def hostile_scalars(scalar: Scalar) -> Iterator[Scalar]:
    yield from map(Scalar, (0, 1, ORDER - 1, ORDER, ORDER + scalar, -1, 2**256, (scalar + 1) % ORDER))


def test_every_field_of_a_signature_mutated_is_false_and_never_an_exception() -> None:
    said, good = signed()
    for bad in hostile_points(good.image):
        assert not verify(G, said, replace(good, image=bad))
    for bad in hostile_points(good.auxiliary):
        assert not verify(G, said, replace(good, auxiliary=bad))
    for bad_scalar in hostile_scalars(good.challenge):
        assert not verify(G, said, replace(good, challenge=bad_scalar))
    for place, scalar in enumerate(good.responses):
        for bad_scalar in hostile_scalars(scalar):
            responses = (*good.responses[:place], bad_scalar, *good.responses[place + 1 :])
            assert not verify(G, said, replace(good, responses=responses))
    for shape in (
        replace(good, image=good.auxiliary, auxiliary=good.image),
        replace(good, responses=good.responses[:-1]),
        replace(good, responses=(*good.responses, Scalar(1))),
        replace(good, responses=()),
        replace(good, responses=good.responses[1:] + good.responses[:1]),
    ):
        assert not verify(G, said, shape)


def test_every_part_of_the_statement_is_bound() -> None:
    said, good = signed()
    members = said.members
    for other in (
        replace(said, message=b"another"),
        replace(said, message=b""),
        replace(said, members=members[::-1]),
        replace(said, members=members[1:] + members[:1]),
        replace(said, members=members[:-1]),
        replace(said, members=(*members, note(G, 4))),
        replace(said, members=(*members[:3], note(G, 4))),
        replace(said, members=()),
        *(replace(said, pseudo_output=bad) for bad in hostile_points(said.pseudo_output)),
        *(
            replace(said, members=(*members[:place], changed, *members[place + 1 :]))
            for place, member in enumerate(members)
            for changed in (
                *(replace(member, key=bad) for bad in hostile_points(member.key)),
                *(replace(member, commitment=bad) for bad in hostile_points(member.commitment)),
                Member(member.commitment, member.key),
            )
        ),
    ):
        assert not verify(G, other, good)


def test_all_is_bound_by_each_challenge() -> None:
    """The coefficients bind ring, pseudo-output and both images; the rounds bind the message, L and R as well."""
    said, good = signed()
    member, point = said.members[0], G.generator
    drawn = TRANSCRIPT.draw(G, said, good.image, good.auxiliary)
    for other in (
        replace(said, members=said.members[::-1]),
        replace(said, members=(replace(member, key=point), *said.members[1:])),
        replace(said, members=(replace(member, commitment=point), *said.members[1:])),
        replace(said, pseudo_output=point),
    ):
        assert TRANSCRIPT.draw(G, other, good.image, good.auxiliary).weights != drawn.weights
    assert TRANSCRIPT.draw(G, said, point, good.auxiliary).weights != drawn.weights
    assert TRANSCRIPT.draw(G, said, good.image, point).weights != drawn.weights
    assert drawn.weights[0] != drawn.weights[1]
    rounds = {drawn.next_challenge(*each) for each in ((point, point), (point, good.image), (good.image, point))}
    resaid = TRANSCRIPT.draw(G, replace(said, message=b"another"), good.image, good.auxiliary)
    assert len({*rounds, resaid.next_challenge(point, point)}) == 4


@pytest.mark.parametrize("bad", ["identity commitment", "identity key", "a key twice"])
def test_one_bad_note_freezes_its_bin_so_a_pool_must_refuse_it(bad: str) -> None:
    """No other note of that bin can be spent any more: not a theft, but a way to lock up fifteen others' money."""
    said, own = statement(G, 4, 1), owned(G, 1)
    notes = {
        "identity commitment": replace(said.members[3], commitment=G.identity),
        "identity key": replace(said.members[3], key=G.identity),
        "a key twice": replace(said.members[3], key=said.members[0].key),
    }
    frozen = replace(said, members=(*said.members[:3], notes[bad]))
    with pytest.raises(ValueError, match="no verifier"):
        sign(G, frozen, own, 1, random_bytes("frozen"))
    base = image_base(G, said.members[1].key)
    forced = forge(frozen, own, 1, (G.multiply(own.key, base), G.multiply(own.blinding, base)))
    assert not verify(G, frozen, forced)


@pytest.mark.parametrize("raw", [bytes(33), b"\2" + bytes(32), b"\2" + b"\xff" * 32, b"\4" + bytes(32)])
def test_a_note_that_is_no_point_freezes_its_bin_too(raw: bytes) -> None:
    said = statement(G, 4, 1, bytes(32))
    claim = note_claim(said, sign(G, said, owned(G, 1), 1, random_bytes("frozen")))
    assert note_holds(claim)
    last = 2 + 32 + 33 + 3 * 66
    for place in (last, last + 33):  # its key, its commitment
        assert not note_holds(claim[:place] + raw + claim[place + 33 :])


@pytest.mark.parametrize("members", [-1, 0, 1, -2, 2**20])
def test_a_number_of_members_that_no_ring_has_is_no_encoding(members: int) -> None:
    for length in (0, 2, 66, 98, 130, len(signed()[1].to_bytes(G))):
        with pytest.raises(InvalidEncoding, match="expected"):
            clsag_from_bytes_checked(G, b"\2" * length, members)


def test_a_key_that_occurs_twice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    said = statement(G, 4, 1)
    doubled = replace(said, members=(*said.members[:3], Member(said.members[0].key, said.members[3].commitment)))
    with pytest.raises(ValueError, match="no verifier"):
        sign(G, doubled, owned(G, 1), 1, random_bytes("sign"))
    with monkeypatch.context() as patch:
        patch.setattr(clsag, "_well_formed", lambda group, statement: True)
        forced = sign(G, doubled, owned(G, 1), 1, random_bytes("sign"))
        assert verify(G, doubled, forced)
    assert not verify(G, doubled, forced)


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw[:-1],
        lambda raw: raw + b"\0",
        lambda raw: b"",
        lambda raw: bytes(len(raw)),
        lambda raw: b"\xff" * len(raw),
        lambda raw: bytes(33) + raw[33:],
        lambda raw: raw[:33] + bytes(33) + raw[66:],
        lambda raw: raw[:66] + ORDER.to_bytes(32, "big") + raw[98:],
        lambda raw: raw[:-32] + ORDER.to_bytes(32, "big"),
    ],
)
def test_bytes_that_are_no_signature_are_refused(change: Callable[[bytes], bytes]) -> None:
    raw = signed()[1].to_bytes(G)
    with pytest.raises(InvalidEncoding, match="expected"):
        clsag_from_bytes_checked(G, change(raw), 4)


@given(st.integers(0, 33 * 2 + 32 * 5 - 1), st.integers(1, 255))
def test_any_flipped_byte_breaks_it(at: int, difference: int) -> None:
    said, good = signed()
    raw = bytearray(good.to_bytes(G))
    raw[at] ^= difference
    try:
        bent = clsag_from_bytes_checked(G, bytes(raw), 4)
    except InvalidEncoding:
        return
    assert not verify(G, said, bent)


def test_a_ring_of_one_and_a_ring_beyond_the_bound_are_no_statements(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="no verifier"):
        sign(G, statement(G, 1, 0), owned(G, 0), 0, random_bytes("one"))
    said, good = signed(5)
    monkeypatch.setattr(clsag, "MAX_MEMBERS", 4)
    assert not verify(G, said, good)


@pytest.mark.parametrize("bad", [0, 1, ORDER, ORDER + 1, -1])
def test_who_does_not_own_the_note_cannot_spend_it(bad: int) -> None:
    said, own = statement(G, 4, 1), owned(G, 1)
    for secrets in (replace(own, key=Scalar(bad)), replace(own, blinding=Scalar(bad)), owned(G, 2)):
        with pytest.raises(ValueError, match=r"not those of the note|gives it away"):
            sign(G, said, secrets, 1, random_bytes("bad"))


def test_a_pseudo_output_that_is_the_notes_commitment_would_name_the_note() -> None:
    said = replace(statement(G, 4, 1), pseudo_output=note(G, 1).commitment)
    with pytest.raises(ValueError, match="gives it away"):
        sign(G, said, Secrets(secret("key 1"), Scalar(0)), 1, random_bytes("same"))


def test_fewer_than_32_random_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="random bytes"):
        sign(G, statement(G, 4, 1), owned(G, 1), 1, bytes(31))


# -- forgeries


def forge(
    said: Statement[Point], secrets: Secrets, index: int, images: tuple[Point, Point], hashing: Hashing = TRANSCRIPT
) -> Clsag[Point]:
    """Close the ring as `sign` does, with images of one's own choice and secrets that nobody checks."""
    base = image_base(G, said.members[index].key)
    drawn = hashing.draw(G, said, *images)
    folded = G.combine(zip(drawn.weights, images, strict=True))
    own = G.scalar(drawn.weights[0] * secrets.key + drawn.weights[1] * secrets.blinding)
    count, minus, alpha = len(said.members), G.negate(said.pseudo_output), secret("alpha")
    responses = [secret(f"response {place}") for place in range(count)]
    challenges = [Scalar(0)] * count
    left, right = G.multiply_generator(alpha), G.multiply(alpha, base)
    for step in range(1, count + 1):
        place = (index + step) % count
        challenges[place] = drawn.next_challenge(left, right)
        if place != index:
            left, right = clsag._round(
                G, responses[place], challenges[place], drawn.weights, said.members[place], minus, folded
            )
    responses[index] = G.scalar(alpha - challenges[index] * own)
    return Clsag(*images, challenges[0], tuple(responses))


@pytest.mark.parametrize(("more", "holds"), [(0, True), (1, False), (-1, False), (2**64, False), (ORDER - 1, False)])
def test_an_amount_that_differs_cannot_be_signed_nor_verified(more: int, holds: bool) -> None:
    said, own = statement(G, 4, 1, more=more), owned(G, 1)
    base = image_base(G, said.members[1].key)
    forged = forge(said, own, 1, (G.multiply(own.key, base), G.multiply(own.blinding, base)))
    assert verify(G, said, forged) is holds
    if not holds:
        with pytest.raises(ValueError, match="not those of the note"):
            sign(G, said, own, 1, random_bytes("more"))


def test_a_note_cannot_be_spent_under_another_image() -> None:
    """An image that was never shown, chosen freely, with the D that the coefficients then ask for: spent twice."""
    said, own = statement(G, 4, 1), owned(G, 1)
    base = image_base(G, said.members[1].key)
    chosen = G.multiply(secret("another image"), base)

    @dataclass(frozen=True)
    class Leaky:
        """Transcripts that leave D out."""

        def draw(self, group: Group[P], statement: Statement[P], image: P, auxiliary: P) -> Drawn[P]:
            return TRANSCRIPT.draw(group, statement, image, group.generator)

    def double_spend(hashing: Hashing) -> Clsag[Point]:
        weights = hashing.draw(G, said, chosen, G.generator).weights
        wanted = G.multiply(G.scalar(weights[0] * own.key + weights[1] * own.blinding), base)
        rest = G.subtract(wanted, G.multiply(weights[0], chosen))
        return forge(said, own, 1, (chosen, G.multiply(G.inverse(weights[1]), rest)), hashing)

    assert not verify(G, said, double_spend(TRANSCRIPT))
    assert verify(G, said, double_spend(Leaky()), Leaky())  # binding D is what stops it
    assert not verify(G, said, double_spend(Leaky()))


# -- Monero


class MoneroHashing:
    """As in rctSigs.cpp (CLSAG_Gen, verRctCLSAGSimple): Keccak over 32-byte strings, with D divided by 8."""

    def draw(self, group: Group[P], statement: Statement[P], image: P, auxiliary: P) -> Drawn[P]:
        """Return coefficients and challenges."""
        encoded = group.point_to_bytes
        ring = [encoded(member.key) for member in statement.members]
        ring += [encoded(member.commitment) for member in statement.members]
        stored = encoded(group.multiply(group.inverse(Scalar(8)), auxiliary))
        pseudo_output = encoded(statement.pseudo_output)

        def hashed(label: bytes, *parts: bytes) -> Scalar:
            return hash_to_scalar(b"".join((label.ljust(32, b"\0"), *ring, *parts)))

        def next_challenge(left: P, right: P) -> Scalar:
            return hashed(b"CLSAG_round", pseudo_output, statement.message, encoded(left), encoded(right))

        weights = [hashed(label, encoded(image), stored, pseudo_output) for label in (b"CLSAG_agg_0", b"CLSAG_agg_1")]
        return Drawn((weights[0], weights[1]), next_challenge)


KECCAK = MoneroHashing()
SIGNATURE_BYTES = 32 * (16 + 3)  # responses, challenge, D, I
STATEMENT_BYTES = 32 * (1 + 1 + 2 * 16)  # message, pseudo-output, keys and commitments


@cache
def published(place: int) -> bytes:
    """Return what an input's signature is made of: responses, c1, D/8, I, message, C', then P_i, C_i of the ring."""
    found = transaction_from_bytes_checked(bytes.fromhex(read_json("monero/clsag_tx.json")["hex"]))
    stored = found.signatures[place]
    ring = [bytes.fromhex(each[part]) for each in read_json("monero/ring_data.json")[place] for part in ("key", "mask")]
    image = found.inputs[place].key_image
    parts = (*stored.responses, stored.challenge, stored.auxiliary, image, found.message, found.pseudo_outputs[place])
    return b"".join((*parts, *ring))


def holds(raw: bytes) -> bool:
    """Return whether such bytes are a signature that verifies.

    Raises:
        InvalidEncoding: some part is no scalar or no point.
    """
    parts = [raw[at : at + 32] for at in range(0, len(raw), 32)]
    *responses, challenge = map(MONERO.scalar_from_bytes_checked, parts[:17])
    auxiliary, image = map(MONERO.point_from_bytes_checked, parts[17:19])
    message = parts[19]
    pseudo_output, *ring = map(MONERO.point_from_bytes_checked, parts[20:])
    members = tuple(Member(key, commitment) for key, commitment in zip(ring[::2], ring[1::2], strict=True))
    signature = Clsag(image, MONERO.multiply(Scalar(8), auxiliary), challenge, tuple(responses))
    return verify(MONERO, Statement(members, pseudo_output, message), signature, KECCAK)


@pytest.mark.parametrize("place", [0, 1])
def test_both_signatures_of_a_monero_transaction_verify(place: int) -> None:
    assert len(published(place)) == SIGNATURE_BYTES + STATEMENT_BYTES
    assert holds(published(place))


def test_the_message_is_of_the_whole_transaction() -> None:
    raw = bytes.fromhex(read_json("monero/clsag_tx.json")["hex"])
    good = transaction_from_bytes_checked(raw)
    others = set()
    for at in (raw.index(good.output_keys[0]), raw.index(good.commitments[1]), raw.index(good.proof.d1)):
        bent = raw[:at] + bytes((raw[at] ^ 1,)) + raw[at + 1 :]
        others.add(transaction_from_bytes_checked(bent).message)
    assert len(others | {good.message}) == 4
    for cut in (raw[:-1], raw + b"\0", b"", b"\1" + raw[1:]):
        with pytest.raises(InvalidTransaction, match="expected"):
            transaction_from_bytes_checked(cut)


def fails(raw: bytes) -> bool:
    try:
        return not holds(raw)
    except InvalidEncoding:
        return True


@pytest.mark.parametrize("place", [0, 1])
def test_no_part_of_it_can_be_another(place: int) -> None:
    """A valid scalar, point or message in the place of each 32 bytes, so that it is not the parsing that fails."""
    raw = published(place)
    for at in range(0, len(raw), 32):
        other = MONERO.generator if at >= 17 * 32 else bytes(31) + b"\1"
        assert not holds(raw[:at] + other + raw[at + 32 :])
    assert fails(published(1 - place)[:SIGNATURE_BYTES] + raw[SIGNATURE_BYTES:])


@settings(max_examples=60)
@given(st.integers(0, 1), st.integers(0, SIGNATURE_BYTES + STATEMENT_BYTES - 1), st.integers(1, 255))
def test_no_byte_of_it_can_be_another(place: int, at: int, difference: int) -> None:
    raw = bytearray(published(place))
    raw[at] ^= difference
    assert fails(bytes(raw))


@pytest.mark.parametrize("hashing", [TRANSCRIPT, KECCAK], ids=["gridpact", "monero"])
def test_the_same_code_signs_over_moneros_group(hashing: Hashing) -> None:
    said = statement(MONERO, 4, 3)
    good = sign(MONERO, said, owned(MONERO, 3), 3, random_bytes("monero"), hashing)
    assert verify(MONERO, said, good, hashing)
    assert not verify(MONERO, said, good, KECCAK if hashing is TRANSCRIPT else TRANSCRIPT)
    assert clsag_from_bytes_checked(MONERO, good.to_bytes(MONERO), 4) == good
    assert good.image == key_image(MONERO, owned(MONERO, 3).key)
