"""`gridpact node log-level`: how much a running node logs."""

from __future__ import annotations

from typing import Annotated

import typer

from node.client.target import ConfigOption, RpcOption, TokenOption, client_of
from node.log import COMPONENTS, LEVELS
from node.output import emit
from node.parsing import ConfigError

EVERY = "all"


def register(app: typer.Typer) -> None:
    """Add the command to `gridpact node`."""
    app.command(name="log-level")(log_level)


def log_level(
    component: Annotated[
        str | None,
        typer.Argument(
            help=f"{EVERY}, or one of {', '.join(COMPONENTS)}; without it the levels are shown.",
            autocompletion=lambda: [EVERY, *COMPONENTS],
        ),
    ] = None,
    level: Annotated[
        str | None, typer.Argument(help=f"One of {', '.join(LEVELS)}.", autocompletion=lambda: LEVELS)
    ] = None,
    rpc: RpcOption = None,
    config: ConfigOption = None,
    token_file: TokenOption = None,
) -> None:
    """Set the level of a running node's log, until it is started anew, and show the levels.

    It asks by RPC, with --token-file or the token that node.toml names for the namespace admin. Without one: change
    the section `log` there and send the node SIGHUP.

    Example: gridpact node log-level consensus debug --config house/node.toml
    """
    if component is not None and component not in (EVERY, *COMPONENTS):
        raise ConfigError("command line", "COMPONENT", f"{EVERY}, or one of {', '.join(COMPONENTS)}")
    if (component is None) != (level is None) or level not in (None, *LEVELS):
        raise ConfigError("command line", "LEVEL", f"one of {', '.join(LEVELS)} behind a component")
    client = client_of(rpc, config, token_file, "admin")
    if component is not None:
        client.ask("admin_changeLogLevel", level, [] if component == EVERY else [component])
    levels = client.ask("admin_logLevels")
    emit(levels, *(f"{name:<10} {found}" for name, found in levels.items()))
