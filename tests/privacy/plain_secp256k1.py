"""secp256k1 over plain integers, in affine coordinates: slow, and written from SEC 2 alone, a second witness."""

from __future__ import annotations

from collections.abc import Iterable

from privacy.group import Group, InvalidEncoding, Scalar
from privacy.hash_to_curve import hash_to_curve

FIELD = 2**256 - 2**32 - 977
Affine = tuple[int, int] | None  # None is the identity
GENERATOR = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)


class PlainSecp256k1(Group[Affine]):
    """The group."""

    name = "secp256k1"
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    point_bytes = 33
    generator: Affine = GENERATOR
    identity: Affine = None

    def point_to_bytes(self, point: Affine) -> bytes:
        """Return the compressed form; zeros for the identity."""
        if point is None:
            return bytes(33)
        return bytes((2 + point[1] % 2,)) + point[0].to_bytes(32, "big")

    def point_from_bytes_checked(self, raw: bytes) -> Affine:
        """Return the point of a compressed form.

        Raises:
            InvalidEncoding: anything else.
        """
        x = int.from_bytes(raw[1:], "big")
        y = pow(x**3 + 7, (FIELD + 1) // 4, FIELD)
        if len(raw) != 33 or raw[0] not in (2, 3) or x >= FIELD or (y * y - x**3 - 7) % FIELD:
            raise InvalidEncoding("point", raw, "a compressed point")
        return x, y if y % 2 == raw[0] - 2 else FIELD - y

    def multiply(self, scalar: Scalar, point: Affine) -> Affine:
        """Return s·P by doubling and adding."""
        result: Affine = None
        for bit in f"{scalar:b}":
            result = self._add(result, result)
            if bit == "1":
                result = self._add(result, point)
        return result

    def sum(self, points: Iterable[Affine]) -> Affine:
        """Return the sum."""
        result: Affine = None
        for point in points:
            result = self._add(result, point)
        return result

    def negate(self, point: Affine) -> Affine:
        """Return −P."""
        return None if point is None else (point[0], -point[1] % FIELD)

    def hash_to_point(self, use: str, data: bytes) -> Affine:
        """Return the point of some data."""
        return hash_to_curve(data, f"gridpact/{use}/v1/secp256k1_XMD:SHA-256_SSWU_RO_".encode())

    @staticmethod
    def _add(left: Affine, right: Affine) -> Affine:
        if left is None:
            return right
        if right is None:
            return left
        (x1, y1), (x2, y2) = left, right
        if x1 == x2 and (y1 + y2) % FIELD == 0:
            return None
        top, bottom = (3 * x1 * x1, 2 * y1) if left == right else (y2 - y1, x2 - x1)
        slope = top * pow(bottom, -1, FIELD)
        x3 = (slope * slope - x1 - x2) % FIELD
        return x3, (slope * (x1 - x3) - y1) % FIELD


PLAIN = PlainSecp256k1()
