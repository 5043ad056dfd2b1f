"""Command groups that other folders add to by entry points: whoever has the group knows none of them."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

import typer
from typer.core import TyperGroup

COMMANDS = "gridpact.commands"
AUDIT_COMMANDS = "gridpact.commands.audit"


class LazyGroup(TyperGroup):
    """A group that imports a folder only when its command is called: a node starts without the agents' libraries."""

    plugins = COMMANDS

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands, own and registered, sorted."""
        return sorted({*super().list_commands(ctx), *self._registered()})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return an own command, or import the folder that registered `cmd_name`; None if nobody did."""
        own = super().get_command(ctx, cmd_name)
        entry = None if own else self._registered().get(cmd_name)
        if entry is None:
            return own
        command = typer.main.get_command(entry.load())
        command.name = cmd_name
        return command

    def _registered(self) -> dict[str, EntryPoint]:
        return {entry.name: entry for entry in entry_points(group=self.plugins)}


class AuditGroup(LazyGroup):
    """The commands of `gridpact audit`: those that read a node's data directory, and others that ask a node."""

    plugins = AUDIT_COMMANDS
