"""Claims as contracts hand them to the chain's precompiled functions: each one byte string, with its proof at the end.

A claim is checked as a whole: whatever cannot be read is a claim that does not hold, and nothing is raised. Numbers are
big-endian, points compressed (33 bytes), scalars 32 bytes; messages and scopes are hashes of 32 bytes. A claim's
length, and so what it costs, follows from its first `HEAD_BYTES`, before anything else of it is looked at.

| claim | bytes |
|---|---|
| ring | columns 1 ‖ members 2 ‖ scope 32 ‖ message 32 ‖ each member's points ‖ signature |
| delivery | 4 ‖ members 2 ‖ scope 32 ‖ message 32 ‖ C' 33 ‖ each member's P, K, B (zeros for no reading) ‖ signature |
| note | members 2 ‖ message 32 ‖ pseudo-output 33 ‖ each member's key 33 and commitment 33 ‖ CLSAG |
| range | bits 1 ‖ commitments 1 ‖ message 32 ‖ the commitments ‖ proof |
| possession | 1 ‖ role 1 ‖ domain 32 ‖ account 20 ‖ epoch 8 ‖ key 33 ‖ proof 64 |
| part | 2 ‖ auditor 2 ‖ request 32 ‖ public share 33 ‖ base 33 ‖ part 33 ‖ proof 64 |
| same amount | 3 ‖ message 32 ‖ joint key 33 ‖ ciphertext 66 ‖ commitment 33 ‖ proof 128 |
| sum | terms 2 ‖ those with a scalar 2 ‖ terms: 0 ‖ P, 1 ‖ P (for −P), 2 ‖ s ‖ P, 3 ‖ s (for s·H), 4 ‖ s (for s·G) |
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from privacy import clsag, range_proof, ring
from privacy.auditors import (
    SAME_AMOUNT_BYTES,
    Ciphertext,
    Partial,
    SameAmountProof,
    ciphertext_from_bytes_checked,
    partial_is_right,
    same_amount_from_bytes_checked,
    same_amount_holds,
)
from privacy.commitment import value_base
from privacy.equality import EqualityProof, equality_from_bytes_checked
from privacy.group import SCALAR_BYTES, InvalidEncoding, Scalar
from privacy.possession import ACCOUNT_BYTES, DOMAIN_BYTES, Registration, Role, possession_holds
from privacy.secp256k1 import POINT_BYTES, SECP256K1, Point

HASH_BYTES: Final = 32
COLUMNS: Final = {1: (ring.Column.RING,), 2: ring.KEYS, 3: (*ring.KEYS, ring.Column.DELIVERY)}
DELIVERED: Final = 4  # the number of a ring claim whose third points are differences
ROLES: Final = tuple(Role)
POSSESSION, PART, SAME_AMOUNT = 1, 2, 3
PLUS, MINUS, TIMES, TIMES_VALUE_BASE, TIMES_GENERATOR = range(5)
NUMBER_BYTES: Final = 2
HEAD_BYTES: Final = 4  # at most
ROWS_KEPT: Final = 16  # of rings and bins in use, a megabyte each at the most
_G = SECP256K1


class _Reader:
    """Bytes, read from the front; what is not there is no encoding."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0

    def take(self, count: int) -> bytes:
        found = self._raw[self._at : self._at + count]
        if len(found) != count:
            raise InvalidEncoding("claim", self._raw, f"at least {self._at + count} bytes")
        self._at += count
        return found

    def number(self, count: int = 1) -> int:
        return int.from_bytes(self.take(count), "big")

    def point(self) -> Point:
        return _G.point_from_bytes_checked(self.take(POINT_BYTES))

    def scalar(self) -> Scalar:
        return _G.scalar_from_bytes_checked(self.take(SCALAR_BYTES))

    def rest(self) -> bytes:
        return self._raw[self._at :]

    @property
    def at_end(self) -> bool:
        return self._at == len(self._raw)


Row = tuple[Point, Point, Point]  # a member's ring key, trace key, and commitment to its readings


@dataclass(frozen=True, slots=True)
class Shape:
    """What a claim's first bytes say of it: its length in bytes, and the two numbers that its price depends on."""

    length: int
    numbers: tuple[int, int]


def _holds(check: Callable[[_Reader], bool], raw: bytes) -> bool:
    try:
        return check(_Reader(raw))
    except InvalidEncoding:
        return False


def _hash(said: bytes, what: str) -> bytes:
    if len(said) != HASH_BYTES:
        raise ValueError(f"{what} of {len(said)} bytes: expected a hash of {HASH_BYTES}")
    return said


