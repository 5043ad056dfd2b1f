"""What the agents' commands say when something cannot be done."""

from __future__ import annotations

from collections.abc import Callable

import typer

from agents.errors import AgentError


def guarded(use_case: Callable[[], None]) -> None:
    """Call a use case; a known error becomes one line on stderr and exit status 2."""
    try:
        use_case()
    except AgentError as error:
        typer.echo(f"gridpact: {error}", err=True)
        raise typer.Exit(2) from None
    except ExceptionGroup as group:
        known = group.subgroup(AgentError)
        if known is None:
            raise
        typer.echo(f"gridpact: {known.exceptions[0]}", err=True)
        raise typer.Exit(2) from None
