"""CLSAG: one of these notes is spent, the amount goes on under a fresh commitment, and nobody learns which note it was.

A ring of notes, each a one-time key P_i and a commitment C_i to its amount. The owner of note l knows x with P_l = x·G,
and z with C_l − C' = z·G, where the pseudo-output C' commits to the same amount. It shows the key image I = x·Hp(P_l),
the same whenever that note is spent, and the auxiliary image D = z·Hp(P_l), which links nothing as z is fresh. Both
columns are folded by coefficients μ_P, μ_C drawn from ring, C', I and D; with J = μ_P·I + μ_C·D the ring closes over

    L_i = s_i·G + c_i·(μ_P·P_i + μ_C·(C_i − C'))        R_i = s_i·Hp(P_i) + c_i·J
    c_(i+1) = hash(group, ring, C', I, D, message, L_i, R_i)

How the coefficients and the challenges are hashed is an argument, so that this code also verifies what Monero has
published; the chain's is `TRANSCRIPT`. Who verifies has still to ask whether I was shown before, whether the members
are notes of the pool, and whether pseudo-outputs and outputs balance and are in range.

Source: Goodell, Noether, Blue 2019 (Concise linkable ring signatures and forgery against adversarial keys).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from privacy.group import SCALAR_BYTES, Group, InvalidEncoding, Scalar
from privacy.ring import MAX_MEMBERS, MIN_MEMBERS
from privacy.transcript import Transcript

P = TypeVar("P")
IMAGES = 2  # I and D
KEY_IMAGE_USE = "key-image"


@dataclass(frozen=True, slots=True)
class Member(Generic[P]):
    """A note that may be the one spent: one-time key P_i and commitment C_i."""

    key: P
    commitment: P


@dataclass(frozen=True, slots=True)
class Statement(Generic[P]):
    """What a signature is about.

    Args:
        members: the ring; no key occurs twice.
        pseudo_output: C', a commitment to the spent amount with another blinding.
        message: everything else that is said.
    """

    members: tuple[Member[P], ...]
    pseudo_output: P
    message: bytes


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the owner of a note knows.

    Args:
        key: x, the logarithm of its one-time key.
        blinding: z, the blinding of its commitment less that of the pseudo-output; not zero.
    """

    key: Scalar
    blinding: Scalar


@dataclass(frozen=True, slots=True)
class Clsag(Generic[P]):
    """A signature.

    Args:
        image: the key image I.
        auxiliary: D, the image of the commitments' difference.
        challenge: c_0.
        responses: s_i, one a member.
    """

    image: P
    auxiliary: P
    challenge: Scalar
    responses: tuple[Scalar, ...]

    def to_bytes(self, group: Group[P]) -> bytes:
        """Return I ‖ D ‖ c_0 ‖ responses."""
        points = b"".join(map(group.point_to_bytes, (self.image, self.auxiliary)))
        return points + b"".join(map(group.scalar_to_bytes, (self.challenge, *self.responses)))


@dataclass(frozen=True, slots=True)
class Drawn(Generic[P]):
    """What a hashing draws from a statement and its two images.

    Args:
        weights: μ_P and μ_C.
        next_challenge: c_(i+1) of L_i and R_i.
    """

    weights: tuple[Scalar, Scalar]
    next_challenge: Callable[[P, P], Scalar]


class Hashing(Protocol):
    """How coefficients and challenges follow from everything said."""

    def draw(self, group: Group[P], statement: Statement[P], image: P, auxiliary: P) -> Drawn[P]:
        """Return what depends on all of the arguments; the coefficients alone may leave out the message."""


class TranscriptHashing:
    """Gridpact's own, by a transcript; `TRANSCRIPT` is the one instance."""

    def draw(self, group: Group[P], statement: Statement[P], image: P, auxiliary: P) -> Drawn[P]:
        """Return coefficients and challenges."""
        said, weights = _said(group, statement, image, auxiliary)

        def next_challenge(left: P, right: P) -> Scalar:
            own = said.fork()
            own.append_point("L", group, left)
            own.append_point("R", group, right)
            return own.challenge("round", group)

        return Drawn(weights, next_challenge)


TRANSCRIPT: Final = TranscriptHashing()


def clsag_bytes(group: Group[P], members: int) -> int:
    """Return the length of a signature."""
    return IMAGES * group.point_bytes + (1 + members) * SCALAR_BYTES


def clsag_from_bytes_checked(group: Group[P], raw: bytes, members: int) -> Clsag[P]:
    """Return the signature that is encoded; no image is the identity, no scalar beyond the order.

    Raises:
        InvalidEncoding: anything else, or another length.
    """
    if not MIN_MEMBERS <= members <= MAX_MEMBERS or len(raw) != clsag_bytes(group, members):
        expected = f"{clsag_bytes(group, members)} bytes for {members} members, of {MIN_MEMBERS} to {MAX_MEMBERS}"
        raise InvalidEncoding("CLSAG", raw, expected)
    size, split = group.point_bytes, IMAGES * group.point_bytes
    image, auxiliary = (group.point_from_bytes_checked(raw[at : at + size]) for at in (0, size))
    challenge, *responses = (
        group.scalar_from_bytes_checked(raw[at : at + SCALAR_BYTES]) for at in range(split, len(raw), SCALAR_BYTES)
    )
    return Clsag(image, auxiliary, challenge, tuple(responses))


def image_base(group: Group[P], key: P) -> P:
    """Return Hp(P), the base of the images of a one-time key."""
    return group.hash_to_point(KEY_IMAGE_USE, group.point_to_bytes(key))


