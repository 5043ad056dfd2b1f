"""Disclosures: what auditors ask to see, on record before anybody sees it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from eth_abi.abi import encode
from eth_hash.auto import keccak

from contracts.bindings.abi import Event, Interface, View, one
from contracts.system import DISCLOSURES

ACCOUNT_BYTES = 20


class Kind(IntEnum):
    """What a request asks for; none for a request that was never made."""

    NONE = 0
    TRACE = 1
    AMOUNT = 2


@dataclass(frozen=True, slots=True)
class Request:
    """A request: its subject, the hash of its reason, and which auditors stand behind it, who asked first."""

    kind: Kind
    reason: bytes
    subject: bytes
    auditors: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Requested(Event):
    """An auditor asks that something be opened."""

    id: bytes
    auditor: bytes
    kind: Kind
    subject: bytes
    reason: bytes


@dataclass(frozen=True, slots=True)
class Approved(Event):
    """Another auditor agrees."""

    id: bytes
    auditor: bytes


INTERFACE = Interface("Disclosures", DISCLOSURES, (Requested, Approved))


def request(kind: Kind, subject: bytes, reason: bytes) -> bytes:
    """Request an opening; sent by an auditor. The reason is a hash of 32 bytes, the subject as below."""
    return INTERFACE.call("request", kind, subject, reason)


def approve(request_id: bytes) -> bytes:
    """Approve a request; sent by another auditor."""
    return INTERFACE.call("approve", request_id)


def request_of(request_id: bytes) -> View[Request]:
    """A request; of no kind if there is none with this id."""
    return INTERFACE.view(lambda row: Request(Kind(row.pop("kind")), **row), "requestOf", request_id)


def approvals(request_id: bytes) -> View[tuple[bytes, ...]]:
    """The accounts of the auditors that stand behind a request, who asked first."""
    return INTERFACE.view(one, "approvals", request_id)


def requests() -> View[int]:
    """How many requests there were."""
    return INTERFACE.view(one, "requests")


def sealed_meters() -> View[bytes]:
    """Where the auditors stand."""
    return INTERFACE.view(one, "sealedMeters")


def request_id(chain_id: int, number: int, kind: Kind, subject: bytes) -> bytes:
    """Return the id of the request with this number from 0: it names what is asked, whatever a node says."""
    types = ("string", "uint256", "address", "uint256", "uint8", "bytes")
    values = ("gridpact/disclosure/v1", chain_id, DISCLOSURES, number, int(kind), subject)
    return bytes(keccak(encode(types, values)))


def trace_subject(account: bytes, window: int) -> bytes:
    """Return the subject of a request to trace a member's action for a window."""
    return account + window.to_bytes(8, "big")


def parse_trace_subject(subject: bytes) -> tuple[bytes, int]:
    """Return account and window that such a subject says."""
    return subject[:ACCOUNT_BYTES], int.from_bytes(subject[ACCOUNT_BYTES:], "big")
