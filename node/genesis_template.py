"""Makes the content of a genesis file from what founders decide; what they leave out has the value that is here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from contracts.tariffs import PRESETS
from node.genesis import FORMAT

SCHEDULE: Mapping[str, int] = {
    "window_length_s": 3_600,
    "quarter_length_s": 900,
    "negotiation_close_s": 3_300,
    "recording_margin_s": 300,
    "settlement_deadline_windows": 4,
}
MARKET: Mapping[str, int] = {
    "penalty_microeur_per_kwh": 0,
    "operator_margin_microeur_per_kwh": 10_000,
    "minimum_lot_wh": 10,
}
MAX_POWER_W = 50_000  # of a meter: what a house connection carries


@dataclass(frozen=True, slots=True)
class Founder:
    """A founding member: node key (32 bytes), where its validator listens (HOST:PORT), its account and others (20)."""

    name: str
    node_key: bytes
    p2p: str
    account: bytes
    vouched: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Connection:
    """A meter (20 bytes) at a household's (20 bytes) grid connection."""

    meter: bytes
    household: bytes
    name: str
    max_power_w: int = MAX_POWER_W


def genesis_content(
    *,
    chain_id: int,
    start_s: int,
    clock: Mapping[str, Any],
    rules: Mapping[str, Any],
    members: Sequence[Founder],
    operator: bytes,
    tariff: str,
    schedule: Mapping[str, int] = SCHEDULE,
    market: Mapping[str, int] = MARKET,
    connections: Sequence[Connection] = (),
    balances: Mapping[bytes, int] | None = None,
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return what a genesis file says; `node.genesis.parse_genesis` judges it.

    Args:
        chain_id: as in EIP-155.
        start_s: chain time of block 0 and of the first window.
        clock: when the chain clock starts and how fast it goes, as in the file.
        rules: beside the version, which is 1.
        operator: issues the money (20 bytes).
        tariff: a preset's name.
        balances: wei by account (20 bytes).
        more: tables of features that a chain need not have.
    """
    return {
        "format": FORMAT,
        "chain_id": chain_id,
        "genesis_time_s": start_s,
        "clock": dict(clock),
        "rules": {"version": 1, **rules},
        "schedule": {"window_zero_s": start_s, **schedule},
        "members": [
            {
                "name": member.name,
                "node_key": _hex(member.node_key),
                "p2p": member.p2p,
                "account": _hex(member.account),
                "vouched": [_hex(account) for account in member.vouched],
            }
            for member in members
        ],
        "operator": _hex(operator),
        "issuers": [_hex(operator)],
        "meters": [
            {
                "meter": _hex(each.meter),
                "household": _hex(each.household),
                "connection": each.name,
                "max_power_w": each.max_power_w,
            }
            for each in connections
        ],
        "tariffs": [{"preset": tariff, **asdict(PRESETS[tariff])}],
        "market": dict(market),
        "accounts": {_hex(account): str(wei) for account, wei in (balances or {}).items()},
        **(more or {}),
    }


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
