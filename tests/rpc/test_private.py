"""Transactions without an account through a real server and real blocks, as web3.py and an auditor see them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import rlp
from eth_utils.address import to_checksum_address
from web3 import HTTPProvider, Web3
from web3.exceptions import Web3RPCError

from contracts import system
from node.application import BlockRefused
from node.audit.verify import Auditor
from node.chain.assembly import encode_body
from node.chain.transaction import Transaction
from node.genesis import parse_genesis
from node.state.trie import list_root
from privacy import range_proof
from tests.audit.certified import CertifiedChain
from tests.execution.signing import signed
from tests.node.chains import OneChain
from tests.node.private_street import Street, decoded
from tests.node.samples import GENESIS_TIME_S, account_key, address_of
from tests.privacy import envelopes as made
from tests.rpc.harness import RunningNode

KEY = account_key("session")
STREET = Street(sessions={address_of(KEY): GENESIS_TIME_S + 1_000})


@pytest.fixture(scope="module")
def private_genesis() -> Iterator[None]:
    """Every chain begins with a private street's storage."""

    def deployments(genesis: Mapping[str, Any]) -> list[tuple[bytes, bytes]]:
        return [*system.genesis_deployments(genesis), *STREET.deployments()]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("node.application.genesis_deployments", deployments)
        yield


@pytest.fixture
def chain(private_genesis: None, tmp_path: Path) -> Iterator[OneChain]:
    made_chain = OneChain(tmp_path / "chain")
    yield made_chain
    made_chain.close()


@pytest.fixture(scope="module")
def node(private_genesis: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    running = RunningNode(tmp_path_factory.mktemp("private") / "chain")
    yield running
    running.close()


@pytest.fixture(scope="module")
def w3(node: RunningNode) -> Any:
    return Web3(HTTPProvider(node.url))


def nonce_of(chain: OneChain, sender: bytes) -> int:
    with chain.store.read() as view:
        account = view.state.account(sender)
        return 0 if account is None else account.nonce


# -- blocks


def test_a_block_of_both_spends_the_senders_and_they_do_not_come_again(chain: OneChain) -> None:
    call, transfer = decoded(made.signed_call()), decoded(made.signed_transfer())
    session = decoded(signed(KEY, 2, gas=60_000))
    done = chain.mine(call, transfer, session)
    assert done.transactions == (call, transfer, session)
    assert [receipt.type for receipt in done.sealed.receipts] == [0x6E, 0x6F, 2]
    assert [receipt.status for receipt in done.sealed.receipts] == [1, 1, 1]
    topics = [receipt.logs[0].topics[0][12:] for receipt in done.sealed.receipts[:2]]
    assert topics == [call.sender, transfer.sender]
    assert [nonce_of(chain, tx.sender) for tx in (call, transfer)] == [1, 1]
    again = decoded(made.signed_call(data=b"a second offer"))
    for replayed in (call, transfer, again):
        assert chain.application.build(2, [replayed]).transactions == ()


def block_with(chain: OneChain, good: list[Transaction], *raws: bytes) -> bytes:
    """Return a body whose header is that of a block of `good`, with other transactions."""
    built = chain.application.build(chain.height + 1, good)
    assert list(built.transactions) == good
    return encode_body(replace(built.sealed.header, transactions_root=list_root(raws)), raws)


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (made.signed_call(data=b"a second offer"), "nonce too low"),
        (made.signed_call(index=4, expiry_height=0), "transaction expired"),
        (made.signed_call(index=4, window=7), "window 7 is not traded now"),
        (made.signed_call(index=4)[:-1] + b"\0", "invalid ring signature"),
        (made.signed_call(made.ring_rows(9), index=4), "not the ring of window 5"),
        (made.signed_transfer(((0, 3), (0, 3))), "one note spent twice"),
        (made.signed_transfer(((1, 7), (2, 8)), (2**64, 2_000 - 2**64), proved=(0, 0)), "invalid range proof"),
    ],
)
def test_a_block_with_what_is_not_admitted_is_refused(chain: OneChain, second: bytes, reason: str) -> None:
    call = decoded(made.signed_call())
    body = block_with(chain, [call], call.raw, second)
    with pytest.raises(BlockRefused, match=f"transaction 1: {reason}"):
        chain.application.execute(body, voting=True)
    assert nonce_of(chain, call.sender) == 0


