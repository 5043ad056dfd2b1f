"""A lean load generator's view of an Ethereum node: signing, and JSON-RPC in batches over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import aiohttp
from eth_account import Account
from eth_account.signers.local import LocalAccount

MNEMONIC = "test test test test test test test test test test test junk"  # the devnet's funded accounts
GAS = 100_000
JSON = {"Content-Type": "application/json"}


def accounts(count: int) -> list[LocalAccount]:
    """Return the first `count` accounts of the devnets' well-known mnemonic."""
    Account.enable_unaudited_hdwallet_features()
    return [Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{i}") for i in range(count)]


def transfer_data(to: str, amount: int) -> str:
    """Return the calldata of ERC-20 `transfer(to, amount)`."""
    return "0xa9059cbb" + to[2:].lower().rjust(64, "0") + f"{amount:064x}"


def sign(
    account: LocalAccount, *, chain_id: int, nonce: int, to: str | None, data: str, gas: int = GAS, fee: int = 0
) -> str:
    """Return a signed type-2 transaction as hexadecimal text; `to` None creates a contract, `fee` is wei a gas."""
    fields: dict[str, Any] = {
        "type": 2,
        "chainId": chain_id,
        "nonce": nonce,
        "gas": gas,
        "maxFeePerGas": fee,
        "maxPriorityFeePerGas": 0,
        "value": 0,
        "data": data,
    }
    if to is not None:
        fields["to"] = bytes.fromhex(to[2:])
    return "0x" + bytes(account.sign_transaction(fields).raw_transaction).hex()


class RpcError(Exception):
    """A node answered with an error object."""


@dataclass(frozen=True, slots=True)
class Node:
    """One node's JSON-RPC over HTTP, with batches."""

    session: aiohttp.ClientSession
    url: str

    async def batch(self, calls: list[tuple[str, list[Any]]]) -> list[Any]:
        """Send the calls as one batch and return their results in order.

        Raises:
            RpcError: the first error in the answer.
        """
        request = [
            {"jsonrpc": "2.0", "id": i, "method": name, "params": params} for i, (name, params) in enumerate(calls)
        ]
        async with self.session.post(self.url, json=request) as answer:
            rows = await answer.json()
        if not isinstance(rows, list):
            raise RpcError(str(rows))
        rows.sort(key=lambda row: row["id"])
        for row in rows:
            if "error" in row:
                raise RpcError(f"{self.url}: {row['error']}")
        return [row["result"] for row in rows]

    async def post(self, body: bytes) -> None:
        """Send a batch that is encoded already.

        Raises:
            RpcError: there is an error in the answer.
        """
        async with self.session.post(self.url, data=body, headers=JSON) as answer:
            found = await answer.read()
        if b'"error"' in found:
            raise RpcError(f"{self.url}: {found[:300].decode(errors='replace')}")

    async def call(self, name: str, *params: Any) -> Any:
        """Call one method."""
        return (await self.batch([(name, list(params))]))[0]
