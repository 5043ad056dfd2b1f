"""What auditors were asked to open, as the chain has it: whose shares of what, multiplied with which point.

Nothing here asks a node. What is opened is the trace tag of a member in a window, k·Hp(s), or the amount in a
ciphertext.
Source: Desmedt and Frankel 1989 (threshold ElGamal); Feldman 1987 (public shares); docs/private-window.md, "On record".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agents.errors import AgentError
from contracts.bindings.disclosures import Request
from contracts.bindings.privacy_registry import POINT_BYTES, Registered
from contracts.bindings.sealed_meters import AuditorSet
from privacy.auditors import Ciphertext, ciphertext_from_bytes_checked, public_share
from privacy.boxes import open_share
from privacy.group import InvalidEncoding, Scalar
from privacy.ring import scope_base
from privacy.secp256k1 import SECP256K1, Point

_G = SECP256K1


class NotOnRecord(AgentError):
    """What is asked for is not asked on the chain, or not by who answers."""


@dataclass(frozen=True, slots=True)
class Question:
    """What auditors were asked to open, as the chain has it.

    Args:
        chain_id: as in EIP-155.
        request: its id, 32 bytes.
        base: what their shares are multiplied with: Hp(s) of a scope, or a ciphertext's R.
        auditors_from: the first window of the auditors whose shares these are; it names their set.
        accounts: of these auditors (20 bytes each), in the order of their numbers from 1.
        public_shares: in the same order.
        threshold: how many of them open together.
        behind: the accounts that requested or approved.
    """

    chain_id: int
    request: bytes
    base: Point
    auditors_from: int
    accounts: tuple[bytes, ...]
    public_shares: tuple[Point, ...]
    threshold: int
    behind: tuple[bytes, ...]


def trace_question(
    chain_id: int, request_id: bytes, request: Request, registered: Registered, auditors: AuditorSet, scope: bytes
) -> Question:
    """Return the question which action of a member was made in a scope.

    Args:
        chain_id: as in EIP-155.
        request_id: 32 bytes.
        request: as it stands on the chain.
        registered: by which the member got the trace key that acts in this scope.
        auditors: to whom that key was dealt.
        scope: of the window, 32 bytes.
    """
    commitments = commitments_of(registered)
    shares = tuple(public_share(_G, commitments, at) for at in range(1, len(auditors.auditors) + 1))
    return _question(chain_id, request_id, request, scope_base(_G, scope), auditors, shares)


def amount_question(chain_id: int, request_id: bytes, request: Request, auditors: AuditorSet) -> Question:
    """Return the question what amount a ciphertext holds.

    Args:
        chain_id, request_id, request: as in `trace_question`.
        auditors: to whose joint key it is encrypted.

    Raises:
        NotOnRecord: the subject is no ciphertext, or a public share no point.
    """
    ciphertext = ciphertext_of(request)
    try:
        shares = tuple(_G.point_from_bytes_checked(auditor.public_share) for auditor in auditors.auditors)
    except InvalidEncoding as error:
        raise NotOnRecord(f"a public share of the auditors: {error}") from None
    return _question(chain_id, request_id, request, ciphertext.ephemeral, auditors, shares)


def ciphertext_of(request: Request) -> Ciphertext[Point]:
    """Return the ciphertext that a request of an amount is about.

    Raises:
        NotOnRecord: it is none.
    """
    try:
        return ciphertext_from_bytes_checked(_G, request.subject)
    except InvalidEncoding as error:
        raise NotOnRecord(f"what is requested: {error}") from None


def commitments_of(registered: Registered) -> tuple[Point, ...]:
    """Return the commitments to the polynomial that deals a trace key; the contract saw that they are points."""
    raw = registered.commitments
    return tuple(_G.point_from_bytes_checked(raw[at : at + POINT_BYTES]) for at in range(0, len(raw), POINT_BYTES))


def dealt_share(registered: Registered, box_secret: bytes, number: int, auditors: AuditorSet) -> Scalar | None:
    """Return the share of a trace key in an auditor's box; None if there is none that fits the commitments.

    Args:
        registered: with the boxes.
        box_secret: the auditor's (X25519, 32 bytes).
        number: the auditor's, from 1.
        auditors: to whom the key was dealt.
    """
    box, commitments = registered.box_of(number), commitments_of(registered)
    return open_share(_G, box_secret, box, commitments, number, threshold=auditors.threshold)


def any_dealt_share(registered: Registered, box_secret: bytes, auditors: AuditorSet) -> Scalar:
    """Return the share of a trace key that an auditor finds, whichever of the boxes is its own.

    Raises:
        NotOnRecord: no box opens with this secret to a share that fits.
    """
    found = (dealt_share(registered, box_secret, at + 1, auditors) for at in range(len(auditors.auditors)))
    for share in found:
        if share is not None:
            return share
    reason = "it is another auditor's key, or the member dealt badly (then complain)"
    raise NotOnRecord(f"no box of this registration opens to a right share with this key: {reason}")


def _question(
    chain_id: int,
    request_id: bytes,
    request: Request,
    base: Point,
    auditors: AuditorSet,
    public_shares: tuple[Point, ...],
) -> Question:
    accounts = tuple(auditor.account for auditor in auditors.auditors)
    return Question(
        chain_id, request_id, base, auditors.from_window, accounts, public_shares, auditors.threshold, request.auditors
    )


def question_of_share(questions: Sequence[Question], share: Scalar) -> Question:
    """Return the question to the auditors among whom this share is, of what is asked of every set of auditors.

    Raises:
        NotOnRecord: it is among none.
    """
    public = _G.multiply_generator(share)
    for question in reversed(questions):
        if any(_G.equal(public, known) for known in question.public_shares):
            return question
    raise NotOnRecord("this share is of none of the auditors that there were")


def question_of_set(questions: Sequence[Question], auditors_from: int) -> Question:
    """Return the question to the auditors whose first window this is.

    Raises:
        NotOnRecord: there are no such auditors.
    """
    for question in questions:
        if question.auditors_from == auditors_from:
            return question
    raise NotOnRecord(f"no auditors were appointed from window {auditors_from} on")
