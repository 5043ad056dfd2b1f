"""Amounts from the points that parts of a ciphertext open to, by search."""

from __future__ import annotations

from typing import Final

from privacy.auditors import find_amount
from privacy.secp256k1 import SECP256K1, Point

BOUNDS: Final = (1 << 16, 1 << 24, 1 << 32, 1 << 37)  # tried one after the other: the last takes some seconds


def found_amount(point: Point) -> int | None:
    """Return v below 2^37 of v·H; None if there is none."""
    return next((v for v in (find_amount(SECP256K1, point, bound) for bound in BOUNDS) if v is not None), None)
