"""Auditors together: ElGamal to a joint key that nobody holds, Feldman's shares of it, and partial decryption.

Each auditor deals a random polynomial of degree k − 1; the joint secret is the sum of their constant terms, which never
exists in one place. k of n open one ciphertext by k partial decryptions, each proved right; no key is reconstructed.
What is encrypted is v·H, in the exponent, so that ciphertexts add up as commitments do and one sum can be opened; an
amount is found from v·H by search, which bounds it.
Source: Feldman 1987; Pedersen 1991 (joint key); Desmedt and Frankel 1989 (threshold ElGamal); Shanks (the search).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Generic, TypeVar

from privacy.commitment import commit, value_base
from privacy.equality import EqualityProof, prove_equal, verify_equal
from privacy.group import SCALAR_BYTES, Group, InvalidEncoding, Scalar
from privacy.possession import Registration, Role, possession_holds
from privacy.transcript import Transcript

P = TypeVar("P")
PARTIAL_USE = "partial-decryption"
MAX_AUDITORS = 64


@dataclass(frozen=True, slots=True)
class Dealing(Generic[P]):
    """What one dealer publishes, and sends: commitments A_0 … A_(k−1) to its polynomial, and a share for each auditor.

    Args:
        commitments: A_j = a_j·G; A_0 is the dealer's part of the joint key.
        shares: f(i) for i = 1 … n; the i-th goes to auditor i in secret.
    """

    commitments: tuple[P, ...]
    shares: tuple[Scalar, ...]


def deal(group: Group[P], secret: Scalar, threshold: int, count: int, randomness: bytes) -> Dealing[P]:
    """Share a secret so that any `threshold` of `count` can use it together.

    Raises:
        ValueError: not 1 ≤ threshold ≤ count ≤ 64, or the secret is zero.
    """
    if not 1 <= threshold <= count <= MAX_AUDITORS:
        raise ValueError(f"{threshold} of {count}: expected 1 ≤ threshold ≤ count ≤ {MAX_AUDITORS}")
    if not 0 < secret < group.order:
        raise ValueError("a secret that is zero or beyond the order")
    said = Transcript("feldman")
    said.append("shape", bytes((threshold, count)))
    coefficients = [secret, *(said.nonce(f"coefficient {at}", group, secret, randomness) for at in range(1, threshold))]
    shares = tuple(
        group.scalar(sum(each * pow(at, power, group.order) for power, each in enumerate(coefficients)))
        for at in range(1, count + 1)
    )
    return Dealing(tuple(map(group.multiply_generator, coefficients)), shares)


def public_share(group: Group[P], commitments: Sequence[P], auditor: int) -> P:
    """Return f(i)·G as everyone computes it from a dealer's commitments.

    Args:
        group: the suite.
        commitments: A_0 … A_(k−1).
        auditor: i, from 1.
    """
    return group.combine(
        (group.scalar(pow(auditor, power, group.order)), each) for power, each in enumerate(commitments)
    )


def share_is_right(group: Group[P], commitments: Sequence[P], auditor: int, share: Scalar, *, threshold: int) -> bool:
    """Return whether a share that auditor i was sent fits what its dealer published (Feldman's check).

    A polynomial of another degree than the threshold's would pass every auditor's check and open to nothing, or to the
    dealer alone; so its length counts too.
    """
    return (
        len(commitments) == threshold
        and 1 <= auditor <= MAX_AUDITORS
        and 0 <= share < group.order
        and group.equal(group.multiply_generator(share), public_share(group, commitments, auditor))
    )


@dataclass(frozen=True, slots=True)
class Dealer(Generic[P]):
    """What a dealer publishes: as what it registers, its commitments, and that it knows the secret behind the first."""

    registration: Registration
    commitments: tuple[P, ...]
    possession: EqualityProof


def joint_key_of(group: Group[P], dealers: Sequence[Dealer[P]], domain: bytes, epoch: int, *, threshold: int) -> P:
    """Return the sum of the dealers' keys.

    Who deals last could choose commitments that take the others' away, and hold the joint secret alone: therefore the
    proofs of possession, and the one degree for all.

    Args:
        group: the suite.
        dealers: all of them.
        domain, epoch: what all of them register for.
        threshold: how many auditors open together; the number of each dealer's commitments.

    Raises:
        ValueError: there is no dealer, one deals twice, another degree, or without its secret.
    """
    if not dealers or len({dealer.registration.account for dealer in dealers}) != len(dealers):
        raise ValueError("expected dealers, each once")
    for dealer in dealers:
        who = f"0x{dealer.registration.account.hex()}"
        if (dealer.registration.domain, dealer.registration.epoch) != (domain, epoch):
            raise ValueError(f"{who}: registered for another chain, contract or epoch")
        if len(dealer.commitments) != threshold:
            raise ValueError(f"{who}: {len(dealer.commitments)} commitments, expected {threshold}")
        if not possession_holds(group, Role.AUDITOR, dealer.registration, dealer.commitments[0], dealer.possession):
            raise ValueError(f"{who}: expected a proof of possession of the first commitment")
    return group.sum(dealer.commitments[0] for dealer in dealers)


@dataclass(frozen=True, slots=True)
class Ciphertext(Generic[P]):
    """ElGamal in the exponent: R = ρ·G and M = v·H + ρ·Y, for the joint key Y."""

    ephemeral: P
    masked: P

    def to_bytes(self, group: Group[P]) -> bytes:
        """Return R ‖ M."""
        return group.point_to_bytes(self.ephemeral) + group.point_to_bytes(self.masked)


def ciphertext_from_bytes_checked(group: Group[P], raw: bytes) -> Ciphertext[P]:
    """Return the ciphertext that is encoded.

    Raises:
        InvalidEncoding: of another length, or with a point that is none or the identity.
    """
    if len(raw) != 2 * group.point_bytes:
        raise InvalidEncoding("ciphertext", raw, f"{2 * group.point_bytes} bytes")
    ephemeral, masked = raw[: group.point_bytes], raw[group.point_bytes :]
    return Ciphertext(group.point_from_bytes_checked(ephemeral), group.point_from_bytes_checked(masked))


def encrypt(group: Group[P], joint_key: P, amount: int, blinding: Scalar) -> Ciphertext[P]:
    """Return the encryption of an amount to the auditors.

    Args:
        group: the suite.
        joint_key: Y.
        amount: v.
        blinding: ρ, uniform, secret and used once.
    """
    masked = group.combine([(group.scalar(amount), value_base(group)), (blinding, joint_key)])
    return Ciphertext(group.multiply_generator(blinding), masked)


def add(group: Group[P], ciphertexts: Sequence[Ciphertext[P]]) -> Ciphertext[P]:
    """Return the encryption of the sum of amounts."""
    return Ciphertext(group.sum(each.ephemeral for each in ciphertexts), group.sum(each.masked for each in ciphertexts))


@dataclass(frozen=True, slots=True)
class SameAmountProof:
    """Challenge c, and the responses for v, ρ and γ."""

    challenge: Scalar
    amount: Scalar
    encryption: Scalar
    commitment: Scalar

    def to_bytes(self, group: Group[P]) -> bytes:
        """Return c ‖ z_v ‖ z_ρ ‖ z_γ, 128 bytes."""
        return b"".join(map(group.scalar_to_bytes, (self.challenge, self.amount, self.encryption, self.commitment)))


SAME_AMOUNT_BYTES = 4 * SCALAR_BYTES


def same_amount_from_bytes_checked(group: Group[P], raw: bytes) -> SameAmountProof:
    """Return the proof that 128 bytes encode.

    Raises:
        InvalidEncoding: of another length, or a scalar beyond the order.
    """
    if len(raw) != SAME_AMOUNT_BYTES:
        raise InvalidEncoding("proof of the same amount", raw, f"{SAME_AMOUNT_BYTES} bytes")
    return SameAmountProof(
        *(group.scalar_from_bytes_checked(raw[at : at + SCALAR_BYTES]) for at in range(0, len(raw), SCALAR_BYTES))
    )


def prove_same_amount(
    group: Group[P],
    joint_key: P,
    amount: int,
    encryption: Scalar,
    commitment: Scalar,
    message: bytes,
    randomness: bytes,
) -> SameAmountProof:
    """Prove that a ciphertext to the auditors and a commitment are to the same amount, without telling it.

    It is knowledge of v, ρ and γ such that R = ρ·G, M = v·H + ρ·Y and C = v·H + γ·G: one v for both. That M − C has a
    representation in Y and G would not do: M = v·H + δ·G + ρ·Y has one, and opens to no amount.

    Args:
        group: the suite.
        joint_key: Y.
        amount: v.
        encryption: ρ.
        commitment: γ, another one than ρ.
        message: bound to the proof.
        randomness: at least 32 fresh random bytes.

    Raises:
        ValueError: ρ = γ: then C − R is v·H, and everybody finds v.
    """
    if encryption == commitment:
        raise ValueError("one blinding for ciphertext and commitment gives the amount away")
    ciphertext = encrypt(group, joint_key, amount, encryption)
    said = _said_same(group, joint_key, ciphertext, commit(group, amount, commitment), message)
    own = Transcript("same-amount-secrets")
    secrets = group.scalar(amount), encryption, commitment
    for secret in secrets:
        own.append_scalar("secret", group, secret)
    seed = own.challenge("secret", group)
    masks = [said.nonce(label, group, seed, randomness) for label in ("amount", "encryption", "commitment")]
    challenge = _same_challenge(group, said, _same_points(group, joint_key, *masks))
    responses = (group.scalar(mask - challenge * secret) for mask, secret in zip(masks, secrets, strict=True))
    return SameAmountProof(challenge, *responses)


def same_amount_holds(
    group: Group[P], joint_key: P, ciphertext: Ciphertext[P], commitment: P, message: bytes, proof: SameAmountProof
) -> bool:
    """Return whether ciphertext and commitment are to the same amount; it raises nothing."""
    responses = proof.amount, proof.encryption, proof.commitment
    points = ciphertext.ephemeral, ciphertext.masked, commitment
    if any(map(group.is_identity, (joint_key, *points))) or any(
        not 0 <= each < group.order for each in (proof.challenge, *responses)
    ):
        return False
    said = _said_same(group, joint_key, ciphertext, commitment, message)
    masks = [
        group.sum((left, group.multiply(proof.challenge, point)))
        for left, point in zip(_same_points(group, joint_key, *responses), points, strict=True)
    ]
    return _same_challenge(group, said, masks) == proof.challenge


def _same_points(group: Group[P], joint_key: P, amount: Scalar, encryption: Scalar, commitment: Scalar) -> list[P]:
    """Return ρ·G, v·H + ρ·Y and v·H + γ·G."""
    value = group.multiply(amount, value_base(group))
    masked = group.sum((value, group.multiply(encryption, joint_key)))
    return [group.multiply_generator(encryption), masked, group.sum((value, group.multiply_generator(commitment)))]


def _said_same(group: Group[P], joint_key: P, ciphertext: Ciphertext[P], commitment: P, message: bytes) -> Transcript:
    said = Transcript("same-amount")
    said.append("group", group.name.encode())
    said.append_point("joint key", group, joint_key)
    said.append("ciphertext", ciphertext.to_bytes(group))
    said.append_point("commitment", group, commitment)
    said.append("message", message)
    return said


def _same_challenge(group: Group[P], said: Transcript, masks: Sequence[P]) -> Scalar:
    own = said.fork()
    for mask in masks:
        own.append_point("mask", group, mask)
    return own.challenge("challenge", group)


@dataclass(frozen=True, slots=True)
class Partial(Generic[P]):
    """One auditor's part of an opening: D_i = share_i·R, and the proof that this is the share behind its public one."""

    auditor: int
    point: P
    proof: EqualityProof


def decrypt_partially(
    group: Group[P], auditor: int, share: Scalar, ephemeral: P, request: bytes, randomness: bytes
) -> Partial[P]:
    """Return auditor i's part of the opening of one ciphertext.

    Args:
        group: the suite.
        auditor: i, from 1.
        share: its share of the joint secret: the sum of what all dealers sent it.
        ephemeral: the ciphertext's R.
        request: what is opened and why, encoded: the proof holds for it alone.
        randomness: at least 32 fresh random bytes.
    """
    message = auditor.to_bytes(2, "big") + request
    proof = prove_equal(group, PARTIAL_USE, (group.generator, ephemeral), share, message, randomness)
    return Partial(auditor, group.multiply(share, ephemeral), proof)


def partial_is_right(group: Group[P], public: P, ephemeral: P, request: bytes, partial: Partial[P]) -> bool:
    """Return whether a part was made with the share behind `public`, for this ciphertext and request."""
    if not 1 <= partial.auditor <= MAX_AUDITORS:
        return False
    message = partial.auditor.to_bytes(2, "big") + request
    bases, points = (group.generator, ephemeral), (public, partial.point)
    return verify_equal(group, PARTIAL_USE, bases, points, message, partial.proof)


def open_together(group: Group[P], ciphertext: Ciphertext[P], parts: Mapping[int, P]) -> P:
    """Return v·H from the parts of at least the threshold of auditors; from fewer, it is a point of no meaning.

    Args:
        group: the suite.
        ciphertext: what is opened.
        parts: D_i by auditor, each checked before.
    """
    mask = combine_shares(group, parts)
    return group.subtract(ciphertext.masked, mask)


def combine_shares(group: Group[P], parts: Mapping[int, P]) -> P:
    """Return x·B from the points share_i·B (Lagrange's interpolation at zero, in the exponent).

    Raises:
        ValueError: there is an auditor whose number is not from 1 to 64.
    """
    if any(not 1 <= at <= MAX_AUDITORS for at in parts):
        raise ValueError(f"auditors {sorted(parts)}: expected numbers from 1 to {MAX_AUDITORS}")
    return group.combine((lagrange(group, at, sorted(parts)), point) for at, point in sorted(parts.items()))


def lagrange(group: Group[P], at: int, auditors: Sequence[int]) -> Scalar:
    """Return the weight of auditor `at` among `auditors` when the polynomial is read at zero."""
    top = bottom = 1
    for other in auditors:
        if other != at:
            top, bottom = top * other % group.order, bottom * (other - at) % group.order
    return group.scalar(top * group.inverse(group.scalar(bottom)))


def find_amount(group: Group[P], point: P, bound: int) -> int | None:
    """Return v with v·H = point and 0 ≤ v < bound, None if there is none (baby steps, giant steps: 2·√bound sums).

    Args:
        group: the suite.
        point: v·H.
        bound: of the search; the memory it takes grows with its root.
    """
    step = isqrt(max(bound - 1, 0)) + 1
    base = value_base(group)
    known: dict[bytes, int] = {}
    baby = group.identity
    for small in range(step):
        known[group.point_to_bytes(baby)] = small
        baby = group.sum((baby, base))
    back = group.negate(baby)  # step·H
    for large in range(step):
        small_found = known.get(group.point_to_bytes(point))
        if small_found is not None:
            found = large * step + small_found
            return found if found < bound else None
        point = group.sum((point, back))
    return None
