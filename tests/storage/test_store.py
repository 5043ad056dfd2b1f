"""The database: everything of a height or nothing, from any thread, and never another chain's folder."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from eth_hash.auto import keccak

from node.chain.assembly import encode_body
from node.chain.dual import Chain
from node.chain.mmr import leaf_hash, proved_root, rebuild
from node.state import delta as state_delta
from node.storage import StorageError, Store
from node.storage.tables import TABLES
from tests.storage.raw import entries
from tests.storage.samples import (
    ADDRESSES,
    CHAIN_ID,
    CONTRACT,
    certificate_of,
    changes_of,
    commit,
    create,
    genesis,
    make_block,
    reopen,
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = create(tmp_path / "db")
    yield opened
    opened.close()


def contents(path: Path) -> dict[str, list[tuple[bytes, bytes]]]:
    """Return all stored values of all tables."""
    return {table: list(entries(path, table)) for table in TABLES}


def test_everything_of_a_height_reads_back(store: Store) -> None:
    blocks = [commit(store, changes_of({ADDRESSES[0]: h}), [CONTRACT, ADDRESSES[1], None][: h + 1]) for h in range(3)]
    with store.read() as view:
        assert view.head_height == 3
        for block in blocks:
            height = block.header.number
            assert view.header(height) == block.header
            assert view.height_of(block.header.hash) == height
            assert view.transactions(height) == block.transactions
            assert view.receipts(height) == block.receipts
            assert view.record(height) == block.record
            assert view.certificate(height) == certificate_of(height)
            assert view.body(height) == encode_body(block.header, block.transactions)
            assert len(view.senders(height)) == len(block.transactions)
            for index, raw in enumerate(block.transactions):
                assert view.locate(keccak(raw)) == (height, index)
            for part, members in zip(block.chain_blocks, block.members, strict=True):
                assert view.chain_block(part.chain, part.number) == part
                assert view.chain_block_members(part.chain, part.number) == members
        assert view.certificate(0) is None
        assert view.certificate(4) is None
        assert view.height_of(bytes(32)) is None
        assert view.locate(bytes(32)) is None
        assert view.chain_block(Chain.LEDGER, 99) is None
        assert view.history_proof(Chain.LEDGER, 99, 3) is None
        assert view.parent().history == blocks[-1].history


def test_every_chain_block_is_proved_under_every_later_record(store: Store) -> None:
    for height in range(1, 8):
        commit(store, changes_of({}), [CONTRACT, ADDRESSES[0]][height % 3 :])
    with store.read() as view:
        leaves: list[bytes] = []
        for height in range(1, 8):
            for chain in Chain:
                for number in range(1, 8):
                    block = view.chain_block(chain, number)
                    if block is not None and block.height == height:
                        leaves.append(leaf_hash(chain, number, block.hash))
            assert rebuild(leaves)[0].root == view.record(height).history_root
            assert view.history_size_at(height) == len(leaves)
        assert len(leaves) > 5
        for chain in Chain:
            for number in range(1, 8):
                block = view.chain_block(chain, number)
                for height in range(block.height if block else 8, 8):
                    proof = view.history_proof(chain, number, height)
                    assert block is not None
                    assert proof is not None
                    leaf = leaf_hash(chain, number, block.hash)
                    assert proved_root(proof, leaf) == view.record(height).history_root


def test_the_stored_trie_is_that_of_the_flat_state(store: Store) -> None:
    for height in range(1, 6):
        balances = {address: height * i for i, address in enumerate(ADDRESSES[height:], start=1)}
        commit(store, changes_of({**balances, ADDRESSES[0]: None}, {CONTRACT: {height: 7, height - 1: 0, 1: 3}}))
    with store.read() as view:
        accounts = [(key, view.state.account(key)) for key, _ in view.items("accounts")]
        slots = {key: int.from_bytes(raw, "big") for key, raw in view.items("storage")}
        known = [(key, account) for key, account in accounts if account is not None]
        root, nodes = state_delta.rebuild(known, slots)
        assert root == view.header(view.head_height).state_root
        assert nodes == dict(view.items("trie"))


def test_a_view_stays_at_its_head_while_others_commit(store: Store) -> None:
    with store.read() as old:
        commit(store, changes_of({ADDRESSES[0]: 77}), [ADDRESSES[1]])
        account = old.state.account(ADDRESSES[0])
        assert account is not None
        assert (old.head_height, account.balance) == (0, 1_000)
        with store.read() as new:
            account = new.state.account(ADDRESSES[0])
            assert account is not None
            assert (new.head_height, account.balance) == (1, 77)
            before = new.state_at(0).account(ADDRESSES[0])
            assert before is not None
            assert before.balance == 1_000


def test_threads_read_while_one_commits(store: Store) -> None:
    wrong: list[object] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            with store.read() as view:
                account = view.state.account(ADDRESSES[0])
                expected = view.head_height or 1_000
                if account is None or account.balance != expected or view.header(view.head_height).number % 100 > 60:
                    wrong.append((view.head_height, account))

    readers = [threading.Thread(target=watch) for _ in range(4)]
    for reader in readers:
        reader.start()
    try:
        for height in range(1, 31):
            commit(store, changes_of({ADDRESSES[0]: height}), [ADDRESSES[1]])
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert wrong == []


def test_only_the_child_of_the_head_is_stored(store: Store, tmp_path: Path) -> None:
    sealed, delta, senders = make_block(store, changes_of({ADDRESSES[0]: 1}), [CONTRACT])
    other = create(tmp_path / "other")
    commit(other, changes_of({ADDRESSES[1]: 1}))
    second, second_delta, _ = make_block(other, changes_of({}))
    other.close()
    before = contents(tmp_path / "other")
    cousin = replace(sealed, header=replace(sealed.header, parent_hash=b"\1" * 32))
    skipping = replace(sealed, header=replace(sealed.header, number=2))
    for wrong, its_delta in ((second, second_delta), (cousin, delta), (skipping, delta), genesis()):
        with pytest.raises(StorageError, match="does not follow; expected a child of block 0"):
            store.commit(wrong, its_delta, b"certificate", ())
    assert contents(tmp_path / "other") == before
    store.commit(sealed, delta, b"certificate", senders)
    with store.read() as view:
        assert view.head_height == 1


def test_a_full_map_is_said_and_the_height_is_whole_or_absent(tmp_path: Path) -> None:
    store = create(tmp_path / "db", map_bytes=1 << 19)
    height, refused = 0, None
    while refused is None:
        sealed, delta, senders = make_block(store, changes_of({}), [ADDRESSES[0]] * 200)
        try:
            store.commit(sealed, delta, b"certificate", senders)
            height += 1
        except StorageError as error:
            refused = error
    assert "free space on the disk and in the map" in str(refused)
    assert "MDB_MAP_FULL" in str(refused)
    with store.read() as view:
        assert view.head_height == height
        assert view.height_of(sealed.header.hash) is None
        assert view.locate(keccak(sealed.transactions[0])) is None
    store.close()
    larger = reopen(tmp_path / "db")
    larger.commit(sealed, delta, b"certificate", senders)
    with larger.read() as view:
        assert view.head_height == height + 1
    larger.close()


def test_one_writer_at_a_time_and_readers_beside_it(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="another process has this database open"):
        reopen(tmp_path / "db")
    with pytest.raises(StorageError, match="the folder exists"):
        create(tmp_path / "db")


def test_an_audit_reads_without_the_lock_and_cannot_write(tmp_path: Path) -> None:
    store = create(tmp_path / "db")
    commit(store, changes_of({ADDRESSES[0]: 4}))
    sealed, delta, _ = make_block(store, changes_of({}))
    store.close()
    before = contents(tmp_path / "db")
    audit = reopen(tmp_path / "db", readonly=True)
    with audit.read() as view:
        assert view.head_height == 1
    with pytest.raises(StorageError, match="cannot write"):
        audit.commit(sealed, delta, b"certificate", ())
    audit.close()
    assert contents(tmp_path / "db") == before


def test_what_is_no_database_of_this_chain_is_refused(tmp_path: Path) -> None:
    create(tmp_path / "db").close()
    genesis_hash = genesis()[0].header.hash
    with pytest.raises(StorageError, match="chain id 2016; expected chain id 2017"):
        Store.open(tmp_path / "db", chain_id=CHAIN_ID + 1, genesis_hash=genesis_hash)
    with pytest.raises(StorageError, match=f"genesis hash 0x{genesis_hash.hex()}; expected genesis hash 0x0101"):
        Store.open(tmp_path / "db", chain_id=CHAIN_ID, genesis_hash=b"\1" * 32)
    (tmp_path / "garbage").mkdir()
    (tmp_path / "garbage" / "data.mdb").write_bytes(b"no database" * 4_096)
    (tmp_path / "file").write_bytes(b"")
    for name, what in (
        ("garbage", "MDB_INVALID"),
        ("file", "there is no database"),
        ("absent", "there is no database"),
    ):
        with pytest.raises(StorageError, match=what):
            Store.open(tmp_path / name, chain_id=CHAIN_ID, genesis_hash=genesis_hash)
    reopen(tmp_path / "db").close()  # a refusal leaves the lock free
