"""The genesis file: everything that all validators must agree on before height 0, read strictly."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from eth_hash.auto import keccak

from node.parsing import ConfigError, Table, parse_hex

FORMAT = "gridpact-genesis/1"
MAX_GENESIS_BYTES = 4 * 1024 * 1024  # a hundred members with their meters take well under one
MAX_MEMBERS = 100
MAX_TIME_SCALE = 100_000


@dataclass(frozen=True, slots=True)
class GenesisMember:
    """A founding member: its Ed25519 node key (32 bytes), where its validator listens, its account (20 bytes)."""

    name: str
    node_key: bytes
    endpoint: tuple[str, int]
    account: bytes


@dataclass(frozen=True, slots=True)
class Continues:
    """The chain that this one goes on from, for more than f of its validators are lost, and the block it ended at.

    Args:
        chain_id: the parent's; never this chain's, so that no transaction of one counts in the other.
        height, block_hash, state_root, timestamp_s: of the parent's last block that is taken over.
        carried_state_root: of this chain's block 0: that state, with the seats of the lost members taken away.
    """

    chain_id: int
    height: int
    block_hash: bytes
    state_root: bytes
    timestamp_s: int
    carried_state_root: bytes


@dataclass(frozen=True, slots=True)
class Genesis:
    """A checked genesis file.

    `content` is the file as parsed (the contracts read their own parts of it), `file_hash` the keccak of its canonical
    JSON: the parent hash of block 0, so that the genesis block's hash binds every parameter. A file that `continues` a
    chain makes no contracts: its block 0 has the parent's state.
    """

    content: Mapping[str, Any]
    file_hash: bytes
    chain_id: int
    genesis_time_s: int
    wall_start_ms: int
    clock_steps: tuple[tuple[int, int], ...]
    window_zero_s: int
    window_length_s: int
    members: tuple[GenesisMember, ...]
    balances: tuple[tuple[bytes, int], ...]
    continues: Continues | None = None

    @property
    def first_timestamp_s(self) -> int:
        """The chain time of block 0."""
        return self.genesis_time_s if self.continues is None else self.continues.timestamp_s


def load_genesis(path: Path) -> Genesis:
    """Read and check a genesis file.

    Raises:
        ConfigError: naming the file, the key and what was expected.
    """
    try:
        if path.stat().st_size > MAX_GENESIS_BYTES:
            raise ConfigError(path, "", f"at most {MAX_GENESIS_BYTES} bytes")
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(path, "", f"a readable file ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(path, "", f"JSON in UTF-8 ({error})") from None
    return parse_genesis(content, path)


def canonical_json(content: object) -> bytes:
    """Return the one encoding of `content` that is hashed: sorted keys, no spaces, ASCII."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def parse_genesis(content: object, path: Path | str = "genesis") -> Genesis:
    """Check a parsed genesis file.

    Raises:
        ConfigError: naming the key and what was expected.
    """
    top = Table(path, "", content)
    if top.text("format") != FORMAT:
        raise top.error("format", f'"{FORMAT}"')
    clock, schedule = top.table("clock"), top.table("schedule")
    members = tuple(_member(row) for row in top.tables("members"))
    if not 1 <= len(members) <= MAX_MEMBERS:
        raise top.error("members", f"1 to {MAX_MEMBERS} members, found {len(members)}")
    for what, values in (
        ("node_key", [member.node_key for member in members]),
        ("account", [member.account for member in members]),
    ):
        if len(set(values)) != len(values):
            raise top.error("members", f"a different {what} for every member")
    for key, kind in (
        ("rules", dict),
        ("market", dict),
        ("tariffs", list),
        ("meters", list),
        ("issuers", list),
    ):
        top.value(key, kind, "a table" if kind is dict else "a list")
    top.data("operator", 20)
    for key in ("sealing", "privacy"):
        if top.has(key):
            top.value(key, dict, "a table")
    genesis = Genesis(
        content=dict(content) if isinstance(content, Mapping) else {},
        file_hash=keccak(canonical_json(content)),
        chain_id=top.integer("chain_id", 1, 2**52),
        genesis_time_s=top.integer("genesis_time_s", 0, 2**40),
        wall_start_ms=clock.integer("wall_start_ms", 0, 2**50),
        clock_steps=_steps(clock),
        window_zero_s=schedule.integer("window_zero_s", 0, 2**40),
        window_length_s=schedule.integer("window_length_s", 1, 86_400),
        members=members,
        balances=_balances(top.table("accounts", {})),
        continues=_continues(top.table("continues")) if top.has("continues") else None,
    )
    top.close()
    clock.close()
    if genesis.continues is not None:
        if genesis.continues.chain_id == genesis.chain_id:
            raise top.error("chain_id", "another one than the chain has that this one continues")
        if genesis.balances:
            raise top.error("accounts", "nothing: a continuation has the accounts of the chain it continues")
        if any(row.get("vouched") for row in genesis.content["members"]):
            raise top.error("members", "no vouched accounts: a continuation has those of the chain it continues")
    return genesis


def _continues(row: Table) -> Continues:
    continues = Continues(
        chain_id=row.integer("chain_id", 1, 2**52),
        height=row.integer("height", 0, 2**62),
        block_hash=row.data("block_hash", 32),
        state_root=row.data("state_root", 32),
        timestamp_s=row.integer("timestamp_s", 0, 2**40),
        carried_state_root=row.data("carried_state_root", 32),
    )
    row.close()
    return continues


def _member(row: Table) -> GenesisMember:
    for account in row.strings("vouched", []):
        parse_hex(account, 20, lambda: row.error("vouched", "a list of 0x and 40 hexadecimal digits"))
    member = GenesisMember(row.text("name"), row.data("node_key", 32), row.endpoint("p2p"), row.data("account", 20))
    row.close()
    return member


def _steps(clock: Table) -> tuple[tuple[int, int], ...]:
    rows = clock.value("steps", list, "a list of [from_window, time_scale]")
    expected = f"[from_window, time_scale] in rising windows from 0, scales from 1 to {MAX_TIME_SCALE}"
    steps: list[tuple[int, int]] = []
    for row in rows:
        if not (isinstance(row, list) and len(row) == 2 and all(type(part) is int for part in row)):
            raise clock.error("steps", expected)
        steps.append((row[0], row[1]))
    rising = all(a < b for (a, _), (b, _) in pairwise(steps))
    if not steps or steps[0][0] != 0 or not rising or not all(1 <= scale <= MAX_TIME_SCALE for _, scale in steps):
        raise clock.error("steps", expected)
    return tuple(steps)


def _balances(accounts: Table) -> tuple[tuple[bytes, int], ...]:
    balances = []
    for key in accounts.keys():  # noqa: SIM118 - a Table is no dict: reading its keys marks them as read
        address = parse_hex(key, 20, lambda key=key: accounts.error(key, "0x and 40 hexadecimal digits"))  # type: ignore[misc]
        text = accounts.text(key)
        if not text.isdecimal() or int(text) >= 2**128:
            raise accounts.error(key, "wei as a decimal string below 2^128")
        balances.append((address, int(text)))
    return tuple(sorted(balances))
