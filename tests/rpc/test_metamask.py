"""What MetaMask sends when a network is added and a transaction is sent, request by request.

The shapes are those of MetaMask/core: network-controller (RpcService, 1559 probe), eth-block-tracker (polling),
gas-fee-controller (fetchGasEstimatesViaEthFeeHistory), transaction-controller (gas, PendingTransactionTracker); ids and
headers those of the extension's service worker, whose Origin is the extension's.
"""

from __future__ import annotations

import gzip
import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_account.signers.local import LocalAccount

from node.rpc.settings import RpcConfig
from tests.rpc.conftest import funded
from tests.rpc.harness import RunningNode

ORIGIN = "chrome-extension://nkbihfbeogaeaoehlefnkodbefgpgknn"
FROM_WORKER = {
    "Accept": "application/json",
    "Content-Type": "application/json",
    "Origin": ORIGIN,
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Accept-Language": "en-US,en;q=0.9",
    "Sec-Fetch-Dest": "empty",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Site": "cross-site",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0",
}
RANDOM_ID = 7_391_052_846_103_041  # json-rpc-random-id: below JavaScript's largest whole number
GWEI = 10**9


class Wallet:
    """An extension that talks to a node over one kept connection."""

    def __init__(self, node: RunningNode) -> None:
        self._node = node
        self._connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=10)
        self._next = RANDOM_ID

    def send(self, verb: str, body: str | None, headers: dict[str, str]) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Return (status, headers, unpacked body)."""
        self._connection.request(verb, "/", body=body, headers=headers)
        response = self._connection.getresponse()
        content = response.read()
        packed = response.headers.get("Content-Encoding") == "gzip"
        return response.status, response.headers, gzip.decompress(content) if packed else content

    def ask(self, method: str, *params: Any) -> Any:
        """Return the result of a request as the extension's background sends it."""
        self._next += 1
        body = json.dumps({"id": self._next, "jsonrpc": "2.0", "method": method, "params": params})
        status, headers, content = self.send("POST", body, FROM_WORKER)
        assert status == 200
        assert headers["Content-Type"].startswith("application/json")
        answer = json.loads(content)
        assert answer["id"] == self._next
        return answer["result"]

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


@pytest.fixture
def wallet(own_node: RunningNode) -> Iterator[Wallet]:
    """A wallet at a node with default settings."""
    opened = Wallet(own_node)
    yield opened
    opened.close()


def test_a_network_is_added(wallet: Wallet, account: LocalAccount) -> None:
    body = json.dumps({"id": "1763735400123", "jsonrpc": "2.0", "method": "eth_chainId", "params": []})
    status, _, answer = wallet.send("POST", body, FROM_WORKER)  # the form that adds a network has ids of digits
    assert (status, json.loads(answer)) == (200, {"jsonrpc": "2.0", "id": "1763735400123", "result": "0x7e0"})
    assert wallet.ask("net_version") == "2016"
    latest = wallet.ask("eth_getBlockByNumber", "latest", False)
    assert latest["baseFeePerGas"] == "0x0"  # there, so that the network counts as one with EIP-1559
    number = wallet.ask("eth_blockNumber")
    assert latest["number"] == number
    assert int(wallet.ask("eth_getBalance", account.address.lower(), number), 16) > 0
    assert wallet.ask("eth_getCode", account.address.lower(), number) == "0x"
    balances = {"to": "0xb1f8e55c7f64d203c1400b9d8555d050f94adf39", "data": "0xf0002ea9" + "00" * 31 + "40"}
    multicall = {"to": "0xca11bde05977b3631167028862be2a173976ca11", "data": "0x82ad56cb" + "00" * 31 + "20"}
    assert wallet.ask("eth_call", balances, number) == "0x"  # nobody deployed them here: the wallet asks one by one
    assert wallet.ask("eth_call", multicall, "latest") == "0x"


def _fees(wallet: Wallet) -> None:
    number = wallet.ask("eth_blockNumber")
    latest = wallet.ask("eth_getBlockByNumber", number, False)
    blocks = min(5, int(latest["number"], 16))
    history = wallet.ask("eth_feeHistory", hex(blocks), latest["number"], [10, 20, 30])
    assert len(history["gasUsedRatio"]) == blocks
    assert len(history["baseFeePerGas"]) == blocks + 1
    assert history["reward"] == [["0x0"] * 3] * blocks
    assert int(history["oldestBlock"], 16) == int(number, 16) - blocks + 1
    assert wallet.ask("eth_gasPrice") == "0x0"


