"""`gridpact node`: make a data directory, and run the validator in it."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from node.client.target import TokenOption
from node.config import (
    CONFIG_NAME,
    DATABASE_NAME,
    DEFAULT_SNAPSHOT_HEIGHTS,
    MANIFEST_NAME,
    SignerAddress,
    load_config,
    render_config,
)
from node.genesis import Genesis, load_genesis, parse_genesis
from node.keys import NODE_KIND, new_seed, public_node_key, read_passphrase, save_key
from node.log import configure
from node.operations import backup_commands, chain_commands, data_commands, log_commands, look_commands
from node.operations.progress import progress_bar
from node.output import emit
from node.parsing import ConfigError, parse_endpoint

app = typer.Typer(help="Make a validator's data directory, and run it.", no_args_is_help=True)
backup_commands.register(app)
chain_commands.register(app)
data_commands.register(app)
look_commands.register(app)
log_commands.register(app)


@app.callback()
def root() -> None:
    """Make a validator's data directory, and run it."""


@app.command()
def init(
    data: Annotated[Path, typer.Option(help="The new data directory.")],
    genesis: Annotated[Path, typer.Option(help="The consortium's genesis file; it is copied.")],
    key: Annotated[Path | None, typer.Option(help="This validator's node key (an Ed25519 keystore).")] = None,
    signer: Annotated[
        Path | None, typer.Option(help="The socket of the running signer that holds the node key, in place of --key.")
    ] = None,
    passphrase_file: Annotated[Path | None, typer.Option(help="File with the key's passphrase.")] = None,
    p2p: Annotated[str, typer.Option(help="Where to listen for validators, HOST:PORT.")] = "127.0.0.1:30300",
    rpc: Annotated[str, typer.Option(help="Where to serve JSON-RPC, HOST:PORT.")] = "127.0.0.1:8545",
    join: Annotated[
        list[str] | None, typer.Option(help="A member's RPC, http://HOST:PORT, to begin from; may be repeated.")
    ] = None,
    parent: Annotated[
        Path | None, typer.Option(help="A data directory of the chain that the genesis file continues.")
    ] = None,
    follow: Annotated[
        list[str] | None, typer.Option(help="A member's RPC to follow while this is no validator; may be repeated.")
    ] = None,
    snapshot_every: Annotated[
        int, typer.Option(help="Write a snapshot for newcomers every so many heights; 0: never.", min=0, max=2**31 - 1)
    ] = DEFAULT_SNAPSHOT_HEIGHTS,
) -> None:
    """Make a data directory: configuration, genesis block, empty log.

    With --join the chain is not executed from block 0: a member's newest snapshot is fetched and verified from the
    genesis file on, and the node will follow that member. When it is killed in between, the same command goes on.
    With --signer the node key is in another process (`gridpact signer`).
    With --parent block 0 takes over what the chain left that the genesis file continues.

    Example: gridpact node init --data house --genesis genesis.json --key node-key.json --passphrase-file secret
    """
    from node.creation import create_database

    urls, followed = _urls("--join", join or []), _urls("--follow", follow or [])
    for name, endpoint in (("--p2p", p2p), ("--rpc", rpc)):
        parse_endpoint(endpoint, lambda expected, name=name: ConfigError("command line", name, expected))  # type: ignore[misc]
    held = _held(key, signer)
    if parent is not None and (urls or load_genesis(genesis).continues is None):
        raise ConfigError("command line", "--parent", "a genesis file that continues a chain, and no --join")
    if data.exists() and (not data.is_dir() or any(data.iterdir())):
        raise ConfigError(
            data, "", "a new or empty folder; something is there, perhaps a node that has been initialised"
        )
    parsed = load_genesis(genesis)
    text = render_config(
        genesis="genesis.json",
        key=str(held) if isinstance(held, Path) else held,
        passphrase_file=str(passphrase_file.resolve()) if passphrase_file else "",
        p2p_listen=p2p,
        rpc_listen=rpc,
        sync_urls=[*urls, *followed],
        snapshot_every_heights=snapshot_every,
    )
    data.parent.mkdir(parents=True, exist_ok=True)
    if urls and _join(data, genesis, parsed, held, text, urls):
        return
    with tempfile.TemporaryDirectory(dir=data.parent, prefix=f".{data.name}-") as draft:
        folder = Path(draft) / "node"
        head = create_database(folder / DATABASE_NAME, parsed, parent)
        _complete(folder, data, genesis, text)
    emit(
        {"data": data, "chain_id": parsed.chain_id, "height": 0, "hash": head, "joined": False},
        f"initialised {data}: chain {parsed.chain_id}, genesis block 0x{head.hex()}",
    )


def _held(key: Path | None, signer: Path | None) -> Path | SignerAddress:
    from node.signer.remote import greet

    if key is not None and signer is None:
        return key.resolve()
    if signer is not None and key is None:
        return SignerAddress(signer.resolve(), greet(signer).node_key)
    raise ConfigError("command line", "--key", "the node key's file, or --signer and its socket")


def _urls(option: str, urls: list[str]) -> list[str]:
    for url in urls:
        if not url.startswith(("http://", "https://")):
            raise ConfigError("command line", option, f"http://HOST:PORT, found {url!r}")
    return [url.rstrip("/") for url in urls]


