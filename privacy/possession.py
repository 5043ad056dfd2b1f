"""Proofs of possession: who registers a key knows its secret, for this role, place, account and epoch alone.

Without them a member could register a key made from others' (a rogue key), or a victim's trace key whose k it learns,
and act with the victim's tag (docs/privacy.md, condition (b)). It is Schnorr's identification, made to a signature.
Source: Schnorr 1991; Ristenpart and Yilek 2007 (proofs of possession).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from privacy.equality import EqualityProof, prove_equal, verify_equal
from privacy.group import Group, Scalar

P = TypeVar("P")
DOMAIN_BYTES = 32
ACCOUNT_BYTES = 20
MAX_EPOCH = 1 << 64


class Role(StrEnum):
    """What a key is registered for."""

    RING = "ring"
    TRACE = "trace"
    SPENDING = "spending"
    VIEWING = "viewing"
    AUDITOR = "auditor"


@dataclass(frozen=True, slots=True)
class Registration:
    """Where, by whom and from when a key is registered: a proof for one registration is none for another.

    Args:
        domain: a hash of chain and contract (32 bytes).
        account: who registers (20 bytes).
        epoch: from which the key acts; below 2^64.
    """

    domain: bytes
    account: bytes
    epoch: int

    @property
    def flaw(self) -> str:
        """What is wrong with it; nothing if it is well formed."""
        if len(self.domain) != DOMAIN_BYTES:
            return f"domain of {len(self.domain)} bytes: expected {DOMAIN_BYTES}"
        if len(self.account) != ACCOUNT_BYTES:
            return f"account of {len(self.account)} bytes: expected {ACCOUNT_BYTES}"
        return "" if 0 <= self.epoch < MAX_EPOCH else f"epoch {self.epoch}: expected 0 to 2^64 - 1"

    def to_bytes(self) -> bytes:
        """Return domain ‖ account ‖ epoch, 60 bytes."""
        return self.domain + self.account + self.epoch.to_bytes(8, "big")


def prove_possession(
    group: Group[P], role: Role, registration: Registration, secret: Scalar, randomness: bytes
) -> EqualityProof:
    """Prove that the secret of the key x·G is known to who registers it.

    Args:
        group: the suite.
        role: what the key is for.
        registration: where, by whom and from when.
        secret: x.
        randomness: at least 32 fresh random bytes.

    Raises:
        ValueError: the registration is not well formed.
    """
    if registration.flaw:
        raise ValueError(registration.flaw)
    return prove_equal(group, _use(role), (group.generator,), secret, registration.to_bytes(), randomness)


def possession_holds(group: Group[P], role: Role, registration: Registration, key: P, proof: EqualityProof) -> bool:
    """Return whether the proof holds for this key, role and registration; the identity is nobody's key."""
    if registration.flaw or group.is_identity(key):
        return False
    return verify_equal(group, _use(role), (group.generator,), (key,), registration.to_bytes(), proof)


def _use(role: Role) -> str:
    return f"possession/{role}"
