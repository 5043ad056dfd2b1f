"""Commands on a data directory whose node does not run: migrate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from node.config import CONFIG_NAME, DATABASE_NAME, load_config

GIB = 1 << 30
DataOption = Annotated[Path, typer.Option(help="The node's data directory; the node must not be running.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `gridpact node`."""
    app.command(name="migrate")(migrate_command)


def migrate_command(data: DataOption, json_: JsonOption = False) -> None:
    """Bring the database of an earlier gridpact to this one's format; earlier ones cannot open it afterwards.

    Back it up before. When it is interrupted, the same command goes on. Exit status 0 if all is done, or was already.

    Example: gridpact node migrate --data house
    """
    from node.operations.progress import progress_bar
    from node.storage.migrate import Migration

    migration = Migration(data / DATABASE_NAME, map_bytes=load_config(data / CONFIG_NAME).map_size_gib * GIB)
    try:
        with progress_bar("migrating", quiet=json_) as advance:
            done = migration.run(lambda _what, count, total: advance(count, total))
    finally:
        migration.close()
    if json_:
        typer.echo(json.dumps({"from": done.found, "to": done.now}))
    elif done.found == done.now:
        typer.echo(f"{data}: schema version {done.now} already, nothing to do")
    else:
        typer.echo(f"{data}: migrated from schema version {done.found} to {done.now}")
