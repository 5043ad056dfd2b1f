"""`gridpact auditor`: run those whom the consortium appointed to open sums together."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from agents.auditing import ceremony_commands
from agents.auditing.configuration import load_auditor
from agents.commands import run_until_signal
from agents.reporting import guarded

app = typer.Typer(no_args_is_help=True, help="An auditor: its parts of the sums of a private street.")


@app.callback()
def root() -> None:
    """An auditor: its parts of the sums of a private street."""


@app.command()
def run(
    config: Annotated[list[Path], typer.Option("--config", help="An auditor's configuration file; may be repeated.")],
) -> None:
    """Give an auditor's parts of the sums of closed windows until interrupted.

    Example: gridpact auditor run --config auditor/auditor.toml
    """

    def start() -> None:
        from agents.auditing.auditor import Auditor

        auditors = [Auditor(load_auditor(path)) for path in config]

        async def together() -> None:
            async with asyncio.TaskGroup() as tasks:
                for auditor in auditors:
                    tasks.create_task(auditor.run())

        run_until_signal(together)

    guarded(start)


ceremony_commands.add_to(app)
