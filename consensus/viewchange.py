"""The view change: what a VIEW-CHANGE claims, and which block a NEW-VIEW obliges its leader to propose again.

Source: Castro and Liskov §4.4. With one height in flight, P is at most one prepared certificate and O one block.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from eth_hash.auto import keccak

from consensus.certificates import Certificate, InvalidCertificate, verify
from consensus.messages import NewView, ViewChange
from consensus.types import NO_BLOCK, Domain, Phase, ValidatorSet, signature_holds

CLAIM_DOMAIN = b"gridpact/prepared/v1"


def claim_digest(prepared: Certificate | None) -> bytes:
    """Return what a VIEW-CHANGE signs in the place of a block hash: NO_BLOCK, or keccak(domain ‖ view 8 ‖ block hash).

    Without it a faulty leader could strip an honest claim, and a committed block with it.
    """
    if prepared is None:
        return NO_BLOCK
    return keccak(CLAIM_DOMAIN + prepared.view.to_bytes(8, "big") + prepared.block_hash)


def highest(certificates: Iterable[Certificate | None]) -> Certificate | None:
    """Return the prepared certificate of the highest view, if there is any."""
    return max((each for each in certificates if each is not None), key=lambda each: each.view, default=None)


def choose(new_view: NewView) -> bytes | None:
    """Return the block that must be proposed again, or None if the leader is free (§4.4: min-s, max-s and O).

    Two certificates of one view name the same block, since two quorums share an honest validator.
    """
    prepared = highest(change.prepared for change in new_view.view_changes)
    return None if prepared is None else prepared.block_hash


def check_view_change(
    message: ViewChange, validators: ValidatorSet, domain: Domain, known: Collection[Certificate | None] = ()
) -> None:
    """Check a VIEW-CHANGE and its claim.

    Args:
        message: what a peer sent.
        validators, domain: of its height.
        known: prepared certificates that were verified before.

    Raises:
        InvalidCertificate: a stranger, another epoch, view 0, a claim that is not proved or not signed.
    """
    vote, prepared = message.vote.vote, message.prepared
    if message.vote.signer not in validators or vote.epoch != validators.epoch:
        raise InvalidCertificate(f"a view change by no validator of epoch {validators.epoch}")
    if vote.view == 0 or vote.block_hash != claim_digest(prepared):
        raise InvalidCertificate("a view change to view 0, or whose certificate is not the one that it signs")
    if not signature_holds(domain, message.vote):
        raise InvalidCertificate(f"the signature of {message.vote.signer.hex()} does not hold")
    if prepared is None or prepared in known:
        return
    if prepared.height != vote.height or prepared.view >= vote.view:
        raise InvalidCertificate(
            f"prepared at height {prepared.height}, view {prepared.view}; expected {vote.height}, below {vote.view}"
        )
    verify(prepared, validators, domain, Phase.PREPARE)


def check_new_view(
    message: NewView, validators: ValidatorSet, domain: Domain, known: Collection[ViewChange] = ()
) -> None:
    """Check a NEW-VIEW: a quorum of VIEW-CHANGEs by different validators to one view, each of them valid.

    Args:
        message: what a peer sent.
        validators, domain: of its height.
        known: view changes that were verified before.

    Raises:
        InvalidCertificate: no quorum, unsorted signers, or one of the view changes does not hold.
    """
    signers = [change.vote.signer for change in message.view_changes]
    if len(signers) < validators.quorum or signers != sorted(set(signers)):
        raise InvalidCertificate(f"a new view needs {validators.quorum} distinct, sorted view changes")
    certificates = {change.prepared for change in known}
    if any((change.height, change.view) != (message.height, message.view) for change in message.view_changes):
        raise InvalidCertificate("the view changes of a new view must be to one height and view")
    for change in message.view_changes:
        if change not in known:
            check_view_change(change, validators, domain, certificates)
            certificates.add(change.prepared)
