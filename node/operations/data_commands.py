"""Commands on a data directory whose node does not run: migrate, prune."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from node.config import CONFIG_NAME, DATABASE_NAME, load_config
from node.output import emit

GIB = 1 << 30
DataOption = Annotated[Path, typer.Option(help="The node's data directory; the node must not be running.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `gridpact node`."""
    app.command(name="migrate")(migrate_command)
    app.command(name="prune")(prune_command)


def migrate_command(data: DataOption) -> None:
    """Bring the database of an earlier gridpact to this one's format; earlier ones cannot open it afterwards.

    Back it up before. When it is interrupted, the same command goes on. Exit status 0 if all is done, or was already.

    Example: gridpact node migrate --data house
    """
    from node.operations.progress import progress_bar
    from node.storage.migrate import Migration

    migration = Migration(data / DATABASE_NAME, map_bytes=load_config(data / CONFIG_NAME).map_size_gib * GIB)
    try:
        with progress_bar("migrating") as advance:
            done = migration.run(lambda _what, count, total: advance(count, total))
    finally:
        migration.close()
    already = f"{data}: schema version {done.now} already, nothing to do"
    migrated = f"{data}: migrated from schema version {done.found} to {done.now}"
    emit({"from": done.found, "to": done.now}, already if done.found == done.now else migrated)


def prune_command(
    data: DataOption,
    keep: Annotated[int, typer.Option(help="Heights behind the head whose states stay; at least 256.")] = 1_000,
) -> None:
    """Let go of states further back than --keep heights, and give the free pages of the database back to the disk.

    Blocks, receipts and certificates stay: the whole chain can still be audited, served and exported. Set
    `history_heights` in node.toml too, or old states pile up again. It needs room for a copy meanwhile.

    Example: gridpact node prune --data house --keep 1000
    """
    from node.operations.progress import progress_bar
    from node.operations.prune import prune_directory

    with progress_bar("prune") as advance:
        done = prune_directory(data, keep, advance=advance)
    freed = done.before - done.after
    emit(
        {"first": done.first, "values": done.values, "before": done.before, "after": done.after, "freed": freed},
        f"{data}: states are kept from height {done.first} on; {done.values} older values removed",
        f"{done.before} bytes before, {done.after} after: {freed} freed",
    )
