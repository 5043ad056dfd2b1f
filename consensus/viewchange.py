"""The view change: what a VIEW-CHANGE claims, and which block a NEW-VIEW obliges its leader to propose again.

Source: Castro and Liskov §4.4. With one height in flight, P is at most one prepared certificate and O one block.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from eth_hash.auto import keccak

from consensus.certificates import Certificate, InvalidCertificate, verify
from consensus.messages import Claim, Departure, NewView, ViewChange
from consensus.types import (
    NO_BLOCK,
    Domain,
    Epoch,
    Height,
    Phase,
    SignedVote,
    ValidatorSet,
    View,
    Vote,
    signature_holds,
)

CLAIM_DOMAIN = b"gridpact/prepared/v1"


def claim_digest(prepared: Certificate | Claim | None) -> bytes:
    """Return what a VIEW-CHANGE signs in the place of a block hash: NO_BLOCK, or keccak(domain ‖ view 8 ‖ block hash).

    Without it a faulty leader could strip an honest claim, and a committed block with it.
    """
    if prepared is None:
        return NO_BLOCK
    return keccak(CLAIM_DOMAIN + prepared.view.to_bytes(8, "big") + prepared.block_hash)


def highest(certificates: Iterable[Certificate | None]) -> Certificate | None:
    """Return the prepared certificate of the highest view, if there is any."""
    return max((each for each in certificates if each is not None), key=lambda each: each.view, default=None)


def make_new_view(
    epoch: Epoch, height: Height, view: View, changes: Mapping[bytes, ViewChange], quorum: int
) -> NewView | None:
    """Return the NEW-VIEW that VIEW-CHANGEs give; None if fewer than a quorum are to this view.

    Args:
        epoch, height, view: of the NEW-VIEW.
        changes: verified view changes by signer, to any view.
        quorum: of the epoch.
    """
    given = [change for _, change in sorted(changes.items()) if change.view == view]
    if len(given) < quorum:
        return None
    departures = tuple(Departure(each.vote.signer, each.vote.signature, claim_of(each.prepared)) for each in given)
    return NewView(epoch, height, view, departures, highest(each.prepared for each in given))


def claim_of(prepared: Certificate | None) -> Claim | None:
    """Return what a VIEW-CHANGE with this certificate claims."""
    return None if prepared is None else Claim(prepared.view, prepared.block_hash)


def votes_of(new_view: NewView) -> tuple[SignedVote, ...]:
    """Return the signed votes of the VIEW-CHANGEs that a NEW-VIEW tells of."""
    return tuple(
        SignedVote(
            Vote(new_view.epoch, new_view.height, new_view.view, Phase.VIEW_CHANGE, claim_digest(each.claim)),
            each.signer,
            each.signature,
        )
        for each in new_view.departures
    )


def choose(new_view: NewView) -> bytes | None:
    """Return the block that must be proposed again, or None if the leader is free (§4.4: min-s, max-s and O)."""
    claims = [each.claim for each in new_view.departures if each.claim is not None]
    return max(claims, key=lambda claim: claim.view).block_hash if claims else None


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
    """Check a NEW-VIEW: a quorum of VIEW-CHANGEs by different validators, and the proof of their highest claim.

    A lower claim may be a lie: it changes nothing, since a higher one is proved. Two proved claims of one view name the
    same block, since two quorums share an honest validator.

    Args:
        message: what a peer sent.
        validators, domain: of its height.
        known: view changes that were verified before.

    Raises:
        InvalidCertificate: no quorum, unsorted signers, a signature that does not hold, or a highest claim that is not
            the one that is proved.
    """
    signers = [each.signer for each in message.departures]
    if message.epoch != validators.epoch or message.view == 0:
        raise InvalidCertificate(f"a new view to view 0, or not of epoch {validators.epoch}")
    if len(signers) < validators.quorum or signers != sorted(set(signers)):
        raise InvalidCertificate(f"a new view needs {validators.quorum} distinct, sorted view changes")
    verified = {change.vote for change in known}
    for signed in votes_of(message):
        if signed.signer not in validators:
            raise InvalidCertificate(f"a view change by no validator of epoch {validators.epoch}")
        if signed not in verified and not signature_holds(domain, signed):
            raise InvalidCertificate(f"the signature of {signed.signer.hex()} does not hold")
    _check_proof(message, validators, domain, {change.prepared for change in known})


def _check_proof(
    message: NewView, validators: ValidatorSet, domain: Domain, known: Collection[Certificate | None]
) -> None:
    prepared = message.prepared
    claims = [each.claim for each in message.departures if each.claim is not None]
    top = max((claim.view for claim in claims), default=None)
    if prepared is None or top is None:
        if claims or prepared is not None:
            raise InvalidCertificate("a new view must prove its highest claim, and nothing else")
        return
    if any(claim.view == top and claim != claim_of(prepared) for claim in claims) or prepared.view != top:
        raise InvalidCertificate(f"a new view proves view {prepared.view}, its highest claim is of view {top}")
    if prepared.height != message.height or prepared.view >= message.view:
        raise InvalidCertificate(
            f"prepared at height {prepared.height}, view {prepared.view}; "
            f"expected {message.height}, below {message.view}"
        )
    if prepared not in known:
        verify(prepared, validators, domain, Phase.PREPARE)
