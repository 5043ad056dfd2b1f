"""Keys and random bytes from seeds."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256, sha512

from eth_hash.auto import keccak

from privacy.group import Scalar
from privacy.secp256k1 import SECP256K1


def secret(name: str) -> Scalar:
    """Return a scalar that belongs to a name."""
    return SECP256K1.scalar(int.from_bytes(sha512(name.encode()).digest(), "big"))


def random_bytes(name: str) -> bytes:
    """Return 64 bytes that belong to a name."""
    return sha512(b"random" + name.encode()).digest()


LOGARITHMS: tuple[Callable[[bytes], Scalar], ...] = (
    lambda data: SECP256K1.scalar(int.from_bytes(data, "big")),
    lambda data: SECP256K1.scalar(int.from_bytes(data, "little")),
    lambda data: SECP256K1.scalar(int.from_bytes(sha256(data).digest(), "big")),
    lambda data: SECP256K1.scalar(int.from_bytes(sha512(data).digest(), "big")),
    lambda data: SECP256K1.scalar(int.from_bytes(keccak(data), "big")),
)
"""The ways in which bytes are commonly made to a scalar; a base must be none of these times the generator."""
