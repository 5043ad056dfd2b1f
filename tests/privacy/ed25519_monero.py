"""The prime-order subgroup of ed25519 with Monero's conventions: little-endian scalars, Keccak, its map to the curve.

With it the protocols verify what Monero has published; nothing but tests uses it. A point is its encoding. libsodium
multiplies and adds wherever that is defined there; decoding and the map to the curve are plain integers.

Source: monero-project/monero, crypto.cpp (hash_to_ec), crypto-ops.c (ge_fromfe_frombytes_vartime,
ge_frombytes_vartime), rctTypes.h (H); RFC 8032, §5.1 (ed25519); RFC 9380, §6.7.1 (Elligator 2).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from eth_hash.auto import keccak
from nacl.bindings import (
    crypto_core_ed25519_add,
    crypto_core_ed25519_is_valid_point,
    crypto_scalarmult_ed25519_base_noclamp,
    crypto_scalarmult_ed25519_noclamp,
)

from privacy.commitment import VALUE_USE
from privacy.group import SCALAR_BYTES, Group, InvalidEncoding, Scalar

FIELD = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, FIELD) % FIELD  # −x² + y² = 1 + D·x²·y²
A = 486662  # Curve25519: v² = u³ + A·u² + u
ROOT_OF_MINUS_ONE = pow(2, (FIELD - 1) // 4, FIELD)
SIGN_BIT = 1 << 255
POINT_BYTES = 32
IDENTITY = bytes(POINT_BYTES)  # as `Group` has it; on the curve it would be a point of order 4, so no other is meant
SODIUM_IDENTITY = b"\1" + bytes(31)
Affine = tuple[int, int]


class Ed25519Monero(Group[bytes]):
    """The group; `MONERO` is the one instance."""

    name = "ed25519-monero"
    order = ORDER
    point_bytes = POINT_BYTES
    generator = b"\x58" + b"\x66" * 31
    identity = IDENTITY

    def scalar_to_bytes(self, scalar: Scalar) -> bytes:
        """Return the 32 bytes of a scalar, little-endian."""
        return scalar.to_bytes(SCALAR_BYTES, "little")

    def scalar_from_bytes_checked(self, raw: bytes) -> Scalar:
        """Return the scalar that 32 bytes encode; zero is one.

        Raises:
            InvalidEncoding: of another length, or not below the order.
        """
        number = int.from_bytes(raw, "little")
        if len(raw) != SCALAR_BYTES or number >= ORDER:
            raise InvalidEncoding("scalar", raw, f"{SCALAR_BYTES} bytes below the order of {self.name}")
        return Scalar(number)

    def scalar_from_bytes_wide(self, raw: bytes) -> Scalar:
        """Return 64 uniform bytes modulo the order.

        Raises:
            InvalidEncoding: of another length.
        """
        if len(raw) != 64:
            raise InvalidEncoding("wide scalar", raw, "64 uniform bytes")
        return self.scalar(int.from_bytes(raw, "little"))

    def point_to_bytes(self, point: bytes) -> bytes:
        """Return the encoding; zeros for the identity."""
        return point

    def point_from_bytes_checked(self, raw: bytes) -> bytes:
        """Return the point that is encoded: of prime order, y below the field's order, not the identity.

        Raises:
            InvalidEncoding: anything else.
        """
        if len(raw) != POINT_BYTES or not crypto_core_ed25519_is_valid_point(raw):
            raise InvalidEncoding("point", raw, "a point of prime order of ed25519, 32 bytes")
        return bytes(raw)

    def multiply(self, scalar: Scalar, point: bytes) -> bytes:
        """Return s·P."""
        encoded = _bytes(scalar)
        if not scalar or point == IDENTITY:
            return IDENTITY
        return crypto_scalarmult_ed25519_noclamp(encoded, point)

    def multiply_generator(self, scalar: Scalar) -> bytes:
        """Return s·G."""
        encoded = _bytes(scalar)
        return crypto_scalarmult_ed25519_base_noclamp(encoded) if scalar else IDENTITY

    def sum(self, points: Iterable[bytes]) -> bytes:
        """Return the sum of points, one by one."""
        total = SODIUM_IDENTITY
        for point in points:
            if point != IDENTITY:
                total = crypto_core_ed25519_add(total, point)
        return IDENTITY if total == SODIUM_IDENTITY else total

    def negate(self, point: bytes) -> bytes:
        """Return −P: the same y, the other sign."""
        return point if point == IDENTITY else point[:31] + bytes((point[31] ^ 0x80,))

    def hash_to_point(self, use: str, data: bytes) -> bytes:
        """Return H for the base of values, and Monero's hash_to_ec for all else: there a use has no points of its own.

        H is 8 times the point that keccak(G) happens to encode.
        """
        if use == VALUE_USE and not data:
            found = decode(keccak(self.generator))
            assert found is not None
            return _times_eight(found)
        return hash_to_ec(data)


def hash_to_scalar(data: bytes) -> Scalar:
    """Return keccak(data) as a scalar: Monero's hash_to_scalar."""
    return MONERO.scalar(int.from_bytes(keccak(data), "little"))


