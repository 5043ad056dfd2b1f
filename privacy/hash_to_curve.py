"""RFC 9380, suite secp256k1_XMD:SHA-256_SSWU_RO_: bytes to a point of secp256k1 whose logarithm nobody knows.

Over plain integers, as the RFC writes it; it hashes public data, so its time tells nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Final

P: Final = 2**256 - 2**32 - 977  # the field
B: Final = 7
# §8.7: E' is y² = x³ + A'x + B', from which a 3-isogeny leads to secp256k1
A_ISO: Final = 0x3F8731ABDD661ADCA08A5558F0F5D272E953D363CB6F0E5D405447C01A444533
B_ISO: Final = 1771
Z: Final = P - 11
BYTES_A_FIELD_ELEMENT: Final = 48  # L
MAX_TAG_BYTES: Final = 255
# Appendix E.1: k_(1,i), k_(2,i), k_(3,i), k_(4,i), from the constant term up
X_NUMERATOR: Final = (
    0x8E38E38E38E38E38E38E38E38E38E38E38E38E38E38E38E38E38E38DAAAAA8C7,
    0x07D3D4C80BC321D5B9F315CEA7FD44C5D595D2FC0BF63B92DFFF1044F17C6581,
    0x534C328D23F234E6E2A413DECA25CAECE4506144037C40314ECBD0B53D9DD262,
    0x8E38E38E38E38E38E38E38E38E38E38E38E38E38E38E38E38E38E38DAAAAA88C,
)
X_DENOMINATOR: Final = (
    0xD35771193D94918A9CA34CCBB7B640DD86CD409542F8487D9FE6B745781EB49B,
    0xEDADC6F64383DC1DF7C4B2D51B54225406D36B641F5E41BBC52A56612A8C6D14,
    1,
)
Y_NUMERATOR: Final = (
    0x4BDA12F684BDA12F684BDA12F684BDA12F684BDA12F684BDA12F684B8E38E23C,
    0xC75E0C32D5CB7C0FA9D0A54B12A0A6D5647AB046D686DA6FDFFC90FC201D71A3,
    0x29A6194691F91A73715209EF6512E576722830A201BE2018A765E85A9ECEE931,
    0x2F684BDA12F684BDA12F684BDA12F684BDA12F684BDA12F684BDA12F38E38D84,
)
Y_DENOMINATOR: Final = (
    0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFF93B,
    0x7A06534BB8BDB49FD5E9E6632722C2989467C1BFC8E8D978DFB425D2685C2573,
    0x6484AA716545CA2CF3A70C3FA8FE337E0A3D21162F0D6299A7BF8192BFD2A76F,
    1,
)
Affine = tuple[int, int]  # x, y
Lift = Callable[[int], int | None]


def lift(x: int) -> int | None:
    """Return a y with y² = x³ + 7, None if there is none; p ≡ 3 modulo 4."""
    square = (x * x * x + B) % P
    y = pow(square, (P + 1) // 4, P)
    return y if y * y % P == square else None


def hash_to_curve(message: bytes, tag: bytes, lift: Lift = lift) -> Affine | None:
    """Return the point of a message (RFC 9380 §3); None for the identity, which nobody can hit.

    Args:
        message: any bytes.
        tag: the domain separation tag, 1 to 255 bytes.
        lift: finds a y for an x of the curve.
    """
    first, second = hash_to_field(message, tag)
    return _add(map_to_curve(first, lift), map_to_curve(second, lift))


def hash_to_field(message: bytes, tag: bytes) -> tuple[int, int]:
    """Return two field elements (§5.2)."""
    uniform = expand_message(message, tag, 2 * BYTES_A_FIELD_ELEMENT)
    first, second = uniform[:BYTES_A_FIELD_ELEMENT], uniform[BYTES_A_FIELD_ELEMENT:]
    return int.from_bytes(first, "big") % P, int.from_bytes(second, "big") % P


def expand_message(message: bytes, tag: bytes, length: int) -> bytes:
    """Return so many uniform bytes (§5.3.1, expand_message_xmd with SHA-256)."""
    blocks = -(-length // 32)
    if not 0 < len(tag) <= MAX_TAG_BYTES or blocks > 255:
        raise ValueError(f"tag of {len(tag)} bytes for {length} bytes: expected 1 to {MAX_TAG_BYTES}, for at most 8160")
    suffix = tag + bytes((len(tag),))
    start = sha256(bytes(64) + message + length.to_bytes(2, "big") + b"\0" + suffix).digest()
    uniform = last = sha256(start + b"\1" + suffix).digest()
    for index in range(2, blocks + 1):
        mixed = bytes(left ^ right for left, right in zip(start, last, strict=True))
        last = sha256(mixed + bytes((index,)) + suffix).digest()
        uniform += last
    return uniform[:length]


def map_to_curve(u: int, lift: Lift = lift) -> Affine:
    """Return the point of a field element (§6.6.3, through the isogeny).

    §6.6.2 takes the first of x' = x_1, Z·u²·x_1 that has a y' on E', of u's sign. As (x, y) = (N_x/D_x, y'·N_y/D_y), x
    has a y on secp256k1 exactly if x' has one on E'; so no root is drawn on E', whose y' is y·D_y/N_y. E' has an odd
    number of points, so no denominator of a point's image is zero, and N_y never is.
    """
    for x_iso in _candidates(u):
        numerator_x, denominator_x, numerator_y, denominator_y = (
            _polynomial(each, x_iso) for each in (X_NUMERATOR, X_DENOMINATOR, Y_NUMERATOR, Y_DENOMINATOR)
        )
        product = denominator_x * numerator_y % P
        if not product:
            continue
        inverse = pow(product, -1, P)
        x = numerator_x * numerator_y * inverse % P
        y = lift(x)
        if y is not None:
            y_iso = y * denominator_y * denominator_x * inverse % P
            return x, y if y_iso & 1 == u & 1 else P - y
    raise AssertionError(f"no point for {u}")


def _candidates(u: int) -> Iterator[int]:
    """Yield x_1 and x_2 of E' (§6.6.2)."""
    zu2 = Z * u * u % P
    denominator = (zu2 * zu2 + zu2) % P
    if denominator:
        x = -B_ISO * (denominator + 1) * pow(A_ISO * denominator, -1, P) % P
    else:
        x = B_ISO * pow(Z * A_ISO, -1, P) % P
    yield x
    yield zu2 * x % P


def _polynomial(coefficients: tuple[int, ...], x: int) -> int:
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * x + coefficient) % P
    return value


def _add(left: Affine | None, right: Affine | None) -> Affine | None:
    if left is None or right is None:
        return left or right
    (x1, y1), (x2, y2) = left, right
    if x1 == x2:
        if (y1 + y2) % P == 0:
            return None
        slope = 3 * x1 * x1 * pow(2 * y1, -1, P)
    else:
        slope = (y2 - y1) * pow(x2 - x1, -1, P)
    x = (slope * slope - x1 - x2) % P
    return x, (slope * (x1 - x) - y1) % P
