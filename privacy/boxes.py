"""Shares on the chain that each auditor alone can read: boxed to its X25519 key.

A sealed box has a key pair of its own, from randomness that PyNaCl draws; the sender keeps nothing with which it could
open the box again. A box says nothing of what is in it, so that an auditor checks its share and complains of one that
is wrong; nobody else could tell.
Source: libsodium, sealed boxes (X25519, XSalsa20-Poly1305); Feldman 1987 (the check).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox

from privacy.auditors import share_is_right
from privacy.group import SCALAR_BYTES, Group, InvalidEncoding, Scalar

P = TypeVar("P")
KEY_BYTES: Final = PublicKey.SIZE
BOX_BYTES: Final = SCALAR_BYTES + 48


def box_key(secret: bytes) -> bytes:
    """Return the public key (X25519, 32 bytes) of an auditor's secret of 32 bytes."""
    return bytes(PrivateKey(secret).public_key)


def seal_share(group: Group[P], key: bytes, share: Scalar) -> bytes:
    """Return a share in a box of 80 bytes.

    Args:
        group: the suite.
        key: the auditor's (X25519, 32 bytes).
        share: f(i).
    """
    return SealedBox(PublicKey(key)).encrypt(group.scalar_to_bytes(share))


def open_share(
    group: Group[P], secret: bytes, box: bytes, commitments: Sequence[P], auditor: int, *, threshold: int
) -> Scalar | None:
    """Return the share that a box holds; None if it holds none that fits what its dealer published.

    Args:
        group: the suite.
        secret: the auditor's (X25519, 32 bytes).
        box: 80 bytes.
        commitments: A_0 … A_(k−1).
        auditor: i, from 1.
        threshold: k.
    """
    try:
        share = group.scalar_from_bytes_checked(SealedBox(PrivateKey(secret)).decrypt(box))
    except (CryptoError, InvalidEncoding):
        return None
    return share if share_is_right(group, commitments, auditor, share, threshold=threshold) else None
