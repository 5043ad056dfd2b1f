"""`gridpact audit open`: auditors together find what amount a ciphertext holds: of a note, a reading, or any other.

Requests, approvals and parts are as in `gridpact audit trace`; the shares are those of the joint key's secret.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
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
from agents.disclosure.parts import BOUNDS, load_part, make_part, opened_amount
from agents.disclosure.question import ciphertext_of, question_of_set, question_of_share
from agents.disclosure.record import Record
from agents.reporting import emit
from contracts.bindings.disclosures import Kind
from privacy.group import InvalidEncoding
from privacy.secp256k1 import SECP256K1

CIPHERTEXT_BYTES = 66
SEALED_FROM = 140  # of a published note: what stands there is its ciphertext

open_app = typer.Typer(help="Auditors together: what amount a ciphertext holds.", no_args_is_help=True)

Share = Annotated[Path, typer.Option("--share", help="The auditor's share of the joint secret, in a keystore V3.")]


@open_app.callback()
def open_root() -> None:
    """Auditors together: what amount a ciphertext holds."""


@open_app.command("request")
def open_request(
    reason: Reason,
    key: Key,
    ciphertext: Annotated[str | None, typer.Option("--ciphertext", help="R and M, 66 bytes in hexadecimal.")] = None,
    note: Annotated[int | None, typer.Option("--note", help="The index of a note, whose amount it is.", min=0)] = None,
    reading: Annotated[
        str | None, typer.Option("--reading", help="METER:QUARTER:import, or :export at its end.")
    ] = None,
    passphrase_file: Passphrase = None,
    rpc: Rpc = DEFAULT_RPC,
    chain_id: ChainId = None,
    wait: Wait = WAIT_S,
) -> None:
    """Request to open the amount in a ciphertext, of a note, or of a reading; print the request's id.

    Example: gridpact audit open request --note 12 --reason "complaint of dan" --key auditor-key.json
    """

    def job() -> Job:
        if sum(given is not None for given in (ciphertext, note, reading)) != 1:
            raise InputError("command line", "one of --ciphertext, --note and --reading")
        find = _subject_of(ciphertext, note, reading)

        async def send(record: Record) -> None:
            await put_on_record(record, Kind.AMOUNT, await find(record), reason)

        return send

    with_record(job, rpc, chain_id, key=lambda: read_key(key, passphrase_file), wait_s=wait)


def _subject_of(ciphertext: str | None, note: int | None, reading: str | None) -> Callable[[Record], Awaitable[bytes]]:
    """Check what was typed, and return how its ciphertext is found on the chain."""
    if reading is not None:
        meter, quarter, is_export = _parse_reading(reading)
        return lambda record: record.reading(meter, quarter, is_export=is_export)
    if note is not None:

        async def of_note(record: Record) -> bytes:
            return (await record.note(note))[SEALED_FROM:]

        return of_note
    typed = parse_data(ciphertext, CIPHERTEXT_BYTES, "--ciphertext")

    async def as_typed(_: Record) -> bytes:
        return typed

    return as_typed


def _parse_reading(text: str) -> tuple[bytes, int, bool]:
    meter, _, rest = text.partition(":")
    quarter, _, direction = rest.partition(":")
    if direction not in ("import", "export") or not (quarter.isascii() and quarter.isdecimal() and len(quarter) < 19):
        raise InputError("--reading", f"METER:QUARTER:import or METER:QUARTER:export, found {text!r}")
    return parse_data(meter, ACCOUNT_BYTES, "--reading"), int(quarter), direction == "export"


@open_app.command("approve")
def open_approve(
    request: RequestId,
    key: Key,
    passphrase_file: Passphrase = None,
    rpc: Rpc = DEFAULT_RPC,
    chain_id: ChainId = None,
    wait: Wait = WAIT_S,
) -> None:
    """Print which ciphertext another auditor requested to open, and approve it.

    Example: gridpact audit open approve 0x… --key auditor-key.json
    """
    approve_request(Kind.AMOUNT, request, rpc, chain_id, lambda: read_key(key, passphrase_file), wait)


@open_app.command("part")
def open_part(
    request: RequestId,
    share: Share,
    out: Out,
    passphrase_file: Passphrase = None,
    rpc: Rpc = DEFAULT_RPC,
    chain_id: ChainId = None,
) -> None:
    """Write an auditor's part of the opening of an amount, if it requested or approved it.

    Example: gridpact audit open part 0x… --share auditor-share.json --out part-1.json
    """

    def job() -> Job:
        request_id = parse_id(request)
        try:
            own = SECP256K1.scalar_from_bytes_checked(read_key(share, passphrase_file).to_bytes())
        except InvalidEncoding:
            raise InputError("--share", "a share below the order of secp256k1") from None

        async def give(record: Record) -> None:
            _, questions = await record.amount(request_id)
            write_part(make_part(question_of_share(questions, own), own, token_bytes(32)), out)

        return give

    with_record(job, rpc, chain_id)


@open_app.command("amount")
def open_amount(request: RequestId, parts: Parts, rpc: Rpc = DEFAULT_RPC, chain_id: ChainId = None) -> None:
    """Check parts, and print the amount that they open to: watt-hours or micro-euro, as the ciphertext was made for.

    Example: gridpact audit open amount 0x… part-1.json part-2.json
    """

    def job() -> Job:
        request_id, given = parse_id(request), [load_part(path) for path in parts]

        async def show(record: Record) -> None:
            asked, questions = await record.amount(request_id)
            question = question_of_set(questions, given[0].auditors_from)
            found = opened_amount(question, ciphertext_of(asked), given)
            about, shown = asked_of(asked), f"no amount below {BOUNDS[-1]}" if found is None else f"amount {found}"
            emit({"about": about, "amount": found}, about, shown)
            if found is None:
                raise typer.Exit(1)

        return show

    with_record(job, rpc, chain_id)