def test_a_block_whose_gas_cannot_pay_for_its_proofs_has_none_of_them_checked(
    chain: OneChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    transfer = made.signed_transfer()
    body = block_with(chain, [], *[transfer[:-1] + bytes((at,)) for at in range(30)])

    def never(*_: object) -> list[bool]:
        raise AssertionError("nobody paid for this")

    monkeypatch.setattr(range_proof, "verify_each", never)
    with pytest.raises(BlockRefused, match=r"gas limit reached: 1\d+ before anything runs, of 10000000"):
        chain.application.execute(body, voting=True)


def test_a_nodes_verdict_does_not_depend_on_what_it_saw_before(private_genesis: None, tmp_path: Path) -> None:
    """One validator has the transactions in its pool, another sees them in the block first."""
    one, two = OneChain(tmp_path / "one"), OneChain(tmp_path / "two")
    raws = [made.signed_call(index=6), made.signed_transfer(((1, 1), (2, 2)), name="unseen")]
    built = one.application.build(1, [decoded(raw) for raw in raws])
    assert two.application.execute(built.body, voting=True).sealed.header.hash == built.sealed.header.hash
    one.close()
    two.close()


def test_an_auditor_checks_the_proofs(private_genesis: None, tmp_path: Path) -> None:
    certified = CertifiedChain(tmp_path / "node")
    certified.mine(decoded(made.signed_call()), decoded(made.signed_transfer()))
    certified.mine(decoded(made.signed_call(index=1)))
    with certified.chain.store.read() as view:
        report = Auditor(parse_genesis(certified.chain.genesis.content)).audit(view)
    assert report.offence is None
    assert report.counts.signatures == 3
    certified.close()


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (made.signed_call()[:-1] + b"\0", "invalid ring signature"),
        (made.signed_transfer(((1, 7), (2, 8)), (2**64, 2_000 - 2**64), proved=(0, 0)), "invalid range proof"),
    ],
)
def test_an_auditor_names_a_proof_that_validators_let_pass(
    private_genesis: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raw: bytes, reason: str
) -> None:
    monkeypatch.setattr("node.application.check_admissible", lambda *_: None)
    certified = CertifiedChain(tmp_path / "node")
    certified.mine(decoded(raw))
    with certified.chain.store.read() as view:
        offence = Auditor(parse_genesis(certified.chain.genesis.content)).audit(view).offence
    assert offence is not None
    assert offence.height == 1
    assert f"transaction 0: {reason}" in str(offence)
    certified.close()


# -- RPC


def test_a_call_comes_back_as_it_was_sent(node: RunningNode, w3: Any) -> None:
    raw = made.signed_call(index=2)
    tx, fields = decoded(raw), rlp.decode(raw[1:])
    transaction_hash = w3.eth.send_raw_transaction(raw)
    assert transaction_hash == tx.hash
    found = w3.eth.get_transaction(transaction_hash)
    assert found["type"] == 0x6E
    assert found["from"] == to_checksum_address(tx.sender)
    assert found["to"] == to_checksum_address(made.MARKET)
    assert (found["nonce"], found["value"], found["gasPrice"], found["gas"]) == (0, 0, 0, 400_000)
    assert bytes(found["input"]) == b"offer"
    assert found["ringRoot"] == "0x" + fields[2].hex()
    assert found["nullifier"] == "0x" + fields[3].hex()
    assert found["traceTag"] == "0x" + fields[4].hex()
    assert (found["window"], found["expiryHeight"]) == ("0x5", "0x28")
    assert found["proof"] == "0x" + fields[9].hex()
    receipt = w3.eth.wait_for_transaction_receipt(transaction_hash)
    assert (receipt["type"], receipt["status"], receipt["effectiveGasPrice"]) == (0x6E, 1, 0)
    assert receipt["from"] == to_checksum_address(tx.sender)
    assert receipt["contractAddress"] is None
    assert receipt["logs"][0]["topics"][0][12:] == tx.sender
    assert w3.eth.get_transaction_count(to_checksum_address(tx.sender)) == 1
    block = w3.eth.get_block(receipt["blockNumber"], full_transactions=True)
    assert block["transactions"][0]["hash"] == tx.hash
    assert node.result("eth_getBlockReceipts", hex(receipt["blockNumber"]))[0]["type"] == "0x6e"


