"""RFC 9380, suite secp256k1_XMD:SHA-256_SSWU_RO_: bytes to a point of secp256k1 whose logarithm nobody knows.

Over plain integers, as the RFC writes it; it hashes public data, so its time tells nothing.
"""

from __future__ import annotations

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


def hash_to_curve(message: bytes, tag: bytes) -> Affine | None:
    """Return the point of a message (RFC 9380 §3); None for the identity, which nobody can hit.

    Args:
        message: any bytes.
        tag: the domain separation tag, 1 to 255 bytes.
    """
    first, second = hash_to_field(message, tag)
    return _add(map_to_curve(first), map_to_curve(second))


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


def map_to_curve(u: int) -> Affine | None:
    """Return the point of a field element (§6.6.3, through the isogeny); None where that leads to the identity."""
    return _isogeny(*_simplified_swu(u))


def _simplified_swu(u: int) -> Affine:
    """Return a point of E' (§6.6.2)."""
    zu2 = Z * u * u % P
    denominator = (zu2 * zu2 + zu2) % P
    if denominator:
        x = -B_ISO * pow(A_ISO, -1, P) * (1 + pow(denominator, -1, P)) % P
    else:
        x = B_ISO * pow(Z * A_ISO, -1, P) % P
    square = (x * x * x + A_ISO * x + B_ISO) % P
    y = _root(square)
    if y * y % P != square:
        x = zu2 * x % P
        y = _root((x * x * x + A_ISO * x + B_ISO) % P)
    return x, y if y & 1 == u & 1 else P - y


def _root(square: int) -> int:
    """Return a square root if there is one; p ≡ 3 modulo 4."""
    return pow(square, (P + 1) // 4, P)


def _isogeny(x: int, y: int) -> Affine | None:
    numerator_x, denominator_x, numerator_y, denominator_y = (
        _polynomial(each, x) for each in (X_NUMERATOR, X_DENOMINATOR, Y_NUMERATOR, Y_DENOMINATOR)
    )
    both = denominator_x * denominator_y % P
    if not both:
        return None
    inverse = pow(both, -1, P)
    return numerator_x * denominator_y * inverse % P, y * numerator_y * denominator_x * inverse % P


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
