"""Commands that look and change nothing: status, peers, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from node.client.target import ConfigOption, RpcOption, TokenOption, client_of
from node.config import CONFIG_NAME
from node.output import emit


def register(app: typer.Typer) -> None:
    """Add the commands to `gridpact node`."""
    app.command(name="status")(status_command)
    app.command(name="peers")(peers_command)
    app.command(name="doctor")(doctor_command)


def status_command(rpc: RpcOption = None, config: ConfigOption = None, token_file: TokenOption = None) -> None:
    """Show a running node: versions, head, both chains, epoch and view, whether it is in step, peers, pool.

    Example: gridpact node status --rpc http://127.0.0.1:8545
    """
    from node.operations.look import NAMESPACES, as_json, look

    status, _ = look(client_of(rpc, config, token_file, *NAMESPACES))
    emit(as_json(status), *status.lines())


def peers_command(rpc: RpcOption = None, config: ConfigOption = None, token_file: TokenOption = None) -> None:
    """Show the other members as a running node sees them: where they are, whether connected, how far behind it.

    Example: gridpact node peers --rpc http://127.0.0.1:8545
    """
    from node.operations.look import NAMESPACES, as_json, look

    _, peers = look(client_of(rpc, config, token_file, *NAMESPACES))
    lines = []
    for peer in peers:
        how = "connected" if peer.connected else "not connected"
        where = "height unknown" if peer.height is None else f"height {peer.height}, {peer.behind} behind"
        lines.append(f"{peer.name:16} {peer.endpoint:21} {how:13} {where}")
        lines.append(f"{'':16} node key {peer.node_key}")
    emit({"peers": [as_json(peer) for peer in peers]}, *lines)


def doctor_command(
    config: Annotated[Path, typer.Option(help="The node.toml of a data directory; its node may be running.")] = Path(
        CONFIG_NAME
    ),
) -> None:
    """Look at everything that keeps a node from running well, and say what to do; nothing is changed.

    Configuration, key, passphrase, database, write-ahead log, marker, disk, limits, versions, ports, clock, members.
    Exit status 1 if a check failed; a warning does not fail.

    Example: gridpact node doctor --config house/node.toml
    """
    from node.operations.doctor import Verdict, examine

    found = list(examine(config))
    failed = any(finding.verdict is Verdict.FAIL for finding in found)
    rows = [{name: str(getattr(each, name)) for name in ("check", "verdict", "found", "advice")} for each in found]
    emit({"ok": not failed, "findings": rows}, *(finding.line for finding in found))
    if failed:
        raise typer.Exit(1)
