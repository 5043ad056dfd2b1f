"""Certificates: a quorum of equal votes of one view, checkable by anyone who knows the epoch's validators."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from consensus.types import Domain, Epoch, Height, Phase, SignedVote, ValidatorSet, View, Vote, signature_holds


class InvalidCertificate(Exception):
    """A certificate does not prove what it says.

    Args:
        reason: what was wrong and what was expected.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Certificate:
    """A quorum of votes for one block in one view, signers sorted, one signature each, in the signers' order.

    With phase COMMIT it proves that the block is final and is stored beside it; with phase PREPARE it is a *prepared
    certificate*, which a view change carries (Castro–Liskov §4.2: prepared(m, v, n, i)).
    """

    height: Height
    epoch: Epoch
    view: View
    phase: Phase
    block_hash: bytes
    signers: tuple[bytes, ...]
    signatures: tuple[bytes, ...]

    @property
    def vote(self) -> Vote:
        """The vote that every signer signed."""
        return Vote(self.epoch, self.height, self.view, self.phase, self.block_hash)

    def votes(self) -> tuple[SignedVote, ...]:
        """Return the signed votes that it is made of."""
        vote = self.vote
        return tuple(SignedVote(vote, *pair) for pair in zip(self.signers, self.signatures, strict=True))


def assemble(votes: Iterable[SignedVote]) -> Certificate:
    """Return the certificate of equal votes by different signers (at least one)."""
    ordered = sorted(votes, key=lambda signed: signed.signer)
    vote = ordered[0].vote
    return Certificate(
        height=vote.height,
        epoch=vote.epoch,
        view=vote.view,
        phase=vote.phase,
        block_hash=vote.block_hash,
        signers=tuple(signed.signer for signed in ordered),
        signatures=tuple(signed.signature for signed in ordered),
    )


def verify(certificate: Certificate, validators: ValidatorSet, domain: Domain, phase: Phase = Phase.COMMIT) -> None:
    """Check a certificate against the validators of its height, signatures last.

    Raises:
        InvalidCertificate: wrong phase or epoch, no quorum, a stranger, unsorted signers, a bad signature.
    """
    if certificate.phase is not phase:
        raise InvalidCertificate(f"phase {certificate.phase.name}, expected {phase.name}")
    if certificate.epoch != validators.epoch:
        raise InvalidCertificate(f"epoch {certificate.epoch}, expected {validators.epoch}")
    if len(certificate.signers) != len(certificate.signatures):
        raise InvalidCertificate(f"{len(certificate.signers)} signers, {len(certificate.signatures)} signatures")
    if len(certificate.signers) < validators.quorum:
        raise InvalidCertificate(f"{len(certificate.signers)} signers, expected a quorum of {validators.quorum}")
    if list(certificate.signers) != sorted(set(certificate.signers)):
        raise InvalidCertificate("signers must be distinct and sorted")
    for signed in certificate.votes():
        if signed.signer not in validators:
            raise InvalidCertificate(f"signer {signed.signer.hex()} is no validator of epoch {validators.epoch}")
        if not signature_holds(domain, signed):
            raise InvalidCertificate(f"the signature of {signed.signer.hex()} does not hold")
