"""Everything that is signed with a node key, in the process that holds it."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Protocol

from nacl.signing import SigningKey

from consensus.types import Domain, Vote
from contracts.bindings.consortium_votes import Equivocation, ready_bytes
from node.driver.ports import Signer
from node.driver.signer import LocalSigner
from node.evidence import report_transaction, reporter_account
from node.p2p.certificates import sign_leaf


class NodeSigner(Signer, Protocol):
    """What a node asks of its key. All of it may raise `SignerAway` where another process holds the key."""

    @property
    def reporter(self) -> bytes:
        """The account that reports equivocations (20 bytes), derived from the node key."""

    def issue_leaf(self, public_key: bytes, now: datetime.datetime) -> bytes:
        """Return a short-lived TLS certificate (DER) of the node key for another public key (DER)."""

    def report(self, equivocation: Equivocation, nonce: int) -> bytes:
        """Return the reporter's raw transaction that proves an equivocation."""

    def show_ready(self, height: int, block_hash: bytes) -> bytes:
        """Return the signature over a block that this node has seen, which shows that it follows the chain."""


class KeyHolder(LocalSigner):
    """Holds a node key in memory and does all that is done with it. Implements `NodeSigner`.

    Args:
        seed: the Ed25519 private seed, 32 bytes.
        domain: the chain; nothing is signed for another.
        write: makes a vote durable before it is signed.
    """

    def __init__(self, seed: bytes, domain: Domain, write: Callable[[Vote], None] | None = None) -> None:
        super().__init__(seed, domain, write)
        self._seed = seed
        self._account = reporter_account(seed)

    @property
    def reporter(self) -> bytes:
        """The account that reports equivocations (20 bytes)."""
        return bytes.fromhex(self._account.address[2:])

    def issue_leaf(self, public_key: bytes, now: datetime.datetime) -> bytes:
        """Return a TLS certificate (DER) for another public key (DER).

        Raises:
            ValueError: it is no key of the curve P-256.
        """
        return sign_leaf(self._seed, public_key, now)

    def report(self, equivocation: Equivocation, nonce: int) -> bytes:
        """Return the reporter's raw transaction that proves an equivocation; it can do nothing else."""
        return report_transaction(self._account, self._domain.chain_id, equivocation, nonce)

    def show_ready(self, height: int, block_hash: bytes) -> bytes:
        """Return the signature over a block of this chain."""
        message = ready_bytes(self._domain.chain_id, self._domain.genesis_hash, height, block_hash)
        return bytes(SigningKey(self._seed).sign(message).signature)
