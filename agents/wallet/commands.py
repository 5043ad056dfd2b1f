"""`gridpact wallet`: hidden money of a household; it signs here and tells its node nothing but what it sends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from agents.chain import Chain
from agents.client import WAIT_S
from agents.keys import load_key, read_passphrase
from agents.reporting import emit, guarded
from agents.wallet.client import PATIENCE_S, Served, WalletClient, connected, served_chain
from agents.wallet.keys import InvalidInput, address_text, amount_text, new_words, parse_address, parse_amount, seed_of
from agents.wallet.store import (
    WalletFile,
    create_wallet_file,
    locked,
    open_wallet_file,
    read_content,
    refuse_to_overwrite,
)

ACCOUNT_DIGITS = 40

app = typer.Typer(help="Hidden money: notes that belong to one-time keys.", no_args_is_help=True)

WalletOption = Annotated[Path, typer.Option("--wallet", help="The wallet's file.")]
Passphrase = Annotated[
    Path | None, typer.Option("--passphrase-file", help="File with the wallet's passphrase; else GRIDPACT_PASSPHRASE.")
]
Rpc = Annotated[str, typer.Option("--rpc", help="The household's own node.")]
Wait = Annotated[float, typer.Option("--wait", help="Seconds to wait for the block.", min=1, max=3_600)]
Amount = Annotated[str, typer.Argument(metavar="EURO", help="For example 12.50.")]
Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="What `gridpact wallet address` printed.")]
FromHeight = Annotated[int, typer.Option("--from-height", help="Nothing came before this height.", min=0)]
DEFAULT_RPC = "http://127.0.0.1:8545"


@app.callback()
def root() -> None:
    """Hidden money: notes that belong to one-time keys."""


@app.command()
def create(wallet: WalletOption, passphrase_file: Passphrase = None, rpc: Rpc = DEFAULT_RPC) -> None:
    """Make a new wallet and show its 24 words, once: whoever has them has its money.

    Example: gridpact wallet create --wallet wallet.json --passphrase-file passphrase
    """

    def make() -> None:
        words = new_words()
        file = _new_file(wallet, passphrase_file, words, rpc, from_height=None)
        lines = ["write these words down; they are not shown again:", ""]
        rows = words.split()
        lines += ["    " + " ".join(rows[first : first + 6]) for first in range(0, len(rows), 6)]
        shown = address_text(file.wallet.keys.address)
        emit({"words": words, "address": shown}, *lines, "", shown)

    guarded(make)


@app.command()
def restore(
    wallet: WalletOption,
    passphrase_file: Passphrase = None,
    from_height: FromHeight = 0,
    rpc: Rpc = DEFAULT_RPC,
) -> None:
    """Make a wallet's file anew from its 24 words, which are read from standard input.

    Example: gridpact wallet restore --wallet wallet.json --passphrase-file passphrase < words
    """

    def make() -> None:
        words = typer.get_text_stream("stdin").read()
        file = _new_file(wallet, passphrase_file, words, rpc, from_height=from_height)
        shown = address_text(file.wallet.keys.address)
        emit({"address": shown}, shown)

    guarded(make)


@app.command()
def address(wallet: WalletOption, passphrase_file: Passphrase = None) -> None:
    """Print the address to give to whoever pays; two payments to it cannot be told to be to one recipient.

    Example: gridpact wallet address --wallet wallet.json --passphrase-file passphrase
    """

    def show() -> None:
        shown = address_text(_open(wallet, passphrase_file).wallet.keys.address)
        emit({"address": shown}, shown)

    guarded(show)


@app.command("export-view-key")
def export_view_key(wallet: WalletOption, passphrase_file: Passphrase = None) -> None:
    """Print what finds and opens all notes of the wallet, past and to come, and spends none.

    Example: gridpact wallet export-view-key --wallet wallet.json --passphrase-file passphrase
    """

    def show() -> None:
        shown = _open(wallet, passphrase_file).wallet.keys.view_key
        emit({"view_key": shown}, shown)

    guarded(show)


@app.command()
def scan(wallet: WalletOption, passphrase_file: Passphrase = None, rpc: Rpc = DEFAULT_RPC) -> None:
    """Look through the new blocks for notes of the wallet.

    Example: gridpact wallet scan --wallet wallet.json --passphrase-file passphrase
    """

    async def look(client: WalletClient) -> None:
        found = await _scanned(client)
        height = client.wallet.height
        emit({"new_notes": found, "height": height}, f"{found} new notes; known up to height {height}")

    _with(wallet, passphrase_file, rpc, WAIT_S, look)


@app.command()
def balance(wallet: WalletOption, passphrase_file: Passphrase = None, rpc: Rpc = DEFAULT_RPC) -> None:
    """Print what the wallet holds, and how much of it can be spent now.

    Example: gridpact wallet balance --wallet wallet.json --passphrase-file passphrase
    """

    async def show(client: WalletClient) -> None:
        await _scanned(client)
        held, spendable = client.wallet.balance, sum(note.amount for note in client.wallet.spendable())
        shown = {"balance_microeur": held, "spendable_microeur": spendable, "height": client.wallet.height}
        emit(shown, f"balance    {amount_text(held)}", f"spendable  {amount_text(spendable)}")

    _with(wallet, passphrase_file, rpc, WAIT_S, show)


@app.command()
def history(wallet: WalletOption, passphrase_file: Passphrase = None, rpc: Rpc = DEFAULT_RPC) -> None:
    """Print what came and went. What it was for is known to this file alone, and not after `restore`.

    Example: gridpact wallet history --wallet wallet.json --passphrase-file passphrase
    """

    async def show(client: WalletClient) -> None:
        await _scanned(client)
        entries = client.wallet.history
        lines = [f"{each.height:>9}  {amount_text(each.amount):>20}  {each.what}" for each in entries]
        rows = [{"height": each.height, "amount_microeur": each.amount, "what": each.what} for each in entries]
        emit({"history": rows}, *(lines or ["nothing yet"]))

    _with(wallet, passphrase_file, rpc, WAIT_S, show)


@app.command()
def shield(
    amount: Amount,
    wallet: WalletOption,
    key: Annotated[Path, typer.Option("--key", help="The household's key file, whose money it is.")],
    passphrase_file: Passphrase = None,
    key_passphrase_file: Annotated[
        Path | None, typer.Option("--key-passphrase-file", help="File with the key's passphrase; else the wallet's.")
    ] = None,
    rpc: Rpc = DEFAULT_RPC,
    wait: Wait = WAIT_S,
) -> None:
    """Turn money of the household into notes. Everybody sees who did, and how much; nobody sees what becomes of it.

    Example: gridpact wallet shield 50 --wallet wallet.json --key household-key.json --passphrase-file passphrase
    """

    async def act(client: WalletClient) -> None:
        microeur = parse_amount(amount)
        account_key = load_key(key, read_passphrase(key_passphrase_file or passphrase_file))
        await _scanned(client)
        height = await client.shield(account_key, microeur)
        shown = f"shielded {amount_text(microeur)} in block {height}"
        emit({"amount_microeur": microeur, "height": height}, shown)

    _with(wallet, passphrase_file, rpc, wait, act)


@app.command()
def pay(
    recipient: Address,
    amount: Amount,
    wallet: WalletOption,
    passphrase_file: Passphrase = None,
    rpc: Rpc = DEFAULT_RPC,
    wait: Wait = WAIT_S,
) -> None:
    """Pay an address. Nobody sees who pays whom, or how much; the own node sees that it was asked to send.

    Example: gridpact wallet pay st:gridpact:0x… 12.50 --wallet wallet.json --passphrase-file passphrase
    """

    async def act(client: WalletClient) -> None:
        to, microeur = parse_address(recipient), parse_amount(amount)
        await _scanned(client)
        height = await client.pay(to, microeur)
        emit({"amount_microeur": microeur, "height": height}, f"paid {amount_text(microeur)} in block {height}")

    _with(wallet, passphrase_file, rpc, wait, act)


@app.command()
def unshield(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="Who gets it: 0x and 40 hexadecimal digits.")],
    amount: Amount,
    wallet: WalletOption,
    passphrase_file: Passphrase = None,
    rpc: Rpc = DEFAULT_RPC,
    wait: Wait = WAIT_S,
) -> None:
    """Turn notes into money of an account. Everybody sees whose, and how much; nobody sees which notes it was.

    Example: gridpact wallet unshield 0x… 12.50 --wallet wallet.json --passphrase-file passphrase
    """

    async def act(client: WalletClient) -> None:
        to, microeur = _account(account), parse_amount(amount)
        await _scanned(client)
        height = await client.unshield(to, microeur)
        emit({"amount_microeur": microeur, "height": height}, f"unshielded {amount_text(microeur)} in block {height}")

    _with(wallet, passphrase_file, rpc, wait, act)


def _with(
    path: Path, passphrase_file: Path | None, rpc: str, wait_s: float, act: Callable[[WalletClient], Awaitable[None]]
) -> None:
    """Do something with a wallet and a node, while no other command uses the wallet."""

    async def connected_act(file: WalletFile) -> None:
        async with connected(rpc, file, wait_s) as client:
            await act(client)

    def locked_act() -> None:
        read_content(path)  # no lock is left beside what is no wallet
        with locked(path):
            asyncio.run(connected_act(_open(path, passphrase_file)))

    guarded(locked_act)


def _open(path: Path, passphrase_file: Path | None) -> WalletFile:
    return open_wallet_file(path, read_passphrase(passphrase_file))


def _new_file(path: Path, passphrase_file: Path | None, words: str, rpc: str, *, from_height: int | None) -> WalletFile:
    """Write a wallet's file; one that is new begins at the newest height."""

    async def look() -> Served:
        chain = Chain(rpc, patience_s=PATIENCE_S)
        try:
            return await served_chain(chain)
        finally:
            await chain.close()

    seed, passphrase = seed_of(words), read_passphrase(passphrase_file)
    refuse_to_overwrite(path)
    with locked(path):
        found = asyncio.run(look())
        height = found.height if from_height is None else from_height - 1
        return create_wallet_file(path, passphrase, seed, chain_id=found.chain_id, genesis=found.genesis, height=height)


async def _scanned(client: WalletClient) -> int:
    """Look through the new blocks; on a terminal, with a bar."""
    with _bar() as show:
        return await client.scan(show)


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("blocks", total=None)
        yield lambda done, all_: progress.update(task, completed=done, total=all_)


def _account(text: str) -> bytes:
    digits = text.removeprefix("0x")
    try:
        raw = bytes.fromhex(digits)
    except ValueError:
        raw = b""
    if len(digits) != ACCOUNT_DIGITS or digits == text or not any(raw):
        raise InvalidInput("account", text, f"0x and {ACCOUNT_DIGITS} hexadecimal digits")
    return raw
