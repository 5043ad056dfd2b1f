"""Notes: hidden amounts that belong to one-time keys; how they are made, found, and spent so that everything balances.

A note is a key P that only its recipient has the secret of (a stealth address), a commitment C to its amount, what the
recipient needs to find it and to open C, the amount once more under the auditors' joint key, and the proof that it is
the same. A `spend` shows of each note that it spends the bin, the key image and a pseudo-output: a commitment to the
same amount with another blinding. Pseudo-outputs and what they become add up, if their blindings are chosen so.

Source: van Saberhagen 2013 (one-time keys, key images); Noether, Mackenzie 2016 (pseudo-outputs that balance);
docs/private-window.md, "Notes" (the encodings).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final, Generic, TypeVar

from privacy.auditors import (
    SAME_AMOUNT_BYTES,
    Ciphertext,
    SameAmountProof,
    ciphertext_from_bytes_checked,
    encrypt,
    prove_same_amount,
    same_amount_from_bytes_checked,
    same_amount_holds,
)
from privacy.commitment import commit, opens
from privacy.group import SCALAR_BYTES, Group, InvalidEncoding, Scalar
from privacy.stealth import MetaAddress, OneTimeKey, amount_key, belongs, derive, shared_secret
from privacy.transcript import Transcript

P = TypeVar("P")
AMOUNT_BYTES: Final = 8
MAX_AMOUNT: Final = (1 << 8 * AMOUNT_BYTES) - 1
OPENING_BYTES: Final = AMOUNT_BYTES + SCALAR_BYTES
BIN_NOTES: Final = 16
BIN_NUMBER_BYTES: Final = 4
SPENDS: Final = 2

MessageOf = Callable[[bytes], bytes]
"""The encoding of a note's key -> the message (32 bytes) of its proof."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What opens a commitment.

    Args:
        amount: v, in the pool's unit (micro-euro), below 2^64.
        blinding: γ.
    """

    amount: int
    blinding: Scalar


@dataclass(frozen=True, slots=True)
class Hidden(Generic[P]):
    """An amount, committed to and under the auditors' joint key, and the proof that it is the same in both."""

    commitment: P
    ciphertext: Ciphertext[P]
    proof: SameAmountProof

    def to_bytes(self, group: Group[P]) -> bytes:
        """Return C ‖ R' ‖ M ‖ proof, 227 bytes: the form of a lock."""
        return group.point_to_bytes(self.commitment) + self.ciphertext.to_bytes(group) + self.proof.to_bytes(group)


@dataclass(frozen=True, slots=True)
class Note(Generic[P]):
    """A note.

    Args:
        output: its key P, the ephemeral R and the view tag.
        opening: amount and blinding, encrypted to the recipient (40 bytes).
        hidden: its commitment, the ciphertext to the auditors, and the proof.
    """

    output: OneTimeKey[P]
    opening: bytes
    hidden: Hidden[P]

    def to_bytes(self, group: Group[P]) -> bytes:
        """Return key ‖ commitment ‖ ephemeral ‖ view tag ‖ opening ‖ sealed ‖ proof, 334 bytes."""
        return self.public_bytes(group) + self.hidden.proof.to_bytes(group)

    def public_bytes(self, group: Group[P]) -> bytes:
        """Return all but the proof, 206 bytes: what the pool publishes, and takes where an amount was proved before."""
        points = map(group.point_to_bytes, (self.output.key, self.hidden.commitment, self.output.ephemeral))
        sealed = self.hidden.ciphertext.to_bytes(group)
        return b"".join(points) + bytes((self.output.view_tag,)) + self.opening + sealed


@dataclass(frozen=True, slots=True)
class FoundNote(Generic[P]):
    """A note that is the scanning wallet's, with what opens it."""

    output: OneTimeKey[P]
    commitment: P
    opening: Opening


@dataclass(frozen=True, slots=True)
class Spend(Generic[P]):
    """One note spent.

    Args:
        bin_number: of the bin whose members are its ring; below 2^32.
        image: its key image.
        pseudo_output: a commitment to its amount with another blinding.
    """

    bin_number: int
    image: P
    pseudo_output: P

    def to_bytes(self, group: Group[P]) -> bytes:
        """Return bin ‖ key image ‖ pseudo-output, 70 bytes."""
        number = self.bin_number.to_bytes(BIN_NUMBER_BYTES, "big")
        return number + group.point_to_bytes(self.image) + group.point_to_bytes(self.pseudo_output)


