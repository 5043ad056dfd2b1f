"""The token with which an operator's command asks a node for what not everybody may."""

from __future__ import annotations

import time
from pathlib import Path

import jwt

from node.config import CONFIG_NAME, NodeConfig
from node.parsing import ConfigError
from node.rpc.access import ALL


def credential(config: NodeConfig, namespace: str) -> str | None:
    """Return a bearer token that opens a namespace, as node.toml names it; None if everybody may use it.

    Raises:
        ConfigError: it names none, or a file that cannot be used.
    """
    if {namespace, ALL} & set(config.rpc.open):
        return None
    for entry in config.rpc.tokens:
        if {namespace, ALL} & set(entry.namespaces):
            return _read(entry.file, "rpc.token.file")
    if config.rpc.jwt_secret is None:
        raise ConfigError(config.directory / CONFIG_NAME, "rpc.token", f"a token for the namespace {namespace!r}")
    text = _read(config.rpc.jwt_secret, "rpc.jwt_secret").removeprefix("0x")
    try:
        secret = bytes.fromhex(text)
    except ValueError:
        raise ConfigError(config.rpc.jwt_secret, "rpc.jwt_secret", "64 hexadecimal digits") from None
    return jwt.encode({"iat": int(time.time()), "namespaces": [namespace]}, secret, algorithm="HS256")


def _read(path: Path, key: str) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(path, key, f"a readable file ({error})") from None
