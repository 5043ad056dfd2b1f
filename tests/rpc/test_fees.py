"""Fees, what the node has, storage in bulk, headers and raw transactions."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from contracts.system import CONSORTIUM
from node.chain.address import checksummed
from node.execution.precompiles import NAMES, SETS
from node.rules import OWN_FORK
from tests.rpc.conftest import funded
from tests.rpc.harness import RunningNode

TO = "0x" + "77" * 20


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A chain whose second block has tips of 1 and 3 wei, the first by a tenth of the gas, and a third without any."""
    node = RunningNode(tmp_path_factory.mktemp("fees") / "chain", open_accounts=True)
    account, other = funded(0), funded(1)
    base: dict[str, Any] = {"to": TO, "value": 0, "chainId": 2016, "gas": 100_000}
    node.backend.mining = False

    def send(signer: Any, **fields: Any) -> None:
        raw = signer.sign_transaction(base | fields).raw_transaction
        node.result("eth_sendRawTransaction", "0x" + raw.hex())

    node.mine()
    send(account, nonce=0, maxFeePerGas=5, maxPriorityFeePerGas=1)
    send(other, nonce=0, gasPrice=3, data="0x" + "01" * 500)
    node.mine()
    send(account, nonce=1, gasPrice=0)
    node.mine()
    yield node
    node.close()


def test_what_gas_costs(chain: RunningNode) -> None:
    assert [chain.result(f"eth_{name}") for name in ("gasPrice", "maxPriorityFeePerGas", "baseFee")] == ["0x0"] * 3
    assert chain.result("eth_blobBaseFee") == "0x1"


def test_a_fee_history_has_the_tips_by_share_of_gas(chain: RunningNode) -> None:
    history = chain.result("eth_feeHistory", "0x3", "latest", [0, 20, 50, 100])
    assert history["oldestBlock"] == "0x1"
    assert history["reward"] == [["0x0"] * 4, ["0x1", "0x1", "0x3", "0x3"], ["0x0"] * 4]
    assert [len(history[key]) for key in ("baseFeePerGas", "gasUsedRatio", "baseFeePerBlobGas")] == [4, 3, 4]
    used = int(chain.result("eth_getBlockByNumber", "0x2")["gasUsed"], 16)
    assert history["gasUsedRatio"][1] == used / 10_000_000
    assert "reward" not in chain.result("eth_feeHistory", 2, "0x2")
    assert chain.result("eth_feeHistory", "0x2", "0x2", [])["oldestBlock"] == "0x1"
    assert chain.result("eth_feeHistory", "0xffff", "pending")["oldestBlock"] == "0x0"
    assert chain.result("eth_feeHistory", "0x0", "latest") == {
        "oldestBlock": "0x0",
        "baseFeePerGas": [],
        "gasUsedRatio": [],
    }


@pytest.mark.parametrize(
    ("params", "code", "message"),
    [
        (("0x1", "0x9"), -32000, "request beyond head block: requested 9, head 3"),
        (("0x1", "latest", [101]), -32000, "invalid reward percentile: 101 is no number from 0 to 100"),
        (("0x1", "latest", [5, 5]), -32000, "invalid reward percentile: #0:5 >= #1:5"),
        (("0x1", "latest", list(range(101))), -32602, "invalid argument 2 (reward percentiles)"),
        (("0x1", "0x" + "ab" * 32), -32602, "invalid argument 1 (newest block)"),
    ],
)
def test_a_fee_history_that_cannot_be(chain: RunningNode, params: Any, code: int, message: str) -> None:
    error = chain.error("eth_feeHistory", *params)
    assert (error["code"], error["message"][: len(message)]) == (code, message)


