"""What log queries read without decoding it: blooms of many headers, times, and receipts as they are stored."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.chain.header import timestamp_of
from node.chain.receipt import stored_logs
from node.storage import CorruptValue
from node.storage.tables import height_key
from tests.storage.raw import entries, overwrite
from tests.storage.samples import ADDRESSES, CONTRACT, changes_of, commit, create, reopen

HEIGHTS = 6


def make(path: Path) -> None:
    store = create(path)
    for height in range(1, HEIGHTS + 1):
        commit(store, changes_of({ADDRESSES[0]: height}), [CONTRACT] * (height % 3))
    store.close()


def test_they_are_what_the_decoded_values_say(tmp_path: Path) -> None:
    make(tmp_path / "db")
    store = reopen(tmp_path / "db")
    with store.read() as view:
        for heights in (range(HEIGHTS + 1), range(2, 4), range(HEIGHTS, HEIGHTS + 1), range(3, 3)):
            assert view.blooms(heights) == [view.header(height).bloom for height in heights]
        assert len(set(view.blooms(range(HEIGHTS + 1)))) > 1
        for height in range(HEIGHTS + 1):
            assert timestamp_of(view.raw_header(height)) == view.header(height).timestamp
            found = [tuple(stored_logs(raw)) for raw in view.stored_receipts(height)]
            assert found == [receipt.logs for receipt in view.receipts(height)]
        with pytest.raises(CorruptValue):
            view.blooms(range(HEIGHTS, HEIGHTS + 2))
    store.close()


def test_damage_is_noticed(tmp_path: Path) -> None:
    make(tmp_path / "db")
    value = dict(entries(tmp_path / "db", "headers"))[height_key(3)]
    overwrite(tmp_path / "db", "headers", height_key(3), value[:200] + bytes((value[200] ^ 1,)) + value[201:])
    store = reopen(tmp_path / "db")
    with store.read() as view:
        assert len(view.blooms(range(3))) == 3
        with pytest.raises(CorruptValue) as caught:
            view.blooms(range(HEIGHTS))
        assert (caught.value.table, caught.value.key) == ("headers", height_key(3))
    store.close()