def test_a_transaction_is_sent(wallet: Wallet, own_node: RunningNode, account: LocalAccount) -> None:
    for _ in range(6):
        own_node.mine()
    own_node.backend.mining = False
    _fees(wallet)
    sender, target = account.address.lower(), funded(1).address.lower()
    tip = hex(GWEI)  # the least that MetaMask proposes, whatever the history says
    block = wallet.ask("eth_getBlockByNumber", "latest", False)
    draft = {"from": sender, "to": target, "value": "0xde0b6b3a7640", "data": "0x", "type": "0x2"}
    assert wallet.ask("eth_estimateGas", draft) == "0x5208"
    assert (
        wallet.ask("eth_estimateGas", {**draft, "maxFeePerGas": tip, "maxPriorityFeePerGas": tip}, "latest") == "0x5208"
    )
    assert wallet.ask("eth_getCode", target) == "0x"
    assert wallet.ask("eth_getTransactionCount", sender, block["number"]) == "0x0"
    assert wallet.ask("eth_getTransactionCount", sender, "pending") == "0x0"
    signed = account.sign_transaction(
        {
            "chainId": 2016,
            "nonce": 0,
            "to": funded(1).address,
            "value": int(draft["value"], 16),
            "gas": 0x5208 * 3 // 2,
            "maxFeePerGas": GWEI,
            "maxPriorityFeePerGas": GWEI,
            "data": b"",
        }
    )
    raw, identity = "0x" + bytes(signed.raw_transaction).hex(), "0x" + bytes(signed.hash).hex()
    assert wallet.ask("eth_sendRawTransaction", raw) == identity
    assert wallet.ask("eth_getTransactionReceipt", identity) is None
    assert wallet.ask("eth_getTransactionByHash", identity)["blockHash"] is None
    assert wallet.ask("eth_getTransactionCount", sender, "pending") == "0x1"
    assert wallet.ask("eth_getTransactionCount", sender) == "0x0"
    own_node.mine()
    receipt = wallet.ask("eth_getTransactionReceipt", identity)
    assert (receipt["status"], receipt["blockNumber"]) == ("0x1", wallet.ask("eth_blockNumber"))
    confirmed = wallet.ask("eth_getBlockByHash", receipt["blockHash"], False)
    assert {"baseFeePerGas", "timestamp"} <= confirmed.keys()
    assert wallet.ask("eth_getTransactionCount", sender) == "0x1"


def test_a_transaction_that_was_sent_twice_is_told_in_words_that_the_wallet_knows(
    wallet: Wallet, own_node: RunningNode, account: LocalAccount
) -> None:
    fields: Any = {"chainId": 2016, "nonce": 0, "to": account.address, "gas": 21_000, "maxPriorityFeePerGas": 0}
    signed = account.sign_transaction({**fields, "maxFeePerGas": 0})
    raw = "0x" + bytes(signed.raw_transaction).hex()
    wallet.ask("eth_sendRawTransaction", raw)
    body = json.dumps({"id": RANDOM_ID, "jsonrpc": "2.0", "method": "eth_sendRawTransaction", "params": [raw]})
    status, _, answer = wallet.send("POST", body, FROM_WORKER)
    assert status == 200
    error = json.loads(answer)["error"]
    assert error["code"] == -32000
    assert any(known in error["message"] for known in ("nonce too low", "known transaction", "already known"))


# -- the browser's questions


def test_a_web_page_asks_before_it_posts(tmp_path: Path) -> None:
    page = "https://app.example"
    node = RunningNode(tmp_path / "chain", RpcConfig(port=0, cors_origins=(ORIGIN, page)))
    wallet = Wallet(node)
    for origin in (ORIGIN, page):
        preflight = {
            "Accept": "*/*",
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type",
            "Access-Control-Request-Private-Network": "true",
            "Sec-Fetch-Mode": "cors",
        }
        status, headers, content = wallet.send("OPTIONS", None, preflight)
        assert (status, content) == (204, b"")
        assert headers["Access-Control-Allow-Origin"] == origin
        assert "POST" in headers["Access-Control-Allow-Methods"]
        assert "content-type" in headers["Access-Control-Allow-Headers"]
        assert headers["Access-Control-Allow-Private-Network"] == "true"
        body = json.dumps({"id": 1, "jsonrpc": "2.0", "method": "eth_chainId", "params": []})
        status, headers, content = wallet.send("POST", body, FROM_WORKER | {"Origin": origin})
        assert headers["Access-Control-Allow-Origin"] == origin
        assert "Origin" in ", ".join(headers.get_all("Vary") or [])
        assert json.loads(content)["result"] == "0x7e0"
    stranger = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    status, headers, _ = wallet.send("OPTIONS", None, stranger)
    assert status == 403
    assert "Access-Control-Allow-Origin" not in headers
    wallet.close()
    node.close()


def test_the_extension_needs_no_permission(wallet: Wallet) -> None:
    """It may read any answer by its manifest; no node with default settings turns it away for its Origin."""
    body = json.dumps({"id": 1, "jsonrpc": "2.0", "method": "eth_chainId", "params": []})
    status, headers, _ = wallet.send("POST", body, FROM_WORKER)
    assert status == 200
    assert "Access-Control-Allow-Origin" not in headers
