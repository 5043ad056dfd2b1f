"""Old state: what was true at every height, against a plain copy of the state of every height."""

from __future__ import annotations

import random
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from eth_hash.auto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from node.state.account import decode_account
from node.state.trie import Trie, proved_value
from node.storage import StateNotKept
from node.storage.tables import PROVED_HEIGHTS
from tests.storage.raw import entries
from tests.storage.samples import ADDRESSES, CODE, CONTRACT, changes_of, commit, create, reopen

SLOTS = [0, 1, 2, 256, 2**255, 2**256 - 1]
BLOCK = st.tuples(
    st.dictionaries(st.sampled_from(ADDRESSES), st.one_of(st.none(), st.integers(0, 3)), max_size=4),
    st.dictionaries(st.sampled_from(SLOTS), st.sampled_from([0, 0, 1, 2, 2**256 - 1]), max_size=4),
)


@given(st.lists(BLOCK, min_size=1, max_size=10))
@settings(max_examples=25, deadline=None)
def test_the_state_of_every_height_is_what_it_was(
    blocks: list[tuple[dict[bytes, int | None], dict[int, int]]],
) -> None:
    balances: dict[bytes, int | None] = dict.fromkeys(ADDRESSES, 1_000)
    slots = {1: 5}
    model = [(dict(balances), dict(slots))]
    with TemporaryDirectory() as folder:
        store = create(Path(folder) / "db")
        for changed, written in blocks:
            commit(store, changes_of(changed, {CONTRACT: written} if written else None))
            balances |= changed
            slots |= written
            model.append((dict(balances), dict(slots)))
        with store.read() as view:
            for height, (expected, words) in enumerate(model):
                state = view.state_at(height)
                for address in ADDRESSES:
                    account = state.account(address)
                    assert (None if account is None else account.balance) == expected[address]
                for slot in SLOTS:
                    assert state.storage(CONTRACT, slot) == words.get(slot, 0)
                    assert state.storage(ADDRESSES[0], slot) == 0
                contract = state.account(CONTRACT)
                assert contract is not None
                assert state.code(contract.code_hash) == CODE
        store.close()


@pytest.mark.parametrize("height", [-1, 2])
def test_there_is_no_state_of_a_height_that_is_not_committed(tmp_path: Path, height: int) -> None:
    store = create(tmp_path / "db")
    commit(store, changes_of({}))
    with store.read() as view, pytest.raises(ValueError, match=f"no height {height}: expected 0 to 1"):
        view.state_at(height)
    store.close()


def test_history_does_not_run_into_the_next_key(tmp_path: Path) -> None:
    """The neighbours of a key in the table, by one bit and by one slot, keep their own history."""
    near = [b"\1" * 19 + b"\1", b"\1" * 19 + b"\2"]
    store = create(tmp_path / "db")
    commit(store, changes_of({near[1]: 1}, {CONTRACT: {8: 1}}))
    commit(store, changes_of({near[1]: 2}, {CONTRACT: {8: 2}}))
    with store.read() as view:
        for height in range(3):
            account = view.state_at(height).account(near[0])
            assert account is not None
            assert account.balance == 1_000
            assert view.state_at(height).storage(CONTRACT, 7) == 0
            assert view.state_at(height).storage(CONTRACT, 8) == height
    store.close()


def _grow(folder: Path, heights: int, history_heights: int) -> list[dict[bytes, int | None]]:
    """Commit heights with seeded changes; return the balances after each."""
    chance = random.Random(7)
    create(folder).close()
    store = reopen(folder, history_heights=history_heights)
    balances: dict[bytes, int | None] = dict.fromkeys(ADDRESSES, 1_000)
    model = [dict(balances)]
    for _ in range(heights):
        changed = {chance.choice(ADDRESSES): chance.choice([None, *range(1, 9)]) for _ in range(2)}
        commit(store, changes_of(changed, {CONTRACT: {chance.randrange(40): chance.randrange(3)}}))
        balances |= changed
        model.append(dict(balances))
    store.close()
    return model


def test_a_bounded_history_answers_within_its_bound_and_says_so_beyond(tmp_path: Path) -> None:
    model = _grow(tmp_path / "bounded", 60, history_heights=10)
    _grow(tmp_path / "whole", 60, history_heights=0)
    store = reopen(tmp_path / "bounded", history_heights=30)  # a wider bound brings nothing back
    with store.read() as view:
        for height in range(50, 61):
            for address in ADDRESSES:
                account = view.state_at(height).account(address)
                assert (None if account is None else account.balance) == model[height][address]
        with pytest.raises(StateNotKept, match="state after height 49 is not kept here: expected height 50"):
            view.state_at(49)
        assert view.header(49).number == 49
    store.close()
    for table in ("accounts_before", "storage_before"):
        bounded, whole = (dict(entries(tmp_path / each, table)) for each in ("bounded", "whole"))
        assert bounded.items() < whole.items()
        assert {key for key in whole if key[-8:] > (50).to_bytes(8, "big")} <= bounded.keys()


def test_a_state_is_proved_as_far_back_as_trie_nodes_are_kept(tmp_path: Path) -> None:
    heights = PROVED_HEIGHTS + 20
    model = _grow(tmp_path / "db", heights, history_heights=0)
    store = reopen(tmp_path / "db")
    with store.read() as view:
        for height in (heights, heights - 1, heights - 77, 21, 20):
            root, nodes = view.header(height).state_root, view.nodes_at(height)
            for address in ADDRESSES:
                leaf = proved_value(root, keccak(address), Trie(b"", nodes, root).prove(keccak(address)))
                assert (decode_account(leaf).balance if leaf else None) == model[height][address]
        with pytest.raises(StateNotKept, match="expected height 20 or a later one"):
            view.nodes_at(19)
    store.close()
    assert sum(1 for _ in entries(tmp_path / "db", "trie_before")) == PROVED_HEIGHTS