def test_a_transfer_comes_back_as_it_was_sent(node: RunningNode, w3: Any) -> None:
    raw = made.signed_transfer(((0, 9), (1, 9)), name="rpc")
    tx, proofs = decoded(raw), rlp.decode(raw[1:])[5]
    transaction_hash = w3.eth.send_raw_transaction(raw)
    found = w3.eth.get_transaction(transaction_hash)
    assert (found["type"], found["expiryHeight"]) == (0x6F, "0x28")
    assert found["from"] == to_checksum_address(tx.sender)
    assert found["proofs"] == ["0x" + proof.hex() for proof in proofs]
    receipt = w3.eth.wait_for_transaction_receipt(transaction_hash)
    assert (receipt["type"], receipt["status"]) == (0x6F, 1)
    assert receipt["to"] == to_checksum_address(made.POOL)
    assert node.result("eth_getTransactionReceipt", "0x" + tx.hash.hex())["type"] == "0x6f"


def test_traces_show_the_sender_that_nobody_knows(node: RunningNode) -> None:
    raws = [made.signed_call(index=6), made.signed_transfer(((0, 11), (1, 11)), name="traced")]
    node.backend.mining = False
    hashes = [node.result("eth_sendRawTransaction", "0x" + raw.hex()) for raw in raws]
    height = node.mine()
    node.backend.mining = True
    traces = node.result(
        "debug_traceBlockByNumber", hex(height), {"tracer": "callTracer", "tracerConfig": {"withLog": True}}
    )
    assert [trace["txHash"] for trace in traces] == hashes
    for raw, trace in zip(raws, traces, strict=True):
        tx, frame = decoded(raw), trace["result"]
        receipt = node.result("eth_getTransactionReceipt", "0x" + tx.hash.hex())
        assert (frame["type"], frame["from"], frame["to"]) == ("CALL", "0x" + tx.sender.hex(), receipt["to"])
        assert (frame["gasUsed"], frame["input"]) == (receipt["gasUsed"], "0x" + tx.data.hex())
        assert len(frame["logs"]) == len(receipt["logs"]) > 0
        assert hex(node.result("debug_traceTransaction", "0x" + tx.hash.hex())["gas"]) == receipt["gasUsed"]


def test_what_waits_is_shown(node: RunningNode) -> None:
    node.backend.mining = False
    raw = made.signed_call(index=5)
    transaction_hash = node.result("eth_sendRawTransaction", "0x" + raw.hex())
    found = node.result("eth_getTransactionByHash", transaction_hash)
    assert (found["type"], found["blockHash"]) == ("0x6e", None)
    sender = "0x" + decoded(raw).sender.hex()
    assert node.result("eth_getTransactionCount", sender, "pending") == "0x1"
    assert sender in {key.lower() for key in node.result("txpool_content")["pending"]}
    node.mine()
    node.backend.mining = True
    assert node.result("eth_getTransactionByHash", transaction_hash)["blockHash"] is not None


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (made.signed_call(index=7)[:-1] + b"\0", "invalid ring signature"),
        (made.signed_call(index=7, window=9), "window 9 is not traded now"),
        (made.signed_transfer(((0, 3), (0, 3))), "one note spent twice"),
        (made.signed_call(index=7)[:-1], "malformed transaction"),
    ],
)
def test_refusals_say_why(w3: Any, raw: bytes, reason: str) -> None:
    with pytest.raises(Web3RPCError, match=reason):
        w3.eth.send_raw_transaction(raw)


def test_a_session_is_let_in(w3: Any) -> None:
    receipt = w3.eth.wait_for_transaction_receipt(w3.eth.send_raw_transaction(signed(KEY, 2, gas=60_000)))
    assert receipt["status"] == 1
    with pytest.raises(Web3RPCError, match="sender not admitted"):
        w3.eth.send_raw_transaction(signed(account_key("nobody"), 2, gas=60_000))