def _join(
    data: Path, genesis_file: Path, genesis: Genesis, held: Path | SignerAddress, config: str, urls: list[str]
) -> bool:
    """Make the data directory from a snapshot; False if nobody has one yet."""
    from node.restore import mark_if_seated
    from node.snapshot.join import fetch_database
    from node.snapshot.verify import origin_of

    folder = data.parent / f".{data.name}.joining"
    with progress_bar("chunks") as advance:
        say = partial(typer.echo, err=True)
        joined = fetch_database(folder, origin_of(genesis), urls, say, advance=advance)
    if joined is None:
        shutil.rmtree(folder)
        typer.echo("no snapshot there yet: beginning with block 0", err=True)
        return False
    node_key = public_node_key(held) if isinstance(held, Path) else held.node_key
    seated = mark_if_seated(folder, genesis, node_key)
    _complete(folder, data, genesis_file, config)
    lines = [
        f"joined {data}: chain {genesis.chain_id} at height {joined.height}, block 0x{joined.block_hash.hex()}, "
        f"verified from the genesis file over {joined.epoch_changes} changes of the validators"
    ]
    if seated:
        lines.append("its key has a seat: the node abstains until it knows from the others what it voted before")
    shown = {"data": data, "chain_id": genesis.chain_id, "height": joined.height, "hash": joined.block_hash}
    emit(shown | {"joined": True, "epoch_changes": joined.epoch_changes, "marked": seated}, *lines)
    return True


def _complete(folder: Path, data: Path, genesis: Path, config: str) -> None:
    """Put what else belongs there beside a new database, and give the folder its name: whole or not at all."""
    (folder / "genesis.json").write_bytes(genesis.read_bytes())
    (folder / CONFIG_NAME).write_text(config, encoding="utf-8")
    load_config(folder / CONFIG_NAME)
    folder.replace(data)
    (data / MANIFEST_NAME).unlink(missing_ok=True)


@app.command()
def key(
    out: Annotated[Path, typer.Option(help="The new key file; it must not exist.")],
    passphrase_file: Annotated[Path | None, typer.Option(help="File with the passphrase that encrypts it.")] = None,
) -> None:
    """Make a validator's node key, as `gridpact keys new` does.

    It prints the public half that a genesis file names, and the account that the node reports with.

    Example: gridpact node key --out node-key.json --passphrase-file secret
    """
    from node.key_commands import show_secret, tell

    seed = new_seed()
    save_key(out, seed, read_passphrase(passphrase_file))
    tell(show_secret(out, seed, NODE_KIND))


@app.command()
def ready(
    config: Annotated[Path, typer.Option(help="The node.toml of a data directory.")] = Path(CONFIG_NAME),
    rpc: Annotated[str | None, typer.Option(help="The node to ask for the newest block; else its own.")] = None,
    key: Annotated[Path | None, typer.Option(help="A new node key, to take the place of the node's own.")] = None,
    passphrase_file: Annotated[Path | None, typer.Option(help="File with the passphrase of --key.")] = None,
    token_file: TokenOption = None,
) -> None:
    """Sign the newest block with the node key, so that a member can show the consortium that this node is ready.

    Example: gridpact node ready --config house/node.toml
    """
    from contracts.readiness import MAX_AGE_BLOCKS
    from node.readiness import show_readiness

    shown = show_readiness(load_config(config), rpc, key=key, passphrase_file=passphrase_file, token_file=token_file)
    emit({"token": shown.token, "good_until": shown.height + MAX_AGE_BLOCKS}, shown.token)
    typer.echo(f"good until height {shown.height + MAX_AGE_BLOCKS}: hand it to a member before", err=True)


@app.command(name="continue")
def continue_chain(
    data: Annotated[Path, typer.Option(help="A data directory of the chain that cannot go on.")],
    keep: Annotated[list[str], typer.Option(help="A member that survives, by name or account; repeat it for each.")],
    out: Annotated[Path, typer.Option(help="The new genesis file.")],
    height: Annotated[int | None, typer.Option(help="The last height to take over; else the newest.", min=0)] = None,
    chain_id: Annotated[int | None, typer.Option(help="The new chain's id; else the old one plus 1.", min=1)] = None,
) -> None:
    """Make the genesis file of a chain that goes on without members who are lost for ever: more than f of them.

    Whoever holds the old data makes the same file from the same words, so compare its hash with the others'. Take over
    the highest height that a survivor holds. Then everybody makes a new data directory of it, with --parent.

    Example: gridpact node continue --data house --keep ann --keep bob --out continued.json
    """
    from node.continuation import choose, continuation_content, read_legacy

    if out.exists():
        raise ConfigError(out, "", "a new file")
    legacy = read_legacy(data, height)
    new_id = legacy.genesis.chain_id + 1 if chain_id is None else chain_id
    survivors = choose(legacy.members, keep)
    content = continuation_content(legacy, survivors, new_id)
    parsed = parse_genesis(content, out)
    out.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    emit(
        {
            "file": out,
            "file_hash": parsed.file_hash,
            "chain_id": new_id,
            "parent_chain_id": legacy.genesis.chain_id,
            "height": legacy.header.number,
            "hash": legacy.header.hash,
            "members": len(survivors),
            "parent_members": len(legacy.members),
        },
        f"chain {new_id} continues chain {legacy.genesis.chain_id} from height {legacy.header.number}, "
        f"block 0x{legacy.header.hash.hex()}, with {len(survivors)} of {len(legacy.members)} members",
        f"{out}: hash 0x{parsed.file_hash.hex()}, the same for everybody; then, for each of them:",
        f"  gridpact node init --data NEW --genesis {out} --parent {data} --key …",
    )


@app.command()
def run(
    config: Annotated[Path, typer.Option(help="The node.toml of a data directory.")] = Path(CONFIG_NAME),
) -> None:
    """Run the validator until it is told to stop (SIGINT or SIGTERM).

    Example: gridpact node run --config house/node.toml
    """
    from node.service import serve

    settings = load_config(config)
    configure(level=settings.log_level, form=settings.log_format, levels=settings.log_levels)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings))
