"""Command groups that other folders add to by entry points: whoever has the group knows none of them."""

from __future__ import annotations

import ast
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from node.output import json_option

COMMANDS = "gridpact.commands"
AUDIT_COMMANDS = "gridpact.commands.audit"


class LazyGroup(TyperGroup):
    """A group that imports a folder only when its command is called: a node starts without the agents' libraries.

    Every command below it takes `--json`.
    """

    plugins = COMMANDS

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands, own and registered, sorted."""
        return sorted({*super().list_commands(ctx), *self._registered()})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return an own command, or a stand-in with the name and help of a registered one; None if nobody did.

        Help and completion ask for all of them, so nothing is imported here.
        """
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return with_json(own)
        entry = self._registered().get(cmd_name)
        return None if entry is None else TyperGroup(name=cmd_name, help=_summary(entry))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the name of the command that is called, the command itself (its folder is imported), and the rest."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command and self.load(ctx, str(name)), rest

    def load(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command of its own, or import the folder that registered it."""
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return with_json(own)
        return _loaded(self._registered()[cmd_name])

    def _registered(self) -> dict[str, EntryPoint]:
        return _entries(self.plugins)


class AuditGroup(LazyGroup):
    """The commands of `gridpact audit`: those that read a node's data directory, and others that ask a node."""

    plugins = AUDIT_COMMANDS


def with_json(command: Any) -> Any:
    """Return a command that takes `--json`, as do those below it if it is a group."""
    if isinstance(command, TyperGroup):
        for below in command.commands.values():
            with_json(below)
    elif not any("--json" in parameter.opts for parameter in command.params):
        command.params.append(json_option())
    return command


@cache
def _entries(group: str) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=group)}


@cache
def _loaded(entry: EntryPoint) -> Any:
    """Import what an entry point names, and return it as a command with that name."""
    command = typer.main.get_command(entry.load())
    command.name = entry.name
    return with_json(command)


def _summary(entry: EntryPoint) -> str:
    """Return the help that an entry point's `name = typer.Typer(help="…")` has, without importing its folder."""
    spec = find_spec(entry.module)
    if spec is None or spec.origin is None:
        return ""
    for line in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
        match line:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(keywords=keywords)) if name == entry.attr:
                return next((str(ast.literal_eval(each.value)) for each in keywords if each.arg == "help"), "")
    return ""
