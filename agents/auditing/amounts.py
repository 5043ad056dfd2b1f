"""Amounts from the points that parts of a ciphertext open to, by search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from privacy.auditors import find_amount
from privacy.secp256k1 import SECP256K1, Point

BOUNDS: Final = (1 << 16, 1 << 24, 1 << 32, 1 << 37)  # tried one after the other: the last takes some seconds


def found_amount(point: Point, bounds: Sequence[int] = BOUNDS) -> int | None:
    """Return v of v·H, below the last bound; None if there is none."""
    found = (find_amount(SECP256K1, point, bound) for bound in bounds)
    return next((amount for amount in found if amount is not None), None)


def found_signed(point: Point) -> int | None:
    """Return v of v·H, which may be negative: small amounts of either sign are found before large ones are sought."""
    for bound in BOUNDS:
        for sign, each in ((1, point), (-1, SECP256K1.negate(point))):
            found = find_amount(SECP256K1, each, bound)
            if found is not None:
                return sign * found
    return None
