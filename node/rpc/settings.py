"""What an operator sets of the RPC: the `[rpc]` table of node.toml."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from node.parsing import Table

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
OPEN_NAMESPACES = ("eth", "net", "web3", "txpool", "debug", "grid", "personal", "rpc")
MAX_QUEUED_BYTES = 16 * 1024 * 1024  # a block's logs fit; what is shared between subscribers is stored once


@dataclass(frozen=True, slots=True)
class TokenFile:
    """A file with a bearer token, and the namespaces that it opens beside the open ones; "*" is all."""

    file: Path
    namespaces: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RpcConfig:
    """Where and what the RPC serves; the bounds are those of Ethereum clients where they have any.

    Args:
        host, port: where to listen; port 0 takes any free one.
        hosts: names that a Host header may have, without port; "*" for any. An IP address needs no permission.
        cors_origins: origins that browsers may call from, with at most one "*" each; "*" alone for any.
        open: namespaces that are served to everybody; "*" for all.
        tokens: bearer tokens that open further ones.
        jwt_secret: a file with the 32 bytes (in hexadecimal) that sign JSON Web Tokens; None if none are taken.
        max_body_bytes, max_response_bytes, max_batch: of one message; a packed body counts unpacked.
        max_concurrent: HTTP requests that are worked on at once.
        max_connections: open at once, idle or not.
        max_websockets: of these.
        rate_per_s, burst: requests of one connection.
        timeout_s: for one message.
        max_read_s: for what one request reads at once; at most as long as a read transaction may live.
        max_queued_bytes: waiting for one slow WebSocket.
        metrics_listen: where the metrics are served, (host, port), instead of beside JSON-RPC; None for beside it.
        page: whether a browser gets the page at `/`.
    """

    host: str = "127.0.0.1"
    port: int = 8545
    hosts: tuple[str, ...] = LOOPBACK
    cors_origins: tuple[str, ...] = ()
    open: tuple[str, ...] = OPEN_NAMESPACES
    tokens: tuple[TokenFile, ...] = ()
    jwt_secret: Path | None = None
    max_body_bytes: int = 5 * 1024 * 1024
    max_response_bytes: int = 25 * 1024 * 1024
    max_batch: int = 1_000
    max_concurrent: int = 256
    max_connections: int = 4_096
    max_websockets: int = 1_024
    rate_per_s: float = 5_000.0
    burst: float = 10_000.0
    timeout_s: float = 30.0
    max_read_s: float = 5.0
    max_queued_bytes: int = MAX_QUEUED_BYTES
    metrics_listen: tuple[str, int] | None = None
    page: bool = True


_DEFAULT = RpcConfig()


def read_settings(table: Table, base: Path) -> RpcConfig:
    """Read the `[rpc]` table of a node.toml in the folder `base`; the caller closes the table.

    Raises:
        ConfigError: naming the key and what was expected.
    """
    host, port = table.endpoint("listen")
    secret = table.text("jwt_secret", "")
    return RpcConfig(
        host=host,
        port=port,
        hosts=tuple(table.strings("hosts", list(LOOPBACK))),
        cors_origins=_origins(table),
        open=tuple(table.strings("open", list(OPEN_NAMESPACES))),
        tokens=tuple(_token(row, base) for row in table.tables("token")),
        jwt_secret=base / secret if secret else None,
        max_body_bytes=table.integer("max_body_bytes", 1_024, 2**28, _DEFAULT.max_body_bytes),
        max_response_bytes=table.integer("max_response_bytes", 1_024, 2**30, _DEFAULT.max_response_bytes),
        max_batch=table.integer("max_batch", 1, 100_000, _DEFAULT.max_batch),
        max_concurrent=table.integer("max_concurrent", 1, 65_536, _DEFAULT.max_concurrent),
        max_connections=table.integer("max_connections", 1, 65_536, _DEFAULT.max_connections),
        max_websockets=table.integer("max_websockets", 0, 65_536, _DEFAULT.max_websockets),
        rate_per_s=table.integer("rate_per_s", 1, 10**9, int(_DEFAULT.rate_per_s)),
        burst=table.integer("burst", 1, 10**9, int(_DEFAULT.burst)),
        page=table.flag("page", _DEFAULT.page),
        timeout_s=table.integer("timeout_s", 1, 3_600, int(_DEFAULT.timeout_s)),
    )


def _origins(table: Table) -> tuple[str, ...]:
    found = table.strings("cors_origins", [])
    if any(origin.count("*") > 1 for origin in found):
        raise table.error("cors_origins", 'origins with at most one "*" each')
    return tuple(found)


def _token(row: Table, base: Path) -> TokenFile:
    found = TokenFile(base / row.text("file"), tuple(row.strings("namespaces")))
    row.close()
    return found
