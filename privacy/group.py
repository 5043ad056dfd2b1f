"""A group of prime order and the few operations that every protocol here is written over.

Its suites: `privacy.secp256k1`, the chain's only one; a slow one of plain integers and Monero's in the tests. Every
operation is total: the identity is a point like others, with an encoding of its own, so that a verifier compares and
never raises. Only parsing refuses, and its policy is in its name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Generic, NewType, TypeVar

Scalar = NewType("Scalar", int)  # 0 ≤ s < order of the group
P = TypeVar("P")  # a suite's points
SCALAR_BYTES = 32


class InvalidEncoding(ValueError):
    """Bytes that encode no scalar, or no point, of the group in the one form that is allowed."""

    def __init__(self, what: str, raw: bytes, expected: str) -> None:
        super().__init__(f"{what} 0x{raw[:40].hex()} ({len(raw)} bytes): expected {expected}")
        self.what = what


class Group(ABC, Generic[P]):
    """A group of prime order.

    Attributes:
        name: of the suite.
        order: the number of points, a prime.
        point_bytes: the length of an encoded point.
        generator: G.
        identity: the neutral point.
    """

    name: str
    order: int
    point_bytes: int
    generator: P
    identity: P

    # -- scalars

    def scalar(self, number: int) -> Scalar:
        """Return a number modulo the group's order."""
        return Scalar(number % self.order)

    def inverse(self, scalar: Scalar) -> Scalar:
        """Return 1/s.

        Raises:
            ValueError: s is zero.
        """
        return Scalar(pow(scalar, -1, self.order))

    def scalar_to_bytes(self, scalar: Scalar) -> bytes:
        """Return the 32 bytes of a scalar, big-endian."""
        return scalar.to_bytes(SCALAR_BYTES, "big")

    def scalar_from_bytes_checked(self, raw: bytes) -> Scalar:
        """Return the scalar that 32 bytes encode; zero is one.

        Raises:
            InvalidEncoding: of another length, or not below the order.
        """
        raw = bytes(raw)
        number = int.from_bytes(raw, "big")
        if len(raw) != SCALAR_BYTES or number >= self.order:
            raise InvalidEncoding("scalar", raw, f"{SCALAR_BYTES} bytes below the order of {self.name}")
        return Scalar(number)

    def scalar_from_bytes_wide(self, raw: bytes) -> Scalar:
        """Return 64 uniform bytes modulo the order: its bias is below 2^-250.

        Raises:
            InvalidEncoding: of another length.
        """
        if len(raw) != 64:
            raise InvalidEncoding("wide scalar", raw, "64 uniform bytes")
        return self.scalar(int.from_bytes(raw, "big"))

    # -- points

    @abstractmethod
    def point_to_bytes(self, point: P) -> bytes:
        """Return a point's one encoding, `point_bytes` long; that of the identity is zeros."""

    @abstractmethod
    def point_from_bytes_checked(self, raw: bytes) -> P:
        """Return the point that is encoded, which is in the group and not the identity.

        Raises:
            InvalidEncoding: anything else.
        """

    @abstractmethod
    def multiply(self, scalar: Scalar, point: P) -> P:
        """Return s·P."""

    @abstractmethod
    def sum(self, points: Iterable[P]) -> P:
        """Return the sum of points; the identity if there are none."""

    @abstractmethod
    def negate(self, point: P) -> P:
        """Return −P."""

    @abstractmethod
    def hash_to_point(self, use: str, data: bytes) -> P:
        """Return a point whose logarithm nobody knows, to any other point; each use has points of its own."""

    def multiply_generator(self, scalar: Scalar) -> P:
        """Return s·G."""
        return self.multiply(scalar, self.generator)

    def add_generator(self, scalar: Scalar, points: Iterable[P]) -> P:
        """Return s·G and the points, added up; s is public, as in a verifier: its time may tell it."""
        return self.sum((self.multiply_generator(scalar), *points))

    def prepare(self, base: P) -> None:
        """Get ready for many multiples of a base; a group whose own ways are fast enough does nothing."""

    def add_multiple(self, scalar: Scalar, base: P, points: Iterable[P]) -> P:
        """Return s·B and the points, added up; s is public, and B may have been prepared."""
        return self.sum((self.multiply(scalar, base), *points))

    def combine(self, terms: Iterable[tuple[Scalar, P]]) -> P:
        """Return Σ s·P."""
        return self.sum(self.multiply(scalar, point) for scalar, point in terms)

    def subtract(self, left: P, right: P) -> P:
        """Return the difference of two points."""
        return self.sum((left, self.negate(right)))

    def equal(self, left: P, right: P) -> bool:
        """Return whether two points are the same."""
        return self.point_to_bytes(left) == self.point_to_bytes(right)

    def is_identity(self, point: P) -> bool:
        """Return whether a point is the identity."""
        return self.equal(point, self.identity)
