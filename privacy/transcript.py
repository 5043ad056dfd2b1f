"""What a proof has said so far, labelled, and the challenges that follow from all of it (Fiat and Shamir's transform).

Everything a statement consists of is appended before the first challenge is drawn: a proof whose challenge leaves
something out can be bent in what was left out ("Frozen Heart").
"""

from __future__ import annotations

from hashlib import sha512
from typing import TypeVar

from privacy.group import Group, Scalar

P = TypeVar("P")
MIN_RANDOM_BYTES = 32


class Transcript:
    """A running SHA-512 over labelled, length-prefixed data.

    Args:
        use: names the protocol; hashes of different uses have nothing to do with each other.
    """

    __slots__ = ("_hash",)

    def __init__(self, use: str) -> None:
        self._hash = sha512(_framed(f"gridpact/{use}/v1".encode()))

    def append(self, label: str, data: bytes) -> None:
        """Say something."""
        self._hash.update(_framed(label.encode()) + _framed(data))

    def append_point(self, label: str, group: Group[P], point: P) -> None:
        """Say a point."""
        self.append(label, group.point_to_bytes(point))

    def append_scalar(self, label: str, group: Group[P], scalar: Scalar) -> None:
        """Say a scalar."""
        self.append(label, group.scalar_to_bytes(scalar))

    def fork(self) -> Transcript:
        """Return another transcript that has said the same and goes on by itself."""
        other = Transcript.__new__(Transcript)
        other._hash = self._hash.copy()
        return other

    def challenge_bytes(self, label: str) -> bytes:
        """Draw 64 bytes that depend on everything said; they are said too."""
        self._hash.update(_framed(label.encode()) + b"challenge")
        drawn = self._hash.digest()
        self._hash.update(drawn)
        return drawn

    def challenge(self, label: str, group: Group[P]) -> Scalar:
        """Draw a scalar that depends on everything said."""
        return group.scalar_from_bytes_wide(self.challenge_bytes(label))

    def nonce(self, label: str, group: Group[P], secret: Scalar, randomness: bytes) -> Scalar:
        """Return a secret scalar for a proof, from the secret, everything said and fresh randomness together.

        The same randomness twice gives the same nonce for the same statement alone, so it gives nothing away; and
        randomness that is known to others is no worse than none. Nothing is said by it.

        Raises:
            ValueError: fewer than 32 random bytes.
        """
        if len(randomness) < MIN_RANDOM_BYTES:
            raise ValueError(f"{len(randomness)} random bytes: expected at least {MIN_RANDOM_BYTES}")
        own = self.fork()
        own.append("nonce", label.encode())
        own.append("secret", group.scalar_to_bytes(secret))
        own.append("randomness", randomness)
        return own.challenge("nonce", group)


def _framed(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data
