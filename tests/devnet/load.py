"""Transfers in the background of a devnet: every one is sent until it has a receipt, and every receipt is kept."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount

from devnet.accounts import MNEMONIC
from devnet.layout import CHAIN_ID
from devnet.run import rpc_call

POLL_S = 0.1
POLLS_UNTIL_RESENT = 20
TRANSFER_GAS = 21_000

Account.enable_unaudited_hdwallet_features()


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a node said of a transaction: committed at this height, in the block of this hash."""

    transaction: str
    height: int
    block_hash: str


class Load:
    """One account that sends a transfer over one node, waits for its receipt, and sends the next.

    Args:
        endpoint: the node, HOST:PORT; it may be away for a while.
        index: of the account of the well-known mnemonic.
    """

    def __init__(self, endpoint: str, index: int) -> None:
        self._endpoint = endpoint
        self._account: LocalAccount = Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"load-{index}")
        self.receipts: list[Receipt] = []

    def start(self) -> None:
        """Begin sending."""
        self._thread.start()

    def stop(self) -> None:
        """End sending; return when the thread has ended."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        nonce = 0
        while not self._ended.is_set():
            receipt = self._transfer(nonce)
            if receipt is not None:
                self.receipts.append(receipt)
                nonce += 1

    def _transfer(self, nonce: int) -> Receipt | None:
        fields: dict[str, Any] = {"to": self._account.address, "value": 1, "gas": TRANSFER_GAS, "gasPrice": 0}
        signed = self._account.sign_transaction({**fields, "nonce": nonce, "chainId": CHAIN_ID})
        polls = 0
        while True:
            if polls % POLLS_UNTIL_RESENT == 0:
                rpc_call(self._endpoint, "eth_sendRawTransaction", signed.raw_transaction.to_0x_hex())
            found: Any = rpc_call(self._endpoint, "eth_getTransactionReceipt", signed.hash.to_0x_hex())
            if found is not None:
                return Receipt(found["transactionHash"], int(found["blockNumber"], 16), found["blockHash"])
            polls += 1
            if self._ended.wait(POLL_S):
                return None
