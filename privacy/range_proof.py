"""Range proofs (Bulletproofs+): what these commitments hold is below 2^bits, each of them, and nothing else is told.

One proof for up to 16 commitments, of a size that grows with the logarithm of bits × commitments. The bits of the
amounts are committed to as one vector; challenges y and z fold "each is 0 or 1" and "together they are the amounts"
into one weighted inner product ⟨a, b⟩_y = Σ a_i·b_i·y^(i+1), and every round halves the vectors under a challenge u:

    e²·(A − z·ΣG_i + Σ(d_i·y^(N−i) + z)·H_i + y^(N+1)·Σ z^(2j)·C_j + ζ·H + Σ(u²·L + u⁻²·R)) + e·A1 + B
        = r1·e·Σ y^(−i)·s_i·G_i + s1·e·Σ s_(N−1−i)·H_i + r1·s1·y·H + d1·G

with N = bits × commitments (padded to a power of two), d = z^(2j)·2^i, ζ = (z − z²)·Σ y^i − z·y^(N+1)·Σ d_i, and s_i
the product of the rounds' challenges. That is one sum of points, so many proofs are checked at once, each under a
random weight.

How challenges are hashed, and which G_i and H_i there are, is an argument, so that this code also verifies what Monero
has published; the chain's is `TRANSCRIPT`.

Source: Chung, Han, Ju, Kim, Seo 2020 (Bulletproofs+), §4 and §6.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, repeat
from typing import Any, Final, Generic, Protocol, TypeVar

from privacy.commitment import opens, value_base
from privacy.group import SCALAR_BYTES, Group, InvalidEncoding, Scalar
from privacy.transcript import MIN_RANDOM_BYTES, Transcript

P = TypeVar("P")
Said = TypeVar("Said", contravariant=True)
BITS: Final = (8, 16, 32, 64)
MAX_COMMITMENTS: Final = 16
WEIGHT_BYTES: Final = 16
LEFT_USE, RIGHT_USE = "range-proof-G", "range-proof-H"


@dataclass(frozen=True, slots=True)
class Statement(Generic[P]):
    """What a proof is about.

    Args:
        commitments: C_j = v_j·H + γ_j·G.
        bits: v_j < 2^bits; one of `BITS`.
        message: everything else that is said.
    """

    commitments: tuple[P, ...]
    bits: int
    message: bytes = b""

    @property
    def length(self) -> int:
        """N: the bits of all amounts, as if there were a power of two of them."""
        return self.bits << (len(self.commitments) - 1).bit_length()


@dataclass(frozen=True, slots=True)
class RangeProof(Generic[P]):
    """A proof.

    Args:
        a: the commitment to the bits.
        a1, b: those to the last round's masks.
        r1, s1, d1: its responses.
        lefts, rights: L and R, one a round.
    """

    a: P
    a1: P
    b: P
    r1: Scalar
    s1: Scalar
    d1: Scalar
    lefts: tuple[P, ...]
    rights: tuple[P, ...]

    @property
    def points(self) -> tuple[P, ...]:
        """All points: A, A1, B, L …, R …."""
        return self.a, self.a1, self.b, *self.lefts, *self.rights

    def to_bytes(self, group: Group[P]) -> bytes:
        """Return A ‖ A1 ‖ B ‖ L … ‖ R … ‖ r1 ‖ s1 ‖ d1."""
        scalars = b"".join(map(group.scalar_to_bytes, (self.r1, self.s1, self.d1)))
        return b"".join(map(group.point_to_bytes, self.points)) + scalars


class Challenges(Protocol[Said]):
    """The challenges of one proof, drawn in this order; a point that is given is said."""

    def after_bits(self, a: Said) -> tuple[Scalar, Scalar]:
        """Return y and z."""

    def after_round(self, left: Said, right: Said) -> Scalar:
        """Return a round's u."""

    def after_masks(self, a1: Said, b: Said) -> Scalar:
        """Return e."""


class Hashing(Protocol):
    """How challenges follow from everything said, and which vectors of bases there are."""

    def begin(self, group: Group[P], statement: Statement[P]) -> Challenges[P]:
        """Return the challenges of a proof of this statement."""

    def bases(self, group: Group[P], length: int) -> tuple[tuple[P, ...], tuple[P, ...]]:
        """Return G_i and H_i, of which nobody knows a relation."""


