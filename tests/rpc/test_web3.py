"""web3.py with default settings against a real server: what people's scripts do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_account.signers.local import LocalAccount
from eth_utils.abi import function_signature_to_4byte_selector as selector
from eth_utils.address import to_checksum_address
from web3 import AsyncWeb3, HTTPProvider, Web3, WebSocketProvider
from web3.exceptions import (
    BlockNotFound,
    ContractCustomError,
    ContractLogicError,
    ContractPanicError,
    TransactionNotFound,
    Web3RPCError,
)
from web3.middleware import SignAndSendRawMiddlewareBuilder

from contracts.artifact import load_artifact
from contracts.system import CONSORTIUM
from tests.rpc.conftest import funded
from tests.rpc.harness import RunningNode

MIRROR = "0x366000600037" + "366000fd"  # reverts with its input
MIRROR_INIT = "0x69" + MIRROR[2:] + "600052600a6016f3"


@pytest.fixture(scope="module")
def w3(node: RunningNode) -> Any:
    return Web3(HTTPProvider(node.url))


@pytest.fixture(scope="module")
def token(w3: Any) -> Any:
    """An ERC-20 deployed the way web3.py's documentation does it."""
    owner = funded(0)
    w3.middleware_onion.inject(SignAndSendRawMiddlewareBuilder.build([owner, funded(1)]), layer=0)
    w3.eth.default_account = owner.address
    artifact = load_artifact("TestToken")
    factory = w3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
    transaction_hash = factory.constructor("Token", "TOK", 1_000).transact()
    receipt = w3.eth.wait_for_transaction_receipt(transaction_hash)
    assert receipt["status"] == 1
    assert receipt["contractAddress"] is not None
    return w3.eth.contract(address=receipt["contractAddress"], abi=artifact.abi)


def test_the_connection_and_its_chain(w3: Any) -> None:
    assert w3.is_connected(show_traceback=True)
    assert w3.eth.chain_id == 2016
    assert w3.net.version == "2016"
    assert w3.net.listening is True
    assert w3.net.peer_count == 3
    assert w3.client_version.startswith("gridpact/v")
    assert w3.eth.gas_price == 0
    assert w3.eth.max_priority_fee == 0
    assert list(w3.eth.accounts) == []
    assert w3.eth.syncing is False


def test_a_deployed_token_is_called_and_transferred(w3: Any, token: Any) -> None:
    other = funded(1).address
    assert token.functions.symbol().call() == "TOK"
    before = token.functions.balanceOf(other).call()
    gas = token.functions.transfer(other, 5).estimate_gas()
    assert 30_000 < gas < 80_000
    receipt = w3.eth.wait_for_transaction_receipt(token.functions.transfer(other, 5).transact())
    assert receipt["status"] == 1
    assert receipt["gasUsed"] <= gas
    assert receipt["effectiveGasPrice"] == 0
    assert token.functions.balanceOf(other).call() == before + 5
    assert token.functions.balanceOf(other).call(block_identifier=receipt["blockNumber"] - 1) == before
    (event,) = token.events.Transfer().process_receipt(receipt)
    assert event["args"]["value"] == 5
    assert event["logIndex"] == 0
    logs = w3.eth.get_logs({"address": token.address, "fromBlock": receipt["blockNumber"]})
    assert [entry["transactionHash"] for entry in logs] == [receipt["transactionHash"]]
    assert token.events.Transfer().get_logs(from_block=0, argument_filters={"to": other})[-1]["args"]["value"] == 5


@pytest.mark.parametrize(
    "fields",
    [
        {"gasPrice": 0},
        {"gasPrice": 0, "type": 1, "accessList": [{"address": "0x" + "11" * 20, "storageKeys": ["0x" + "00" * 32]}]},
        {"maxFeePerGas": 0, "maxPriorityFeePerGas": 0},
        {"gasPrice": 7},
        {"maxFeePerGas": 9, "maxPriorityFeePerGas": 2},
    ],
)
def test_transactions_of_every_type_come_back_as_they_were_sent(w3: Any, fields: dict[str, Any]) -> None:
    sender = funded(2)
    target = to_checksum_address("0x" + "22" * 20)
    before = w3.eth.get_balance(target)
    transaction = {
        "to": target,
        "value": 3,
        "gas": 60_000,
        "nonce": w3.eth.get_transaction_count(sender.address),
        "chainId": w3.eth.chain_id,
        **fields,
    }
    signed = sender.sign_transaction(transaction)
    sent = w3.eth.send_raw_transaction(signed.raw_transaction)
    assert sent == signed.hash
    receipt = w3.eth.wait_for_transaction_receipt(sent)
    found = w3.eth.get_transaction(sent)
    expected = 1 if "accessList" in fields else 2 if "maxFeePerGas" in fields else 0
    assert receipt["type"] == found["type"] == expected
    assert receipt["from"] == found["from"] == sender.address
    assert receipt["contractAddress"] is None
    assert found["value"] == 3
    assert found["r"] == signed.r.to_bytes(32, "big")
    assert (
        found["gasPrice"]
        == receipt["effectiveGasPrice"]
        == fields.get("gasPrice", min(2, fields.get("maxFeePerGas", 0)))
    )
    assert w3.eth.get_balance(target) == before + 3
    assert w3.eth.get_raw_transaction(sent) == signed.raw_transaction
    if expected == 1:
        assert found["accessList"][0]["storageKeys"] == ["0x" + "00" * 32]
    if expected:
        assert found["yParity"] == found["v"]


