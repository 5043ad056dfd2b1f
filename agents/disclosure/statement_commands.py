"""`gridpact audit statement`: a household's bill from its wallet's view key, for whom the household gave it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from agents.chain import Chain
from agents.clock import Windows
from agents.consortium_input import InputError
from agents.disclosure.member_commands import load_view_key
from agents.disclosure.options import DEFAULT_RPC, ChainId, Job, Rpc, with_record
from agents.disclosure.received import NOTES, Kind, StatementLine, accounts_of, statement_lines
from agents.disclosure.record import Record
from agents.reporting import emit
from agents.wallet.keys import amount_text
from contracts.bindings import fiat_token
from contracts.system import PRIVACY_REGISTRY, PRIVATE_MARKET, SHIELDED_POOL

BLOCKS_AT_ONCE = 100

statement_app = typer.Typer(help="A household's bill, from its wallet's view key.", add_completion=False)


@statement_app.command()
def statement(
    view_key: Annotated[Path, typer.Option("--view-key", help="What `gridpact wallet export-view-key` printed.")],
    window: Annotated[str | None, typer.Option("--window", help="A..B: these windows alone; or one window.")] = None,
    rpc: Rpc = DEFAULT_RPC,
    chain_id: ChainId = None,
) -> None:
    """Print every note that came for a wallet, what its household deposited and withdrew, and what that adds up to.

    Which notes are spent a view key does not tell: what is held now is at most what came.

    Example: gridpact audit statement --view-key view-key --window 7..16
    """

    def job() -> Job:
        viewing, spending = load_view_key(view_key)
        asked = parse_windows(window)

        async def show(record: Record) -> None:
            chain = record.chain
            newest = await chain.height()
            events = await chain.events([PRIVACY_REGISTRY, PRIVATE_MARKET, SHIELDED_POOL], 0, newest)
            accounts = accounts_of(events, viewing, spending)
            found = statement_lines(events, viewing, spending, accounts)
            times = await _windows_of(chain, sorted({line.height for line in found if line.window is None}))
            found = [line.in_window(times.get(line.height)) for line in found]
            if asked is not None:
                found = [line for line in found if line.window is not None and line.window in asked]
            held = await chain.read_all([fiat_token.balance_of(account) for account in accounts])
            money = dict(zip((f"0x{account.hex()}" for account in accounts), held, strict=True))
            emit(_as_json(newest, money, found), *_lines(newest, money, found))

        return show

    with_record(job, rpc, chain_id)


def parse_windows(text: str | None) -> range | None:
    """Return the windows of A..B, or of one; None for all.

    Raises:
        InputError: it is neither.
    """
    if text is None:
        return None
    first, dots, last = text.partition("..")
    last = last if dots else first
    if not all(each.isascii() and each.isdecimal() and len(each) < 19 for each in (first, last)):
        raise InputError("--window", f"A..B, two windows, or one; found {text!r}")
    if int(first) > int(last):
        raise InputError("--window", f"A..B with A at most B; found {text!r}")
    return range(int(first), int(last) + 1)


async def _windows_of(chain: Chain, heights: list[int]) -> dict[int, int | None]:
    """Return in which window each of these blocks is; None before window 0."""
    (genesis,) = await chain.batch([("grid_genesis", [])])
    windows, found = Windows(**genesis["schedule"]), dict[int, int | None]()
    for at in range(0, len(heights), BLOCKS_AT_ONCE):
        part = heights[at : at + BLOCKS_AT_ONCE]
        blocks = await chain.batch([("eth_getBlockByNumber", [hex(height), False]) for height in part])
        for height, block in zip(part, blocks, strict=True):
            window = windows.window_at(int(block["timestamp"], 16))
            found[height] = window if window >= 0 else None
    return found


def _sums(found: list[StatementLine]) -> dict[str, int]:
    return {
        "deposited": sum(line.microeur for line in found if line.kind is Kind.DEPOSITED),
        "withdrawn": sum(line.microeur for line in found if line.kind is Kind.WITHDRAWN),
        "notes": sum(line.microeur for line in found if line.kind in NOTES),
        "settlements": sum(line.microeur for line in found if line.kind is Kind.NOTE_OF_SETTLEMENT),
    }


def _as_json(height: int, money: dict[str, int], found: list[StatementLine]) -> dict[str, Any]:
    sums = {f"{name}_microeur": amount for name, amount in _sums(found).items()}
    rows = [line.as_json() for line in found]
    return {"height": height, "accounts": money, "lines": rows, **sums}


def _lines(height: int, money: dict[str, int], found: list[StatementLine]) -> list[str]:
    shown = [f"{'height':>9}  {'window':>6}  {'euro':>18}  what"]
    for line in found:
        window = "" if line.window is None else str(line.window)
        note = "" if line.note is None else f" ({line.note})"
        shown.append(f"{line.height:>9}  {window:>6}  {amount_text(line.microeur):>18}  {line.kind.value}{note}")
    if not found:
        shown = ["nothing came for this wallet"]
    sums = _sums(found)
    shown += [f"account {account}: {amount_text(amount)} at height {height}" for account, amount in money.items()]
    if not money:
        shown.append("no member registered this wallet: deposits and withdrawals are not known")
    shown.append(f"deposited {amount_text(sums['deposited'])}, withdrawn {amount_text(sums['withdrawn'])}")
    shown.append(
        f"notes {amount_text(sums['notes'])}, of which settlements {amount_text(sums['settlements'])}; "
        "which of them are spent, a view key does not tell"
    )
    return shown
