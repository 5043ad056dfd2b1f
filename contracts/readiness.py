"""Readiness: a node key's signature over a recent block, by which a candidate shows that its validator follows the
chain before it gets a seat (or a new key before it takes one).

The node signs and prints a token, any member submits it, and the Consortium contract checks it.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_AGE_BLOCKS = 256  # how far back a contract knows block hashes
SIGNATURE_BYTES = 64


class InvalidToken(ValueError):
    """A readiness token is not one."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"expected HEIGHT:0x and 128 hexadecimal digits, as `gridpact node ready` prints, found {text!r}"
        )
        self.text = text


@dataclass(frozen=True, slots=True)
class Readiness:
    """The height of the block that was signed, and the Ed25519 signature (64 bytes) of
    `contracts.bindings.consortium_votes.ready_bytes`."""

    height: int
    signature: bytes

    @property
    def token(self) -> str:
        """The one line that a candidate hands to a member."""
        return f"{self.height}:0x{self.signature.hex()}"


def parse_token(text: str) -> Readiness:
    """Return the readiness that a token says.

    Raises:
        InvalidToken: it is none.
    """
    height, _, signature = text.strip().partition(":0x")
    if not (height.isascii() and height.isdecimal()) or len(height) > 19 or len(signature) != 2 * SIGNATURE_BYTES:
        raise InvalidToken(text)
    try:
        return Readiness(int(height), bytes.fromhex(signature))
    except ValueError:
        raise InvalidToken(text) from None