def test_blocks_have_every_field(w3: Any, token: Any) -> None:
    w3.eth.wait_for_transaction_receipt(token.functions.transfer(funded(1).address, 1).transact())
    block = w3.eth.get_block("latest")
    assert len(block["extraData"]) == 32
    assert block["baseFeePerGas"] == 0
    assert block["withdrawals"] == block["uncles"] == []
    assert block["miner"] == "0x" + "00" * 20
    assert block["size"] > 500
    full = w3.eth.get_block(block["hash"], full_transactions=True)
    assert [entry["hash"] for entry in full["transactions"]] == list(block["transactions"])
    assert w3.eth.get_block("finalized") == w3.eth.get_block("safe") == w3.eth.get_block(block["number"])
    assert w3.eth.get_block_transaction_count(block["number"]) == 1
    receipts = w3.eth.get_block_receipts(block["number"])
    assert receipts == [w3.eth.get_transaction_receipt(full["transactions"][0]["hash"])]
    assert w3.eth.get_transaction_by_block(block["number"], 0)["hash"] == block["transactions"][0]
    with pytest.raises(BlockNotFound):
        w3.eth.get_block(10**9)
    with pytest.raises(TransactionNotFound):
        w3.eth.get_transaction("0x" + "ab" * 32)
    with pytest.raises(TransactionNotFound):
        w3.eth.get_transaction_receipt("0x" + "ab" * 32)


def test_state_is_read_at_any_height(w3: Any, token: Any) -> None:
    assert len(w3.eth.get_code(token.address)) > 1_000
    assert w3.eth.get_code(token.address, 0) == b""
    assert w3.eth.get_code(to_checksum_address(CONSORTIUM), 0) != b""
    assert len(w3.eth.get_storage_at(token.address, 2)) == 32
    assert int.from_bytes(w3.eth.get_storage_at(token.address, 2)) == 1_000
    history = w3.eth.fee_history(4, "latest", [10, 50])
    assert set(history["baseFeePerGas"]) == {0}
    assert {len(row) for row in history["reward"]} == {2}


def test_a_custom_error_arrives_with_its_data(w3: Any, token: Any) -> None:
    with pytest.raises(ContractCustomError) as caught:
        token.functions.transfer(funded(1).address, 10**30).call()
    assert str(caught.value.data).startswith("0xe450d38c")  # ERC20InsufficientBalance(address,uint256,uint256)
    with pytest.raises(ContractCustomError):
        token.functions.transfer(funded(1).address, 10**30).transact()


def test_a_revert_is_passed_through_as_go_ethereum_does(w3: Any, token: Any, node: RunningNode) -> None:
    made = w3.eth.wait_for_transaction_receipt(w3.eth.send_transaction({"data": MIRROR_INIT}))["contractAddress"]
    assert made is not None
    assert w3.eth.get_code(made).to_0x_hex() == MIRROR
    reason = "0x" + (selector("Error(string)") + encode(["string"], ["kein Strom ☀"])).hex()
    for method in ("eth_call", "eth_estimateGas"):
        error = node.error(method, {"to": made, "data": reason}, "latest")
        assert error == {"code": 3, "message": "execution reverted: kein Strom ☀", "data": reason}
        assert node.error(method, {"to": made}) == {"code": 3, "message": "execution reverted", "data": "0x"}
        broken = reason[:80]
        assert node.error(method, {"to": made, "input": broken}) == {
            "code": 3,
            "message": "execution reverted",
            "data": broken,
        }
    with pytest.raises(ContractLogicError, match="kein Strom"):
        w3.eth.call({"to": made, "data": reason})
    panic = "0x" + (selector("Panic(uint256)") + encode(["uint256"], [0x11])).hex()
    with pytest.raises(ContractPanicError, match="overflow"):
        w3.eth.call({"to": made, "data": panic})
    assert node.error("eth_call", {"to": made, "data": panic})["message"].endswith("arithmetic underflow or overflow")


