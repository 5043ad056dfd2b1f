"""Proofs of possession: who registers a key knows its secret, for this role, this account and this epoch alone.

Without them a member could register a key made from others' (a rogue key), or a victim's trace key whose k it learns,
and act with the victim's tag (docs/privacy.md, condition (b)). It is Schnorr's identification, made to a signature.
Source: Schnorr 1991; Ristenpart and Yilek 2007 (proofs of possession).
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

from privacy.equality import EqualityProof, prove_equal, verify_equal
from privacy.group import Group, Scalar

P = TypeVar("P")
ACCOUNT_BYTES = 20
MAX_EPOCH = 1 << 64


class Role(StrEnum):
    """What a key is registered for."""

    RING = "ring"
    TRACE = "trace"
    SPENDING = "spending"
    VIEWING = "viewing"
    AUDITOR = "auditor"


def prove_possession(
    group: Group[P], role: Role, account: bytes, epoch: int, secret: Scalar, randomness: bytes
) -> EqualityProof:
    """Prove that the secret of the key x·G is known to who registers it.

    Args:
        group: the suite.
        role: what the key is for.
        account: who registers it (20 bytes).
        epoch: from which it acts; below 2^64.
        secret: x.
        randomness: at least 32 fresh random bytes.

    Raises:
        ValueError: the account has another length, or the epoch is out of range.
    """
    return prove_equal(group, _use(role), (group.generator,), secret, _message(account, epoch), randomness)


def possession_holds(group: Group[P], role: Role, account: bytes, epoch: int, key: P, proof: EqualityProof) -> bool:
    """Return whether the proof holds for this key, role, account and epoch; the identity is nobody's key."""
    if len(account) != ACCOUNT_BYTES or not 0 <= epoch < MAX_EPOCH or group.is_identity(key):
        return False
    return verify_equal(group, _use(role), (group.generator,), (key,), _message(account, epoch), proof)


def _use(role: Role) -> str:
    return f"possession/{role}"


def _message(account: bytes, epoch: int) -> bytes:
    if len(account) != ACCOUNT_BYTES:
        raise ValueError(f"account of {len(account)} bytes: expected {ACCOUNT_BYTES}")
    if not 0 <= epoch < MAX_EPOCH:
        raise ValueError(f"epoch {epoch}: expected 0 to 2^64 - 1")
    return account + epoch.to_bytes(8, "big")
