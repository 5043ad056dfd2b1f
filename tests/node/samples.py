"""A small genesis file for tests: deterministic keys, four members, nothing secret."""

from __future__ import annotations

import hashlib
from typing import Any

from coincurve import PrivateKey
from eth_hash.auto import keccak
from nacl.signing import SigningKey

GENESIS_TIME_S = 1_466_460_000  # 20 June 2016, 22:00 UTC: midnight of the 21st where the street is


def seed(label: str) -> bytes:
    """Return 32 bytes that depend on `label` alone."""
    return hashlib.sha256(f"gridpact test {label}".encode()).digest()


def node_key(index: int) -> SigningKey:
    """Return the Ed25519 key of member `index`."""
    return SigningKey(seed(f"node {index}"))


def account_key(label: str) -> PrivateKey:
    """Return a secp256k1 key that depends on `label` alone."""
    return PrivateKey(seed(f"account {label}"))


def address_of(key: PrivateKey) -> bytes:
    """Return the Ethereum address (20 bytes) of a key."""
    return keccak(key.public_key.format(compressed=False)[1:])[12:]


def hex_of(data: bytes) -> str:
    """Return 0x and the hexadecimal digits of `data`."""
    return "0x" + data.hex()


def sample_genesis(members: int = 4, **rules: Any) -> dict[str, Any]:
    """Return the content of a genesis file for `members` households; `rules` override."""
    accounts = [address_of(account_key(f"household {i}")) for i in range(members)]
    meters = [address_of(account_key(f"meter {i}")) for i in range(members)]
    operator = address_of(account_key("operator"))
    return {
        "format": "gridpact-genesis/1",
        "chain_id": 2016,
        "genesis_time_s": GENESIS_TIME_S,
        "clock": {"wall_start_ms": 0, "steps": [[0, 1]]},
        "rules": {
            "version": 1,
            "open_accounts": False,
            "block_gas_limit": 10_000_000,
            "future_tolerance_ms": 2_000,
            "view_timeout_ms": 4_000,
            "max_view_timeout_ms": 30_000,
        }
        | rules,
        "schedule": {
            "window_zero_s": GENESIS_TIME_S,
            "window_length_s": 3_600,
            "quarter_length_s": 900,
            "negotiation_close_s": 2_700,
            "recording_margin_s": 900,
            "settlement_deadline_windows": 4,
        },
        "members": [
            {
                "name": f"house-{i}",
                "node_key": hex_of(bytes(node_key(i).verify_key)),
                "p2p": f"127.0.0.1:{30_300 + i}",
                "account": hex_of(accounts[i]),
                "vouched": [hex_of(meters[i])] + ([hex_of(operator)] if i == 0 else []),
            }
            for i in range(members)
        ],
        "operator": hex_of(operator),
        "issuers": [hex_of(operator)],
        "meters": [
            {"meter": hex_of(meters[i]), "household": hex_of(accounts[i]), "connection": f"L{i}", "max_power_w": 20_000}
            for i in range(members)
        ],
        "tariffs": [
            {
                "preset": "shared-connection",
                "valid_from_window": 0,
                "energy_microeur_per_kwh": 140_000,
                "grid_microeur_per_kwh": 70_000,
                "levies_microeur_per_kwh": 77_000,
                "local_charges_microeur_per_kwh": 0,
                "feed_in_microeur_per_kwh": 123_000,
            }
        ],
        "market": {
            "penalty_microeur_per_kwh": 0,
            "minimum_lot_wh": 10,
            "operator_margin_microeur_per_kwh": 0,
        },
        "accounts": {hex_of(account): str(10**22) for account in accounts},
    }