def test_refused_transactions_say_what_clients_match_on(w3: Any, node: RunningNode) -> None:
    sender = funded(3)

    def send(**fields: Any) -> str:
        filled = {"to": "0x" + "33" * 20, "gas": 21_000, "gasPrice": 0, "nonce": 0, "chainId": 2016, **fields}
        answer = node.ask("eth_sendRawTransaction", sender.sign_transaction(filled).raw_transaction.to_0x_hex())
        error = answer.get("error", {"code": -32000, "message": ""})
        assert error["code"] == -32000
        return str(error["message"])

    assert send(chainId=1).startswith("invalid sender: invalid chain id for signer: have 1 want 2016")
    assert send(value=10**30).startswith("insufficient funds for gas * price + value")
    assert send(gas=20_000).startswith("intrinsic gas too low")
    assert send() == ""
    assert send().startswith("nonce too low")
    node.backend.mining = False
    try:
        assert send(nonce=1) == ""
        assert send(nonce=1) == "already known"
        assert send(nonce=1, value=1).startswith("replacement transaction underpriced")
        assert w3.eth.get_transaction_count(sender.address, "pending") == 2
        assert w3.eth.get_transaction_count(sender.address) == 1
        status = w3.geth.txpool.status()
        assert int(str(status["pending"]), 16) == 1
        assert sender.address.lower() in {key.lower() for key in w3.geth.txpool.content()["pending"]}
        waiting = next(iter(w3.geth.txpool.content()["pending"].values()))
        found = w3.eth.get_transaction(next(iter(waiting.values()))["hash"])
        assert found["blockHash"] is None
    finally:
        node.backend.mining = True
        node.mine()
    assert w3.eth.get_transaction_count(sender.address) == 2
    assert node.error("eth_sendRawTransaction", "0x")["code"] == -32000
    assert "transaction type not supported" in node.error("eth_sendRawTransaction", "0x03c0")["message"]
    assert "malformed transaction" in node.error("eth_sendRawTransaction", "0xf80102")["message"]


def test_filters_are_polled(w3: Any, token: Any) -> None:
    blocks, pending = w3.eth.filter("latest"), w3.eth.filter("pending")
    transfers = token.events.Transfer.create_filter(from_block="latest", argument_filters={"to": funded(1).address})
    sent = token.functions.transfer(funded(1).address, 2).transact()
    receipt = w3.eth.wait_for_transaction_receipt(sent)
    assert blocks.get_new_entries() == [receipt["blockHash"]]
    assert pending.get_new_entries() == [sent]
    (event,) = transfers.get_new_entries()
    assert event["transactionHash"] == sent
    assert transfers.get_new_entries() == blocks.get_new_entries() == pending.get_new_entries() == []
    assert transfers.get_all_entries()[-1]["transactionHash"] == sent
    assert w3.eth.uninstall_filter(blocks.filter_id)
    assert not w3.eth.uninstall_filter(blocks.filter_id)
    with pytest.raises(Web3RPCError, match="filter not found"):
        blocks.get_new_entries()


def test_a_batch_over_http(w3: Any) -> None:
    with w3.batch_requests() as batch:
        batch.add(w3.eth.get_block(0))
        batch.add(w3.eth.get_balance(funded(0).address))
        first, balance = batch.execute()
    assert first["number"] == 0
    assert balance == 10**22


def test_subscriptions_over_a_websocket(node: RunningNode, token: Any) -> None:
    sender: LocalAccount = funded(0)

    async def job() -> tuple[list[Any], list[Any], list[Any], Any]:
        async with AsyncWeb3(WebSocketProvider(node.ws_url)) as w3:
            heads = await w3.eth.subscribe("newHeads")
            logs = await w3.eth.subscribe("logs", {"address": token.address})
            pending = await w3.eth.subscribe("newPendingTransactions")
            found: dict[Any, list[Any]] = {heads: [], logs: [], pending: []}
            start = await w3.eth.get_transaction_count(sender.address)
            for nonce in (start, start + 1):
                filled = token.functions.transfer(funded(1).address, 1).build_transaction(
                    {"nonce": nonce, "gas": 100_000, "from": sender.address}
                )
                await w3.eth.send_raw_transaction(sender.sign_transaction(filled).raw_transaction)
            async for message in w3.socket.process_subscriptions():
                found[message["subscription"]].append(message["result"])
                if all(len(rows) == 2 for rows in found.values()):
                    break
            assert await w3.eth.unsubscribe(heads)
            block = await w3.eth.get_block(found[heads][1]["number"])
            return found[heads], found[logs], found[pending], block

    heads, logs, pending, block = asyncio.run(asyncio.wait_for(job(), 20))
    assert heads[1]["number"] == heads[0]["number"] + 1
    assert heads[1]["parentHash"] == heads[0]["hash"]
    assert heads[1]["hash"] == block["hash"]
    assert [entry["transactionHash"] for entry in logs] == pending
    assert block["transactions"] == [pending[1]]
