"""Commands that keep a node from being lost: backup, restore."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from node.config import CONFIG_NAME, load_config
from node.output import emit
from node.parsing import ConfigError


def register(app: typer.Typer) -> None:
    """Add the commands to `gridpact node`."""
    app.command(name="backup")(backup_command)
    app.command(name="restore")(restore_command)


def backup_command(
    out: Annotated[Path, typer.Option(help="The new folder for the copy.")],
    config: Annotated[Path, typer.Option(help="The node.toml of a data directory; its node may be running.")] = Path(
        CONFIG_NAME
    ),
    with_key: Annotated[
        bool, typer.Option("--with-key", help="Copy the node key's file too, encrypted as it is; never its passphrase.")
    ] = False,
) -> None:
    """Copy a data directory's database, genesis file and configuration, with the restore marker and a manifest.

    The copy is read back, value by value, before it gets its name; nothing half done stays.

    Example: gridpact node backup --config house/node.toml --out backups/monday
    """
    from node.operations.backup import back_up
    from node.operations.progress import progress_bar

    with progress_bar("backup") as advance:
        manifest = back_up(load_config(config), out, with_key=with_key, advance=advance)
    emit(
        manifest.as_json(),
        f"backup of height {manifest.height} in {out}, marked as restored; "
        f"{manifest.size} bytes, read back and checked; {_of_key(with_key)}",
    )


def _of_key(with_key: bool) -> str:
    return "the node key's file is in it: guard it" if with_key else "the node key is not in it"


def restore_command(
    config: Annotated[Path, typer.Option(help="The node.toml of a data directory.")] = Path(CONFIG_NAME),
    from_: Annotated[
        Path | None, typer.Option("--from", help="A backup to make a data directory of; needs --data.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="With --from: the new data directory.")] = None,
) -> None:
    """Put a backup back with --from; else say that older data were put back, or that the write-ahead log is lost.

    Either way a marker is set in the data directory, whose node must not be running. While the marker is there the node
    follows and serves, but does not vote: it asks the others what they hold under its key and how far they are, and
    votes above that alone; then it removes the marker. A damaged log is moved aside, never deleted.

    Example: gridpact node restore --from backups/monday --data house
    """
    if (from_ is None) != (data is None):
        raise ConfigError("command line", "--from and --data", "both, or neither")
    if from_ is not None and data is not None:
        _put_back(from_, data)
        return
    from node.restore import restore

    settings = load_config(config)
    found = restore(settings)
    lines = [f"{settings.directory}: marked as restored, at height {found.head}", *_how_to_go_on(config)]
    if found.set_aside is not None:
        lines.insert(0, f"{found.reason}: the log is now {found.set_aside}")
    emit({"data": settings.directory, "height": found.head, "set_aside": found.set_aside}, *lines)


def _put_back(backup: Path, data: Path) -> None:
    from node.operations.backup import put_back
    from node.operations.progress import progress_bar
    from node.storage.tables import SCHEMA_VERSION

    with progress_bar("restore") as advance:
        manifest = put_back(backup, data, advance=advance)
    config = load_config(data / CONFIG_NAME)
    old = int(manifest.versions["storage"]) < SCHEMA_VERSION
    has_key = not isinstance(config.key, Path) or config.key.exists()  # else a signer holds it
    lines = [f"restored {data} from {backup}: height {manifest.height}, block {manifest.block_hash}"]
    if not has_key:
        lines.append(f"the node key is not in the backup: put it at {config.key}, or name its place in node.toml")
    if old:
        lines.append(f"an earlier gridpact made it: gridpact node migrate --data {data}")
    shown = {"data": data, "height": manifest.height, "hash": manifest.block_hash}
    emit(shown | {"key": has_key, "migrate": old}, *lines, *_how_to_go_on(data / CONFIG_NAME))


def _how_to_go_on(config: Path) -> list[str]:
    return [
        "the node abstains until it knows from the others what it voted before; then it removes the marker itself",
        f"to go on: gridpact node run --config {config}",
    ]
