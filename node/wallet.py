"""Accounts that the operator unlocked, on a devnet: the node signs for whoever may call it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.messages import encode_defunct, encode_typed_data
from eth_account.signers.local import LocalAccount

from node.keys import ACCOUNT_KIND, load_key, read_passphrase
from node.parsing import ConfigError
from node.rules import Rules


class Wallet:
    """The unlocked accounts, by address (20 bytes).

    Args:
        secrets: their secp256k1 keys (32 bytes each), in the order in which clients see them.
    """

    def __init__(self, secrets: Sequence[bytes] = ()) -> None:
        accounts: list[LocalAccount] = [Account.from_key(secret) for secret in secrets]
        self._accounts = {bytes.fromhex(account.address[2:]): account for account in accounts}
        self._turns: dict[bytes, asyncio.Lock] = {}

    @property
    def addresses(self) -> Sequence[bytes]:
        """The addresses, in order."""
        return tuple(self._accounts)

    def __contains__(self, address: bytes) -> bool:
        """Return whether an account is unlocked."""
        return address in self._accounts

    def turn(self, address: bytes) -> asyncio.Lock:
        """Return what a caller holds from choosing an account's next nonce until the transaction is in the pool."""
        return self._turns.setdefault(address, asyncio.Lock())

    def sign_transaction(self, address: bytes, fields: Mapping[str, Any]) -> bytes:
        """Return the signed transaction (EIP-2718) with these fields, named as in JSON-RPC, with numbers and bytes."""
        return bytes(self._accounts[address].sign_transaction(dict(fields)).raw_transaction)

    def sign_message(self, address: bytes, message: bytes) -> bytes:
        """Return the signature (65 bytes: r, s, 27 or 28) over a message with its EIP-191 prefix."""
        return bytes(self._accounts[address].sign_message(encode_defunct(message)).signature)

    def sign_typed_data(self, address: bytes, content: Mapping[str, Any]) -> bytes:
        """Return the signature (65 bytes) over typed data (EIP-712: types, primaryType, domain, message).

        Raises:
            ValueError: the data are not what their types say.
        """
        try:
            message = encode_typed_data(full_message=dict(content))
            _check_lengths(content["primaryType"], content["message"], content["types"])
        except Exception as error:  # eth_account raises whatever the first wrong value leads to
            raise ValueError(f"{type(error).__name__}: {error}") from None
        return bytes(self._accounts[address].sign_message(message).signature)


def _check_lengths(kind: str, value: Any, types: Mapping[str, Any]) -> None:
    """Raise ValueError for an array of another length than its type says, which eth_account signs all the same."""
    if kind.endswith("]"):
        element, _, length = kind[:-1].rpartition("[")
        if length and len(value) != int(length):
            raise ValueError(f"Expected {length} items for array type {kind}, got {len(value)} items")
        for each in value:
            _check_lengths(element, each, types)
    elif kind in types and value is not None:
        for field in types[kind]:
            _check_lengths(field["type"], value.get(field["name"]), types)


def open_wallet(path: Path, keystores: Sequence[Path], passphrase_file: Path | None, rules: Rules) -> Wallet:
    """Return the wallet that the section `accounts` of a configuration asks for.

    Args:
        path: the configuration, for errors.
        keystores: Ethereum keystores V3; empty for a node that signs for nobody.
        passphrase_file: with the passphrase of all of them.
        rules: of the genesis file.

    Raises:
        ConfigError: the chain is no devnet, whose rules let every account send.
        KeyFileError: a keystore cannot be opened.
    """
    if not keystores:
        return Wallet()
    if not rules.open_accounts:
        expected = "no keystores: a node signs for its callers only on a devnet (genesis rules with open_accounts)"
        raise ConfigError(path, "accounts.keystores", expected)
    passphrase = read_passphrase(passphrase_file)
    return Wallet([load_key(keystore, passphrase, ACCOUNT_KIND) for keystore in keystores])