def _points(points: Iterable[Point]) -> bytes:
    return b"".join(map(_G.point_to_bytes, points))


@lru_cache(maxsize=ROWS_KEPT)
def _rows(raw: bytes, width: int, *, identity_last: bool = False) -> tuple[tuple[Point, ...], ...]:
    """Return points in rows; all members of a window hand over the same, so they are parsed once."""
    points = [raw[at : at + POINT_BYTES] for at in range(0, len(raw), POINT_BYTES)]
    read = [
        _G.identity
        if identity_last and place % width == width - 1 and not any(point)
        else _G.point_from_bytes_checked(point)
        for place, point in enumerate(points)
    ]
    return tuple(tuple(read[at : at + width]) for at in range(0, len(read), width))


# -- one of these members says this


def ring_claim(statement: ring.Statement[Point], signature: ring.RingSignature[Point]) -> bytes:
    """Return the claim that a member says this.

    Raises:
        ValueError: scope or message is no hash of 32 bytes, or these columns have no number.
    """
    number = next((number for number, columns in COLUMNS.items() if columns == statement.columns), 0)
    if not number:
        raise ValueError(f"columns {', '.join(statement.columns)}: expected ring, then trace, then delivery")
    head = bytes((number,)) + len(statement.members).to_bytes(NUMBER_BYTES, "big")
    said = _hash(statement.scope, "scope") + _hash(statement.message, "message")
    return head + said + b"".join(map(_points, statement.members)) + signature.to_bytes(_G)


def delivery_statement(rows: Sequence[Row], delivered: Point, scope: bytes, message: bytes) -> ring.Statement[Point]:
    """Return what a member signs whose meter reads what C' commits to: its third point is B − C', a commitment to zero.

    Args:
        rows: every member's P, K and B; B is the identity where a meter attested nothing.
        delivered: C'.
        scope: the window's.
        message: everything else that is said.
    """
    members = tuple((ring_key, trace_key, _G.subtract(read, delivered)) for ring_key, trace_key, read in rows)
    return ring.Statement(COLUMNS[3], members, scope, message)


def delivery_claim(
    rows: Sequence[Row], delivered: Point, scope: bytes, message: bytes, signature: ring.RingSignature[Point]
) -> bytes:
    """Return the claim that the meter of the member who says this reads what C' commits to.

    Raises:
        ValueError: scope or message is no hash of 32 bytes.
    """
    head = bytes((DELIVERED,)) + len(rows).to_bytes(NUMBER_BYTES, "big")
    said = _hash(scope, "scope") + _hash(message, "message") + _points((delivered,))
    return head + said + b"".join(map(_points, rows)) + signature.to_bytes(_G)


def ring_shape(head: bytes) -> Shape | None:
    """Return the shape of a ring claim, with its columns and members; None if there is no such ring."""
    if len(head) < 1 + NUMBER_BYTES:
        return None
    number, members = head[0], int.from_bytes(head[1 : 1 + NUMBER_BYTES], "big")
    if number not in (*COLUMNS, DELIVERED) or members > ring.MAX_MEMBERS:
        return None
    columns = len(COLUMNS[min(number, len(COLUMNS))])
    points = columns * members + (number == DELIVERED)
    length = 1 + NUMBER_BYTES + 2 * HASH_BYTES + points * POINT_BYTES + ring.signature_bytes(_G, columns, members)
    return Shape(length, (number, members))


def ring_holds(raw: bytes) -> bool:
    """Return whether a ring claim holds."""
    return _holds(_ring_holds, raw)


def _ring_holds(reader: _Reader) -> bool:
    shape = ring_shape(reader.take(1 + NUMBER_BYTES))
    if shape is None:
        return False
    number, members = shape.numbers
    scope, message = reader.take(HASH_BYTES), reader.take(HASH_BYTES)
    if number == DELIVERED:
        delivered = reader.point()
        rows = _rows(reader.take(3 * members * POINT_BYTES), 3, identity_last=True)
        statement = delivery_statement([(row[0], row[1], row[2]) for row in rows], delivered, scope, message)
        if any(_G.is_identity(points[-1]) for points in statement.members):
            return False
    else:
        columns = COLUMNS[number]
        rows = _rows(reader.take(len(columns) * members * POINT_BYTES), len(columns))
        statement = ring.Statement(columns, rows, scope, message)
    signature = ring.signature_from_bytes_checked(_G, reader.rest(), len(statement.columns), members)
    return ring.verify(_G, statement, signature)


# -- one of these notes is spent


