"""What doctor looks at around a data directory: disk, limits, versions, ports, clock, the other members."""

from __future__ import annotations

import ipaddress
import platform
import resource
import shutil
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

from node.client import NodeClient, NodeError
from node.clock import ChainClock, wall_ms
from node.operations.doctor import Check, Finding, Patient, fail, ok, warn
from node.rules import RuleBook
from node.versions import versions

MIN_FREE_BYTES, FEW_FREE_BYTES = 256 << 20, 2 << 30  # below the one a node stops soon; below the other, have a look
MIN_FILES = 1_024  # connections, read processes and the database
DIAL_S = 2.0
MAX_SKEW_S = 5.0  # of wall time, to a member's clock; blocks from a second or two ahead are not voted for
PYTHON = (3, 11)
LIBRARIES = ("lmdb", "py-evm", "aiohttp", "coincurve", "cryptography")


def _disk(patient: Patient) -> Iterator[Finding]:
    free = shutil.disk_usage(patient.config.directory).free
    found = f"{free / (1 << 30):.1f} GiB free at {patient.config.directory}"
    advice = "make room: a node whose disk is full ends; `gridpact node prune` frees old states"
    if free < MIN_FREE_BYTES:
        yield fail("disk", found, advice)
    elif free < FEW_FREE_BYTES:
        yield warn("disk", found, advice)
    else:
        yield ok("disk", found)


def _limits(_patient: Patient) -> Iterator[Finding]:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < MIN_FILES:
        yield warn("open files", f"at most {soft}", f"raise the limit to {MIN_FILES} (ulimit -n, LimitNOFILE=)")
    else:
        yield ok("open files", "without limit" if soft == resource.RLIM_INFINITY else f"at most {soft}")


def _versions(_patient: Patient) -> Iterator[Finding]:
    ours = ", ".join(f"{name} {number}" for name, number in versions().items())
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    found = f"{ours}; Python {platform.python_version()}, {libraries}"
    if sys.version_info[:2] != PYTHON:
        yield warn("versions", found, "run it with Python {}.{}, with which it is tested".format(*PYTHON))
    else:
        yield ok("versions", found)


def _ports(patient: Patient) -> Iterator[Finding]:
    for name, (host, port) in (("p2p", patient.config.p2p_listen), ("rpc", patient.config.rpc_listen)):
        free = port == 0 or _can_listen(host, port)
        if patient.running:
            said = f"{host}:{port}"
            nobody = fail(f"{name} port", f"nobody listens at {said} though the node runs", "look into its log")
            yield nobody if free and port else ok(f"{name} port", f"{said} is in use by the running node")
        elif free:
            yield ok(f"{name} port", f"{host}:{port} is free")
        else:
            advice = f"end that process, or choose another port in [{name}] listen"
            yield fail(f"{name} port", f"{host}:{port} is in use by another process, or not of this machine", advice)


def _can_listen(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _exposure(patient: Patient) -> Iterator[Finding]:
    rpc = patient.config.rpc
    try:
        local = ipaddress.ip_address(rpc.host).is_loopback
    except ValueError:
        local = rpc.host == "localhost"
    guarded = bool(rpc.tokens) or rpc.jwt_secret is not None
    if local:
        yield ok("rpc", f"served to this machine alone, at {rpc.host}")
    elif "*" in rpc.open or not guarded:
        open_ = ", ".join(rpc.open)
        advice = "listen on 127.0.0.1 behind a proxy, or open fewer namespaces and give tokens in [rpc]"
        yield warn("rpc", f"served to whoever reaches {rpc.host}, without a token: {open_}", advice)
    else:
        yield ok("rpc", f"served at {rpc.host}; without a token only {', '.join(rpc.open)}")


def _clock(patient: Patient) -> Iterator[Finding]:
    clock = ChainClock(patient.genesis, lambda: wall_ms() + patient.config.clock_offset_ms)
    rules = RuleBook(patient.genesis.content["rules"], patient.genesis.chain_id).rules_at(0)
    advice = "set the machine's clock (timedatectl, chrony), and clock_offset_ms to 0"
    if patient.head_time_s is not None and patient.head_time_s > clock.latest_acceptable_s(rules.future_tolerance_ms):
        ahead = patient.head_time_s - clock.now_s()
        yield fail("clock", f"the newest block is {ahead} s of chain time ahead of this machine's clock", advice)
        return
    scale = clock.segments[-1].scale
    told = 0
    for url in patient.config.sync_urls:
        try:
            theirs = NodeClient(url, DIAL_S).ask("grid_status")
            skew_s = (int(theirs["chainTime"], 16) - clock.now_s()) / scale
        except (NodeError, KeyError, TypeError, ValueError):
            continue
        told += 1
        if abs(skew_s) > MAX_SKEW_S:
            yield warn("clock", f"{skew_s:+.0f} s beside that of {url}", advice)
            return
    yield ok("clock", f"not behind the newest block; {told} members asked over RPC, within {MAX_SKEW_S:.0f} s")


def _peers(patient: Patient) -> Iterator[Finding]:
    if patient.quorum is None or not patient.endpoints:
        return
    names = sorted(patient.endpoints)
    with ThreadPoolExecutor(min(16, len(names))) as threads:
        up = dict(zip(names, threads.map(lambda name: _answers(patient.endpoints[name]), names), strict=True))
    down = [f"{name} at {patient.endpoints[name][0]}:{patient.endpoints[name][1]}" for name in names if not up[name]]
    found = f"{len(names) - len(down)} of {len(names)} other members take a connection"
    if len(names) - len(down) + 1 < patient.quorum:
        yield fail("peers", found, f"too few for the quorum of {patient.quorum}: {', '.join(down)}")
    elif down:
        yield warn("peers", found, f"not {', '.join(down)}")
    else:
        yield ok("peers", found)


def _answers(endpoint: tuple[str, int]) -> bool:
    try:
        with socket.create_connection(endpoint, timeout=DIAL_S):
            return True
    except OSError:
        return False


MACHINE_CHECKS: tuple[tuple[str, Check], ...] = (
    ("disk", _disk),
    ("open files", _limits),
    ("versions", _versions),
    ("ports", _ports),
    ("rpc", _exposure),
    ("clock", _clock),
    ("peers", _peers),
)