def test_storage_in_bulk(chain: RunningNode) -> None:
    consortium = "0x" + CONSORTIUM.hex()
    slots = [f"0x{at:064x}" for at in range(5)]
    found = chain.result("eth_getStorageValues", {consortium: slots, TO: ["0x0"]}, {"blockNumber": "0x0"})
    assert found == {
        consortium: [chain.result("eth_getStorageAt", consortium, at) for at in slots],
        TO: ["0x" + "00" * 32],
    }
    assert chain.error("eth_getStorageValues", {}) == {"code": -32602, "message": "empty request"}
    assert chain.error("eth_getStorageValues", {TO: ["0x0"] * 600, consortium: ["0x0"] * 600}) == {
        "code": -38026,
        "message": "too many slots (max 1024)",
    }
    assert chain.error("eth_getStorageValues", {"0x12": ["0x0"]})["code"] == -32602


def test_a_proof_names_slots_as_they_were_asked_for(chain: RunningNode) -> None:
    whole = f"0x{1:064x}"
    proof = chain.result("eth_getProof", "0x" + CONSORTIUM.hex(), ["0x1", whole], {"blockHash": _hash(chain, "0x1")})
    assert [row["key"] for row in proof["storageProof"]] == ["0x1", whole]
    assert proof["storageProof"][0]["proof"] == proof["storageProof"][1]["proof"]


def _hash(node: RunningNode, block: str) -> str:
    return str(node.result("eth_getBlockByNumber", block)["hash"])


def test_headers_and_raw_transactions(chain: RunningNode) -> None:
    block = chain.result("eth_getBlockByNumber", "0x2")
    header = chain.result("eth_getHeaderByNumber", "0x2")
    assert header == chain.result("eth_getHeaderByHash", block["hash"])
    assert header.items() <= block.items()
    for index, hash_ in enumerate(block["transactions"]):
        raw = chain.result("eth_getRawTransactionByHash", hash_)
        assert chain.result("eth_getRawTransactionByBlockNumberAndIndex", "0x2", hex(index)) == raw
        assert chain.result("eth_getRawTransactionByBlockHashAndIndex", block["hash"], hex(index)) == raw
    assert chain.result("eth_getRawTransactionByBlockNumberAndIndex", "0x2", "0x2") is None
    assert chain.result("eth_getHeaderByNumber", "0xff") is None


def test_what_clients_configure_themselves_by(chain: RunningNode) -> None:
    config = chain.result("eth_config")
    assert (config["next"], config["last"]) == (None, None)
    current = config["current"]
    assert current["forkId"] == f"0x{zlib.crc32(bytes.fromhex(_hash(chain, '0x0')[2:])):08x}"
    assert current["systemContracts"]["Consortium"] == "0x" + CONSORTIUM.hex()
    assert {bytes.fromhex(address[2:]) for address in current["precompiles"].values()} == set(NAMES.values())


def test_every_precompiled_contract_that_can_be_called_has_a_name() -> None:
    refused = {number.to_bytes(20, "big") for number in range(0x0A, 0x12)}
    assert set(NAMES.values()) == set(SETS[OWN_FORK]) - refused


def test_what_the_node_has(chain: RunningNode) -> None:
    has = chain.result("eth_capabilities")
    assert has["head"] == {"number": "0x3", "hash": _hash(chain, "latest")}
    assert {has[key]["oldestBlock"] for key in ("state", "tx", "logs", "receipts", "blocks", "stateproofs")} == {"0x0"}


def test_a_transaction_is_filled_in(chain: RunningNode) -> None:
    account = funded(0)
    filled = chain.result("eth_fillTransaction", {"from": account.address, "to": TO, "value": "0x1"})["tx"]
    assert (filled["nonce"], filled["gas"], filled["maxFeePerGas"], filled["type"]) == ("0x2", "0x5208", "0x0", "0x2")
    assert "hash" not in filled
    legacy = chain.result("eth_fillTransaction", {"from": account.address, "to": TO, "gasPrice": "0x1"})
    assert (legacy["tx"]["type"], legacy["raw"][:4]) == ("0x0", "0xdf")
    wrong = chain.error("eth_fillTransaction", {"from": account.address, "to": TO, "chainId": "0x1"})
    assert wrong["message"] == "chainId does not match node's (have=1, want=2016)"


def test_an_address_is_spelt_with_its_checksum() -> None:
    for known in ("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"):
        assert checksummed(bytes.fromhex(known[2:])) == known
