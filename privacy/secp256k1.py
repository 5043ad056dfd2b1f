"""The chain's suite: secp256k1 by libsecp256k1, as it comes with coincurve. No other module touches that library.

What coincurve keeps private is pinned with its version: `coincurve._libsecp256k1`. A struct that was not made by
parsing, or by an operation of the library that succeeded, makes the library abort the process; so such structs exist
nowhere but in here, and the identity, which the library cannot hold, is `None` inside a `Point`.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Callable, Iterable
from functools import lru_cache
from string import ascii_letters, digits
from typing import Any, Final

from coincurve._libsecp256k1 import ffi, lib
from coincurve.context import GLOBAL_CONTEXT

from privacy.group import SCALAR_BYTES, Group, InvalidEncoding, Scalar
from privacy.hash_to_curve import hash_to_curve

ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
POINT_BYTES: Final = 33
HASHED_POINTS_KEPT: Final = 4_096  # about a kilobyte each: ring members of many windows, generators of all proofs
BASE_WINDOW_BITS: Final = 6  # as base64 has them; half a megabyte
GENERATOR_WINDOW_BITS: Final = 8  # a megabyte, made in 30 ms
TABLES_KEPT: Final = 4  # of scopes: two windows are open at a time
_CONTEXT = GLOBAL_CONTEXT.ctx
_COMPRESSED = lib.SECP256K1_EC_COMPRESSED
_IDENTITY_BYTES = bytes(POINT_BYTES)


class Point:
    """A point of secp256k1; made by `SECP256K1` alone."""

    __slots__ = ("_encoded", "_struct")

    def __init__(self, struct: Any, encoded: bytes | None = None) -> None:
        self._struct = struct  # secp256k1_pubkey *, None for the identity; never changed once it is here
        self._encoded = encoded

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and SECP256K1.point_to_bytes(self) == SECP256K1.point_to_bytes(other)

    def __hash__(self) -> int:
        return hash(SECP256K1.point_to_bytes(self))

    def __repr__(self) -> str:
        return f"Point(0x{SECP256K1.point_to_bytes(self).hex()})"


class Secp256k1(Group[Point]):
    """The group; `SECP256K1` is the one instance."""

    name = "secp256k1"
    order = ORDER
    point_bytes = POINT_BYTES

    def __init__(self) -> None:
        self.identity = Point(None, _IDENTITY_BYTES)
        self.generator = self.multiply_generator(Scalar(1))

    def point_to_bytes(self, point: Point) -> bytes:
        """Return the compressed form (SEC 1), 33 bytes; zeros for the identity."""
        if point._encoded is None:
            raw, length = ffi.new("unsigned char[33]"), ffi.new("size_t *", POINT_BYTES)
            lib.secp256k1_ec_pubkey_serialize(_CONTEXT, raw, length, point._struct, _COMPRESSED)
            point._encoded = bytes(ffi.buffer(raw))
        return point._encoded

    def point_from_bytes_checked(self, raw: bytes) -> Point:
        """Return the point of a compressed form (SEC 1); the identity is none.

        Raises:
            InvalidEncoding: of another length or form, or not on the curve.
        """
        raw = bytes(raw)  # a bytearray or a memoryview counts for the bytes that it holds now
        struct = ffi.new("secp256k1_pubkey *")
        if (
            len(raw) != POINT_BYTES
            or raw[0] not in (2, 3)
            or not lib.secp256k1_ec_pubkey_parse(_CONTEXT, struct, raw, POINT_BYTES)
        ):
            raise InvalidEncoding("point", raw, "the compressed form of a point of secp256k1, 33 bytes")
        return Point(struct, raw)

    def multiply(self, scalar: Scalar, point: Point) -> Point:
        """Return s·P."""
        if not scalar or point._struct is None:
            return self.identity
        struct = ffi.new("secp256k1_pubkey *", point._struct[0])
        if not lib.secp256k1_ec_pubkey_tweak_mul(_CONTEXT, struct, _bytes(scalar)):
            raise ValueError(f"{scalar} is no scalar of {self.name}")
        return Point(struct)

    def multiply_generator(self, scalar: Scalar) -> Point:
        """Return s·G, in constant time: s may be a secret."""
        if not scalar:
            return self.identity
        struct = ffi.new("secp256k1_pubkey *")
        if not lib.secp256k1_ec_pubkey_create(_CONTEXT, struct, _bytes(scalar)):
            raise ValueError(f"{scalar} is no scalar of {self.name}")
        return Point(struct)

    def add_generator(self, scalar: Scalar, points: Iterable[Point]) -> Point:
        """Return s·G and the points, added up by one call; s is public: which parts of a table are read tells it."""
        return self._summed(_generator_table().parts(scalar), points)

    def prepare(self, base: Point) -> None:
        """Make a table of a base, in 10 ms, that halves the time of `add_multiple`; the last four are kept."""
        encoded = self.point_to_bytes(base)
        if encoded not in _TABLES and base._struct is not None:
            table = Table(base, BASE_WINDOW_BITS, _sextets)
            for oldest in list(_TABLES)[: max(0, len(_TABLES) - TABLES_KEPT + 1)]:
                _TABLES.pop(oldest, None)
            _TABLES[encoded] = table

    def add_multiple(self, scalar: Scalar, base: Point, points: Iterable[Point]) -> Point:
        """Return s·B and the points, added up; s is public, and B may have been prepared."""
        table = _TABLES.get(self.point_to_bytes(base))
        if table is None:
            return self._summed([], (self.multiply(scalar, base), *points))
        return self._summed(table.parts(scalar), points)

    def sum(self, points: Iterable[Point]) -> Point:
        """Return the sum of points, by one call."""
        return self._summed([], points)

    def _summed(self, structs: list[Any], points: Iterable[Point]) -> Point:
        structs += [point._struct for point in points if point._struct is not None]
        if not structs:
            return self.identity
        result = ffi.new("secp256k1_pubkey *")
        if not lib.secp256k1_ec_pubkey_combine(_CONTEXT, result, structs, len(structs)):
            return self.identity  # the only reason for which it fails
        return Point(result)

    def negate(self, point: Point) -> Point:
        """Return −P."""
        if point._struct is None:
            return self.identity
        struct = ffi.new("secp256k1_pubkey *", point._struct[0])
        lib.secp256k1_ec_pubkey_negate(_CONTEXT, struct)
        return Point(struct)

    def hash_to_point(self, use: str, data: bytes) -> Point:
        """Return the point to which `data` hashes (RFC 9380, secp256k1_XMD:SHA-256_SSWU_RO_), separate for each use."""
        return _hashed(use, data)


def _sextets(scalar: Scalar) -> bytes:
    """Return the digits of a scalar to the base 64, the highest first, 44 of them."""
    return b2a_base64(scalar.to_bytes(SCALAR_BYTES + 1, "big"), newline=False).translate(_BASE64_VALUES)


_BASE64_VALUES = bytes.maketrans((ascii_letters[26:] + ascii_letters[:26] + digits + "+/").encode(), bytes(range(64)))


class Table:
    """Multiples d·2^(bits·i)·B of a base, for every digit d of a scalar: a product is then a sum of what is there."""

    def __init__(self, base: Point, bits: int, digits_of: Callable[[Scalar], bytes]) -> None:
        self._digits_of = digits_of
        rows: list[list[Any]] = []
        for _ in digits_of(Scalar(0)):
            row = [SECP256K1.identity]
            while len(row) < 1 << bits:
                row.append(SECP256K1.sum((row[-1], base)))
            base = SECP256K1.sum((row[-1], base))
            rows.append([point._struct for point in row])
        self._rows = rows[::-1]

    def parts(self, scalar: Scalar) -> list[Any]:
        """Return structs whose sum is s·B."""
        return [row[digit] for row, digit in zip(self._rows, self._digits_of(scalar), strict=True) if digit]


_TABLES: dict[bytes, Table] = {}


@lru_cache(maxsize=1)
def _generator_table() -> Table:
    return Table(SECP256K1.generator, GENERATOR_WINDOW_BITS, _bytes)


def _bytes(scalar: Scalar) -> bytes:
    return scalar.to_bytes(SCALAR_BYTES, "big")


def _lift(x: int) -> int | None:
    """Return a y for an x of the curve, None if there is none; the library draws roots ten times faster than Python."""
    struct, raw, length = ffi.new("secp256k1_pubkey *"), ffi.new("unsigned char[65]"), ffi.new("size_t *", 65)
    if not lib.secp256k1_ec_pubkey_parse(_CONTEXT, struct, b"\2" + x.to_bytes(32, "big"), POINT_BYTES):
        return None
    lib.secp256k1_ec_pubkey_serialize(_CONTEXT, raw, length, struct, lib.SECP256K1_EC_UNCOMPRESSED)
    return int.from_bytes(ffi.buffer(raw)[33:], "big")


@lru_cache(maxsize=HASHED_POINTS_KEPT)
def _hashed(use: str, data: bytes) -> Point:
    found = hash_to_curve(data, f"gridpact/{use}/v1/secp256k1_XMD:SHA-256_SSWU_RO_".encode(), _lift)
    if found is None:
        return SECP256K1.identity  # nobody can find such data; the identity is refused where it would matter
    x, y = found
    return SECP256K1.point_from_bytes_checked(bytes((2 + (y & 1),)) + x.to_bytes(32, "big"))


SECP256K1: Final = Secp256k1()
