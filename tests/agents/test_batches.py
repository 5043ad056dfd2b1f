"""Salted batches: any row opens, none that was not there does, and an erased one is nobody's any more."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st

from agents.batches import MAX_ROWS, Batch, Erased, Opened, Row, is_in_batch


def salts(count: int, name: str = "") -> list[bytes]:
    return [sha256(f"{name}{at}".encode()).digest() for at in range(count)]


def rows(count: int) -> list[Row]:
    return [Row(96 + at, 100 + at, at % 3) for at in range(count)]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 96, 97])
def test_every_row_opens_and_no_other(count: int) -> None:
    batch = Batch(rows(count), salts(count))
    for at, row in enumerate(rows(count)):
        opened = batch.open(at)
        assert opened.row == row
        assert is_in_batch(batch.root, opened)
        for bent in (
            replace(opened, row=replace(row, import_wh=row.import_wh + 1)),
            replace(opened, row=replace(row, import_wh=-1)),
            replace(opened, row=replace(row, export_wh=1 << 64)),
            replace(opened, salt=bytes(32)),
            replace(opened, salt=opened.salt[:-1]),
            replace(opened, path=(*opened.path, (False, bytes(32)))),
            replace(opened, path=tuple((not left, each) for left, each in opened.path) or ((True, bytes(32)),)),
            replace(opened, path=((True, b"short"),)),
            replace(opened, path=((False, bytes(32)),) * 100),
        ):
            assert not is_in_batch(batch.root, bent)
        assert not is_in_batch(b"", opened)


@given(st.integers(1, 40), st.data())
def test_no_path_shows_a_row_in_the_place_of_another_batch(count: int, data: st.DataObject) -> None:
    batch, other = Batch(rows(count), salts(count)), Batch(rows(count), salts(count, "other"))
    at = data.draw(st.integers(0, count - 1))
    assert batch.root != other.root
    assert is_in_batch(batch.root, batch.open(at))
    assert not is_in_batch(other.root, batch.open(at))


def test_an_inner_node_is_no_row() -> None:
    """Were leaves and nodes hashed alike, the two children of a node could be shown as a salt and a row."""
    batch = Batch(rows(4), salts(4))
    first = batch.open(0)
    left = keccak(b"\x01" + keccak(b"\x00" + first.salt + first.row.to_bytes()) + first.path[0][1])
    assert keccak(b"\x01" + left + first.path[1][1]) == batch.root
    forged = Opened(Row(*(int.from_bytes(left[at : at + 8], "big") for at in (0, 8, 16))), first.path[1][1], ())
    assert not is_in_batch(batch.root, forged)


def test_an_erased_row_is_gone_and_the_others_stay() -> None:
    batch = Batch(rows(5), salts(5))
    root, before = batch.root, batch.open(3)
    batch.erase(2)
    batch.erase(2)
    assert batch.root == root
    assert batch.open(3) == before
    with pytest.raises(Erased, match="row 2 is erased"):
        batch.open(2)
    for at in (-1, 5):
        with pytest.raises(IndexError, match="batch of 5"):
            batch.open(at)
        with pytest.raises(IndexError, match="batch of 5"):
            batch.erase(at)


def test_without_the_salt_a_reading_cannot_be_guessed_and_without_salts_it_could() -> None:
    """All readings below 2 kWh are tried: an unsalted hash falls, a salted leaf does not."""
    row, salt = Row(96, 1_234, 0), salts(1)[0]
    unsalted, salted = keccak(row.to_bytes()), Batch([row], [salt]).root
    guesses = [replace(row, import_wh=energy) for energy in range(2_000)]
    assert [guess for guess in guesses if keccak(guess.to_bytes()) == unsalted] == [row]
    assert not any(keccak(b"\x00" + bytes(32) + guess.to_bytes()) == salted for guess in guesses)
    assert not any(keccak(b"\x00" + guess.to_bytes()) == salted for guess in guesses)
    assert is_in_batch(salted, Opened(row, salt, ()))


@pytest.mark.parametrize(
    ("count", "drawn"),
    [(0, []), (2, salts(1)), (1, [b"short"]), (2, [bytes(32), bytes(32)]), (MAX_ROWS + 1, [])],
)
def test_what_is_no_batch_is_refused(count: int, drawn: list[bytes]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Batch(rows(count), drawn)


@pytest.mark.parametrize("bad", [Row(-1, 0, 0), Row(0, 1 << 64, 0)])
def test_a_row_beyond_its_bounds_is_refused(bad: Row) -> None:
    with pytest.raises(ValueError, match="below 2"):
        Batch([bad], salts(1))
