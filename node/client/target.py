"""Which node a command asks, and with which token."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from node.client.client import DEFAULT_RPC, NodeClient
from node.config import CONFIG_NAME, NodeConfig, load_config

RpcOption = Annotated[str | None, typer.Option(help="The node's RPC, http://HOST:PORT; else that of --config.")]
ConfigOption = Annotated[
    Path | None, typer.Option(help="The node.toml that says where the RPC is; else the one here, else port 8545.")
]
TokenOption = Annotated[
    Path | None, typer.Option(help="File with the token for a node that wants one; else what --config names.")
]


def client_of(
    rpc: str | None,
    config: Path | None = None,
    token_file: Path | None = None,
    *namespaces: str,
) -> NodeClient:
    """Return a client of the node at an address, else of a configuration's, else at Ethereum's usual address.

    Args:
        rpc: http://HOST:PORT; None for what the configuration says.
        config: a node.toml; None for the one in this folder, if there is one.
        token_file, namespaces: as in `client_at`.

    Raises:
        NodeUnanswered: that is no address.
        ConfigError: a file cannot be used, or names no token where one is needed.
    """
    if rpc is None and config is None and Path(CONFIG_NAME).exists():
        config = Path(CONFIG_NAME)
    settings = load_config(config) if rpc is None and config is not None else None
    return client_at(rpc, settings, token_file, *namespaces)


def client_at(
    rpc: str | None,
    config: NodeConfig | None,
    token_file: Path | None,
    *namespaces: str,
) -> NodeClient:
    """Return a client of the node at an address, else of a configuration's own.

    A token that a configuration names is sent to that configuration's own node alone.

    Args:
        rpc: http://HOST:PORT; None for what the configuration says.
        config: of the own node.
        token_file: holds a token; None for the one that the configuration names, if one is needed.
        namespaces: of the methods that will be asked.

    Raises:
        NodeUnanswered, ConfigError: as `client_of`.
    """
    token = _token(config if rpc is None else None, token_file, namespaces)
    return NodeClient(address_of(rpc, config), token=token)


def _token(config: NodeConfig | None, token_file: Path | None, namespaces: tuple[str, ...]) -> str | None:
    if config is None and token_file is None:
        return None
    from node.client.credential import credential, read_token  # the library of signed tokens takes a while

    if token_file is not None:
        return read_token(token_file, "--token-file")
    return None if config is None else credential(config, *namespaces)


def address_of(rpc: str | None, config: NodeConfig | None) -> str:
    """Return the address to ask: the one given, else that of a configuration, else Ethereum's usual one."""
    if rpc is not None:
        return rpc.rstrip("/")
    if config is None:
        return DEFAULT_RPC
    host, port = config.rpc_listen
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
