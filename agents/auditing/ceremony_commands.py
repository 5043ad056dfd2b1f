"""`gridpact auditor create|deal|join|section|announce`: auditors come to their keys, each on its own machine."""

from __future__ import annotations

import json
from pathlib import Path
from secrets import token_bytes
from typing import Annotated

import typer
from eth_keys.datatypes import PrivateKey

from agents.auditing.ceremony import (
    Card,
    auditor_set,
    card_to_json,
    deal_to,
    dealing_to_json,
    genesis_section,
    own_share,
    read_card,
    read_dealing,
)
from agents.chain import Call
from agents.disclosure.options import (
    DEFAULT_RPC,
    WAIT_S,
    ChainId,
    Job,
    Key,
    Out,
    Passphrase,
    Rpc,
    Wait,
    read_key,
    with_record,
    write_json,
)
from agents.disclosure.record import Record
from agents.keys import create_key, read_passphrase
from agents.reporting import emit, guarded
from contracts.bindings import privacy_registry
from contracts.system import PRIVACY_REGISTRY
from privacy.boxes import box_key as box_key_of
from privacy.secp256k1 import SECP256K1

ACCOUNT_KEY, BOX_KEY, CARD, SHARE = "auditor-key.json", "box-key.json", "card.json", "share.json"
BOX_GAS = 200_000
Dealings = Annotated[list[Path], typer.Argument(metavar="DEALING…", help="What every auditor dealt.")]
Folder = Annotated[Path, typer.Option("--directory", help="The auditor's folder.")]


def create(directory: Folder, passphrase_file: Passphrase = None) -> None:
    """Make an auditor's keys, and the card that the other auditors need.

    Example: gridpact auditor create --directory auditor
    """

    def use_case() -> None:
        passphrase = read_passphrase(passphrase_file)
        directory.mkdir(parents=True, exist_ok=True)
        account = create_key(directory / ACCOUNT_KEY, passphrase)
        secret = token_bytes(32)
        create_key(directory / BOX_KEY, passphrase, private_key=secret)
        write_json(directory / CARD, card_to_json(Card(account, box_key_of(secret))))
        card = directory / CARD
        emit({"account": account, "card": card}, f"account 0x{account.hex()}; give {card} to the other auditors")

    guarded(use_case)


def deal(
    cards: Annotated[list[Path], typer.Argument(metavar="CARD…", help="The cards of all auditors, your own too.")],
    key: Key,
    chain_id: Annotated[int, typer.Option("--chain-id", help="Of the chain.", min=1)],
    from_window: Annotated[int, typer.Option("--from-window", help="Their first; 0 in a genesis file.", min=0)],
    threshold: Annotated[int, typer.Option("--threshold", help="How many open a thing together.", min=2)],
    out: Out,
    passphrase_file: Passphrase = None,
) -> None:
    """Deal shares to all auditors; the file is for everybody to see.

    Example: gridpact auditor deal card-1.json card-2.json card-3.json --key auditor-key.json --chain-id 20160621
    --from-window 90 --threshold 2 --out dealing-1.json
    """

    def use_case() -> None:
        account = read_key(key, passphrase_file).public_key.to_canonical_address()
        secret = SECP256K1.scalar_from_bytes_wide(token_bytes(64))
        known = [read_card(path) for path in cards]
        made = deal_to(
            known,
            account,
            secret,
            token_bytes(32),
            chain_id=chain_id,
            from_window=from_window,
            threshold=threshold,
        )
        write_json(out, dealing_to_json(made))
        emit(
            {"file": out, "auditors": len(known), "threshold": threshold, "from_window": from_window},
            f"dealt to {len(known)} auditors, {threshold} of whom open together from window {from_window} on",
        )

    guarded(use_case)


def join(dealings: Dealings, directory: Folder, passphrase_file: Passphrase = None) -> None:
    """Check what everybody dealt, and keep this auditor's share.

    Example: gridpact auditor join dealing-1.json dealing-2.json dealing-3.json --directory auditor
    """

    def use_case() -> None:
        passphrase = read_passphrase(passphrase_file)
        account = read_key(directory / ACCOUNT_KEY, passphrase_file).public_key.to_canonical_address()
        box_secret = read_key(directory / BOX_KEY, passphrase_file).to_bytes()
        share = own_share([read_dealing(path) for path in dealings], account, box_secret)
        create_key(directory / SHARE, passphrase, private_key=SECP256K1.scalar_to_bytes(share))
        file = directory / SHARE
        emit({"auditor": account, "file": file}, f"share of auditor 0x{account.hex()}: {file}")

    guarded(use_case)


def section(dealings: Dealings) -> None:
    """Check what everybody dealt, and print what a genesis file says of these auditors (add the feeder's meter).

    Example: gridpact auditor section dealing-1.json dealing-2.json dealing-3.json
    """

    def use_case() -> None:
        found = [read_dealing(path) for path in dealings]
        made = auditor_set(found)
        said = genesis_section(found)
        emit(said, json.dumps(said, indent=2))
        typer.echo(f"{made.threshold} of {len(made.auditors)} auditors, from window {made.from_window} on", err=True)

    guarded(use_case)


def announce(
    box_key: Annotated[Path, typer.Option("--box-key", help="The auditor's key for boxes.")],
    key: Key,
    passphrase_file: Passphrase = None,
    rpc: Rpc = DEFAULT_RPC,
    chain_id: ChainId = None,
    wait: Wait = WAIT_S,
) -> None:
    """Put an appointed auditor's box key on the chain: members seal the shares of their trace keys to it.

    Example: gridpact auditor announce --box-key auditor/box-key.json --key auditor/auditor-key.json
    """

    def job() -> Job:
        public = box_key_of(read_key(box_key, passphrase_file).to_bytes())

        async def send(record: Record) -> None:
            call = Call(PRIVACY_REGISTRY, privacy_registry.set_box_key(public), BOX_GAS, "announce a box key")
            receipt = await record.transact(call)
            shown = f"{receipt.what}: height {receipt.height}, {receipt.transaction}"
            emit({"height": receipt.height, "transaction": receipt.transaction}, shown)

        return send

    def opened() -> PrivateKey:
        return read_key(key, passphrase_file)

    with_record(job, rpc, chain_id, key=opened, wait_s=wait)


def add_to(app: typer.Typer) -> None:
    """Add these commands to `gridpact auditor`."""
    for command in (create, deal, join, section, announce):
        app.command()(command)
