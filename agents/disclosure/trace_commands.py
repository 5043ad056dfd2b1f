"""`gridpact audit trace`: auditors together find which call without an account a member made for one window.

Every part is given for a request that stands on the chain, by an auditor that stands behind it. Parts go from auditor
to auditor as files; what they open is printed where they come together, and told to whom it concerns.
"""

from __future__ import annotations

from pathlib import Path
from secrets import token_bytes
from typing import Annotated

import typer

from agents.consortium_input import ACCOUNT_BYTES, InputError, parse_data
from agents.disclosure.asking import approve_request, asked_of, put_on_record, write_part
from agents.disclosure.options import (
    DEFAULT_RPC,
    WAIT_S,
    ChainId,
    Job,
    Key,
    Out,
    Parts,
    Passphrase,
    Reason,
    RequestId,
    Rpc,
    Wait,
    parse_id,
    read_key,
    with_record,
)
from agents.disclosure.parts import load_part, make_part, trace_tag
from agents.disclosure.question import any_dealt_share, dealt_share
from agents.disclosure.record import Record
from agents.reporting import emit
from contracts.bindings import disclosures
from contracts.bindings.disclosures import Kind, parse_trace_subject

MAX_WINDOW = (1 << 64) - 1

trace_app = typer.Typer(help="Auditors together: which action of a member was made for a window.", no_args_is_help=True)

Member = Annotated[str, typer.Option("--member", help="The member's account.")]
Window = Annotated[int, typer.Option("--window", help="The window that was traded.", min=0, max=MAX_WINDOW)]
BoxKey = Annotated[Path, typer.Option("--box-key", help="The auditor's key for boxes (X25519, in a keystore V3).")]


@trace_app.callback()
def trace_root() -> None:
    """Auditors together: which action of a member was made for a window."""


@trace_app.command("request")
def trace_request(
    member: Member,
    window: Window,
    reason: Reason,
    key: Key,
    passphrase_file: Passphrase = None,
    rpc: Rpc = DEFAULT_RPC,
    chain_id: ChainId = None,
    wait: Wait = WAIT_S,
) -> None:
    """Request to trace a member in one window; print the request's id, which the other auditors approve.

    Example: gridpact audit trace request --member 0x… --window 17 --reason "complaint of dan" --key auditor-key.json
    """

    def job() -> Job:
        account = parse_data(member, ACCOUNT_BYTES, "--member")

        async def send(record: Record) -> None:
            await record.row(account, window)
            await put_on_record(record, Kind.TRACE, disclosures.trace_subject(account, window), reason)

        return send

    with_record(job, rpc, chain_id, key=lambda: read_key(key, passphrase_file), wait_s=wait)


@trace_app.command("approve")
def trace_approve(
    request: RequestId,
    key: Key,
    passphrase_file: Passphrase = None,
    rpc: Rpc = DEFAULT_RPC,
    chain_id: ChainId = None,
    wait: Wait = WAIT_S,
) -> None:
    """Print what another auditor requested to trace, and approve it.

    Example: gridpact audit trace approve 0x… --key auditor-key.json
    """
    approve_request(Kind.TRACE, request, rpc, chain_id, lambda: read_key(key, passphrase_file), wait)


@trace_app.command("part")
def trace_part(
    request: RequestId,
    box_key: BoxKey,
    out: Out,
    passphrase_file: Passphrase = None,
    rpc: Rpc = DEFAULT_RPC,
    chain_id: ChainId = None,
) -> None:
    """Write an auditor's part of a trace, if it requested or approved it; its share is in the member's registration.

    Example: gridpact audit trace part 0x… --box-key auditor-box.json --out part-1.json
    """

    def job() -> Job:
        request_id, secret = parse_id(request), read_key(box_key, passphrase_file).to_bytes()

        async def give(record: Record) -> None:
            question, registered, auditors = await record.trace(request_id)
            share = any_dealt_share(registered, secret, auditors)
            write_part(make_part(question, share, token_bytes(32)), out)

        return give

    with_record(job, rpc, chain_id)


@trace_app.command("open")
def trace_open(request: RequestId, parts: Parts, rpc: Rpc = DEFAULT_RPC, chain_id: ChainId = None) -> None:
    """Check parts, print the trace tag that they open to, and the member's call with it, or that there is none.

    Example: gridpact audit trace open 0x… part-1.json part-2.json
    """

    def job() -> Job:
        request_id, given = parse_id(request), [load_part(path) for path in parts]

        async def show(record: Record) -> None:
            question, _, _ = await record.trace(request_id)
            tag = trace_tag(question, given)
            asked = await record.request(request_id, Kind.TRACE)
            _, window = parse_trace_subject(asked.subject)
            about, lines = asked_of(asked), [f"trace tag 0x{tag.hex()}"]
            found = [action for action in await record.actions(window) if action.trace_tag == tag]
            for action in found:
                lines.append(f"transaction {action.transaction} in block {action.height}")
                lines.append(f"nullifier 0x{action.nullifier.hex()}")
            if not found:
                lines.append(f"no call of this member for window {window}")
            calls = [
                {"transaction": action.transaction, "height": action.height, "nullifier": action.nullifier}
                for action in found
            ]
            emit({"about": about, "trace_tag": tag, "calls": calls}, about, *lines)

        return show

    with_record(job, rpc, chain_id)


@trace_app.command("complain")
def trace_complain(
    member: Member,
    window: Window,
    box_key: BoxKey,
    key: Key,
    passphrase_file: Passphrase = None,
    rpc: Rpc = DEFAULT_RPC,
    chain_id: ChainId = None,
    wait: Wait = WAIT_S,
) -> None:
    """Say on the chain that the share in this auditor's box is not right; nothing is sent if it is.

    Example: gridpact audit trace complain --member 0x… --window 17 --box-key auditor-box.json --key auditor-key.json
    """

    def job() -> Job:
        account = parse_data(member, ACCOUNT_BYTES, "--member")
        secret, sender = (read_key(path, passphrase_file) for path in (box_key, key))
        own: bytes = sender.public_key.to_canonical_address()

        async def send(record: Record) -> None:
            registered, auditors = await record.dealing(account, window)
            number = await record.number_of_box(own, secret.to_bytes(), auditors)
            if dealt_share(registered, secret.to_bytes(), number, auditors) is not None:
                raise InputError("the share in the box", "one that is not right; this one is, and nothing was sent")
            receipt = await record.complain(account, registered.trace_key)
            emit({"height": receipt.height}, f"complaint in block {receipt.height}")

        return send

    with_record(job, rpc, chain_id, key=lambda: read_key(key, passphrase_file), wait_s=wait)


@trace_app.command("readmit")
def trace_readmit(
    member: Member,
    key: Key,
    passphrase_file: Passphrase = None,
    rpc: Rpc = DEFAULT_RPC,
    chain_id: ChainId = None,
    wait: Wait = WAIT_S,
) -> None:
    """Say on the chain that a barred member may register again, which it may once as many auditors do as open together.

    Example: gridpact audit trace readmit --member 0x… --key auditor-key.json
    """

    def job() -> Job:
        account = parse_data(member, ACCOUNT_BYTES, "--member")

        async def send(record: Record) -> None:
            receipt, barred = await record.readmit(account)
            shown = "the member is barred until more auditors say so" if barred else "the member may register again"
            emit({"height": receipt.height, "barred": bool(barred)}, f"readmission in block {receipt.height}", shown)

        return send

    with_record(job, rpc, chain_id, key=lambda: read_key(key, passphrase_file), wait_s=wait)
