"""Load on a devnet: transfers by the well-known accounts over all nodes; each must have a receipt in the end."""

from __future__ import annotations

import threading
import time
from typing import Any

from eth_account import Account

from devnet.accounts import MNEMONIC, MNEMONIC_ACCOUNTS
from devnet.layout import CHAIN_ID
from devnet.run import rpc_call

GAS = 21_000


class Load:
    """Sends transfers at a steady rate, in a thread; one account a sender, over one node in turn.

    Args:
        endpoints: the nodes' RPC, HOST:PORT.
        transactions_per_s: how many are sent a second.
    """

    def __init__(self, endpoints: list[str], transactions_per_s: int) -> None:
        Account.enable_unaudited_hdwallet_features()
        self._endpoints = endpoints
        self._pause_s = 1 / transactions_per_s if transactions_per_s else 0.0
        self._accounts = [
            Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}")
            for index in range(MNEMONIC_ACCOUNTS)
        ]
        self._nonces = [0] * MNEMONIC_ACCOUNTS
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load")
        self.sent: dict[str, str] = {}  # raw transactions that a node took, by hash

    def start(self) -> None:
        """Begin sending."""
        if self._pause_s:
            self._thread.start()

    def stop(self) -> None:
        """End sending; return when the thread has ended."""
        self._ended.set()
        if self._pause_s:
            self._thread.join()

    def missing(self, endpoint: str) -> list[str]:
        """Return the hashes of what was taken and has no receipt at a node."""
        return [each for each in self.sent if rpc_call(endpoint, "eth_getTransactionReceipt", each) is None]

    def settle(self, endpoints: list[str], patience_s: float) -> list[str]:
        """Send again what lacks a receipt, as a client does, until it has one at every node; return what has not.

        Args:
            endpoints: of the nodes that must have it.
            patience_s: how long.
        """
        deadline = time.monotonic() + patience_s
        lacking = {endpoint: list(self.sent) for endpoint in endpoints}
        while any(lacking.values()) and time.monotonic() < deadline:
            for endpoint, hashes in lacking.items():
                lacking[endpoint] = [
                    each for each in hashes if rpc_call(endpoint, "eth_getTransactionReceipt", each) is None
                ]
                for each in lacking[endpoint]:
                    rpc_call(endpoint, "eth_sendRawTransaction", self.sent[each])
            time.sleep(0.5)
        return sorted({each for hashes in lacking.values() for each in hashes})

    def _run(self) -> None:
        turn = 0
        while not self._ended.wait(self._pause_s):
            who = turn % MNEMONIC_ACCOUNTS
            self._send(who, [*self._endpoints[who % len(self._endpoints) :], *self._endpoints])
            turn += 1

    def _send(self, who: int, endpoints: list[str]) -> None:
        """Send the account's next transfer over the first node that takes it."""
        account: Any = self._accounts[who]
        fields = {"to": account.address, "value": 1, "gas": GAS, "gasPrice": 0, "chainId": CHAIN_ID}
        signed = account.sign_transaction({**fields, "nonce": self._nonces[who]})
        for endpoint in endpoints:
            if self._ended.is_set():
                return
            taken = rpc_call(endpoint, "eth_sendRawTransaction", signed.raw_transaction.to_0x_hex())
            if taken is not None:
                self.sent[signed.hash.to_0x_hex()] = signed.raw_transaction.to_0x_hex()
                self._nonces[who] += 1
                return
