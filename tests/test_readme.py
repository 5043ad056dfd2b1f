"""What the README tells a newcomer to type exists: commands, options, make targets, folders."""

from __future__ import annotations

import re
import shlex
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import typer

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
COMMANDS = sorted(set(re.findall(r"`(gridpact [^`]+)`", README)))
TARGETS = sorted(set(re.findall(r"(?:^    |`)make ([a-z][a-z0-9-]*)", README, flags=re.MULTILINE)))
FOLDERS = sorted(set(re.findall(r"^\| `([a-z]+/)` \|", README, flags=re.MULTILINE)))


def groups() -> dict[str, Any]:
    return {entry.name: typer.main.get_command(entry.load()) for entry in entry_points(group="gridpact.commands")}


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_in_the_readme_parses(line: str) -> None:
    _, group, name, *words = shlex.split(line)
    found = groups()[group]
    command = found.resolve_command(typer.Context(found), [name])[1]  # its own, or one that another folder registered
    command.make_context(name, list(words), resilient_parsing=False)


@pytest.mark.parametrize("target", TARGETS)
def test_every_make_target_in_the_readme_exists(target: str) -> None:
    assert re.search(rf"^{target}:", MAKEFILE, flags=re.MULTILINE)


def test_the_module_map_names_every_folder() -> None:
    packages = {f"{path.parent.name}/" for path in ROOT.glob("*/__init__.py")} | {"docs/"}
    assert set(FOLDERS) == packages


def test_every_command_has_help_and_every_group_too() -> None:
    for group_name, group in groups().items():
        assert group.help, group_name
        for name, command in group.commands.items():
            assert command.help, f"{group_name} {name}"
            for parameter in command.params:
                if getattr(parameter, "help", "") is None:
                    pytest.fail(f"{group_name} {name}: {parameter.name} has no help")


def test_readme_lists_every_command() -> None:
    missing = [
        f"{group} {name}"
        for group, commands in groups().items()
        for name in commands.commands
        if f"gridpact {group} {name}" not in README and name not in ("init-operator", "operator")
    ]
    assert missing == []