@lru_cache(maxsize=1_024)
def hash_to_ec(data: bytes) -> bytes:
    """Return 8 times the point to which keccak(data) maps."""
    return _times_eight(map_to_curve(keccak(data)))


def decode(raw: bytes) -> Affine | None:
    """Return the point of the curve, of any order, that 32 bytes encode in the one allowed form; None if they do not.

    Source: ge_frombytes_vartime; RFC 8032, §5.1.3.
    """
    number = int.from_bytes(raw, "little")
    sign, y = number >> 255, number % SIGN_BIT
    if y >= FIELD:
        return None
    x = _root((y * y - 1) * _inverse(D * y * y + 1))
    if x is None or (x == 0 and sign):
        return None
    return x if x % 2 == sign else FIELD - x, y


def encode(point: Affine) -> bytes:
    """Return a point's 32 bytes: y, and whether x is odd."""
    x, y = point
    return (y | (x % 2) << 255).to_bytes(POINT_BYTES, "little")


def map_to_curve(raw: bytes) -> Affine:
    """Return the point of the curve, of any order, to which 32 bytes map.

    With w = 2r² + 1 this is u = −2A·r²/w where that is on Curve25519, else u = −A/w; then x and y = (u − 1)/(u + 1).

    Args:
        raw: r, little-endian, all 256 bits of it.

    Source: ge_fromfe_frombytes_vartime.
    """
    r = int.from_bytes(raw, "little") % FIELD
    w = (2 * r * r + 1) % FIELD
    ratio = A * (A + 2) * w * _inverse(w * w - 2 * A * A * r * r)
    x = _root(2 * ratio)
    if x is not None:
        x, z, sign = x * r % FIELD, -2 * A * r * r, 0
    else:
        x, z, sign = _root(ratio) or 0, -A, 1  # 2 is no square: one of both has a root
    if x % 2 != sign:
        x = -x % FIELD
    return x, (z - w) * _inverse(z + w) % FIELD


def _times_eight(point: Affine) -> bytes:
    """Return 8·P, which is in the subgroup."""
    for _ in range(3):
        point = _double(point)
    return IDENTITY if point == (0, 1) else encode(point)


def _double(point: Affine) -> Affine:
    x, y = point
    product = D * x * x * y * y
    return 2 * x * y * _inverse(1 + product) % FIELD, (y * y + x * x) * _inverse(1 - product) % FIELD


def _inverse(number: int) -> int:
    return pow(number, FIELD - 2, FIELD)


def _root(number: int) -> int | None:
    """Return a square root modulo the field's order, None if there is none."""
    root = pow(number, (FIELD + 3) // 8, FIELD)
    for candidate in (root, root * ROOT_OF_MINUS_ONE % FIELD):
        if (candidate * candidate - number) % FIELD == 0:
            return candidate
    return None


def _bytes(scalar: Scalar) -> bytes:
    if not 0 <= scalar < ORDER:
        raise ValueError(f"{scalar} is no scalar of {MONERO.name}")
    return scalar.to_bytes(SCALAR_BYTES, "little")


MONERO = Ed25519Monero()
