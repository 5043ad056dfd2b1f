"""How an operator's command asks a node by RPC, with the token that the node's own configuration names."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt

from node.config import NodeConfig
from node.errors import GridpactError
from node.parsing import ConfigError
from node.rpc.access import ALL

TIMEOUT_S = 10.0
MAX_ANSWER_BYTES = 4 * 1024 * 1024


class NodeSilent(GridpactError):
    """A node did not answer, or refused: where, and what it said."""

    def __init__(self, url: str, what: str) -> None:
        super().__init__(f"{url}: {what}")
        self.url = url


def own_url(config: NodeConfig) -> str:
    """Return where the RPC of this machine's node is reached."""
    host, port = config.rpc_listen
    return f"http://{'127.0.0.1' if host in ('0.0.0.0', '') else host}:{port}"


def credential(config: NodeConfig, namespace: str) -> str | None:
    """Return a bearer token that opens a namespace, as node.toml names it; None if none is needed, or there is none.

    Raises:
        ConfigError: a file that it names cannot be read.
    """
    if {namespace, ALL} & set(config.rpc.open):
        return None
    for entry in config.rpc.tokens:
        if {namespace, ALL} & set(entry.namespaces):
            return _read(entry.file, "rpc.token.file")
    if config.rpc.jwt_secret is not None:
        secret = bytes.fromhex(_read(config.rpc.jwt_secret, "rpc.jwt_secret").removeprefix("0x"))
        return jwt.encode({"iat": int(time.time()), "namespaces": [namespace]}, secret, algorithm="HS256")
    return None


def ask(url: str, method: str, *params: object, token: str | None = None) -> Any:
    """Return the result of one request.

    Raises:
        NodeSilent: no answer, or an error.
    """
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}).encode()
    headers = {"Content-Type": "application/json"} | ({} if token is None else {"Authorization": f"Bearer {token}"})
    if not url.startswith(("http://", "https://")):
        raise NodeSilent(url, "expected an address that begins with http:// or https://")
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=TIMEOUT_S) as response:
            answer = json.loads(response.read(MAX_ANSWER_BYTES))
    except urllib.error.HTTPError as error:
        raise NodeSilent(url, f"{method}: {_said(error.read(MAX_ANSWER_BYTES)) or error.reason}") from None
    except urllib.error.URLError as error:
        raise NodeSilent(url, f"{method}: no answer ({error.reason}); is the node running?") from None
    except (OSError, ValueError, RecursionError) as error:
        raise NodeSilent(url, f"{method}: no answer ({error})") from None
    if not isinstance(answer, Mapping) or "result" not in answer:
        raise NodeSilent(url, f"{method}: {_message(answer) or str(answer)[:200]}")
    return answer["result"]


def _said(body: bytes) -> str:
    try:
        return _message(json.loads(body))
    except (ValueError, RecursionError):
        return ""


def _message(answer: Any) -> str:
    error = answer.get("error") if isinstance(answer, Mapping) else None
    return str(error.get("message", ""))[:400] if isinstance(error, Mapping) else ""


def _read(path: Path, key: str) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(path, key, f"a readable file ({error})") from None
