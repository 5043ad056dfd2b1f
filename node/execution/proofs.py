"""Precompiled contracts for private windows: they check the claims of `privacy.claims`.

A claim is answered by 1 or 0 in 32 bytes, a sum or a hashed point by its 33 bytes (nothing where the input is none).
The price follows from the claim's first bytes, about 30 gas a microsecond, as ecrecover; it is taken before all else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from privacy import claims, range_proof
from privacy.gas import (
    GAS_CLAIM,
    GAS_EQUALITY,
    GAS_HASH_TO_POINT,
    GAS_MEMBER,
    GAS_NOTE_MEMBER,
    GAS_RANGE,
    GAS_RANGE_BIT,
    GAS_SCALAR,
    GAS_SUM,
    GAS_TERM,
)
from privacy.ring import scope_base
from privacy.secp256k1 import SECP256K1

SCOPE_BYTES: Final = 32
TRUE, FALSE = (1).to_bytes(32, "big"), bytes(32)

Precompile = Callable[[Any], Any]  # a py-evm computation, returned
ShapeOf = Callable[[bytes], claims.Shape | None]


def _checked(shape_of: ShapeOf, price: Callable[[int, int], int], holds: Callable[[bytes], bool]) -> Precompile:
    def precompile(frame: Any) -> Any:
        data = frame.msg.data
        shape = shape_of(bytes(data[: claims.HEAD_BYTES]))
        if shape is None or len(data) != shape.length:
            frame.consume_gas(GAS_CLAIM, reason="a claim that is none")
            frame.output = FALSE
        else:
            frame.consume_gas(price(*shape.numbers), reason="a claim")
            frame.output = TRUE if holds(bytes(data)) else FALSE
        return frame

    return precompile


def warm() -> None:
    """Make ready what the first claim would otherwise wait for: the bases of range proofs, a third of a second."""
    range_proof.warm(SECP256K1)


def sum_points(frame: Any) -> Any:
    """Answer the sum of terms, zeros for the identity; nothing if they cannot be read."""
    data = frame.msg.data
    shape = claims.sum_shape(bytes(data[: claims.HEAD_BYTES]))
    if shape is None or len(data) > shape.length:
        frame.consume_gas(GAS_SUM, reason="a sum that is none")
        frame.output = b""
    else:
        terms, scalars = shape.numbers
        frame.consume_gas(GAS_SUM + GAS_TERM * terms + GAS_SCALAR * scalars, reason="a sum of points")
        frame.output = claims.summed(bytes(data)) or b""
    return frame


def hash_to_point(frame: Any) -> Any:
    """Answer Hp(s) of a scope of 32 bytes; nothing for other lengths."""
    frame.consume_gas(GAS_HASH_TO_POINT, reason="hash to point")
    data = frame.msg.data
    scope = bytes(data) if len(data) == SCOPE_BYTES else None
    frame.output = b"" if scope is None else SECP256K1.point_to_bytes(scope_base(SECP256K1, scope))
    return frame


PROOFS: Final[Mapping[int, Precompile]] = {
    0x4701: _checked(
        claims.ring_shape, lambda number, members: GAS_CLAIM + GAS_MEMBER[number] * members, claims.ring_holds
    ),
    0x4702: _checked(claims.note_shape, lambda members, _: GAS_CLAIM + GAS_NOTE_MEMBER * members, claims.note_holds),
    0x4703: _checked(claims.range_shape, lambda bits, _: GAS_RANGE + GAS_RANGE_BIT * bits, claims.range_holds),
    0x4704: sum_points,
    0x4705: _checked(claims.equality_shape, lambda kind, _: GAS_EQUALITY[kind], claims.equality_holds),
    0x4706: hash_to_point,
}
"""By address."""
