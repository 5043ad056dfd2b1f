"""A validator's configuration, `node.toml` in its data directory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from node.keys import public_node_key
from node.log import COMPONENTS, LEVELS
from node.parsing import Table, parse_hex, read_toml
from node.pool_config import PoolLimits, read_pool
from node.rpc.settings import LOOPBACK, OPEN_NAMESPACES, RpcConfig, read_settings

CONFIG_NAME = "node.toml"
DATABASE_NAME = "chain"
WAL_NAME = "wal"
RESTORED_NAME = "restored"  # a marker: the node may have forgotten votes, so it abstains until that is safe
SNAPSHOTS_NAME = "snapshots"
MANIFEST_NAME = "manifest"  # of the snapshot that a database is being made from
DEFAULT_SNAPSHOT_HEIGHTS = 1_000
LOOPS = ("inlined", "stock")  # node.execution.Loop, whose import would take a second of every command
MIN_HISTORY_HEIGHTS = 256  # votes that wait, proofs and BLOCKHASH look back no further
MAX_HEARTBEAT_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class SignerAddress:
    """The socket of the process that holds the node key, and the public half of that key (32 bytes)."""

    socket: Path
    node_key: bytes


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """What one validator process needs to know beside the genesis file.

    Paths are absolute; end points are (host, port), port 0 meaning any free one. `key` is where the node key is: in its
    file, or with the process that signs. `sync_urls` are members' RPC, from
    which a node follows that is no validator or has no peer; a snapshot is written every so many heights, 0 for never.
    `p2p_dial` says where to reach members behind a forward, by node key, whatever end point they gave;
    `clock_offset_ms` is added to the machine's clock; `loop` runs the opcodes; `history_heights` is how far behind
    the head the state can be read, 0 for all the way. `keystores` are the accounts that a devnet's node signs for, and
    `keystores_passphrase_file` opens them all. `metrics_listen` serves /metrics in the RPC's stead;
    `log_levels` are those of components that have their own. `heartbeat_ms` is
    after how long an idle leader proposes an empty block, 0 for never.
    """

    directory: Path
    genesis: Path
    key: Path | SignerAddress
    passphrase_file: Path | None
    p2p_listen: tuple[str, int]
    rpc: RpcConfig
    log_level: str
    log_format: str
    map_size_gib: int
    p2p_dial: Mapping[bytes, tuple[str, int]]
    clock_offset_ms: int
    sync_urls: tuple[str, ...]
    snapshot_every_heights: int
    loop: str
    history_heights: int
    keystores: tuple[Path, ...] = ()
    keystores_passphrase_file: Path | None = None
    pool: PoolLimits = field(default_factory=PoolLimits)
    heartbeat_ms: int = 0
    metrics_listen: tuple[str, int] | None = None
    log_levels: Mapping[str, str] = field(default_factory=dict)

    @property
    def rpc_listen(self) -> tuple[str, int]:
        """Where the RPC listens."""
        return self.rpc.host, self.rpc.port

    def node_key(self) -> bytes:
        """Return the node key (32 bytes, public), wherever it is held.

        Raises:
            KeyFileError: its file cannot be read.
        """
        return public_node_key(self.key) if isinstance(self.key, Path) else self.key.node_key


def load_config(path: Path) -> NodeConfig:
    """Read and check a node.toml.

    Raises:
        ConfigError: naming the file, the key and what was expected.
    """
    base = path.parent.resolve()
    top = read_toml(path)
    node, p2p, rpc, log = top.table("node"), top.table("p2p"), top.table("rpc"), top.table("log", {})
    sync, snapshot, execution = top.table("sync", {}), top.table("snapshot", {}), top.table("execution", {})
    state, accounts, pool = top.table("state", {}), top.table("accounts", {}), top.table("pool", {})
    metrics = top.table("metrics", {})
    consensus, signer = top.table("consensus", {}), top.table("signer", {})
    passphrase_file = node.text("passphrase_file", "")
    accounts_passphrase_file = accounts.text("passphrase_file", "")
    config = NodeConfig(
        directory=base,
        genesis=base / node.text("genesis"),
        key=_key(node, signer, base),
        passphrase_file=base / passphrase_file if passphrase_file else None,
        p2p_listen=p2p.endpoint("listen"),
        rpc=read_settings(rpc, base),
        log_level=log.choice("level", LEVELS, "info"),
        log_levels=_levels(log),
        log_format=log.choice("format", ("json", "console"), "json"),
        map_size_gib=node.integer("map_size_gib", 1, 1 << 14, 64),
        p2p_dial=_dial(p2p),
        clock_offset_ms=node.integer("clock_offset_ms", -86_400_000, 86_400_000, 0),
        sync_urls=_urls(sync),
        snapshot_every_heights=snapshot.integer("every_heights", 0, 2**31, DEFAULT_SNAPSHOT_HEIGHTS),
        loop=execution.choice("loop", LOOPS, LOOPS[0]),
        history_heights=_history(state),
        keystores=tuple(base / name for name in accounts.strings("keystores", [])),
        keystores_passphrase_file=base / accounts_passphrase_file if accounts_passphrase_file else None,
        pool=read_pool(pool),
        metrics_listen=metrics.endpoint("listen") if metrics.text("listen", "") else None,
        heartbeat_ms=consensus.integer("heartbeat_ms", 0, MAX_HEARTBEAT_MS, 0),
    )
    for table in (top, node, p2p, rpc, log, sync, snapshot, execution, state, accounts, pool, metrics, consensus):
        table.close()
    signer.close()
    return config


def _key(node: Table, signer: Table, base: Path) -> Path | SignerAddress:
    if not signer.has("socket"):
        return base / node.text("key")
    if node.has("key"):
        raise signer.error("socket", "a node.toml without [node] key: one of them has the node key")
    return SignerAddress(base / signer.text("socket"), signer.data("node_key", 32))


def _levels(log: Table) -> dict[str, str]:
    levels = log.table("levels", {})
    found = {component: levels.choice(component, LEVELS) for component in COMPONENTS if levels.has(component)}
    for component in COMPONENTS:
        levels.text(component, "")  # known, though it is not there
    levels.close()
    return found


def _history(state: Table) -> int:
    found = state.integer("history_heights", 0, 2**31, 0)
    if 0 < found < MIN_HISTORY_HEIGHTS:
        raise state.error("history_heights", f"0 (all) or at least {MIN_HISTORY_HEIGHTS}, found {found}")
    return found


def _dial(p2p: Table) -> dict[bytes, tuple[str, int]]:
    dial = p2p.table("dial", {})
    found = {}
    for key in dial.keys():  # noqa: SIM118 - a Table is no dict: reading its keys marks them as read
        node_key = parse_hex(key, 32, lambda key=key: dial.error(key, "0x and 64 hexadecimal digits"))  # type: ignore[misc]
        found[node_key] = dial.endpoint(key)
    return found


def _urls(sync: Table) -> tuple[str, ...]:
    urls = sync.strings("urls", [])
    if not all(url.startswith(("http://", "https://")) for url in urls):
        raise sync.error("urls", "a list of addresses that begin with http:// or https://")
    return tuple(urls)


def render_config(
    *,
    genesis: str,
    key: str | SignerAddress,
    passphrase_file: str = "",
    p2p_listen: str,
    rpc_listen: str,
    sync_urls: Sequence[str] = (),
    snapshot_every_heights: int = DEFAULT_SNAPSHOT_HEIGHTS,
) -> str:
    """Return the text of a new node.toml; paths are relative to its folder or absolute.

    `key` is the node key's file, or who signs with it.
    """
    if isinstance(key, str):
        held = [
            f"key = {json.dumps(key)}",
            f"passphrase_file = {json.dumps(passphrase_file)}  # empty: GRIDPACT_PASSPHRASE, or a prompt",
        ]
    else:
        held = ["", "[signer]", f"socket = {json.dumps(str(key.socket))}", f'node_key = "0x{key.node_key.hex()}"']
    lines = (
        "# A gridpact validator. Paths are relative to this file.",
        "[node]",
        f"genesis = {json.dumps(genesis)}",
        *held,
        "",
        "[p2p]",
        f"listen = {json.dumps(p2p_listen)}",
        "",
        "[rpc]",
        f"listen = {json.dumps(rpc_listen)}",
        f"hosts = {json.dumps(list(LOOPBACK))}  # names in Host headers; an IP address needs no entry",
        "cors_origins = []  # of web pages that may call, such as a wallet's",
        f"open = {json.dumps(list(OPEN_NAMESPACES))}  # without a token",
        "page = true  # what a browser is shown at /",
        "",
        "[log]",
        'level = "info"',
        'format = "json"',
        '# levels = { consensus = "debug" }  # by component: ' + ", ".join(COMPONENTS),
        "",
        "[sync]",
        f"urls = {json.dumps(list(sync_urls))}  # members' RPC, followed while this node is no validator",
        "",
        "[snapshot]",
        f"every_heights = {snapshot_every_heights}  # for newcomers; 0: never",
        "",
        "[execution]",
        f"loop = {json.dumps(LOOPS[0])}  # or {json.dumps(LOOPS[1])}, py-evm's own: slower, the same results",
        "",
        "[state]",
        "history_heights = 0  # how far back eth_call and eth_getBalance can look; 0: all the way",
        "",
        "[pool]",
        f"lifetime_s = {PoolLimits().lifetime_s}  # of transactions from others that cannot be executed",
        f"journal = {json.dumps(PoolLimits().journal)}  # of our own clients' transactions; empty: none",
        "",
        "[metrics]",
        'listen = ""  # HOST:PORT for /metrics; empty: on the RPC',
    )
    return "\n".join(lines) + "\n"