def note_claim(statement: clsag.Statement[Point], signature: clsag.Clsag[Point]) -> bytes:
    """Return the claim that one of these notes is spent for a pseudo-output.

    Raises:
        ValueError: the message is no hash of 32 bytes.
    """
    rows = b"".join(_points((member.key, member.commitment)) for member in statement.members)
    head = len(statement.members).to_bytes(NUMBER_BYTES, "big") + _hash(statement.message, "message")
    return head + _points((statement.pseudo_output,)) + rows + signature.to_bytes(_G)


def note_shape(head: bytes) -> Shape | None:
    """Return the shape of a note claim, with its members; None if there are too many."""
    members = int.from_bytes(head[:NUMBER_BYTES], "big")
    if len(head) < NUMBER_BYTES or members > ring.MAX_MEMBERS:
        return None
    points = (1 + 2 * members) * POINT_BYTES
    return Shape(NUMBER_BYTES + HASH_BYTES + points + clsag.clsag_bytes(_G, members), (members, 0))


def note_holds(raw: bytes) -> bool:
    """Return whether a note claim holds."""
    return _holds(_note_holds, raw)


def _note_holds(reader: _Reader) -> bool:
    members = reader.number(NUMBER_BYTES)
    message, pseudo_output = reader.take(HASH_BYTES), reader.point()
    notes = tuple(clsag.Member(*row) for row in _rows(reader.take(2 * members * POINT_BYTES), 2))
    signature = clsag.clsag_from_bytes_checked(_G, reader.rest(), members)
    return clsag.verify(_G, clsag.Statement(notes, pseudo_output, message), signature)


# -- what these commitments hold is in range


def range_claim(statement: range_proof.Statement[Point], proof: range_proof.RangeProof[Point]) -> bytes:
    """Return the claim that commitments are in range.

    Raises:
        ValueError: the message is no hash of 32 bytes.
    """
    head = bytes((statement.bits, len(statement.commitments))) + _hash(statement.message, "message")
    return head + _points(statement.commitments) + proof.to_bytes(_G)


def range_shape(head: bytes) -> Shape | None:
    """Return the shape of a range claim, with all its bits (padded) and its commitments; None if it has none."""
    if len(head) < 2 or head[0] not in range_proof.BITS or not 1 <= head[1] <= range_proof.MAX_COMMITMENTS:
        return None
    bits, count = head[0], head[1]
    statement = range_proof.Statement((_G.generator,) * count, bits)
    proof = range_proof.range_proof_bytes(_G, statement)
    return Shape(2 + HASH_BYTES + count * POINT_BYTES + proof, (statement.length, count))


def range_holds(raw: bytes) -> bool:
    """Return whether a range claim holds."""
    return _holds(_range_holds, raw)


def _range_holds(reader: _Reader) -> bool:
    bits, count = reader.number(), reader.number()
    message = reader.take(HASH_BYTES)
    statement = range_proof.Statement(tuple(reader.point() for _ in range(count)), bits, message)
    return range_proof.verify(_G, statement, range_proof.range_proof_from_bytes_checked(_G, reader.rest(), statement))


# -- equal logarithms


def possession_claim(role: Role, registration: Registration, key: Point, proof: EqualityProof) -> bytes:
    """Return the claim that who registers a key knows its secret."""
    head = bytes((POSSESSION, ROLES.index(role))) + registration.to_bytes()
    return head + _points((key,)) + proof.to_bytes(_G)


def part_claim(public: Point, base: Point, request: bytes, partial: Partial[Point]) -> bytes:
    """Return the claim that an auditor's part was made with its share.

    Raises:
        ValueError: the request is no hash of 32 bytes.
    """
    head = bytes((PART,)) + partial.auditor.to_bytes(NUMBER_BYTES, "big") + _hash(request, "request")
    return head + _points((public, base, partial.point)) + partial.proof.to_bytes(_G)


def same_amount_claim(
    joint_key: Point, ciphertext: Ciphertext[Point], commitment: Point, message: bytes, proof: SameAmountProof
) -> bytes:
    """Return the claim that a ciphertext and a commitment are to the same amount.

    Raises:
        ValueError: the message is no hash of 32 bytes.
    """
    head = bytes((SAME_AMOUNT,)) + _hash(message, "message")
    points = (joint_key, ciphertext.ephemeral, ciphertext.masked, commitment)
    return head + _points(points) + proof.to_bytes(_G)


_EQUALITY_BYTES: Final = {
    POSSESSION: 2 + 32 + 20 + 8 + POINT_BYTES + 2 * SCALAR_BYTES,
    PART: 1 + NUMBER_BYTES + HASH_BYTES + 3 * POINT_BYTES + 2 * SCALAR_BYTES,
    SAME_AMOUNT: 1 + HASH_BYTES + 4 * POINT_BYTES + SAME_AMOUNT_BYTES,
}