def public_note_bytes(group: Group[P]) -> int:
    """Return the length of a note without its proof."""
    return 3 * group.point_bytes + 1 + OPENING_BYTES + 2 * group.point_bytes


def note_bytes(group: Group[P]) -> int:
    """Return the length of a note."""
    return public_note_bytes(group) + SAME_AMOUNT_BYTES


# -- making


def make_note(
    group: Group[P],
    recipient: MetaAddress[P],
    amount: int,
    joint_key: P,
    message_of: MessageOf,
    randomness: bytes,
    *,
    blinding: Scalar | None = None,
) -> tuple[Note[P], Opening]:
    """Make a note for a recipient; everything secret in it follows from the randomness and what it is for.

    Args:
        group: the suite.
        recipient: whose note it becomes.
        amount: v, below 2^64.
        joint_key: the auditors' Y.
        message_of: what the proof is bound to.
        randomness: at least 32 fresh random bytes; the same twice makes the same note, which a pool refuses.
        blinding: γ where it is given by what has to balance; else it is drawn.

    Raises:
        ValueError: an amount out of range, too little randomness, or a recipient whose key is the identity.
    """
    _require_amount(amount)
    said = Transcript("note")
    said.append("group", group.name.encode())
    said.append_point("spending", group, recipient.spending)
    said.append_point("viewing", group, recipient.viewing)
    said.append_point("joint key", group, joint_key)
    if blinding is not None:
        said.append_scalar("blinding", group, blinding)
    ephemeral = said.nonce("ephemeral", group, Scalar(amount), randomness)
    output = derive(group, recipient, ephemeral)
    said.append_point("key", group, output.key)
    hidden, opening = _hide(
        group, joint_key, amount, message_of(group.point_to_bytes(output.key)), said, randomness, blinding
    )
    key = amount_key(group, ephemeral, recipient.viewing)
    clear = amount.to_bytes(AMOUNT_BYTES, "big") + group.scalar_to_bytes(opening.blinding)
    return Note(output, _under_key(key, clear), hidden), opening


def make_lock(
    group: Group[P], amount: int, joint_key: P, message: bytes, randomness: bytes, *, blinding: Scalar | None = None
) -> tuple[Hidden[P], Opening]:
    """Hide an amount that belongs to nobody's key, as a session's budget does.

    Args:
        group: the suite.
        amount: v, below 2^64.
        joint_key: the auditors' Y.
        message: what the proof is bound to.
        randomness: at least 32 fresh random bytes.
        blinding: γ where it is given; else it is drawn.

    Raises:
        ValueError: an amount out of range, or too little randomness.
    """
    _require_amount(amount)
    said = Transcript("lock")
    said.append("group", group.name.encode())
    said.append_point("joint key", group, joint_key)
    said.append("message", message)
    return _hide(group, joint_key, amount, message, said, randomness, blinding)


def _hide(
    group: Group[P],
    joint_key: P,
    amount: int,
    message: bytes,
    said: Transcript,
    randomness: bytes,
    blinding: Scalar | None,
) -> tuple[Hidden[P], Opening]:
    secret = Scalar(amount)
    gamma = said.nonce("blinding", group, secret, randomness) if blinding is None else blinding
    rho = said.nonce("encryption", group, secret, randomness)
    proof = prove_same_amount(group, joint_key, amount, rho, gamma, message, randomness)
    return Hidden(commit(group, amount, gamma), encrypt(group, joint_key, amount, rho), proof), Opening(amount, gamma)


def _require_amount(amount: int) -> None:
    if not 0 <= amount <= MAX_AMOUNT:
        raise ValueError(f"amount {amount}: expected 0 to {MAX_AMOUNT}")


# -- reading


