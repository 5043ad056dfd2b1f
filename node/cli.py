"""The root command: it finds each folder's commands by entry point and knows none of them."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from node.errors import GridpactError
from node.plugins import LazyGroup

app = typer.Typer(
    cls=LazyGroup,
    name="gridpact",
    help="A consortium blockchain on which the households of a street trade electricity with each other.",
    no_args_is_help=True,
    add_completion=True,
)


def _show_versions(wanted: bool) -> None:
    if wanted:
        from node.versions import versions

        for name, version in versions().items():
            typer.echo(f"{name} {version}")
        raise typer.Exit


@app.callback()
def root(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_versions, is_eager=True, help="Print software, wire and storage version."
        ),
    ] = False,
) -> None:
    """A consortium blockchain on which the households of a street trade electricity with each other."""


def main() -> None:
    """Run the command line; a known error becomes one line on stderr and exit status 2."""
    try:
        app()
    except GridpactError as error:
        sys.stderr.write(f"gridpact: {error}\n")
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
