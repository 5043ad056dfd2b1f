"""eth_sendRawTransactionSync: the receipt as soon as there is one, EIP-7966's error where there is none in time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from node.rpc.context import MAX_WAITING
from tests.execution.signing import signed
from tests.node.samples import account_key
from tests.rpc.harness import RunningNode

KEY = account_key("household 0")
METHOD = "eth_sendRawTransactionSync"


def raw(nonce: int) -> str:
    return "0x" + signed(KEY, 2, nonce=nonce).hex()


def test_the_answer_is_the_receipt(own_node: RunningNode) -> None:
    receipt = own_node.result(METHOD, raw(0))
    assert receipt["status"] == "0x1"
    assert receipt == own_node.result("eth_getTransactionReceipt", receipt["transactionHash"])


def test_it_comes_with_the_block(own_node: RunningNode) -> None:
    own_node.backend.mining = False
    with ThreadPoolExecutor(1) as clients:
        waits = clients.submit(own_node.result, METHOD, raw(0), "0x4e20")
        while not own_node.backend.mempool.content():
            assert not waits.done()
        own_node.mine()
        assert waits.result()["blockNumber"] == "0x1"


def test_what_is_not_committed_in_time_stays_in_the_pool_and_the_error_has_its_hash(own_node: RunningNode) -> None:
    own_node.backend.mining = False
    error = own_node.error(METHOD, raw(0), 20)
    assert (error["code"], error["message"]) == (
        4,
        "The transaction was added to the transaction pool but wasn't processed in 20 ms",
    )
    assert own_node.result("eth_getTransactionByHash", error["data"])["blockHash"] is None


def test_refusals_are_those_of_a_plain_send_and_nobody_waits(own_node: RunningNode) -> None:
    own_node.result(METHOD, raw(0))
    assert own_node.error(METHOD, raw(0)) == own_node.error("eth_sendRawTransaction", raw(0))
    assert own_node.error(METHOD, "0x00")["code"] == -32000
    own_node.backend.mining = False
    for _ in range(MAX_WAITING + 1):  # places are given back, whatever happened
        assert own_node.error(METHOD, "0x00")["code"] == -32000


def test_so_many_may_wait_at_once(own_node: RunningNode) -> None:
    own_node.backend.mining = False
    with ThreadPoolExecutor(MAX_WAITING) as clients:
        waits = [clients.submit(own_node.result, METHOD, raw(nonce), 20_000) for nonce in range(MAX_WAITING)]
        while sum(map(len, own_node.backend.mempool.content().values())) < MAX_WAITING:
            assert not any(each.done() for each in waits)
        assert own_node.error(METHOD, raw(MAX_WAITING))["code"] == -32005
        own_node.mine()
        assert [each.result()["status"] for each in waits] == ["0x1"] * MAX_WAITING