def note_from_bytes_checked(group: Group[P], raw: bytes) -> Note[P]:
    """Return the note that is encoded, with its proof.

    Raises:
        InvalidEncoding: of another length, a point that is none or the identity, or a scalar beyond the order.
    """
    if len(raw) != note_bytes(group):
        raise InvalidEncoding("note", raw, f"{note_bytes(group)} bytes")
    key, commitment, ephemeral, view_tag, opening, sealed = _cut(group, raw)
    proof = same_amount_from_bytes_checked(group, raw[public_note_bytes(group) :])
    ciphertext = ciphertext_from_bytes_checked(group, sealed)
    points = [group.point_from_bytes_checked(each) for each in (key, ephemeral, commitment)]
    return Note(OneTimeKey(points[0], points[1], view_tag[0]), opening, Hidden(points[2], ciphertext, proof))


def note_is_sealed(group: Group[P], joint_key: P, note: Note[P], message_of: MessageOf) -> bool:
    """Return whether a note's commitment and what the auditors read hold the same amount; it raises nothing."""
    hidden, message = note.hidden, message_of(group.point_to_bytes(note.output.key))
    return same_amount_holds(group, joint_key, hidden.ciphertext, hidden.commitment, message, hidden.proof)


def scan(group: Group[P], viewing: Scalar, spending: P, raw: bytes) -> FoundNote[P] | None:
    """Return a published note, if it is for the holder of this viewing secret and opens to what it says.

    Foreign notes cost one multiplication. A note that lies (a tag without its key, a ciphertext that does not open the
    commitment, a point that is none) is nobody's and passed over.

    Args:
        group: the suite.
        viewing: v.
        spending: S.
        raw: 206 bytes of a published note; what comes behind them (its proof) is not looked at.

    Raises:
        InvalidEncoding: fewer bytes.
    """
    if len(raw) < public_note_bytes(group):
        raise InvalidEncoding("note", raw, f"at least {public_note_bytes(group)} bytes")
    key, commitment, ephemeral, view_tag, opening, _ = _cut(group, raw)
    try:
        shared = group.point_from_bytes_checked(ephemeral)
        if shared_secret(group, viewing, shared)[0] != view_tag[0]:
            return None
        points = [group.point_from_bytes_checked(each) for each in (key, commitment)]
    except InvalidEncoding:
        return None
    output = OneTimeKey(points[0], shared, view_tag[0])
    if not belongs(group, viewing, spending, output):
        return None
    clear = _under_key(amount_key(group, viewing, output.ephemeral), opening)
    amount, blinding = (int.from_bytes(part, "big") for part in (clear[:AMOUNT_BYTES], clear[AMOUNT_BYTES:]))
    if not opens(group, points[1], amount, Scalar(blinding)):
        return None
    return FoundNote(output, points[1], Opening(amount, Scalar(blinding)))


def _cut(group: Group[P], raw: bytes) -> list[bytes]:
    """Return key, commitment, ephemeral, view tag, opening and sealed of a note's bytes."""
    size = group.point_bytes
    ends = accumulate((size, size, size, 1, OPENING_BYTES, 2 * size), initial=0)
    return [raw[start:end] for start, end in pairwise(ends)]


def _under_key(key: bytes, text: bytes) -> bytes:
    """Return 40 bytes under the key stream of a note, or back: every note has a key of its own."""
    said = Transcript("note-opening")
    said.append("key", key)
    return bytes(one ^ other for one, other in zip(text, said.challenge_bytes("stream"), strict=False))


# -- spending


def spends_to_bytes(group: Group[P], spends: Sequence[Spend[P]]) -> bytes:
    """Return the encoding of a transfer's spends.

    Raises:
        ValueError: not exactly two.
    """
    if len(spends) != SPENDS:
        raise ValueError(f"{len(spends)} spends: expected {SPENDS}")
    return b"".join(each.to_bytes(group) for each in spends)


def balancing_blindings(
    group: Group[P], total: Scalar, count: int, secret: Scalar, randomness: bytes
) -> tuple[Scalar, ...]:
    """Return blindings that add up to a total: of pseudo-outputs to that of outputs, of a deposit's notes to zero.

    Args:
        group: the suite.
        total: what they add up to.
        count: how many, from 1; all but the last are drawn.
        secret: something that only who draws them knows, beside the randomness: a blinding of what is spent.
        randomness: at least 32 fresh random bytes.
    """
    said = Transcript("balancing-blindings")
    said.append_scalar("total", group, total)
    drawn = [said.nonce(f"blinding {place}", group, secret, randomness) for place in range(count - 1)]
    return *drawn, group.scalar(total - sum(drawn))