class _TranscriptChallenges(Generic[P]):
    """Challenges by a transcript."""

    def __init__(self, group: Group[P], said: Transcript) -> None:
        self._group = group
        self._said = said

    def after_bits(self, a: P) -> tuple[Scalar, Scalar]:
        """Return y and z."""
        self._said.append_point("A", self._group, a)
        return self._said.challenge("y", self._group), self._said.challenge("z", self._group)

    def after_round(self, left: P, right: P) -> Scalar:
        """Return a round's u."""
        self._said.append_point("L", self._group, left)
        self._said.append_point("R", self._group, right)
        return self._said.challenge("u", self._group)

    def after_masks(self, a1: P, b: P) -> Scalar:
        """Return e."""
        self._said.append_point("A1", self._group, a1)
        self._said.append_point("B", self._group, b)
        return self._said.challenge("e", self._group)


class TranscriptHashing:
    """Gridpact's own, by a transcript, with bases hashed from their labels; `TRANSCRIPT` is the one instance."""

    def begin(self, group: Group[P], statement: Statement[P]) -> Challenges[P]:
        """Return the challenges of a proof of this statement."""
        return _TranscriptChallenges(group, _said(group, statement))

    def bases(self, group: Group[P], length: int) -> tuple[tuple[P, ...], tuple[P, ...]]:
        """Return G_i and H_i."""
        return _labelled_bases(group, length)


TRANSCRIPT: Final = TranscriptHashing()


@lru_cache(maxsize=32)
def _labelled_bases(group: Group[Any], length: int) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    labels = [number.to_bytes(4, "big") for number in range(length)]
    left, right = (tuple(group.hash_to_point(use, label) for label in labels) for use in (LEFT_USE, RIGHT_USE))
    return left, right


def warm(group: Group[Any]) -> None:
    """Hash all bases that a verifier can need, 64 bits × 16 commitments, so that no first proof pays for them."""
    length = min(BITS)
    while length <= max(BITS) * MAX_COMMITMENTS:
        TRANSCRIPT.bases(group, length)
        length *= 2


def rounds_of(statement: Statement[P]) -> int:
    """Return how often the vectors of a proof are halved."""
    return statement.length.bit_length() - 1


def range_proof_bytes(group: Group[P], statement: Statement[P]) -> int:
    """Return the length of a proof."""
    return (3 + 2 * rounds_of(statement)) * group.point_bytes + 3 * SCALAR_BYTES


def range_proof_from_bytes_checked(group: Group[P], raw: bytes, statement: Statement[P]) -> RangeProof[P]:
    """Return the proof that is encoded; no point is the identity, no scalar beyond the order.

    Raises:
        InvalidEncoding: anything else, or another length than the statement's.
    """
    if not _well_formed(statement) or len(raw) != range_proof_bytes(group, statement):
        raise InvalidEncoding("range proof", raw, "a proof of this statement's length")
    size, split = group.point_bytes, len(raw) - 3 * SCALAR_BYTES
    a, a1, b, *halves = (group.point_from_bytes_checked(raw[at : at + size]) for at in range(0, split, size))
    r1, s1, d1 = (
        group.scalar_from_bytes_checked(raw[at : at + SCALAR_BYTES]) for at in range(split, len(raw), SCALAR_BYTES)
    )
    count = rounds_of(statement)
    return RangeProof(a, a1, b, r1, s1, d1, tuple(halves[:count]), tuple(halves[count:]))


# -- proving


def prove(
    group: Group[P],
    statement: Statement[P],
    openings: Sequence[tuple[int, Scalar]],
    randomness: bytes,
    hashing: Hashing = TRANSCRIPT,
) -> RangeProof[P]:
    """Prove that every commitment is to an amount in range.

    Args:
        group: the suite.
        statement: what is proved; well formed.
        openings: (v, γ) of each commitment.
        randomness: at least 32 fresh random bytes.
        hashing: the verifier's.

    Raises:
        ValueError: the statement is not well formed, an opening is not its commitment's, or an amount is out of range.
    """
    if not _well_formed(statement):
        raise ValueError(f"{len(statement.commitments)} commitments, {statement.bits} bits: no verifier accepts these")
    for commitment, (amount, blinding) in zip(statement.commitments, openings, strict=True):
        if not 0 <= amount < 1 << statement.bits:
            raise ValueError(f"amount {amount}: expected 0 to 2^{statement.bits} - 1")
        if not opens(group, commitment, amount, blinding):
            raise ValueError("an opening that is not the commitment's")
    return _Prover(group, statement, openings, randomness, hashing).prove()