def key_image(group: Group[P], secret: Scalar) -> P:
    """Return I = x·Hp(x·G), which shows when a note is spent twice."""
    return group.multiply(secret, image_base(group, group.multiply_generator(secret)))


def sign(
    group: Group[P],
    statement: Statement[P],
    secrets: Secrets,
    index: int,
    randomness: bytes,
    hashing: Hashing = TRANSCRIPT,
) -> Clsag[P]:
    """Spend the note at `index`.

    Args:
        group: the suite.
        statement: what is signed; well formed.
        secrets: of that note.
        index: of the note among the members.
        randomness: at least 32 fresh random bytes.
        hashing: the verifier's.

    Raises:
        ValueError: the statement is not well formed, or the secrets are not that note's.
    """
    own = statement.members[index]
    if not _well_formed(group, statement):
        raise ValueError("a statement that no verifier would accept")
    if not secrets.blinding:
        raise ValueError("a pseudo-output that is the note's own commitment and gives it away")
    difference = group.subtract(own.commitment, statement.pseudo_output)
    for scalar, point in ((secrets.key, own.key), (secrets.blinding, difference)):
        if not 0 <= scalar < group.order or not group.equal(group.multiply_generator(scalar), point):
            raise ValueError("secrets that are not those of the note")
    base = image_base(group, own.key)
    image, auxiliary = group.multiply(secrets.key, base), group.multiply(secrets.blinding, base)
    drawn = hashing.draw(group, statement, image, auxiliary)
    folded = group.combine(zip(drawn.weights, (image, auxiliary), strict=True))
    secret = group.scalar(drawn.weights[0] * secrets.key + drawn.weights[1] * secrets.blinding)
    said, _ = _said(group, statement, image, auxiliary)
    count, minus = len(statement.members), group.negate(statement.pseudo_output)
    responses = [said.nonce(f"response {place}", group, secret, randomness) for place in range(count)]
    alpha = said.nonce("alpha", group, secret, randomness)
    left, right = group.multiply_generator(alpha), group.multiply(alpha, base)
    challenges = [Scalar(0)] * count
    for step in range(1, count + 1):
        place = (index + step) % count
        challenges[place] = drawn.next_challenge(left, right)
        if place != index:
            member = statement.members[place]
            left, right = _round(group, responses[place], challenges[place], drawn.weights, member, minus, folded)
    responses[index] = group.scalar(alpha - challenges[index] * secret)
    return Clsag(image, auxiliary, challenges[0], tuple(responses))


def verify(group: Group[P], statement: Statement[P], signature: Clsag[P], hashing: Hashing = TRANSCRIPT) -> bool:
    """Return whether a signature holds; whatever it is made of, this raises nothing."""
    if (
        not _well_formed(group, statement)
        or len(signature.responses) != len(statement.members)
        or any(not 0 <= each < group.order for each in (signature.challenge, *signature.responses))
        or group.is_identity(signature.image)
        or group.is_identity(signature.auxiliary)
    ):
        return False
    drawn = hashing.draw(group, statement, signature.image, signature.auxiliary)
    folded = group.combine(zip(drawn.weights, (signature.image, signature.auxiliary), strict=True))
    minus = group.negate(statement.pseudo_output)
    challenge = signature.challenge
    for response, member in zip(signature.responses, statement.members, strict=True):
        left, right = _round(group, response, challenge, drawn.weights, member, minus, folded)
        challenge = drawn.next_challenge(left, right)
    return challenge == signature.challenge


def _well_formed(group: Group[P], statement: Statement[P]) -> bool:
    """Return whether the ring has a fair size, no point is the identity, and no key occurs twice."""
    members = statement.members
    if not MIN_MEMBERS <= len(members) <= MAX_MEMBERS:
        return False
    keys = {group.point_to_bytes(member.key) for member in members}
    points = {
        group.point_to_bytes(point) for point in (statement.pseudo_output, *(each.commitment for each in members))
    }
    return len(keys) == len(members) and group.point_to_bytes(group.identity) not in keys | points


def _said(group: Group[P], statement: Statement[P], image: P, auxiliary: P) -> tuple[Transcript, tuple[Scalar, Scalar]]:
    """Return the transcript that every round goes on from, and the coefficients."""
    said = Transcript("clsag")
    said.append("group", group.name.encode())
    said.append("keys", b"".join(group.point_to_bytes(member.key) for member in statement.members))
    said.append("commitments", b"".join(group.point_to_bytes(member.commitment) for member in statement.members))
    said.append_point("pseudo-output", group, statement.pseudo_output)
    said.append_point("image", group, image)
    said.append_point("auxiliary", group, auxiliary)
    weights = said.challenge("weight of keys", group), said.challenge("weight of commitments", group)
    said.append("message", statement.message)
    return said, weights


def _round(
    group: Group[P],
    response: Scalar,
    challenge: Scalar,
    weights: tuple[Scalar, Scalar],
    member: Member[P],
    minus: P,
    folded: P,
) -> tuple[P, P]:
    """Return L = s·G + c·(μ_P·P + μ_C·(C − C')) and R = s·Hp(P) + c·J, given −C' and J."""
    key, commitment = (group.scalar(challenge * weight) for weight in weights)
    difference = group.sum((member.commitment, minus))
    left = group.add_generator(response, (group.multiply(key, member.key), group.multiply(commitment, difference)))
    base = image_base(group, member.key)
    right = group.sum((group.multiply(response, base), group.multiply(challenge, folded)))
    return left, right
