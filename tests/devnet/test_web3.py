"""What a web3.py script with default settings does against four real validators, and what it is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount
from web3 import AsyncWeb3, HTTPProvider, Web3, WebSocketProvider
from web3.exceptions import ContractLogicError, Web3RPCError

from contracts.artifact import load_artifact
from devnet.accounts import MNEMONIC, MNEMONIC_BALANCE_WEI
from devnet.layout import CHAIN_ID
from devnet.run import Devnet
from tests.devnet.running import endpoints

pytestmark = [pytest.mark.web3, pytest.mark.xdist_group("devnet")]

SUBSCRIPTION_BOUND_S = 60.0
HEADS = 3

Account.enable_unaudited_hdwallet_features()


def account(index: int) -> LocalAccount:
    found: LocalAccount = Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}")
    return found


@pytest.fixture(scope="module")
def nodes(bare: Devnet) -> list[Any]:
    return [Web3(HTTPProvider(f"http://{endpoint}")) for endpoint in endpoints(bare)]


def send(w3: Any, signer: LocalAccount, fields: Mapping[str, Any]) -> Any:
    """Sign a transaction with the account's next nonce and send it; return its hash."""
    nonce = w3.eth.get_transaction_count(signer.address, "pending")
    filled = {"chainId": w3.eth.chain_id, "nonce": nonce, **fields}
    return w3.eth.send_raw_transaction(signer.sign_transaction(filled).raw_transaction)


def test_an_erc20_over_four_nodes(nodes: list[Any]) -> None:
    """Deployed over node 0, transferred over node 1, its log read over node 2 and the balance over node 3."""
    owner, other = account(0), account(1)
    artifact = load_artifact("TestToken")
    first, second, third, fourth = nodes

    factory = first.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
    deployment = factory.constructor("Token", "TOK", 1_000).build_transaction(
        {"from": owner.address, "nonce": first.eth.get_transaction_count(owner.address)}
    )
    made = first.eth.wait_for_transaction_receipt(
        first.eth.send_raw_transaction(owner.sign_transaction(deployment).raw_transaction)
    )
    assert made["status"] == 1
    address = made["contractAddress"]
    assert made["gasUsed"] <= deployment["gas"]

    assert second.eth.wait_for_transaction_receipt(made["transactionHash"])["contractAddress"] == address
    token = second.eth.contract(address=address, abi=artifact.abi)
    assert token.functions.symbol().call() == "TOK"
    gas = token.functions.transfer(other.address, 5).estimate_gas({"from": owner.address})
    assert 30_000 < gas < 80_000
    with pytest.raises(ContractLogicError):
        token.functions.transfer(other.address, 10**30).estimate_gas({"from": owner.address})
    transfer = token.functions.transfer(other.address, 5).build_transaction(
        {"from": owner.address, "nonce": second.eth.get_transaction_count(owner.address)}
    )
    sent = second.eth.send_raw_transaction(owner.sign_transaction(transfer).raw_transaction)

    receipt = third.eth.wait_for_transaction_receipt(sent)
    assert receipt["status"] == 1
    (log,) = third.eth.get_logs({"address": address, "fromBlock": receipt["blockNumber"]})
    assert log["transactionHash"] == sent
    read = third.eth.contract(address=address, abi=artifact.abi).events.Transfer().process_log(log)
    assert dict(read["args"]) == {"from": owner.address, "to": other.address, "value": 5}

    assert fourth.eth.wait_for_transaction_receipt(sent) == receipt
    there = fourth.eth.contract(address=address, abi=artifact.abi)
    assert there.functions.balanceOf(other.address).call() == 5
    assert there.functions.balanceOf(owner.address).call() == 995
    assert fourth.eth.get_code(address) == first.eth.get_code(address) != b""
    block = fourth.eth.get_block(receipt["blockNumber"])
    assert block == first.eth.get_block(receipt["blockNumber"])
    assert block["hash"] == receipt["blockHash"]
    assert sent in block["transactions"]


