"""What the agents' commands say: through the root command, which hands every command its output as `Context.obj`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import typer
from typer._click.globals import get_current_context  # typer names it only privately

from agents.errors import AgentError


class Failed(typer.TyperException):
    """A command could not be done, status 2, or what it looked at does not hold, status 1; the root command says so."""

    def __init__(self, message: str, status: int = 2) -> None:
        super().__init__(message)
        self.exit_code = status


def emit(value: Mapping[str, Any], *shown: Any) -> None:
    """Say a result.

    Args:
        value: for machines, with `--json`: amounts in micro-euro, bytes become 0x and hexadecimal digits.
        shown: for people: lines, or what rich can print.
    """
    get_current_context().obj.emit(value, *shown)


def guarded(use_case: Callable[[], None]) -> None:
    """Call a use case.

    Raises:
        Failed: an error that is known.
    """
    try:
        use_case()
    except AgentError as error:
        raise Failed(str(error)) from None
    except ExceptionGroup as group:
        known = group.subgroup(AgentError)
        if known is None:
            raise
        raise Failed(str(known.exceptions[0])) from None
