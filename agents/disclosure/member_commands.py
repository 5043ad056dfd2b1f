"""`gridpact audit disclose` and `gridpact audit verify-disclosure`: a member says of an action or a note whether it is
its own, proves it to who asked, and who asked checks it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from secrets import token_bytes
from typing import Annotated

import typer

from agents.consortium_input import ACCOUNT_BYTES, InputError, parse_data
from agents.disclosure.options import (
    DEFAULT_RPC,
    ChainId,
    Job,
    Out,
    Passphrase,
    Rpc,
    read_key,
    with_record,
    write_json,
)
from agents.disclosure.record import Record
from agents.disclosure.statements import (
    NotTrue,
    Statement,
    Subject,
    action_holds,
    load_statement,
    note_holds,
    note_place,
    parse_meta_address,
    state_action,
    state_note,
)
from agents.private.member import member_keys
from agents.reporting import emit
from agents.wallet.keys import VIEW_KEY_PREFIX
from contracts.bindings.privacy_registry import POINT_BYTES
from privacy.group import SCALAR_BYTES, Scalar
from privacy.secp256k1 import SECP256K1, Point

MAX_WINDOW = (1 << 64) - 1
VIEW_KEY_BYTES = SCALAR_BYTES + POINT_BYTES  # v, then S

disclose_app = typer.Typer(help="A member says of an action or a note whether it is its own.", no_args_is_help=True)
verify_app = typer.Typer(help="Check what a member says of an action or a note.", add_completion=False)


class Says(StrEnum):
    """What a member says of what it is asked about."""

    CONFIRM = "confirm"
    DENY = "deny"


Saying = Annotated[
    Says, typer.Argument(metavar="confirm|deny", help="What you say; nothing is written if it is not so.")
]
Challenge = Annotated[str, typer.Option("--challenge", help="The words of who asked: the proof is for them alone.")]


@disclose_app.callback()
def disclose_root() -> None:
    """A member says of an action or a note whether it is its own."""


@disclose_app.command("action")
def disclose_action(
    says: Saying,
    window: Annotated[int, typer.Option("--window", help="The window of the action.", min=0, max=MAX_WINDOW)],
    nullifier: Annotated[str, typer.Option("--nullifier", help="The action's nullifier D, 33 bytes in hexadecimal.")],
    challenge: Challenge,
    out: Out,
    key: Annotated[
        Path | None, typer.Option("--key", help="Your household's key file, if agents registered it.")
    ] = None,
    ring_key: Annotated[
        Path | None,
        typer.Option("--ring-key", help="Your ring key of that window in a keystore V3, if you keep it apart."),
    ] = None,
    passphrase_file: Passphrase = None,
    rpc: Rpc = DEFAULT_RPC,
    chain_id: ChainId = None,
) -> None:
    """Write the proof that a call without an account was yours, or was not.

    Example: gridpact audit disclose action deny --window 17 --nullifier 0x… --key household-key.json
    --challenge "the court, 3 May" --out statement.json
    """

    def job() -> Job:
        point = parse_data(nullifier, POINT_BYTES, "--nullifier")
        find = _ring_secret(key, ring_key, window, passphrase_file)

        async def state(record: Record) -> None:
            secret = await find(record)
            own = SECP256K1.point_to_bytes(SECP256K1.multiply_generator(secret))
            row = await record.row_of_key(own, window)
            place = record.chain_id, row.account, window, record.scope(window)
            _write(state_action(*place, point, secret, challenge, token_bytes(32)), says, out)

        return state

    with_record(job, rpc, chain_id)


@disclose_app.command("note")
def disclose_note(
    says: Saying,
    note: Annotated[int, typer.Option("--note", help="The index of the note.", min=0, max=MAX_WINDOW)],
    account: Annotated[str, typer.Option("--account", help="Your account.")],
    view_key: Annotated[Path, typer.Option("--view-key", help="What `gridpact wallet export-view-key` printed.")],
    challenge: Challenge,
    out: Out,
    rpc: Rpc = DEFAULT_RPC,
    chain_id: ChainId = None,
) -> None:
    """Write the proof that a note is yours, or is not. Who confirms a note tells its amount as well.

    Example: gridpact audit disclose note confirm --note 12 --account 0x… --view-key view-key
    --challenge "the court, 3 May" --out statement.json
    """

    def job() -> Job:
        own, viewing = parse_data(account, ACCOUNT_BYTES, "--account"), load_view_key(view_key)[0]

        async def state(record: Record) -> None:
            place = note_place(note, await record.note(note))
            registered = await record.registrations(own)
            public = SECP256K1.multiply_generator(viewing)
            keys = [parse_meta_address(each.keys) for each in registered]
            known = [each for each in keys if SECP256K1.equal(each.viewing, public)]
            if not known:
                raise NotTrue(f"account 0x{own.hex()} never registered this viewing key")
            said = state_note(record.chain_id, own, place, known[-1], viewing, challenge, token_bytes(32))
            _write(said, says, out)

        return state

    with_record(job, rpc, chain_id)


def _ring_secret(
    key: Path | None, ring_key: Path | None, window: int, passphrase_file: Path | None
) -> Callable[[Record], Awaitable[Scalar]]:
    """Open the key file, and return how the ring key of the window follows from it."""
    if key is None and ring_key is not None:
        apart = SECP256K1.scalar(int.from_bytes(read_key(ring_key, passphrase_file).to_bytes(), "big"))

        async def kept(_: Record) -> Scalar:
            return apart

        return kept
    if key is None or ring_key is not None:
        raise InputError("command line", "one of --key and --ring-key")
    household = read_key(key, passphrase_file)

    async def derived(record: Record) -> Scalar:
        registered, _ = await record.dealing(household.public_key.to_canonical_address(), window)
        return member_keys(household, record.chain_id, registered.from_window).ring

    return derived


def load_view_key(path: Path) -> tuple[Scalar, Point]:
    """Return the secret v and the key S of a view key's file.

    Raises:
        InputError: it cannot be read, or is none.
    """
    expected = f"what `gridpact wallet export-view-key` printed: {VIEW_KEY_PREFIX} and {2 * VIEW_KEY_BYTES} digits"
    try:
        text = path.read_text(encoding="ascii").strip()
        raw = bytes.fromhex(text.removeprefix(VIEW_KEY_PREFIX))
        if not text.startswith(VIEW_KEY_PREFIX) or len(raw) != VIEW_KEY_BYTES:
            raise InputError(str(path), expected)
        spending = SECP256K1.point_from_bytes_checked(raw[SCALAR_BYTES:])
        return SECP256K1.scalar_from_bytes_checked(raw[:SCALAR_BYTES]), spending
    except OSError as error:
        raise InputError(str(path), f"a readable file ({error.strerror})") from None
    except ValueError:
        raise InputError(str(path), expected) from None


def _write(statement: Statement, says: Says, out: Path) -> None:
    if statement.mine != (says is Says.CONFIRM):
        raise NotTrue(f"this {statement.subject} is {'' if statement.mine else 'not '}your own; nothing was written")
    write_json(out, statement.as_json())
    emit({"says": str(says), "file": out}, f"{says} in {out}")


@verify_app.command()
def verify_disclosure(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `gridpact audit disclose` wrote.")],
    challenge: Annotated[str, typer.Option("--challenge", help="The words that you gave the member.")],
    rpc: Rpc = DEFAULT_RPC,
    chain_id: ChainId = None,
) -> None:
    """Check a member's statement against the chain, and print what it proves; exit status 1 if it proves nothing.

    Example: gridpact audit verify-disclosure statement.json --challenge "the court, 3 May"
    """

    def job() -> Job:
        statement = load_statement(file)

        async def check(record: Record) -> None:
            flaw = ""
            if statement.chain_id != record.chain_id:
                flaw = f"it is for chain {statement.chain_id}, not {record.chain_id}"
            elif statement.challenge != challenge:
                flaw = f"it answers other words: {statement.challenge!r}"
            lines = [] if flaw else await _verdict(record, statement)
            if not lines:
                flaw = flaw or "the proof does not hold"
                emit({"ok": False, "offence": flaw}, f"disclosure: NOT VALID: {flaw}")
                raise typer.Exit(1)
            said = {"account": statement.account, "subject": str(statement.subject), "place": statement.place}
            emit({"ok": True} | said | {"mine": statement.mine, "proves": lines}, *lines)

        return check

    with_record(job, rpc, chain_id)


async def _verdict(record: Record, statement: Statement) -> list[str]:
    """Return what a statement proves; nothing if its proof does not hold."""
    who = f"member 0x{statement.account.hex()}"
    verb = "is" if statement.mine else "is not"
    if statement.subject is Subject.ACTION:
        row = await record.row(statement.account, statement.place)
        if not action_holds(statement, row.ring_key, record.scope(statement.place)):
            return []
        found = [each for each in await record.actions(statement.place) if each.nullifier == statement.point]
        where = f"transaction {found[0].transaction} in block {found[0].height}" if found else "no call has it"
        what = f"the action with nullifier 0x{statement.point.hex()} for window {statement.place}"
        return [f"disclosure: ok: {what} {verb} of {who}", where]
    place = note_place(statement.place, await record.note(statement.place))
    registered = await record.registrations(statement.account)
    held = [each for each in registered if note_holds(statement, place, parse_meta_address(each.keys))]
    if not held:
        return []
    lines = [
        f"disclosure: ok: note {statement.place} {verb} of {who}, by its address from window {held[-1].from_window}"
    ]
    others = sorted({each.keys[-66:] for each in registered} - {each.keys[-66:] for each in held})
    if others and not statement.mine:
        lines.append(f"it had {len(others)} other addresses: ask for those as well")
    return lines
