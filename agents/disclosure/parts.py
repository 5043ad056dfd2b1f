"""Auditors' parts of one opening, each with a proof that is bound to the request, and what enough of them say.

Nothing here asks a node. A part is worth nothing for another request, another member, window or ciphertext.
Source: Desmedt and Frankel 1989 (threshold ElGamal); docs/private-window.md, "On record".
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.auditing.amounts import found_amount
from agents.consortium_input import HASH_BYTES, InputError, parse_data
from agents.disclosure.question import NotOnRecord, Question
from agents.errors import AgentError
from contracts.bindings.privacy_registry import POINT_BYTES
from privacy.auditors import (
    Ciphertext,
    Partial,
    combine_shares,
    decrypt_partially,
    open_together,
    partial_is_right,
)
from privacy.equality import equality_from_bytes_checked
from privacy.group import InvalidEncoding, Scalar
from privacy.secp256k1 import SECP256K1, Point

FORM = "gridpact/part/v1"
PROOF_BYTES = 64
MAX_PART_BYTES = 4096
BOUNDS = (1 << 16, 1 << 32, 1 << 40)  # of an amount, tried in turn: the last takes half a minute
_G = SECP256K1


class WrongPart(AgentError):
    """A part does not hold; it says whose it is."""

    def __init__(self, auditor: int, account: bytes | None, reason: str) -> None:
        who = f"auditor {auditor}" + (f" (0x{account.hex()})" if account else "")
        super().__init__(f"the part of {who}: {reason}")
        self.auditor = auditor


class NotEnoughParts(AgentError):
    """Fewer parts than auditors have to open together."""

    def __init__(self, found: int, threshold: int) -> None:
        super().__init__(f"parts of {found} auditors: expected {threshold}; fewer open nothing")
        self.found = found
        self.threshold = threshold


@dataclass(frozen=True, slots=True)
class Part:
    """One auditor's part of an opening, as it hands it to the others.

    Args:
        chain_id: as in EIP-155.
        request: its id, 32 bytes.
        auditors_from: names the set of auditors.
        partial: the auditor's number, its point and proof.
    """

    chain_id: int
    request: bytes
    auditors_from: int
    partial: Partial[Point]

    def as_json(self) -> dict[str, Any]:
        """Return what a part's file says."""
        return {
            "form": FORM,
            "chain_id": self.chain_id,
            "request": f"0x{self.request.hex()}",
            "auditors_from_window": self.auditors_from,
            "auditor": self.partial.auditor,
            "point": f"0x{_G.point_to_bytes(self.partial.point).hex()}",
            "proof": f"0x{self.partial.proof.to_bytes(_G).hex()}",
        }


def make_part(question: Question, share: Scalar, randomness: bytes) -> Part:
    """Return the part of the auditor that has this share.

    Args:
        question: what was asked.
        share: of the trace key, or of the joint secret.
        randomness: at least 32 fresh random bytes.

    Raises:
        NotOnRecord: the share is none of these auditors', or its auditor neither requested nor approved.
    """
    public = _G.multiply_generator(share)
    numbers = [at for at, known in enumerate(question.public_shares, start=1) if _G.equal(known, public)]
    if not numbers:
        raise NotOnRecord("this share is of none of the auditors who can open what is requested")
    _require_behind(question, numbers[0])
    partial = decrypt_partially(_G, numbers[0], share, question.base, question.request, randomness)
    return Part(question.chain_id, question.request, question.auditors_from, partial)


def _require_behind(question: Question, number: int) -> None:
    account = question.accounts[number - 1]
    if account not in question.behind:
        raise NotOnRecord(
            f"auditor {number} (0x{account.hex()}) neither requested nor approved request 0x{question.request.hex()}: "
            "approve it first"
        )


