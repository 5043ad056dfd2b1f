"""Commands that carry a chain from one place to another: export, import."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from node.client.target import TokenOption, client_of
from node.output import emit
from node.parsing import ConfigError


def register(app: typer.Typer) -> None:
    """Add the commands to `gridpact node`."""
    app.command(name="export")(export_command)
    app.command(name="import")(import_command)


def export_command(
    out: Annotated[Path, typer.Option(help="The new file.")],
    data: Annotated[Path | None, typer.Option(help="A data directory; its node may be running.")] = None,
    rpc: Annotated[str | None, typer.Option(help="In place of --data: a node's RPC, http://HOST:PORT.")] = None,
    token_file: TokenOption = None,
    from_: Annotated[int | None, typer.Option("--from", help="The first height; else the lowest.", min=1)] = None,
    to: Annotated[int | None, typer.Option("--to", help="The last height; else the head.", min=1)] = None,
    gzip: Annotated[bool, typer.Option("--gzip", help="Compress it; so does a name that ends with .gz.")] = False,
) -> None:
    """Write certified blocks to a portable file: each with its header, transactions, certificate and round record.

    Whoever imports it verifies every certificate, so the file need not be trusted.

    Example: gridpact node export --data house --out street.blocks.gz
    """
    from node.operations.progress import progress_bar
    from node.operations.transfer import export_directory, export_remote

    compressed = gzip or out.suffix == ".gz"
    with progress_bar("export") as advance:
        if data is not None and rpc is None:
            head, size = export_directory(data, out, first=from_, last=to, compressed=compressed, advance=advance)
        elif rpc is not None and data is None:
            head, size = export_remote(
                client_of(rpc, None, token_file),
                out,
                first=from_,
                last=to,
                compressed=compressed,
                advance=advance,
            )
        else:
            raise ConfigError("command line", "--data", "either a data directory or --rpc URL")
    emit(
        {"file": out, "from": head.first, "to": head.last, "bytes": size},
        f"exported heights {head.first} to {head.last} of chain {head.chain_id} to {out}, {size} bytes",
    )


def import_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file made by `gridpact node export`.")],
    data: Annotated[Path, typer.Option(help="A data directory; its node must not be running.")],
) -> None:
    """Add the blocks of a file to a data directory, verifying every certificate and executing every block.

    Blocks that are there already are passed over, so an interrupted import goes on. Exit status 1 at the first block
    that does not hold, which is named; those before it stay. A directory without a write-ahead log is marked as
    restored: its node abstains until it knows from the others what its key voted.

    Example: gridpact node import street.blocks.gz --data house
    """
    from node.operations.progress import progress_bar
    from node.operations.transfer import import_file
    from node.restore import is_marked

    with progress_bar("import") as advance:
        done = import_file(file, data, advance=advance)
    failure = None if done.failure is None else str(done.failure)
    marked = is_marked(data)
    new = f"heights {done.before + 1} to {done.after}" if done.after > done.before else "nothing new"
    lines = [f"imported {new} into {data}, at height {done.after}"]
    if marked:
        lines.append("marked as restored: the node abstains until it knows from the others what its key voted")
    if failure is not None:
        lines.append(f"import: FAILED {failure}; height {done.after} and those below it are kept")
    emit({"data": data, "from": done.before, "to": done.after, "failure": failure, "marked": marked}, *lines)
    if failure is not None:
        raise typer.Exit(1)