def equality_shape(head: bytes) -> Shape | None:
    """Return the shape of a claim about equal logarithms, with its kind; None if there is no such kind."""
    kind = head[0] if head else 0
    return Shape(_EQUALITY_BYTES[kind], (kind, 0)) if kind in _EQUALITY_BYTES else None


def equality_holds(raw: bytes) -> bool:
    """Return whether a claim of possession, of a part, or of the same amount holds."""
    return _holds(_equality_holds, raw)


def _equality_holds(reader: _Reader) -> bool:
    kind = reader.number()
    if kind == POSSESSION:
        role = reader.number()
        registration = Registration(reader.take(DOMAIN_BYTES), reader.take(ACCOUNT_BYTES), reader.number(8))
        key = reader.point()
        proof = equality_from_bytes_checked(_G, reader.rest())
        return role < len(ROLES) and possession_holds(_G, ROLES[role], registration, key, proof)
    if kind == PART:
        auditor, request = reader.number(NUMBER_BYTES), reader.take(HASH_BYTES)
        public, base, point = reader.point(), reader.point(), reader.point()
        partial = Partial(auditor, point, equality_from_bytes_checked(_G, reader.rest()))
        return partial_is_right(_G, public, base, request, partial)
    if kind == SAME_AMOUNT:
        message, joint_key = reader.take(HASH_BYTES), reader.point()
        ciphertext = ciphertext_from_bytes_checked(_G, reader.take(2 * POINT_BYTES))
        commitment = reader.point()
        same = same_amount_from_bytes_checked(_G, reader.rest())
        return same_amount_holds(_G, joint_key, ciphertext, commitment, message, same)
    return False


# -- sums of points


@dataclass(frozen=True, slots=True)
class Term:
    """What is added: ±P, or a scalar times P, times the base of values, or times the generator.

    Args:
        kind: `PLUS`, `MINUS`, `TIMES`, `TIMES_VALUE_BASE` or `TIMES_GENERATOR`.
        point: P, where the kind has one.
        scalar: s, where the kind has one.
    """

    kind: int
    point: Point | None = None
    scalar: Scalar | None = None

    def to_bytes(self) -> bytes:
        """Return kind ‖ scalar ‖ point, as far as the kind has them."""
        scalar = b"" if self.scalar is None else _G.scalar_to_bytes(self.scalar)
        return bytes((self.kind,)) + scalar + (b"" if self.point is None else _G.point_to_bytes(self.point))


def sum_claim(terms: Sequence[Term]) -> bytes:
    """Return the input of a sum."""
    counts = len(terms), sum(term.scalar is not None for term in terms)
    return b"".join((*(count.to_bytes(NUMBER_BYTES, "big") for count in counts), *(term.to_bytes() for term in terms)))


def sum_shape(head: bytes) -> Shape | None:
    """Return the shape of a sum, with its terms and how many have a scalar; its length is what it has at most."""
    if len(head) < 2 * NUMBER_BYTES:
        return None
    terms, scalars = (int.from_bytes(head[at : at + NUMBER_BYTES], "big") for at in (0, NUMBER_BYTES))
    if scalars > terms:
        return None
    return Shape(2 * NUMBER_BYTES + terms * (1 + POINT_BYTES) + scalars * SCALAR_BYTES, (terms, scalars))


def summed(raw: bytes) -> bytes | None:
    """Return the encoded sum of terms, zeros for the identity; None if they cannot be read."""
    try:
        return _summed(_Reader(raw))
    except InvalidEncoding:
        return None


def _summed(reader: _Reader) -> bytes | None:
    terms, left = reader.number(NUMBER_BYTES), reader.number(NUMBER_BYTES)
    points = []
    for _ in range(terms):
        kind = reader.number()
        left -= kind >= TIMES
        if kind > TIMES_GENERATOR or left < 0:
            return None
        points.append(_term(reader, kind))
    return _G.point_to_bytes(_G.sum(points)) if reader.at_end and not left else None


def _term(reader: _Reader, kind: int) -> Point:
    scalar = reader.scalar() if kind >= TIMES else Scalar(1)
    if kind == TIMES_GENERATOR:
        return _G.multiply_generator(scalar)
    if kind == TIMES_VALUE_BASE:
        return _G.multiply(scalar, value_base(_G))
    point = reader.point()
    return _G.negate(point) if kind == MINUS else _G.multiply(scalar, point) if kind == TIMES else point