def load_part(path: Path) -> Part:
    """Return the part in a file.

    Raises:
        InputError: it cannot be read, or says something else.
    """
    row = load_json(path, FORM, MAX_PART_BYTES)
    chain_id, auditors_from, auditor = (
        whole_number(row, key, path) for key in ("chain_id", "auditors_from_window", "auditor")
    )
    point, proof = (
        parse_data(row.get(key), length, f"{path}: {key}")
        for key, length in (("point", POINT_BYTES), ("proof", PROOF_BYTES))
    )
    try:
        partial = Partial(auditor, _G.point_from_bytes_checked(point), equality_from_bytes_checked(_G, proof))
    except InvalidEncoding as error:
        raise InputError(str(path), f"a part: {error}") from None
    return Part(chain_id, parse_data(row.get("request"), HASH_BYTES, f"{path}: request"), auditors_from, partial)


def load_json(path: Path, form: str, max_bytes: int) -> dict[str, Any]:
    """Return the table in a JSON file that says it is of this form.

    Raises:
        InputError: it cannot be read, is larger, or of another form.
    """
    try:
        if path.stat().st_size > max_bytes:
            raise InputError(str(path), f"at most {max_bytes} bytes")
        row = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(str(path), f"a readable file ({error.strerror})") from None
    except (ValueError, RecursionError):
        raise InputError(str(path), "JSON") from None
    if not isinstance(row, dict) or row.get("form") != form:
        raise InputError(str(path), f"a table whose form is {form}")
    return row


def whole_number(row: dict[str, Any], key: str, path: Path) -> int:
    """Return a whole number from 0 below 2^64 of a file's table; raises InputError."""
    number = row.get(key)
    if type(number) is not int or not 0 <= number < 1 << 64:
        raise InputError(f"{path}: {key}", f"a whole number from 0 below 2^64, found {number!r}")
    return number


def check_parts(question: Question, parts: Sequence[Part]) -> dict[int, Point]:
    """Return the points by auditor, if all of them are right and enough.

    Raises:
        WrongPart: one is of another request, from an auditor that does not stand behind it, twice, or not made with
            its share.
        NotEnoughParts: there are fewer than the threshold.
    """
    found: dict[int, Point] = {}
    for part in parts:
        number = part.partial.auditor
        known = 1 <= number <= len(question.accounts)
        reason = _flaw(question, part, known=known, twice=number in found)
        if reason:
            raise WrongPart(number, question.accounts[number - 1] if known else None, reason)
        found[number] = part.partial.point
    if len(found) < question.threshold:
        raise NotEnoughParts(len(found), question.threshold)
    return found


def _flaw(question: Question, part: Part, *, known: bool, twice: bool) -> str:
    if (part.chain_id, part.request) != (question.chain_id, question.request):
        return f"it is for request 0x{part.request.hex()} of chain {part.chain_id}"
    if part.auditors_from != question.auditors_from or not known:
        return f"there is no such auditor among those of window {question.auditors_from}"
    number = part.partial.auditor
    if twice:
        return "it is there twice"
    if question.accounts[number - 1] not in question.behind:
        return "it neither requested nor approved"
    public = question.public_shares[number - 1]
    if not partial_is_right(_G, public, question.base, question.request, part.partial):
        return "the proof does not hold: it was not made with this auditor's share for this request"
    return ""


def trace_tag(question: Question, parts: Sequence[Part]) -> bytes:
    """Return the trace tag I = k·Hp(s) that the parts open to, 33 bytes; raises as `check_parts`."""
    return _G.point_to_bytes(combine_shares(_G, check_parts(question, parts)))


def opened_amount(
    question: Question, ciphertext: Ciphertext[Point], parts: Sequence[Part], bounds: Sequence[int] = BOUNDS
) -> int | None:
    """Return the amount that the parts open a ciphertext to; None if it is none below the last bound.

    Raises:
        WrongPart, NotEnoughParts: as `check_parts`.
    """
    value = open_together(_G, ciphertext, check_parts(question, parts))
    return found_amount(value, bounds)
