"""The root command: it finds each folder's commands by entry point and knows none of them."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import typer
from typer.core import TyperGroup

from node.errors import GridpactError

COMMANDS_GROUP = "gridpact.commands"


def _commands() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=COMMANDS_GROUP)}


class LazyGroup(TyperGroup):
    """A group that imports a folder only when its command is called: a node starts without the agents' libraries."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all registered command groups, sorted."""
        return sorted(_commands())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import the folder that registered `cmd_name` and return its command; None if nobody did."""
        entry = _commands().get(cmd_name)
        if entry is None:
            return None
        command = typer.main.get_command(entry.load())
        command.name = cmd_name
        return command


app = typer.Typer(
    cls=LazyGroup,
    name="gridpact",
    help="A consortium blockchain on which the households of a street trade electricity with each other.",
    no_args_is_help=True,
    add_completion=True,
)


@app.callback()
def root() -> None:
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
