"""Damage: bits that flip, values that change places, and a process that dies in the middle of a commit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from node.storage import CorruptValue, View
from node.storage.tables import TABLES, unwrap, wrap
from tests.storage.raw import entries, overwrite
from tests.storage.samples import ADDRESSES, CONTRACT, changes_of, commit, create, reopen

FILLED = [table for table in TABLES if table != "meta"]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a closed database of three heights, with something in every table."""
    path = tmp_path_factory.mktemp("damage") / "db"
    store = create(path)
    for height in range(1, 4):
        commit(store, changes_of({ADDRESSES[0]: height}, {CONTRACT: {1: height}}), [CONTRACT, ADDRESSES[1], None])
    store.close()
    return path


@pytest.mark.parametrize("table", FILLED)
def test_a_flipped_bit_anywhere_in_a_value_is_noticed(chain: Path, table: str) -> None:
    for key, value in entries(chain, table):
        assert unwrap(table, key, value) == value[:-4]
        for at in {0, len(value) // 2, len(value) - 1}:
            for bit in (1, 128):
                altered = value[:at] + bytes((value[at] ^ bit,)) + value[at + 1 :]
                with pytest.raises(CorruptValue) as caught:
                    unwrap(table, key, altered)
                assert (caught.value.table, caught.value.key) == (table, key)
        for cut in (b"", value[:3], value[:-1], value + b"\0"):
            with pytest.raises(CorruptValue):
                unwrap(table, key, cut)


@pytest.mark.parametrize("table", FILLED)
def test_a_value_is_bound_to_its_key_and_its_table(chain: Path, table: str) -> None:
    rows = list(entries(chain, table))
    assert rows
    key, value = rows[0]
    for other in [row[0] for row in rows[1:]] + [key + b"\0", key[:-1]]:
        with pytest.raises(CorruptValue):
            unwrap(table, other, value)
    for elsewhere in TABLES:
        if elsewhere != table:
            with pytest.raises(CorruptValue):
                unwrap(elsewhere, key, value)


READS = {
    "headers": lambda view: view.header(2),
    "bodies": lambda view: view.transactions(2),
    "senders": lambda view: view.senders(2),
    "receipts": lambda view: view.receipts(2),
    "records": lambda view: view.record(2),
    "certificates": lambda view: view.certificate(2),
    "chains": lambda view: [view.chain_block(chain, n) for chain in (0, 1) for n in (1, 2, 3)],
    "history": lambda view: [view.history_proof(chain, n, 3) for chain in (0, 1) for n in (1, 2, 3)],
    "accounts": lambda view: view.state.account(ADDRESSES[0]),
    "storage": lambda view: view.state.storage(CONTRACT, 1),
    "codes": lambda view: view.state.code(view.state.account(CONTRACT).code_hash),
    "jumps": lambda view: view.state.beginnings(view.state.account(CONTRACT).code_hash),
    "accounts_before": lambda view: view.state_at(1).account(ADDRESSES[0]),
    "storage_before": lambda view: view.state_at(1).storage(CONTRACT, 1),
    "trie_before": lambda view: view.nodes_at(1),
}


def _read_all(view: View, table: str) -> object:
    return READS[table](view)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("table", sorted(READS))
def test_damage_on_the_disk_is_named_by_table_when_it_is_read(chain: Path, table: str) -> None:
    originals = list(entries(chain, table))
    for key, value in originals:
        overwrite(chain, table, key, bytes((value[0] ^ 4,)) + value[1:])
    try:
        store = reopen(chain, readonly=True)
        with store.read() as view, pytest.raises(CorruptValue, match=f"table {table}"):
            _read_all(view, table)
        with store.read() as view, pytest.raises(CorruptValue, match=f"table {table}"):
            list(view.items(table))
        store.close()
    finally:
        for key, value in originals:
            overwrite(chain, table, key, value)
    store = reopen(chain, readonly=True)
    with store.read() as view:
        _read_all(view, table)
    store.close()


@pytest.mark.parametrize("table", ["headers", "bodies", "receipts", "records", "chains", "accounts", "trie_before"])
def test_a_value_with_a_fitting_checksum_that_does_not_decode_is_damage_too(chain: Path, table: str) -> None:
    originals = list(entries(chain, table))
    for key, _ in originals:
        overwrite(chain, table, key, wrap(table, key, b"\xc1"))
    try:
        store = reopen(chain, readonly=True)
        with store.read() as view, pytest.raises(CorruptValue, match=f"table {table}"):
            _read_all(view, table)
        store.close()
    finally:
        for key, value in originals:
            overwrite(chain, table, key, value)


DYING = """
import os, sys
from pathlib import Path
from node.storage import store as module
from tests.storage.samples import ADDRESSES, CONTRACT, changes_of, commit, reopen

path, survive = Path(sys.argv[1]), int(sys.argv[2])
store = reopen(path)
put, left = module._Writer.put, [survive]

def dying(self, table, key, payload):
    if left[0] == 0:
        os._exit(9)  # as SIGKILL: no clean-up runs, the transaction is neither committed nor aborted
    left[0] -= 1
    put(self, table, key, payload)

module._Writer.put = dying
commit(store, changes_of({ADDRESSES[0]: 9, ADDRESSES[1]: None}, {CONTRACT: {1: 9, 2: 9}}), [CONTRACT, ADDRESSES[1]])
os._exit(0)  # committed, and dead before it is closed
"""


@pytest.mark.parametrize("survive", [0, 1, 6, 12, 20, 10_000])
def test_a_process_that_dies_in_a_commit_leaves_all_of_the_height_or_nothing(tmp_path: Path, survive: int) -> None:
    path = tmp_path / "db"
    store = create(path)
    commit(store, changes_of({ADDRESSES[0]: 4}), [ADDRESSES[2]])
    store.close()
    before = {table: list(entries(path, table)) for table in TABLES}
    died = subprocess.run([sys.executable, "-c", DYING, str(path), str(survive)], check=False, timeout=60)
    whole = died.returncode == 0
    assert died.returncode in (0, 9)
    assert whole == (survive == 10_000)
    if not whole:
        assert {table: list(entries(path, table)) for table in TABLES} == before
    store = reopen(path)
    with store.read() as view:
        assert view.head_height == 1 + whole
        account = view.state.account(ADDRESSES[0])
        assert account is not None
        assert account.balance == (9 if whole else 4)
        assert (view.state.account(ADDRESSES[1]) is None) == whole
    commit(store, changes_of({ADDRESSES[3]: 1}), [CONTRACT])
    with store.read() as view:
        assert view.head_height == 2 + whole
    store.close()
