"""The token with which a command asks a node for what not everybody may."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import jwt

from node.config import CONFIG_NAME, NodeConfig
from node.parsing import ConfigError
from node.rpc.access import ALL


def credential(config: NodeConfig, *namespaces: str) -> str | None:
    """Return a bearer token that opens namespaces, as node.toml names it; None if everybody may use them.

    Raises:
        ConfigError: it names none, or a file that cannot be used.
    """
    lacking = _lacking(namespaces, config.rpc.open)
    if not lacking:
        return None
    for entry in config.rpc.tokens:
        if not _lacking(lacking, entry.namespaces):
            return read_token(entry.file, "rpc.token.file")
    if config.rpc.jwt_secret is None:
        wanted = " and ".join(repr(namespace) for namespace in lacking)
        raise ConfigError(config.directory / CONFIG_NAME, "rpc.token", f"a token for the namespace {wanted}")
    text = read_token(config.rpc.jwt_secret, "rpc.jwt_secret").removeprefix("0x")
    try:
        secret = bytes.fromhex(text)
    except ValueError:
        raise ConfigError(config.rpc.jwt_secret, "rpc.jwt_secret", "64 hexadecimal digits") from None
    return jwt.encode({"iat": int(time.time()), "namespaces": lacking}, secret, algorithm="HS256")


def read_token(path: Path, key: str) -> str:
    """Return the one word that a file holds.

    Args:
        path: the file.
        key: what names it, an option or a key of node.toml.

    Raises:
        ConfigError: it cannot be read, or holds no word, or several.
    """
    try:
        words = path.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(path, key, f"a readable file ({error})") from None
    if len(words) != 1:
        raise ConfigError(path, key, "one token, nothing else")
    return words[0]


def _lacking(namespaces: Iterable[str], opened: Iterable[str]) -> list[str]:
    there = set(opened)
    return [] if ALL in there else [namespace for namespace in namespaces if namespace not in there]
