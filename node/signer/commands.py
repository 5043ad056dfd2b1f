"""`gridpact signer`: hold a validator's node key in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from node.genesis import load_genesis
from node.keys import load_key, public_node_key, read_passphrase
from node.log import configure
from node.output import emit
from node.parsing import ConfigError
from node.signer.config import SIGNER_CONFIG, SOCKET_NAME, load_signer_config, locked, render_signer_config

app = typer.Typer(help="Hold a validator's node key in a process of its own.", no_args_is_help=True)

ConfigFile = Annotated[Path, typer.Option(help="The signer.toml of a signer's folder.")]


@app.callback()
def root() -> None:
    """Hold a validator's node key in a process of its own.

    Exit status: 0 done, 1 it does not answer (`check`), 2 an error.
    """


@app.command()
def init(
    data: Annotated[Path, typer.Option(help="The signer's new folder.")],
    genesis: Annotated[Path, typer.Option(help="The genesis file of the chain that it signs for.")],
    key: Annotated[Path, typer.Option(help="The node key (an Ed25519 keystore); its place is written down.")],
    passphrase_file: Annotated[Path | None, typer.Option(help="File with the key's passphrase.")] = None,
    socket: Annotated[Path | None, typer.Option(help="The Unix socket; else one in the folder.")] = None,
    uid: Annotated[
        list[int] | None, typer.Option(help="A user whose processes may ask, beside the signer's own; repeatable.")
    ] = None,
    above: Annotated[
        int | None, typer.Option(help="Sign above this height only: for a key that has voted before.", min=0)
    ] = None,
) -> None:
    """Make a signer's folder: configuration, and an empty record of votes.

    With --above nothing is signed at or below a height: give it where the key has voted without this record, and take
    a height that the chain had not reached when it did so last.

    Example: gridpact signer init --data signer --genesis genesis.json --key node-key.json --passphrase-file secret
    """
    from node.operations.database import domain_of
    from node.signer.journal import SignerJournal

    if data.exists() and (not data.is_dir() or any(data.iterdir())):
        raise ConfigError(data, "", "a new or empty folder; something is there, perhaps a signer's record of votes")
    parsed, node_key = load_genesis(genesis), public_node_key(key)
    domain = domain_of(parsed)
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    text = render_signer_config(
        key=str(key.resolve()),
        passphrase_file=str(passphrase_file.resolve()) if passphrase_file else "",
        socket=str(socket.resolve()) if socket else SOCKET_NAME,
        domain=domain,
        uids=uid or [],
    )
    (data / SIGNER_CONFIG).write_text(text, encoding="utf-8")
    config = load_signer_config(data / SIGNER_CONFIG)
    journal = SignerJournal(config.votes, domain, node_key)
    try:
        if above is not None:
            journal.bar(above)
    finally:
        journal.close()
    shown = {"nodeKey": node_key, "chainId": domain.chain_id, "socket": config.socket}
    emit(
        shown | {"genesisHash": domain.genesis_hash},
        f"initialised {data}: signs with node key 0x{node_key.hex()} for chain {domain.chain_id}",
        f'in node.toml: [signer] socket = {json.dumps(str(config.socket))}, node_key = "0x{node_key.hex()}"',
    )


@app.command()
def run(config: ConfigFile = Path(SIGNER_CONFIG)) -> None:
    """Sign what the node asks for, until told to stop (SIGINT or SIGTERM).

    Example: gridpact signer run --config signer/signer.toml
    """
    from node.signer.journal import SignerJournal
    from node.signer.server import SignerServer

    settings = load_signer_config(config)
    if not settings.votes.exists():
        raise ConfigError(settings.votes, "", "the record of votes: `gridpact signer init --above` makes a new one")
    configure(level="info", form="json")
    with locked(settings.directory):
        seed = load_key(settings.key, read_passphrase(settings.passphrase_file))
        journal = SignerJournal(settings.votes, settings.domain, public_node_key(settings.key))
        try:
            asyncio.run(_serve(SignerServer(seed, settings.domain, journal, settings.uids).serve(settings.socket)))
        finally:
            journal.close()


async def _serve(serving: Any) -> None:
    task = asyncio.ensure_future(serving)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


@app.command()
def check(config: ConfigFile = Path(SIGNER_CONFIG)) -> None:
    """Ask a running signer whose key it holds; exit status 1 if it does not answer.

    Example: gridpact signer check --config signer/signer.toml
    """
    from node.driver.signer import SignerAway
    from node.signer.remote import greet

    settings = load_signer_config(config)
    try:
        hello = greet(settings.socket)
    except SignerAway as error:
        emit({"ok": False, "offence": error.reason}, str(error))
        raise typer.Exit(1) from None
    shown = {"nodeKey": "0x" + hello.node_key.hex(), "chainId": hello.chain_id, "reporter": "0x" + hello.reporter.hex()}
    emit(
        {"ok": True} | shown | {"genesisHash": hello.genesis_hash},
        f"signs with node key {shown['nodeKey']} for chain {hello.chain_id}; reports as {shown['reporter']}",
    )
