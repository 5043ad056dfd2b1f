"""Keys of a devnet: derived from names, so that everyone knows them. Never use them elsewhere."""

from __future__ import annotations

import hashlib

from eth_account import Account

from node.keys import account_address

MNEMONIC = "test test test test test test test test test test test junk"
MNEMONIC_ACCOUNTS = 10
MNEMONIC_BALANCE_WEI = 10_000 * 10**18  # what other development chains give these accounts
PASSPHRASE = "devnet"


def derived_key(what: str) -> bytes:
    """Return the 32 secret bytes of a devnet key, from its name alone."""
    return hashlib.sha256(f"gridpact/devnet/{what}".encode()).digest()


def mnemonic_keys() -> list[bytes]:
    """Return the secp256k1 keys (32 bytes) of the well-known mnemonic's first ten accounts."""
    Account.enable_unaudited_hdwallet_features()
    paths = [f"m/44'/60'/0'/0/{index}" for index in range(MNEMONIC_ACCOUNTS)]
    return [bytes(Account.from_mnemonic(MNEMONIC, account_path=path).key) for path in paths]


def mnemonic_addresses() -> list[bytes]:
    """Return the addresses (20 bytes) of the well-known mnemonic's first ten accounts."""
    return [account_address(secret) for secret in mnemonic_keys()]
