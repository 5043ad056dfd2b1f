"""Proofs that several points have the same logarithm to bases of their own: Y_j = x·B_j for all j, without telling x.

With bases G and Hp(s) it is how a member confirms that an action is its own, and how an auditor shows that its share of
an opening is right; that logarithms differ is shown by `prove_different`, which is how everyone else denies.
Source: Chaum and Pedersen 1992; Camenisch and Shoup 2003, §6 (inequality).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from privacy.group import SCALAR_BYTES, Group, InvalidEncoding, Scalar
from privacy.transcript import Transcript

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class EqualityProof:
    """Challenge c and response z."""

    challenge: Scalar
    response: Scalar

    def to_bytes(self, group: Group[P]) -> bytes:
        """Return c ‖ z, 64 bytes."""
        return group.scalar_to_bytes(self.challenge) + group.scalar_to_bytes(self.response)


def equality_from_bytes_checked(group: Group[P], raw: bytes) -> EqualityProof:
    """Return the proof that 64 bytes encode.

    Raises:
        InvalidEncoding: of another length, or a scalar beyond the order.
    """
    if len(raw) != 2 * SCALAR_BYTES:
        raise InvalidEncoding("equality proof", raw, f"{2 * SCALAR_BYTES} bytes")
    return EqualityProof(
        group.scalar_from_bytes_checked(raw[:SCALAR_BYTES]), group.scalar_from_bytes_checked(raw[SCALAR_BYTES:])
    )


def prove_equal(
    group: Group[P], use: str, bases: Sequence[P], secret: Scalar, message: bytes, randomness: bytes
) -> EqualityProof:
    """Prove that x·B_j, for all bases, have the logarithm x.

    Args:
        group: the suite.
        use: what the proof is for; a proof of one use is none of another.
        bases: B_j.
        secret: x.
        message: bound to the proof.
        randomness: at least 32 fresh random bytes.
    """
    said = _said(group, use, bases, [group.multiply(secret, base) for base in bases], message)
    nonce = said.nonce("nonce", group, secret, randomness)
    challenge = _challenge(group, said, [group.multiply(nonce, base) for base in bases])
    return EqualityProof(challenge, group.scalar(nonce - challenge * secret))


def verify_equal(
    group: Group[P], use: str, bases: Sequence[P], points: Sequence[P], message: bytes, proof: EqualityProof
) -> bool:
    """Return whether a proof holds; it raises nothing, and nothing holds for a base that is the identity."""
    if (
        not bases
        or len(bases) != len(points)
        or any(map(group.is_identity, bases))
        or not (0 <= proof.challenge < group.order and 0 <= proof.response < group.order)
    ):
        return False
    commitments = [
        group.combine([(proof.response, base), (proof.challenge, point)])
        for base, point in zip(bases, points, strict=True)
    ]
    return _challenge(group, _said(group, use, bases, points, message), commitments) == proof.challenge


@dataclass(frozen=True, slots=True)
class DifferenceProof(Generic[P]):
    """A blinded difference of the points, which is not the identity, and a proof of how it came about."""

    blinded: P
    challenge: Scalar
    responses: tuple[Scalar, Scalar]

    def to_bytes(self, group: Group[P]) -> bytes:
        """Return blinded ‖ c ‖ z_1 ‖ z_2."""
        scalars = (self.challenge, *self.responses)
        return group.point_to_bytes(self.blinded) + b"".join(map(group.scalar_to_bytes, scalars))


def difference_from_bytes_checked(group: Group[P], raw: bytes) -> DifferenceProof[P]:
    """Return the proof that is encoded.

    Raises:
        InvalidEncoding: of another length, a point that is none or the identity, a scalar beyond the order.
    """
    if len(raw) != group.point_bytes + 3 * SCALAR_BYTES:
        raise InvalidEncoding("difference proof", raw, f"{group.point_bytes + 3 * SCALAR_BYTES} bytes")
    blinded = group.point_from_bytes_checked(raw[: group.point_bytes])
    challenge, first, second = (
        group.scalar_from_bytes_checked(raw[at : at + SCALAR_BYTES])
        for at in range(group.point_bytes, len(raw), SCALAR_BYTES)
    )
    return DifferenceProof(blinded, challenge, (first, second))


def prove_different(
    group: Group[P], use: str, base: P, other: P, point: P, secret: Scalar, message: bytes, randomness: bytes
) -> DifferenceProof[P]:
    """Prove that Y = x·B and a point T ≠ x·B': T has another logarithm to B' than Y has to B.

    Args:
        group: the suite.
        use: what the proof is for.
        base: B, of which the prover's Y = x·B is known.
        other: B'.
        point: T.
        secret: x.
        message: bound to the proof.
        randomness: at least 32 fresh random bytes.

    Raises:
        ValueError: T = x·B', so there is nothing to prove.
    """
    key = group.multiply(secret, base)
    seed = _said(group, use, (base, other), (key, point), message)
    blind = seed.nonce("blind", group, secret, randomness)
    # with a = blind and b = −x·blind: a·Y + b·B = 0 and a·T + b·B' = blinded ≠ 0
    a, b = blind, group.scalar(-secret * blind)
    blinded = group.combine([(a, point), (b, other)])
    if group.is_identity(blinded):
        raise ValueError("the logarithms are the same")
    said = _said_different(group, use, base, other, key, point, blinded, message)
    first = said.nonce("first", group, a, randomness)
    second = said.nonce("second", group, b, randomness)
    challenge = _challenge(
        group,
        said,
        [group.combine([(first, key), (second, base)]), group.combine([(first, point), (second, other)])],
    )
    return DifferenceProof(
        blinded, challenge, (group.scalar(first - challenge * a), group.scalar(second - challenge * b))
    )


def verify_different(
    group: Group[P], use: str, base: P, other: P, key: P, point: P, message: bytes, proof: DifferenceProof[P]
) -> bool:
    """Return whether a proof holds that T has another logarithm to B' than Y to B; it raises nothing."""
    if len(proof.responses) != 2:
        return False
    first, second = proof.responses
    if any(map(group.is_identity, (base, other, key, proof.blinded))) or any(
        not 0 <= each < group.order for each in (proof.challenge, first, second)
    ):
        return False
    commitments = [
        group.combine([(first, key), (second, base)]),
        group.combine([(first, point), (second, other), (proof.challenge, proof.blinded)]),
    ]
    said = _said_different(group, use, base, other, key, point, proof.blinded, message)
    return _challenge(group, said, commitments) == proof.challenge


def _said(group: Group[P], use: str, bases: Sequence[P], points: Sequence[P], message: bytes) -> Transcript:
    said = Transcript(f"equality/{use}")
    said.append("group", group.name.encode())
    said.append("bases", b"".join(map(group.point_to_bytes, bases)))
    said.append("points", b"".join(map(group.point_to_bytes, points)))
    said.append("message", message)
    return said


def _said_different(
    group: Group[P], use: str, base: P, other: P, key: P, point: P, blinded: P, message: bytes
) -> Transcript:
    said = Transcript(f"difference/{use}")
    said.append("group", group.name.encode())
    said.append("points", b"".join(map(group.point_to_bytes, (base, other, key, point, blinded))))
    said.append("message", message)
    return said


def _challenge(group: Group[P], said: Transcript, commitments: Sequence[P]) -> Scalar:
    own = said.fork()
    for commitment in commitments:
        own.append_point("commitment", group, commitment)
    return own.challenge("challenge", group)
