"""What auditors ask to see stands on the contract chain before anybody sees it."""

from __future__ import annotations

import pytest
from eth_abi.abi import encode
from eth_hash.auto import keccak

from contracts import system
from contracts.bindings import disclosures
from contracts.bindings.disclosures import Approved, Kind, Requested
from tests.contracts.registered import founded
from tests.contracts.street import CHAIN_ID, Sent, Street, account, hexed, refused

REASON = keccak(b"the neighbour says so")
SUBJECT = disclosures.trace_subject(account("ann"), 7)


@pytest.fixture
def street() -> Street:
    return founded().fresh()


def send(street: Street, sender: str, data: bytes) -> Sent:
    return street.send(sender, system.DISCLOSURES, data)


def test_a_request_is_on_record_with_those_who_stand_behind_it(street: Street) -> None:
    sent = send(street, "eve", disclosures.request(Kind.TRACE, SUBJECT, REASON))
    made = sent.only(Requested)
    assert sent.output == made.id
    assert made == Requested(made.id, account("eve"), Kind.TRACE, SUBJECT, REASON)
    assert street.view(disclosures.approvals(made.id)) == (account("eve"),)
    assert send(street, "gus", disclosures.approve(made.id)).only(Approved) == Approved(made.id, account("gus"))
    found = street.view(disclosures.request_of(made.id))
    assert (found.kind, found.subject, found.reason) == (Kind.TRACE, SUBJECT, REASON)
    assert found.auditors == (account("eve"), account("gus"))
    assert disclosures.parse_trace_subject(found.subject) == (account("ann"), 7)
    assert street.view(disclosures.requests()) == 1
    assert street.view(disclosures.sealed_meters()) == system.SEALED_METERS


def test_every_request_has_an_id_of_its_own(street: Street) -> None:
    ids = [send(street, "eve", disclosures.request(Kind.TRACE, SUBJECT, REASON)).output for _ in range(2)]
    for counter, found in enumerate(ids):
        kinds = ["string", "uint256", "address", "uint256", "uint8", "bytes"]
        rows = ["gridpact/disclosure/v1", CHAIN_ID, system.DISCLOSURES, counter, Kind.TRACE, SUBJECT]
        assert found == keccak(encode(kinds, rows))


def test_only_auditors_request_and_approve_each_once(street: Street) -> None:
    made = send(street, "eve", disclosures.request(Kind.AMOUNT, bytes(66), REASON)).output
    for sender in ("ann", "ann-member", "operator"):
        with refused("NotAnAuditor", sender=hexed(account(sender))):
            send(street, sender, disclosures.request(Kind.TRACE, SUBJECT, REASON))
        with refused("NotAnAuditor", sender=hexed(account(sender))):
            send(street, sender, disclosures.approve(made))
    with refused("ApprovedBefore", auditor=hexed(account("eve"))):
        send(street, "eve", disclosures.approve(made))
    send(street, "fay", disclosures.approve(made))
    with refused("ApprovedBefore", auditor=hexed(account("fay"))):
        send(street, "fay", disclosures.approve(made))
    with refused("CalledThroughContract"):
        street.send("gus", system.DISCLOSURES, disclosures.approve(made), origin=account("bob"))


def test_what_nobody_requested_is_not_approved(street: Street) -> None:
    with refused("UnknownRequest", id=bytes(32)):
        send(street, "eve", disclosures.approve(bytes(32)))
    assert street.view(disclosures.request_of(bytes(32))).kind is Kind.NONE


@pytest.mark.parametrize(
    ("kind", "length"), [(1, 27), (1, 29), (1, 66), (1, 0), (2, 65), (2, 67), (2, 28), (2, 0), (0, 0), (0, 28), (3, 66)]
)
def test_a_subject_of_another_length_is_refused(street: Street, kind: int, length: int) -> None:
    with refused("InvalidSubject", kind=kind, length_bytes=length):
        send(street, "eve", disclosures.INTERFACE.call("request", kind, bytes(length), REASON))
    assert street.view(disclosures.requests()) == 0
