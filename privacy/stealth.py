"""Stealth addresses: who is paid gives out one meta-address; every payment goes to a one-time key that is theirs alone.

Mezquita et al. 2022, §4.2, with one key pair (s, S = s·G) and the payer's ephemeral r:

    (1)  P = F + S        (2)  F = Hash(r·S)·G        (3)  r·S = s·R, with R = r·G

ERC-5564's scheme 1 splits that pair: the viewing key v finds payments, the spending key s alone can use them. So here
F = keccak256(r·V)·G = keccak256(v·R)·G and P = F + S; with V = S it is the paper's. The ERC leaves encodings open;
ours: the shared secret is hashed in its compressed form, 33 bytes; the view tag is the hash's first byte; the address
is that of P as an Ethereum public key. The hash is ERC-5564's own, without a label: other wallets find the same keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from eth_hash.auto import keccak

from privacy.group import Group, Scalar
from privacy.transcript import Transcript

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class MetaAddress(Generic[P]):
    """What a recipient gives out: spending key S and viewing key V."""

    spending: P
    viewing: P


@dataclass(frozen=True, slots=True)
class OneTimeKey(Generic[P]):
    """A payment's destination.

    Args:
        key: P, to which the note or account belongs.
        ephemeral: R, published beside it.
        view_tag: one byte by which all but one in 256 foreign payments are passed over.
    """

    key: P
    ephemeral: P
    view_tag: int


def derive(group: Group[P], recipient: MetaAddress[P], ephemeral: Scalar) -> OneTimeKey[P]:
    """Return a one-time key for a recipient.

    Args:
        group: the suite.
        recipient: whose meta-address it is.
        ephemeral: r, uniform, secret and used for this output alone.

    Raises:
        ValueError: r is zero, or a key of the recipient is the identity, with which the payer could spend.
    """
    if not 0 < ephemeral < group.order:
        raise ValueError("an ephemeral scalar that is zero or beyond the order")
    if group.is_identity(recipient.spending) or group.is_identity(recipient.viewing):
        raise ValueError("a recipient whose key is the identity")
    hashed = _hash(group, group.multiply(ephemeral, recipient.viewing))
    key = group.sum((group.multiply_generator(group.scalar(int.from_bytes(hashed, "big"))), recipient.spending))
    return OneTimeKey(key, group.multiply_generator(ephemeral), hashed[0])


def shared_secret(group: Group[P], viewing: Scalar, ephemeral: P) -> bytes:
    """Return keccak256(v·R), 32 bytes, which the payer has as keccak256(r·V).

    It is the logarithm of F, and its first byte is public: it tells who is paid, so that it is no key for amounts.
    """
    return _hash(group, group.multiply(viewing, ephemeral))


def shared_key(group: Group[P], shared: P, spending: P) -> P:
    """Return the one-time key P = keccak256(v·R)·G + S that a shared point makes of a spending key.

    Args:
        group: the suite.
        shared: v·R = r·V; who shows it also shows the amount of the output (`amount_key`), if that is the recipient's.
        spending: S.
    """
    factor = group.scalar(int.from_bytes(_hash(group, shared), "big"))
    return group.sum((group.multiply_generator(factor), spending))


def amount_key(group: Group[P], viewing: Scalar, ephemeral: P) -> bytes:
    """Return the key (32 bytes) that an output's amount is encrypted with; it tells the amount and nothing else.

    Args:
        group: the suite.
        viewing: v for the recipient, r for the payer.
        ephemeral: R for the recipient, V for the payer.
    """
    said = Transcript("note-amount")
    said.append_point("shared", group, group.multiply(viewing, ephemeral))
    return said.challenge_bytes("key")[:32]


def belongs(group: Group[P], viewing: Scalar, spending: P, output: OneTimeKey[P]) -> bool:
    """Return whether an output is for the recipient with this viewing secret v and spending key S."""
    hashed = shared_secret(group, viewing, output.ephemeral)
    if hashed[0] != output.view_tag or group.is_identity(output.ephemeral):
        return False
    factor = group.multiply_generator(group.scalar(int.from_bytes(hashed, "big")))
    return group.equal(output.key, group.sum((factor, spending)))


def spending_secret(group: Group[P], viewing: Scalar, spending: Scalar, ephemeral: P) -> Scalar:
    """Return the secret p = keccak256(v·R) + s of the one-time key P = p·G."""
    return group.scalar(int.from_bytes(shared_secret(group, viewing, ephemeral), "big") + spending)


def _hash(group: Group[P], shared: P) -> bytes:
    return keccak(group.point_to_bytes(shared))