class _Prover(Generic[P]):
    def __init__(
        self,
        group: Group[P],
        statement: Statement[P],
        openings: Sequence[tuple[int, Scalar]],
        randomness: bytes,
        hashing: Hashing,
    ) -> None:
        self._group = group
        self._statement = statement
        self._openings = openings
        self._challenges = hashing.begin(group, statement)
        self._g, self._h = map(list, hashing.bases(group, statement.length))
        self._said = _said(group, statement)
        self._randomness = randomness
        own = Transcript("range-proof-openings")
        for amount, blinding in openings:
            own.append("amount", amount.to_bytes(8, "big"))
            own.append_scalar("blinding", group, blinding)
        self._secret = own.challenge("secret", group)

    def _nonce(self, label: str) -> Scalar:
        return self._said.nonce(label, self._group, self._secret, self._randomness)

    def prove(self) -> RangeProof[P]:
        group, n, length, bits = self._group, self._group.order, self._statement.length, self._statement.bits
        amounts = [amount for amount, _ in self._openings]
        amounts += [0] * (length // bits - len(amounts))
        ones = [amount >> place & 1 for amount in amounts for place in range(bits)]
        alpha = self._nonce("alpha")
        terms = [(g if one else group.negate(h)) for one, g, h in zip(ones, self._g, self._h, strict=True)]
        a_point = group.sum([*terms, group.multiply_generator(alpha)])  # Σ a_i·G_i + Σ (a_i − 1)·H_i + α·G
        y, z = self._challenges.after_bits(a_point)
        powers = _powers(y, length + 2, n)
        d = _windows(z, bits, length, n)
        a = [(one - z) % n for one in ones]
        b = [(one - 1 + z + d[i] * powers[length - i]) % n for i, one in enumerate(ones)]
        blinding = int(alpha)
        for place, (_, gamma) in enumerate(self._openings, start=1):
            blinding += powers[length + 1] * pow(z, 2 * place, n) * gamma
        return self._halved(a_point, y, a, b, blinding)

    def _halved(self, a_point: P, y: Scalar, a: list[int], b: list[int], blinding: int) -> RangeProof[P]:
        """Return the proof of the weighted inner product of a and b (§4, Figure 1)."""
        group, n = self._group, self._group.order
        lefts: list[P] = []
        rights: list[P] = []
        while len(a) > 1:
            half, y_half = len(a) // 2, pow(y, len(a) // 2, n)
            y_back = pow(y_half, -1, n)
            (a0, a1), (b0, b1) = (a[:half], a[half:]), (b[:half], b[half:])
            (g0, g1), (h0, h1) = (self._g[:half], self._g[half:]), (self._h[:half], self._h[half:])
            d_left, d_right = (self._nonce(f"{side} {len(lefts)}") for side in ("left", "right"))
            left = self._sum([x * y_back for x in a0], g1, b1, h0, _weighted(a0, b1, y, n), d_left)
            right = self._sum([x * y_half for x in a1], g0, b0, h1, y_half * _weighted(a1, b0, y, n), d_right)
            lefts.append(left)
            rights.append(right)
            u = self._challenges.after_round(left, right)
            back = group.inverse(u)
            ahead = group.scalar(u * y_back)
            self._g = [group.combine(((back, x), (ahead, w))) for x, w in zip(g0, g1, strict=True)]
            self._h = [group.combine(((u, x), (back, w))) for x, w in zip(h0, h1, strict=True)]
            a = [(x * u + w * y_half * back) % n for x, w in zip(a0, a1, strict=True)]
            b = [(x * back + w * u) % n for x, w in zip(b0, b1, strict=True)]
            blinding += d_left * u * u + d_right * back * back
        r, s, delta, eta = map(self._nonce, ("r", "s", "delta", "eta"))
        a1_point = self._sum([r], self._g, [s], self._h, y * (r * b[0] + s * a[0]), delta)
        b_point = self._sum([], [], [], [], r * y * s, eta)
        e = self._challenges.after_masks(a1_point, b_point)
        responses = (r + a[0] * e, s + b[0] * e, eta + delta * e + blinding * e * e)
        r1, s1, d1 = map(group.scalar, responses)
        return RangeProof(a_point, a1_point, b_point, r1, s1, d1, tuple(lefts), tuple(rights))

    def _sum(self, a: list[int], g: list[P], b: list[int], h: list[P], product: int, blinding: Scalar) -> P:
        """Return Σ a·G + Σ b·H + product·(value base) + blinding·(generator)."""
        group = self._group
        terms = [(group.scalar(x), point) for x, point in (*zip(a, g, strict=True), *zip(b, h, strict=True))]
        value = group.multiply(group.scalar(product), value_base(group))
        return group.sum((group.combine(terms), value, group.multiply_generator(blinding)))


# -- verifying


def verify(group: Group[P], statement: Statement[P], proof: RangeProof[P], hashing: Hashing = TRANSCRIPT) -> bool:
    """Return whether a proof holds; whatever it is made of, this raises nothing."""
    equation = _Equation(group, hashing)
    return equation.add(statement, proof, 1) and equation.holds()


def verify_batch(
    group: Group[P],
    claims: Sequence[tuple[Statement[P], RangeProof[P]]],
    randomness: bytes,
    hashing: Hashing = TRANSCRIPT,
) -> bool:
    """Return whether all of some proofs hold: one sum of points, each proof under a random weight of 128 bits.

    Without weights two wrong proofs could make up for each other.

    Args:
        group: the suite.
        claims: what is proved, with its proof.
        randomness: at least 32 fresh random bytes, unknown to whoever made the proofs.
        hashing: the prover's.

    Raises:
        ValueError: fewer random bytes.
    """
    equation = _Equation(group, hashing)
    weights = _weights(group, claims, randomness)
    return all(equation.add(*claim, weight) for claim, weight in zip(claims, weights, strict=True)) and equation.holds()


def verify_each(
    group: Group[P],
    claims: Sequence[tuple[Statement[P], RangeProof[P]]],
    randomness: bytes,
    hashing: Hashing = TRANSCRIPT,
) -> list[bool]:
    """Return of each proof whether it holds: together if all do, else one by one, so that no verdict depends on luck.

    Raises:
        ValueError: fewer than 32 random bytes.
    """
    together = verify_batch(group, claims, randomness, hashing)
    if together or len(claims) == 1:
        return [together] * len(claims)
    return [verify(group, *claim, hashing) for claim in claims]


class _Equation(Generic[P]):
    """The verification equations of some proofs, added up: the right side less the left is the identity."""

    def __init__(self, group: Group[P], hashing: Hashing) -> None:
        self._group = group
        self._hashing = hashing
        self._g: list[int] = []
        self._h: list[int] = []
        self._generator = self._value = 0
        self._terms: list[tuple[int, P]] = []

    def add(self, statement: Statement[P], proof: RangeProof[P], weight: int) -> bool:
        """Add a proof's equation; return False if it cannot hold."""
        group, n = self._group, self._group.order
        count = rounds_of(statement) if _well_formed(statement) else 0
        if (
            not count
            or not len(proof.lefts) == len(proof.rights) == count
            or any(not 0 <= each < n for each in (proof.r1, proof.s1, proof.d1))
            or any(group.is_identity(point) for point in (*statement.commitments, *proof.points))
        ):
            return False
        challenges = self._hashing.begin(group, statement)
        y, z = challenges.after_bits(proof.a)
        rounds = [challenges.after_round(*pair) for pair in zip(proof.lefts, proof.rights, strict=True)]
        e = challenges.after_masks(proof.a1, proof.b)
        if not all((y, z, e, *rounds)):
            return False
        self._add_bases(statement, proof, (int(y), int(z), int(e)), rounds, weight)
        square, length = e * e * weight % n, statement.length
        factor = square * pow(y, length + 1, n)
        windows = accumulate(repeat(z * z % n, len(statement.commitments)), lambda x, w: x * w % n)
        self._terms += [(-factor * w, point) for w, point in zip(windows, statement.commitments, strict=True)]
        self._terms += [(-square, proof.a), (-e * weight, proof.a1), (-weight, proof.b)]
        for u, left, right in zip(rounds, proof.lefts, proof.rights, strict=True):
            self._terms += [(-square * u * u, left), (-square * pow(u, -2, n), right)]
        return True

    def _add_bases(
        self,
        statement: Statement[P],
        proof: RangeProof[P],
        drawn: tuple[int, int, int],
        rounds: Sequence[Scalar],
        weight: int,
    ) -> None:
        """Add what stands before G_i, H_i, H and G."""
        n, length, (y, z, e) = self._group.order, statement.length, drawn
        self._g += [0] * (length - len(self._g))
        self._h += [0] * (length - len(self._h))
        products = [1]
        for u in rounds:
            back = pow(u, -1, n)
            products = [x * w % n for x in products for w in (back, u)]
        d, powers = _windows(z, statement.bits, length, n), _powers(y, length + 2, n)
        square = e * e * weight % n
        left, right, minus = e * proof.r1 * weight % n, e * proof.s1 * weight % n, -square * z
        y_back = pow(y, -1, n)
        for i in range(length):
            self._g[i] = (self._g[i] + left * products[i] - minus) % n
            self._h[i] = (
                self._h[i] + right * products[length - 1 - i] + minus - square * d[i] * powers[length - i]
            ) % n
            left = left * y_back % n
        self._generator += weight * proof.d1
        inside = (z * z - z) * sum(powers[1 : length + 1]) + z * powers[length + 1] * sum(d)
        self._value += weight * proof.r1 * proof.s1 * y + square * inside

    def holds(self) -> bool:
        """Return whether all that was added comes to the identity."""
        group = self._group
        g, h = self._hashing.bases(group, len(self._g))
        bases = (*zip(self._g, g, strict=True), *zip(self._h, h, strict=True), (self._value, value_base(group)))
        terms = [(group.scalar(scalar), point) for scalar, point in (*bases, *self._terms)]
        generator = group.multiply_generator(group.scalar(self._generator))
        return group.is_identity(group.sum((group.combine(terms), generator)))


def _well_formed(statement: Statement[P]) -> bool:
    return 1 <= len(statement.commitments) <= MAX_COMMITMENTS and type(statement.bits) is int and statement.bits in BITS


def _said(group: Group[P], statement: Statement[P]) -> Transcript:
    said = Transcript("range-proof")
    said.append("group", group.name.encode())
    said.append("bits", statement.bits.to_bytes(2, "big"))
    said.append("commitments", b"".join(map(group.point_to_bytes, statement.commitments)))
    said.append("message", statement.message)
    return said


def _weights(group: Group[P], claims: Sequence[tuple[Statement[P], RangeProof[P]]], randomness: bytes) -> Iterator[int]:
    """Yield a weight a claim, from the randomness and all claims together."""
    if len(randomness) < MIN_RANDOM_BYTES:
        raise ValueError(f"{len(randomness)} random bytes: expected at least {MIN_RANDOM_BYTES}")
    said = Transcript("range-proof-batch")
    said.append("randomness", randomness)
    for statement, proof in claims:
        said.append("bits", str(statement.bits).encode())
        said.append("message", statement.message)
        said.append("commitments", b"".join(map(group.point_to_bytes, statement.commitments)))
        said.append("points", b"".join(map(group.point_to_bytes, proof.points)))
        said.append("responses", b"".join(each.to_bytes(SCALAR_BYTES, "big") for each in _bounded(proof)))
    for _ in claims:
        yield 1 + int.from_bytes(said.challenge_bytes("weight")[:WEIGHT_BYTES], "big")


def _bounded(proof: RangeProof[P]) -> Iterator[int]:
    """Yield the responses; one that is no scalar counts as 0, as its proof fails anyway."""
    for each in (proof.r1, proof.s1, proof.d1):
        yield each if 0 <= each < 1 << (8 * SCALAR_BYTES) else 0


def _powers(base: int, count: int, order: int) -> list[int]:
    """Return base^0 … base^(count − 1)."""
    return list(accumulate(repeat(base, count - 1), lambda x, w: x * w % order, initial=1))


def _windows(z: int, bits: int, length: int, order: int) -> list[int]:
    """Return d: z^(2j)·2^i, for j = 1 … and i = 0 … bits − 1."""
    square, found, window = z * z % order, [], 1
    for _ in range(length // bits):
        window = window * square % order
        found += [(window << place) % order for place in range(bits)]
    return found


def _weighted(a: Sequence[int], b: Sequence[int], y: int, order: int) -> int:
    """Return ⟨a, b⟩_y = Σ a_i·b_i·y^(i + 1)."""
    total, power = 0, 1
    for x, w in zip(a, b, strict=True):
        power = power * y % order
        total += x * w % order * power
    return total % order
