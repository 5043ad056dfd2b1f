"""`grid_` methods against a chain with blocks on both chains."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_hash.auto import keccak

from consensus import Domain, verify
from consensus.codec import decode_certificate
from contracts.system import CONSORTIUM, METER_REGISTRY
from node.audit.proof import check
from node.chain import mmr, rlp
from node.chain.dual import DOMAIN as CHAIN_BLOCK_DOMAIN
from node.chain.dual import Chain
from node.chain.proofs import chain_of, parse_proof
from node.chain.proofs import transaction_hash as transaction_digest
from node.chain.record import DOMAIN as RECORD_DOMAIN
from node.genesis import parse_genesis
from node.state.trie import proved_value
from tests.node.chains import sign_transaction
from tests.node.samples import account_key, node_key
from tests.rpc.harness import RunningNode

TARGET = b"\x11" * 20


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """Three blocks: a ledger and a contract transaction, nothing, a ledger transaction."""
    running = RunningNode(tmp_path_factory.mktemp("grid") / "chain")
    running.backend.mining = False
    send(running, 0, TARGET, value=1)
    send(running, 1, METER_REGISTRY)
    running.mine()
    running.mine()
    send(running, 2, TARGET, value=1)
    running.mine()
    yield running
    running.close()


def send(running: RunningNode, nonce: int, to: bytes, **options: Any) -> str:
    raw = sign_transaction(account_key("household 0"), chain_id=2016, nonce=nonce, to=to, **options)
    return str(running.result("eth_sendRawTransaction", "0x" + raw.hex()))


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def test_genesis_clock_and_status(chain: RunningNode) -> None:
    assert chain.result("grid_genesis") == chain.backend.genesis
    assert chain.result("grid_clock") == {"segments": [[0, 1_466_460_000, 1]]}
    status = chain.result("grid_status")
    head = chain.result("eth_getBlockByNumber", "latest")
    assert (status["height"], status["hash"], status["timestamp"]) == ("0x3", head["hash"], head["timestamp"])
    assert status["nodeKey"] == "0x" + bytes(node_key(0).verify_key).hex()
    assert (status["contractHead"]["number"], status["ledgerHead"]["number"]) == ("0x1", "0x2")
    assert (status["view"], status["epoch"], status["targetHeight"], status["waiting"]) == ("0x0", "0x0", None, "0x0")
    assert len(status["validators"]) == 4
    assert [peer["name"] for peer in status["peers"]] == ["house-1", "house-2", "house-3"]


def test_the_consortium(chain: RunningNode) -> None:
    found = chain.result("grid_consortium")
    assert (found["epoch"], found["quorum"], found["faults"]) == ("0x0", "0x3", "0x1")
    assert [member["name"] for member in found["members"]] == [f"house-{i}" for i in range(4)]
    assert sorted(member["nodeKey"] for member in found["members"]) == found["validators"]


def test_a_round_record_hashes_to_the_extra_data(chain: RunningNode) -> None:
    for height in range(4):
        record = chain.result("grid_getRoundRecord", hex(height))
        header = chain.result("eth_getBlockByNumber", hex(height))
        assert keccak(RECORD_DOMAIN + _bytes(record["raw"])) == _bytes(record["digest"]) == _bytes(header["extraData"])
        assert record["blockHash"] == header["hash"]
    assert chain.result("grid_getRoundRecord")["height"] == "0x3"
    assert chain.error("grid_getRoundRecord", "0x9")["message"].startswith("header not found")


def test_certificates_prove_their_blocks(chain: RunningNode) -> None:
    assert chain.result("grid_getCertificate", "0x0") is None
    domain = Domain(2016, chain.backend.chain.genesis_hash)
    for height in (1, 2, 3):
        found = chain.result("grid_getCertificate", hex(height))
        assert found["blockHash"] == chain.result("eth_getBlockByNumber", hex(height))["hash"]
        assert (found["phase"], found["view"], len(found["signers"])) == ("COMMIT", "0x0", 4)
        verify(decode_certificate(_bytes(found["raw"])), chain.backend.validators(), domain)


def test_both_chains_are_linked(chain: RunningNode) -> None:
    first = chain.result("grid_getLedgerBlock", "0x1", True)
    second = chain.result("grid_getLedgerBlock", "0x2")
    contract = chain.result("grid_getContractBlock", "0x1")
    assert keccak(CHAIN_BLOCK_DOMAIN + _bytes(first["raw"])) == _bytes(first["hash"])
    assert second["parentHash"] == first["hash"]
    assert (first["height"], second["height"], contract["height"]) == ("0x1", "0x3", "0x1")
    assert first["transactions"][0]["to"] == "0x" + TARGET.hex()
    assert contract["transactions"] == [chain.result("eth_getBlockByNumber", "0x1")["transactions"][1]]
    assert chain.result("grid_getContractBlock", "0x2") is None
    assert chain.result("grid_getLedgerBlock", "0x0") is None
    record = chain.result("grid_getRoundRecord")
    assert record["ledgerHead"] == {"number": "0x2", "hash": second["hash"]}


@pytest.mark.parametrize(
    ("name", "number", "heights"), [("ledger", 1, (1, 2, 3)), ("contract", 1, (1, 3)), ("ledger", 2, (3,))]
)
def test_history_proofs_lead_to_the_root(chain: RunningNode, name: str, number: int, heights: tuple[int, ...]) -> None:
    for height in heights:
        proof = chain.result("grid_historyProof", name, hex(number), hex(height))
        leaf = mmr.leaf_hash(Chain[name.upper()], number, _bytes(proof["blockHash"]))
        rebuilt = mmr.HistoryProof(
            int(proof["size"], 16),
            int(proof["index"], 16),
            tuple(_bytes(node) for node in proof["siblings"]),
            tuple(_bytes(peak) for peak in proof["peaks"]),
        )
        root = chain.result("grid_getRoundRecord", hex(height))["historyRoot"]
        assert mmr.proved_root(rebuilt, leaf) == _bytes(root) == _bytes(proof["historyRoot"])


def test_a_transaction_is_proved_from_the_genesis_file_up(chain: RunningNode) -> None:
    block = chain.result("eth_getBlockByNumber", "0x1")
    for name, transaction_hash in zip(("ledger", "contract"), block["transactions"], strict=True):
        proof = parse_proof(chain.result("grid_getTransactionProof", transaction_hash))
        check(proof, parse_genesis(chain.backend.genesis))
        assert transaction_digest(proof) == _bytes(transaction_hash)
        assert chain_of(proof).name.lower() == name
    assert chain.result("grid_getTransactionProof", "0x" + "ab" * 32) is None


def test_state_is_proved_under_the_newest_header(chain: RunningNode) -> None:
    root = decode_header_root(chain)
    for address in (CONSORTIUM, TARGET, b"\x99" * 20):
        found = chain.result("eth_getProof", "0x" + address.hex(), ["0x0", "0x1", hex(2**200)], "latest")
        leaf = proved_value(root, keccak(address), [_bytes(node) for node in found["accountProof"]])
        assert (leaf == b"") == (found["codeHash"] == "0x" + keccak(b"").hex() and found["balance"] == "0x0")
        for entry in found["storageProof"]:
            key = keccak(int(entry["key"], 16).to_bytes(32, "big"))
            nodes = [_bytes(node) for node in entry["proof"]]
            value = proved_value(_bytes(found["storageHash"]), key, nodes) if nodes else b""
            assert (rlp.decode(value) if value else b"") == int(entry["value"], 16).to_bytes(32, "big").lstrip(b"\0")


def test_state_is_proved_under_an_earlier_header(chain: RunningNode) -> None:
    for number in range(int(chain.result("eth_blockNumber"), 16)):
        root = _bytes(chain.result("eth_getBlockByNumber", hex(number), False)["stateRoot"])
        found = chain.result("eth_getProof", "0x" + CONSORTIUM.hex(), [], hex(number))
        leaf = proved_value(root, keccak(CONSORTIUM), [_bytes(node) for node in found["accountProof"]])
        assert _bytes(found["codeHash"]) in leaf
        assert _bytes(found["storageHash"]) in leaf


def decode_header_root(chain: RunningNode) -> bytes:
    return _bytes(chain.result("eth_getBlockByNumber", "latest")["stateRoot"])


def test_proofs_of_what_is_not_there(chain: RunningNode) -> None:
    assert chain.result("grid_historyProof", "ledger", "0x2", "0x1") is None
    assert chain.result("grid_historyProof", "contract", "0x9") is None
    assert chain.error("grid_historyProof", "side", "0x1")["message"] == (
        'invalid argument 0 (chain): expected "contract" or "ledger", found \'side\''
    )


def test_unvouched_accounts_are_told_so(chain: RunningNode) -> None:
    raw = sign_transaction(account_key("stranger"), chain_id=2016, nonce=0, to=TARGET)
    error = chain.error("eth_sendRawTransaction", "0x" + raw.hex())
    assert error["code"] == -32000
    assert "vouch" in error["message"]


def test_catching_up_is_told(tmp_path: Path) -> None:
    running = RunningNode(tmp_path / "chain")
    running.backend.target_height = 7
    assert running.result("eth_syncing") == {"startingBlock": "0x0", "currentBlock": "0x0", "highestBlock": "0x7"}
    assert running.result("grid_status")["targetHeight"] == "0x7"
    running.close()
