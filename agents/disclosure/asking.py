"""What tracing and opening an amount have in common: auditors request, approve, and hand parts to each other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from eth_hash.auto import keccak
from eth_keys.datatypes import PrivateKey

from agents.disclosure.options import Job, parse_id, with_record, write_json
from agents.disclosure.parts import Part
from agents.disclosure.record import Record
from agents.reporting import emit
from contracts.bindings import disclosures
from contracts.bindings.disclosures import Kind, Request, Requested, parse_trace_subject


async def put_on_record(record: Record, kind: Kind, subject: bytes, reason: str) -> None:
    what = f"request ({kind.name.lower()})"
    receipt = await record.send(disclosures.request(kind, subject, keccak(reason.encode())), what)
    made = next(event for event in receipt.events if isinstance(event, Requested))
    emit(
        {"request": made.id, "height": receipt.height, "reason_hash": made.reason},
        f"request 0x{made.id.hex()}",
        f"on record in block {receipt.height}, its reason as 0x{made.reason.hex()}",
    )


def approve_request(
    kind: Kind, text: str, rpc: str, chain_id: int | None, key: Callable[[], PrivateKey], wait_s: float
) -> None:
    def job() -> Job:
        request_id = parse_id(text)

        async def send(record: Record) -> None:
            request = await record.request(request_id, kind)
            about = asked_of(request)
            receipt = await record.send(disclosures.approve(request_id), "approve")
            emit({"about": about, "height": receipt.height}, about, f"approved in block {receipt.height}")

        return send

    with_record(job, rpc, chain_id, key=key, wait_s=wait_s)


def asked_of(request: Request) -> str:
    if request.kind is Kind.AMOUNT:
        return f"the amount in 0x{request.subject.hex()}"
    account, window = parse_trace_subject(request.subject)
    return f"the action of member 0x{account.hex()} for window {window}"


def write_part(part: Part, out: Path) -> None:
    write_json(out, part.as_json())
    auditor = part.partial.auditor
    emit({"auditor": auditor, "file": out}, f"part of auditor {auditor} in {out}")