@pytest.mark.parametrize(
    ("type_", "fields"),
    [
        (0, {"gasPrice": 0}),
        (
            1,
            {
                "gasPrice": 0,
                "type": 1,
                "accessList": [{"address": "0x" + "11" * 20, "storageKeys": ["0x" + "00" * 32]}],
            },
        ),
        (2, {"maxFeePerGas": 0, "maxPriorityFeePerGas": 0}),
    ],
)
def test_every_type_of_transaction_reaches_every_node(nodes: list[Any], type_: int, fields: Mapping[str, Any]) -> None:
    target = Web3.to_checksum_address("0x" + f"{0x22 + type_:02x}" * 20)
    sent = send(nodes[type_], account(2), {"to": target, "value": 3, "gas": 60_000, **fields})
    for w3 in nodes:
        receipt = w3.eth.wait_for_transaction_receipt(sent)
        assert (receipt["status"], receipt["type"], receipt["from"]) == (1, type_, account(2).address)
        assert w3.eth.get_balance(target) == 3
        assert w3.eth.get_transaction(sent)["type"] == type_


def test_the_accounts_of_the_mnemonic_are_funded(nodes: list[Any]) -> None:
    assert nodes[3].eth.get_balance(account(9).address) == MNEMONIC_BALANCE_WEI
    assert {w3.eth.chain_id for w3 in nodes} == {CHAIN_ID}
    assert {w3.net.peer_count for w3 in nodes} == {3}


def test_new_heads_over_a_websocket(bare: Devnet, nodes: list[Any]) -> None:
    async def job() -> list[Any]:
        async with AsyncWeb3(WebSocketProvider(f"ws://{endpoints(bare)[3]}")) as w3:
            await w3.eth.subscribe("newHeads")
            heads: list[Any] = []
            sending = asyncio.create_task(asyncio.to_thread(send_some))
            async for message in w3.socket.process_subscriptions():
                heads.append(message["result"])
                if len(heads) == HEADS:
                    break
            await sending
            return heads

    def send_some() -> None:
        for _ in range(HEADS):
            sent = send(nodes[0], account(3), {"to": account(4).address, "value": 1, "gas": 21_000, "gasPrice": 0})
            nodes[0].eth.wait_for_transaction_receipt(sent)

    heads = asyncio.run(asyncio.wait_for(job(), SUBSCRIPTION_BOUND_S))
    assert [head["number"] - heads[0]["number"] for head in heads] == list(range(HEADS))
    for before, after in pairwise(heads):
        assert after["parentHash"] == before["hash"]
    assert nodes[1].eth.get_block(heads[0]["number"])["hash"] == heads[0]["hash"]


def _foreign_chain(w3: Any) -> Any:
    return send(w3, account(5), {"to": account(4).address, "gas": 21_000, "gasPrice": 0, "chainId": 1})


def _unvouched(w3: Any) -> Any:
    stranger: LocalAccount = Account.from_key("0x" + "77" * 32)
    return send(w3, stranger, {"to": account(4).address, "gas": 21_000, "gasPrice": 0})


def _too_dear(w3: Any) -> Any:
    return send(w3, account(5), {"to": account(4).address, "value": 10**30, "gas": 21_000, "gasPrice": 0})


def _old_nonce(w3: Any) -> Any:
    fields = {"to": account(4).address, "value": 1, "gas": 21_000, "gasPrice": 0}
    w3.eth.wait_for_transaction_receipt(send(w3, account(6), fields))
    return send(w3, account(6), {**fields, "nonce": 0, "value": 2})


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (_foreign_chain, "invalid chain id for signer"),
        (_unvouched, "no member of the consortium vouches"),
        (_too_dear, "insufficient funds"),
        (_old_nonce, "nonce too low"),
        (lambda w3: w3.eth.send_raw_transaction("0xf80102"), "malformed transaction"),
        (lambda w3: w3.eth.send_raw_transaction("0x"), "malformed transaction"),
        (lambda w3: w3.eth.send_raw_transaction("0x03c0"), "transaction type not supported"),
    ],
)
def test_what_no_block_may_hold_is_refused(nodes: list[Any], attempt: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(Web3RPCError, match=message):
        attempt(nodes[2])
    height = nodes[2].eth.block_number  # it goes on: the next transaction is taken
    sent = send(nodes[2], account(7), {"to": account(4).address, "value": 1, "gas": 21_000, "gasPrice": 0})
    assert nodes[2].eth.wait_for_transaction_receipt(sent)["blockNumber"] > height
