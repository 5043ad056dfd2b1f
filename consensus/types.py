"""Heights, views, epochs, votes and the validator set: the values that everything in consensus is made of."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import NewType

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

Height = NewType("Height", int)
View = NewType("View", int)
Epoch = NewType("Epoch", int)

KEY_BYTES = 32
HASH_BYTES = 32
SIGNATURE_BYTES = 64
MAX_VALIDATORS = 128  # a status carries who voted as bit masks of this width
VOTE_DOMAIN = b"gridpact/vote/v1"
NO_BLOCK = bytes(HASH_BYTES)


class Phase(IntEnum):
    """What a vote says. The numbers are signed and must not change."""

    PROPOSE = 1
    PREPARE = 2
    COMMIT = 3
    VIEW_CHANGE = 4


@dataclass(frozen=True, slots=True)
class Domain:
    """The chain that votes are for: its id, and the hash of its genesis (32 bytes)."""

    chain_id: int
    genesis_hash: bytes


@dataclass(frozen=True, slots=True)
class Vote:
    """The fields of a vote, which a signer judges before it signs.

    `block_hash` is the block that is proposed, prepared or committed; for VIEW_CHANGE it is the digest of the claim of
    what is prepared (`consensus.viewchange.claim_digest`). So one rule holds for every phase: an honest validator signs
    at most one `block_hash` per (height, view, phase).
    """

    epoch: Epoch
    height: Height
    view: View
    phase: Phase
    block_hash: bytes


@dataclass(frozen=True, slots=True)
class SignedVote:
    """A vote with its signer's node key (32 bytes) and Ed25519 signature (64 bytes)."""

    vote: Vote
    signer: bytes
    signature: bytes

    @property
    def height(self) -> Height:
        """The height that is voted on."""
        return self.vote.height


def vote_bytes(domain: Domain, vote: Vote) -> bytes:
    """Return the 113 bytes that are signed, fixed in width, as a contract's `abi.encodePacked` makes them.

    Layout: domain 16 ‖ chain id 8 ‖ genesis hash 32 ‖ epoch 8 ‖ height 8 ‖ view 8 ‖ phase 1 ‖ block hash 32, integers
    unsigned and big-endian.
    """
    return b"".join(
        (
            VOTE_DOMAIN,
            domain.chain_id.to_bytes(8, "big"),
            domain.genesis_hash,
            vote.epoch.to_bytes(8, "big"),
            vote.height.to_bytes(8, "big"),
            vote.view.to_bytes(8, "big"),
            vote.phase.to_bytes(1, "big"),
            vote.block_hash,
        )
    )


def signature_holds(domain: Domain, signed: SignedVote) -> bool:
    """Return whether the signature of `signed` is its signer's over the vote's bytes (Ed25519, RFC 8032)."""
    try:
        VerifyKey(signed.signer).verify(vote_bytes(domain, signed.vote), signed.signature)
    except (BadSignatureError, ValueError, TypeError):
        return False
    return True


@dataclass(frozen=True)
class ValidatorSet:
    """The validators of an epoch: distinct node keys (32 bytes), sorted; one key, one vote.

    Raises:
        ValueError: the keys are not 1 to MAX_VALIDATORS distinct sorted keys of 32 bytes.
    """

    epoch: Epoch
    keys: tuple[bytes, ...]

    def __post_init__(self) -> None:
        """Refuse what is not a set of validators."""
        if not 1 <= len(self.keys) <= MAX_VALIDATORS:
            raise ValueError(f"a validator set has 1 to {MAX_VALIDATORS} keys, not {len(self.keys)}")
        if any(len(key) != KEY_BYTES for key in self.keys):
            raise ValueError(f"every node key has {KEY_BYTES} bytes")
        if list(self.keys) != sorted(set(self.keys)):
            raise ValueError("node keys must be distinct and sorted")

    @property
    def size(self) -> int:
        """n, the number of validators."""
        return len(self.keys)

    @property
    def faults(self) -> int:
        """f = ⌊(n−1)/3⌋, the number of faulty validators that are tolerated (Castro–Liskov §3)."""
        return (self.size - 1) // 3

    @property
    def quorum(self) -> int:
        """q = ⌈(n+f+1)/2⌉: two quorums share at least f+1 validators, so an honest one, for every n."""
        return (self.size + self.faults + 2) // 2

    @cached_property
    def _places(self) -> dict[bytes, int]:
        return {key: place for place, key in enumerate(self.keys)}

    def __contains__(self, key: object) -> bool:
        """Return whether `key` is a validator's."""
        return key in self._places

    def place(self, key: bytes) -> int:
        """Return the index of `key` in the sorted order."""
        return self._places[key]

    def leader(self, height: int, view: int) -> bytes:
        """Return the node key of the leader, (height + view) mod n (Castro–Liskov §4: p = v mod |R|)."""
        return self.keys[(height + view) % self.size]

    @property
    def warning(self) -> str | None:
        """Return a plain sentence if this set tolerates no fault at all; None otherwise."""
        if self.faults > 0:
            return None
        return (
            f"{self.size} validator(s) tolerate no fault: a dishonest one can stop or fork the chain; four tolerate one"
        )
