"""A single chain on the real database: built, executed, refused, committed, read back at any height."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.system import CONSORTIUM, METER_REGISTRY
from node.application import Application, BlockRefused
from node.chain import mmr
from node.chain.assembly import encode_body
from node.chain.dual import Chain
from node.chain.transaction import InvalidTransaction, Transaction, decode_transaction
from node.execution import executor, machine
from node.execution.machine import Machine, Outcome
from node.state.delta import rebuild
from node.storage import CorruptValue, StorageError, Store
from tests.node.chains import CERTIFICATE, OneChain
from tests.node.samples import account_key, address_of
from tests.storage.raw import entries, overwrite

TARGET = b"\x11" * 20
RUNTIME = bytes.fromhex("60003560005500")  # stores the first word of its input in slot 0
INIT = bytes.fromhex("66") + RUNTIME + bytes.fromhex("600052600760" + "19f3")


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[OneChain]:
    one = OneChain(tmp_path / "chain")
    yield one
    one.close()


def test_transfers_of_all_types_and_a_contract(chain: OneChain) -> None:
    first = chain.mine(*(chain.transaction("household 0", TARGET, value=5, kind=kind) for kind in (0, 1, 2)))
    assert [receipt.status for receipt in first.sealed.receipts] == [1, 1, 1]
    created = chain.mine(chain.transaction("household 1", None, INIT))
    assert created.sealed.receipts[0].status == 1
    chain.wall_ms += 5_000
    with chain.store.read() as view:
        assert view.head_height == 2
        assert view.state.account(TARGET) is not None
        assert view.state_at(0).account(TARGET) is None
        assert view.state_at(1).account(TARGET) == view.state.account(TARGET)
        contract = next(key for key, _ in view.items("accounts") if view.state.code(_code(view, key)) == RUNTIME)
    word = (7).to_bytes(32, "big")
    chain.mine(chain.transaction("household 2", contract, word))
    chain.mine(chain.transaction("household 2", contract, bytes(32)))
    with chain.store.read() as view:
        assert [view.state_at(h).storage(contract, 0) for h in range(2, 5)] == [0, 7, 0]
        assert view.header(4).timestamp > view.header(1).timestamp


def _code(view: object, address: bytes) -> bytes:
    account = view.state.account(address)  # type: ignore[attr-defined]
    assert account is not None
    return bytes(account.code_hash)


def test_the_two_chains_and_their_history(chain: OneChain) -> None:
    chain.mine(chain.transaction("household 0", TARGET, value=1), chain.transaction("household 0", METER_REGISTRY))
    chain.mine()
    chain.mine(chain.transaction("household 1", TARGET, value=1))
    with chain.store.read() as view:
        record = view.record(3)
        assert (record.contract_head.number, record.ledger_head.number) == (1, 2)
        assert view.header(3).extra_data == record.digest
        assert view.record(2).history_root == view.record(1).history_root
        assert view.chain_block_members(Chain.CONTRACT, 1) == (1,)
        for kind, number in ((Chain.CONTRACT, 1), (Chain.LEDGER, 1), (Chain.LEDGER, 2)):
            block = view.chain_block(kind, number)
            proof = view.history_proof(kind, number, 3)
            assert block is not None
            assert proof is not None
            assert mmr.proved_root(proof, mmr.leaf_hash(kind, number, block.hash)) == record.history_root
        second = view.chain_block(Chain.LEDGER, 2)
        first = view.chain_block(Chain.LEDGER, 1)
        assert second is not None
        assert first is not None
        assert second.parent_hash == first.hash


def test_stored_state_rebuilds_to_the_header_root_with_no_other_nodes(chain: OneChain) -> None:
    for number in range(6):
        chain.mine(chain.transaction("household 0", TARGET[:19] + bytes((number,)), value=number))
    with chain.store.read() as view:
        accounts = [(key, view.state.account(key)) for key, _ in view.items("accounts")]
        storage = {key: int.from_bytes(value, "big") for key, value in view.items("storage")}
        root, nodes = rebuild([(key, account) for key, account in accounts if account is not None], storage)
        assert root == view.header(view.head_height).state_root
        assert nodes == dict(view.items("trie"))


def test_a_second_validator_executes_to_the_same_block(chain: OneChain, tmp_path: Path) -> None:
    other = OneChain(tmp_path / "other")
    built = chain.application.build(1, [chain.transaction("household 0", TARGET, value=3)])
    checked = other.application.execute(built.body, voting=True)
    assert checked.sealed.header == built.sealed.header
    other.application.commit(built.body, CERTIFICATE)
    chain.application.commit(built.body, CERTIFICATE)
    with chain.store.read() as ours, other.store.read() as theirs:
        for table in ("headers", "bodies", "receipts", "records", "accounts", "storage", "trie", "history", "chains"):
            assert list(ours.items(table)) == list(theirs.items(table))
    other.close()


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("state_root", bytes(32), "state_root"),
        ("receipts_root", bytes(32), "receipts_root"),
        ("gas_used", 1, "gas_used"),
        ("extra_data", bytes(32), "extra_data"),
        ("gas_limit", 1, "gas_limit"),
        ("coinbase", b"\1" * 20, "coinbase"),
        ("number", 7, "not a child of our head"),
        ("parent_hash", bytes(32), "not a child of our head"),
        ("timestamp", 1, "below its parent's"),
        ("timestamp", 2**40, "in the future"),
        ("transactions_root", bytes(32), "not those that its header names"),
    ],
)
def test_a_wrong_header_is_refused_and_leaves_no_trace(chain: OneChain, field: str, value: object, reason: str) -> None:
    built = chain.application.build(1, [chain.transaction("household 0", TARGET, value=3)])
    wrong = replace(built.sealed.header, **{field: value})  # type: ignore[arg-type]
    with pytest.raises(BlockRefused, match=reason):
        chain.application.execute(encode_body(wrong, built.sealed.transactions), voting=True)
    with chain.store.read() as view:
        assert view.head_height == 0


def test_time_is_not_judged_when_replaying(chain: OneChain, tmp_path: Path) -> None:
    chain.wall_ms = 3_600_000
    built = chain.application.build(1, [])
    other = OneChain(tmp_path / "other")
    with pytest.raises(BlockRefused, match="in the future"):
        other.application.execute(built.body, voting=True)
    other.application.commit(built.body, CERTIFICATE)
    other.close()


def test_a_block_with_a_stranger_is_invalid_and_a_leader_leaves_him_out(chain: OneChain, tmp_path: Path) -> None:
    stranger = chain.transaction("stranger", TARGET)
    assert chain.application.build(1, [stranger]).transactions == ()
    opened = OneChain(tmp_path / "open", open_accounts=True)
    built = opened.application.build(1, [opened.transaction("stranger", TARGET)])
    assert len(built.transactions) == 1
    with pytest.raises(BlockRefused):
        chain.application.execute(built.body, voting=True)
    opened.close()


def test_foreign_and_unprotected_transactions_are_refused(chain: OneChain) -> None:
    raw = chain.transaction("household 0", TARGET).raw
    with pytest.raises(InvalidTransaction, match="invalid chain id for signer: have 2016 want 1"):
        decode_transaction(raw, 1)
    with pytest.raises(InvalidTransaction, match="transaction type not supported: 3"):
        decode_transaction(b"\3" + raw[1:], 2016)
    for cut in range(1, len(raw), 7):
        with pytest.raises(InvalidTransaction):
            decode_transaction(raw[:-cut], 2016)


def test_a_directory_of_another_chain_is_refused(chain: OneChain) -> None:
    with pytest.raises(StorageError, match="another process"):
        Store.open(chain.path, chain_id=2016, genesis_hash=chain.genesis_hash)
    chain.close()
    with pytest.raises(StorageError, match="chain id 2016; expected chain id 1"):
        Store.open(chain.path, chain_id=1, genesis_hash=chain.genesis_hash)
    with pytest.raises(StorageError, match="genesis hash"):
        Store.open(chain.path, chain_id=2016, genesis_hash=bytes(32))
    with pytest.raises(StorageError, match="no database"):
        Store.open(chain.path.parent / "nothing", chain_id=2016, genesis_hash=bytes(32))
    overwrite(chain.path, "meta", b"schema", b"\x09    ", repair_checksum=True)
    with pytest.raises(StorageError, match="schema version 9; expected schema version 3"):
        Store.open(chain.path, chain_id=2016, genesis_hash=chain.genesis_hash)


def test_a_flipped_byte_in_any_table_is_noticed_when_read(chain: OneChain) -> None:
    chain.mine(chain.transaction("household 0", TARGET, value=3))
    chain.close()
    for table in ("headers", "bodies", "receipts", "records", "certificates", "accounts", "storage", "trie"):
        key, value = list(entries(chain.path, table))[-1]
        overwrite(chain.path, table, key, value[:-6] + bytes((value[-6] ^ 1,)) + value[-5:])
        store = Store.open(chain.path, chain_id=2016, genesis_hash=chain.genesis_hash, readonly=True)
        with store.read() as view, pytest.raises(CorruptValue, match=f"table {table}"):
            list(view.items(table))
        store.close()
        overwrite(chain.path, table, key, value)


def test_a_block_is_committed_once_and_in_order(chain: OneChain) -> None:
    built = chain.application.build(1, [chain.transaction("household 0", TARGET, value=3)])
    chain.application.commit(built.body, CERTIFICATE)
    with pytest.raises(BlockRefused, match="not a child of our head"):
        chain.application.commit(built.body, CERTIFICATE)
    with pytest.raises(StorageError, match="does not follow"):
        chain.store.commit(built.sealed, built.delta, CERTIFICATE, ())


def test_restart_continues_from_the_same_head(chain: OneChain) -> None:
    chain.mine(chain.transaction("household 0", TARGET, value=3))
    with chain.store.read() as view:
        before = view.header(1)
    chain.close()
    chain.store = Store.open(chain.path, chain_id=2016, genesis_hash=chain.genesis_hash)
    chain.application = Application(chain.store, chain.rule_book, chain.clock)
    with chain.store.read() as view:
        assert view.header(view.head_height) == before
    chain.mine(chain.transaction("household 0", TARGET, value=3))
    assert chain.application.validators().size == 4
    assert address_of(account_key("household 0")) != CONSORTIUM


def test_a_fault_of_the_evm_costs_a_transaction_and_not_the_node(
    chain: OneChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = chain.transaction("household 0", TARGET, value=1), chain.transaction("household 1", TARGET, value=2)
    real = machine.apply_transaction

    def faulty(over: Machine, tx: Transaction) -> Outcome:
        outcome = real(over, tx)
        if tx == bad:
            raise ValueError("a fault of the EVM")
        return outcome

    monkeypatch.setattr(executor, "apply_transaction", faulty)
    built = chain.application.build(1, [bad, good])
    assert built.transactions == (good,)
    assert built.left_out == (bad,)
    with chain.store.read() as view:
        root = view.header(0).state_root
    assert built.sealed.header.state_root != root
    monkeypatch.undo()
    assert chain.application.execute(built.body, voting=True).sealed.header == built.sealed.header
