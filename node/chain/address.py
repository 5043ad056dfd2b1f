"""Addresses as people read them. Source: EIP-55."""

from __future__ import annotations

from eth_hash.auto import keccak


def checksummed(address: bytes) -> str:
    """Return an address (20 bytes) as 0x and 40 digits whose case is a checksum."""
    digits = address.hex()
    digest = keccak(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if int(mark, 16) > 7 else digit for digit, mark in zip(digits, digest, strict=False)
    )
