"""Scoped linkable ring signatures: one of these members says this, once in this scope, and nobody learns which.

A member has a point in each column of the ring; the signer knows the logarithms x_j of all points of one member, and
shows its images x_j·H with H = Hp(scope). The image of a column is the same for every message in a scope, so that a
second action shows, and unrelated between scopes. Columns are folded by coefficients μ_j drawn from ring, scope and all
images, as in CLSAG; the ring then closes over W_i = Σ μ_j·X_(i,j) and J = Σ μ_j·image_j:

    L_i = s_i·G + c_i·W_i        R_i = s_i·H + c_i·J        c_(i+1) = hash(ring, scope, images, message, L_i, R_i)

Unlike CLSAG's, the base H is the same for all members; so an image belongs to a scope and not to a key.

Columns: the *ring* key P = x·G, whose image D is the nullifier; the *trace* key K = k·G, whose image I lets the
auditors trace without being able to sign; and *delivery*, C_i − C', a commitment to zero when both commit to the same
amount. docs/privacy.md gives the argument.

Source: Mezquita et al. 2022, §4.2; Liu, Wei, Wong 2004 (linkable rings); Goodell, Noether, Blue 2019 (CLSAG, §3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from privacy.group import SCALAR_BYTES, Group, InvalidEncoding, Scalar
from privacy.transcript import Transcript

P = TypeVar("P")
MAX_MEMBERS = 1_024  # of a ring: bounds what one proof can cost, and what is allocated for it
MIN_MEMBERS = 2


class Column(StrEnum):
    """What a member's point is."""

    RING = "ring"
    TRACE = "trace"
    DELIVERY = "delivery"


KEYS = (Column.RING, Column.TRACE)  # points of these are registered, and none may occur twice among them


@dataclass(frozen=True, slots=True)
class Statement(Generic[P]):
    """What a signature is about.

    Args:
        columns: at least `Column.RING`, in the order of every member's points.
        members: each member's points, in the order of the registry.
        scope: chain, contract, market and window, encoded.
        message: everything else that is said.
    """

    columns: tuple[Column, ...]
    members: tuple[tuple[P, ...], ...]
    scope: bytes
    message: bytes


@dataclass(frozen=True, slots=True)
class RingSignature(Generic[P]):
    """A signature.

    Args:
        images: one a column, in the statement's order.
        challenge: c_0.
        responses: s_i, one a member.
    """

    images: tuple[P, ...]
    challenge: Scalar
    responses: tuple[Scalar, ...]

    def to_bytes(self, group: Group[P]) -> bytes:
        """Return images ‖ c_0 ‖ responses."""
        points = b"".join(map(group.point_to_bytes, self.images))
        return points + b"".join(map(group.scalar_to_bytes, (self.challenge, *self.responses)))


def signature_bytes(group: Group[P], columns: int, members: int) -> int:
    """Return the length of a signature."""
    return columns * group.point_bytes + (1 + members) * SCALAR_BYTES


def signature_from_bytes_checked(group: Group[P], raw: bytes, columns: int, members: int) -> RingSignature[P]:
    """Return the signature that is encoded; no image is the identity, no scalar beyond the order.

    Raises:
        InvalidEncoding: anything else, or another length.
    """
    possible = 1 <= columns <= len(Column) and MIN_MEMBERS <= members <= MAX_MEMBERS
    if not possible or len(raw) != signature_bytes(group, columns, members):
        expected = f"{signature_bytes(group, columns, members)} bytes for {columns} columns and {members} members"
        raise InvalidEncoding("ring signature", raw, expected)
    split = columns * group.point_bytes
    images = tuple(
        group.point_from_bytes_checked(raw[at : at + group.point_bytes]) for at in range(0, split, group.point_bytes)
    )
    challenge, *responses = (
        group.scalar_from_bytes_checked(raw[at : at + SCALAR_BYTES]) for at in range(split, len(raw), SCALAR_BYTES)
    )
    return RingSignature(images, challenge, tuple(responses))


def scope_base(group: Group[P], scope: bytes) -> P:
    """Return H = Hp(scope)."""
    return group.hash_to_point("scope", scope)


def image(group: Group[P], secret: Scalar, scope: bytes) -> P:
    """Return a secret's image in a scope: the nullifier D = x·Hp(s), or the trace tag I = k·Hp(s)."""
    return group.multiply(secret, scope_base(group, scope))


