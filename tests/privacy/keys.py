"""Keys and random bytes from seeds."""

from __future__ import annotations

from hashlib import sha512

from privacy.group import Scalar
from privacy.secp256k1 import SECP256K1


def secret(name: str) -> Scalar:
    """Return a scalar that belongs to a name."""
    return SECP256K1.scalar(int.from_bytes(sha512(name.encode()).digest(), "big"))


def random_bytes(name: str) -> bytes:
    """Return 64 bytes that belong to a name."""
    return sha512(b"random" + name.encode()).digest()
