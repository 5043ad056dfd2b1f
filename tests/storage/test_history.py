"""Old state: what was true at every height, against a plain copy of the state of every height."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.storage.samples import ADDRESSES, CODE, CONTRACT, changes_of, commit, create

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
