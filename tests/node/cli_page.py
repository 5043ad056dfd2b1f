"""docs/cli.md: the commands as the code describes them, below what is written by hand.

Run `python -m tests.node.cli_page` to renew it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from node.cli import app
from node.plugins import LazyGroup

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
BEGIN = "<!-- made from the code: python -m tests.node.cli_page -->\n"
END = "<!-- end -->\n"


def commands(command: Any = None, parent: Any = None, name: str = "gridpact") -> Iterator[tuple[str, Any]]:
    """Yield every group and command with the words that call it, those of all folders: `gridpact node`, …"""
    command = command or typer.main.get_command(app)
    context = typer.Context(command, parent=parent, info_name=name)
    yield context.command_path, command
    if not hasattr(command, "list_commands"):
        return
    for below in sorted(command.list_commands(context)):
        find = command.load if isinstance(command, LazyGroup) else command.get_command
        yield from commands(find(context, below), context, below)


def is_group(command: Any) -> bool:
    """Return whether other commands are below it."""
    return hasattr(command, "list_commands")


def example_of(command: Any) -> str:
    """Return the words behind `Example:` in a command's help, on one line."""
    _, _, example = (command.help or "").partition("Example: ")
    return " ".join(example.split())


def _parameter(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        shown = f"`{parameter.metavar or parameter.name.upper()}`"
    else:
        shown = ", ".join(f"`{each}`" for each in [*parameter.opts, *parameter.secondary_opts])
    default = parameter.default
    if parameter.required:
        note = "needed"
    elif default is None or default is False or callable(default):
        note = ""
    else:
        note = "yes" if default is True else f"`{default}`"
    cells = (each.replace("|", "\\|") for each in (shown, note, parameter.help))
    return f"| {' | '.join(cells)} |".replace("  ", " ")


def _section(path: str, command: Any) -> list[str]:
    text = re.sub(r"Example: .*", "", command.help, flags=re.DOTALL).strip()
    rows = [_parameter(each) for each in command.params if each.opts != ["--json"]]
    table = ["| | default | |", "|---|---|---|", *rows, ""] if rows else []
    example = ["```sh", example_of(command), "```", ""]
    return [f"### `{path}`", "", *text.splitlines(), "", *table, *example]


def made() -> str:
    """Return the part of the page that is made from the code."""
    lines = [""]
    for path, command in commands():
        if not is_group(command):
            lines += _section(path, command)
        elif path.count(" ") == 1:
            lines += [f"## {path}", "", command.help, ""]
    return "\n".join(lines) + "\n"


def renewed(text: str) -> str:
    """Return the page's text with the part made from the code replaced.

    Raises:
        ValueError: the marks between which it stands are missing.
    """
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE}: expected {BEGIN.strip()} and {END.strip()}")
    return f"{head}{begin}{made()}{end}{tail}"


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