def sign(
    group: Group[P], statement: Statement[P], secrets: Sequence[Scalar], index: int, randomness: bytes
) -> RingSignature[P]:
    """Sign as the member at `index`.

    Args:
        group: the suite.
        statement: what is signed; well formed.
        secrets: the logarithms of that member's points, in the order of the columns.
        index: of the signer among the members.
        randomness: at least 32 fresh random bytes.

    Raises:
        ValueError: the statement is not well formed, or the secrets are not that member's.
    """
    own = statement.members[index]
    if not _well_formed(group, statement):
        raise ValueError("a statement that no verifier would accept")
    if len(secrets) != len(own) or any(
        not secret or not group.equal(group.multiply_generator(secret), point)
        for secret, point in zip(secrets, own, strict=True)
    ):
        raise ValueError("secrets that are not those of the member's points")
    if not all(secrets):
        raise ValueError("a commitment that is the delivery's own, and gives the member away")
    base = scope_base(group, statement.scope)
    images = tuple(group.multiply(secret, base) for secret in secrets)
    said, weights = _said(group, statement, images)
    folded = group.combine(zip(weights, images, strict=True))
    secret = group.scalar(sum(weight * each for weight, each in zip(weights, secrets, strict=True)))
    count = len(statement.members)
    responses = [said.nonce(f"response {place}", group, secret, randomness) for place in range(count)]
    alpha = said.nonce("alpha", group, secret, randomness)
    left, right = group.multiply_generator(alpha), group.multiply(alpha, base)
    challenges = [Scalar(0)] * count
    for step in range(1, count + 1):
        place = (index + step) % count
        challenges[place] = _next_challenge(group, said, left, right)
        if place != index:
            left, right = _round(
                group, responses[place], challenges[place], weights, statement.members[place], base, folded
            )
    responses[index] = group.scalar(alpha - challenges[index] * secret)
    return RingSignature(images, challenges[0], tuple(responses))


def verify(group: Group[P], statement: Statement[P], signature: RingSignature[P]) -> bool:
    """Return whether a signature holds; whatever it is made of, this raises nothing."""
    if (
        not _well_formed(group, statement)
        or len(signature.images) != len(statement.columns)
        or len(signature.responses) != len(statement.members)
        or any(not 0 <= each < group.order for each in (signature.challenge, *signature.responses))
        or any(map(group.is_identity, signature.images))
    ):
        return False
    base = scope_base(group, statement.scope)
    said, weights = _said(group, statement, signature.images)
    folded = group.combine(zip(weights, signature.images, strict=True))
    challenge = signature.challenge
    for response, points in zip(signature.responses, statement.members, strict=True):
        left, right = _round(group, response, challenge, weights, points, base, folded)
        challenge = _next_challenge(group, said, left, right)
    return challenge == signature.challenge


def _well_formed(group: Group[P], statement: Statement[P]) -> bool:
    """Return whether all members have all columns, and no key is the identity or occurs twice in all key columns."""
    columns = statement.columns
    if (
        Column.RING not in columns
        or len(set(columns)) != len(columns)
        or not MIN_MEMBERS <= len(statement.members) <= MAX_MEMBERS
        or any(len(points) != len(columns) for points in statement.members)
        or group.is_identity(scope_base(group, statement.scope))
    ):
        return False
    places = [place for place, column in enumerate(columns) if column in KEYS]
    keys = [group.point_to_bytes(points[place]) for points in statement.members for place in places]
    return len({*keys, group.point_to_bytes(group.identity)}) == len(keys) + 1


def _said(group: Group[P], statement: Statement[P], images: Sequence[P]) -> tuple[Transcript, list[Scalar]]:
    """Return the transcript that every round goes on from, and the weight of each column."""
    said = Transcript("ring-signature")
    said.append("group", group.name.encode())
    said.append("columns", ",".join(statement.columns).encode())
    said.append("members", b"".join(group.point_to_bytes(point) for points in statement.members for point in points))
    said.append("scope", statement.scope)
    for column, point in zip(statement.columns, images, strict=True):
        said.append_point(f"image of {column}", group, point)
    weights = [said.challenge(f"weight of {column}", group) for column in statement.columns]
    said.append("message", statement.message)
    return said, weights


def _round(
    group: Group[P],
    response: Scalar,
    challenge: Scalar,
    weights: Sequence[Scalar],
    points: Sequence[P],
    base: P,
    folded: P,
) -> tuple[P, P]:
    """Return L = s·G + c·Σ μ_j·X_j and R = s·H + c·J."""
    terms = [
        group.multiply(group.scalar(challenge * weight), point) for weight, point in zip(weights, points, strict=True)
    ]
    left = group.add_generator(response, terms)
    right = group.add_multiple(response, base, (group.multiply(challenge, folded),))
    return left, right


def _next_challenge(group: Group[P], said: Transcript, left: P, right: P) -> Scalar:
    own = said.fork()
    own.append_point("L", group, left)
    own.append_point("R", group, right)
    return own.challenge("round", group)
