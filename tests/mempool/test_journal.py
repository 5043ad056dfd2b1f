"""The pool's journal: what a restart finds of it, whatever happened to the file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from node import journalling
from node.chain.transaction import MAX_TRANSACTION_BYTES, InvalidTransaction
from node.journalling import PoolJournal
from node.mempool.journal import HEADER, MAX_SET_ASIDE, Journal, decode_journal, encode_records

RAWS = [bytes([number]) * (100 + number) for number in range(1, 8)]
WHOLE = HEADER + encode_records(RAWS)


def test_what_was_appended_is_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "pool.journal")
    assert journal.read().raws == []
    journal.append(RAWS[:3])
    journal.append(RAWS[3:])
    assert journal.path.read_bytes() == WHOLE
    assert journal.path.stat().st_mode & 0o777 == 0o600
    again = Journal(journal.path)
    assert again.read().raws == RAWS
    again.rewrite(RAWS[5:])
    again.append(RAWS[:1])
    assert Journal(journal.path).read().raws == [*RAWS[5:], RAWS[0]]


def test_a_torn_end_is_no_damage_wherever_it_was_torn(tmp_path: Path) -> None:
    for length in range(len(WHOLE)):
        found = decode_journal(WHOLE[:length])
        assert not found.damage
        assert found.raws == RAWS[: len(found.raws)]
        assert found.good_bytes <= length
    for tail in (bytes(500), encode_records([RAWS[0]])[:-1] + b"!"):
        assert decode_journal(WHOLE + tail) == decode_journal(WHOLE)
    path = tmp_path / "pool.journal"
    path.write_bytes(WHOLE[:-5])
    journal = Journal(path)
    assert journal.read().raws == RAWS[:-1]
    journal.append(RAWS[:1])
    assert Journal(path).read().raws == [*RAWS[:-1], RAWS[0]]


@pytest.mark.parametrize(
    ("content", "good", "damage"),
    [
        (b"\x80" + WHOLE, 0, "it does not begin as a journal does"),
        (WHOLE[:200] + b"?" + WHOLE[201:], 1, "no record at byte 133 of "),
        (WHOLE + b"\xff" * 100, 7, "no record at byte "),
        (HEADER + encode_records([bytes(MAX_TRANSACTION_BYTES + 1)]), 0, "no record at byte 24 of "),
    ],
)
def test_a_damaged_journal_is_set_aside_never_deleted(tmp_path: Path, content: bytes, good: int, damage: str) -> None:
    path = tmp_path / "pool.journal"
    for number in range(1, MAX_SET_ASIDE + 3):
        path.write_bytes(content)
        journal = Journal(path)
        found = journal.read()
        assert found.raws == RAWS[:good]
        assert found.damage.startswith(damage)
        assert f"damaged-{min(number, MAX_SET_ASIDE)}" in found.damage
        assert not path.exists()
    assert (tmp_path / "pool.journal.damaged-1").read_bytes() == content
    assert len(list(tmp_path.iterdir())) == MAX_SET_ASIDE
    journal.append(RAWS[:1])
    assert Journal(path).read().raws == RAWS[:1]


# -- beside the event loop


def waiting(*raws: bytes) -> Any:
    return [SimpleNamespace(raw=raw) for raw in raws]


def run(scenario: Callable[[], Any]) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(20):
            return await scenario()

    return asyncio.run(bounded())


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journalling, "GATHER_S", 0)


def test_notes_are_gathered_and_what_waits_is_put_back(tmp_path: Path) -> None:
    path = tmp_path / "pool.journal"
    local: list[Any] = []
    taken: list[bytes] = []

    def take(raw: bytes) -> None:
        if raw == RAWS[1]:
            raise InvalidTransaction("nonce too low")
        taken.append(raw)

    async def first() -> None:
        keeper = PoolJournal(path, lambda: local)
        await keeper.restore(take)
        for tx in waiting(*RAWS[:3]):
            local.append(tx)
            keeper.note(tx)
        assert keeper._writing is not None
        await keeper._writing
        await keeper.close()

    async def second() -> int:
        local.clear()
        keeper = PoolJournal(path, lambda: local)
        keeper.note(waiting(RAWS[6])[0])  # before the old ones are put back, it is no reason to forget them
        local.extend(waiting(RAWS[0], RAWS[2], RAWS[6]))
        count = await keeper.restore(take)
        await keeper.close()
        return count

    run(first)
    assert Journal(path).read().raws == RAWS[:3]
    assert run(second) == 2
    assert taken == [RAWS[0], RAWS[2]]
    assert Journal(path).read().raws == [RAWS[0], RAWS[2], RAWS[6]]


def test_between_any_two_that_are_put_back_the_loop_has_its_turn(tmp_path: Path) -> None:
    path = tmp_path / "pool.journal"
    path.write_bytes(WHOLE)
    seen: list[str] = []

    async def others() -> None:
        while True:
            seen.append("other")
            await asyncio.sleep(0)

    async def scenario() -> None:
        keeper = PoolJournal(path, list)
        task = asyncio.create_task(others())
        await keeper.restore(lambda _: seen.append("one"))
        task.cancel()
        await keeper.close()

    run(scenario)
    assert seen.count("one") == len(RAWS)
    assert "one one" not in " ".join(seen)


def test_it_is_written_anew_when_it_has_grown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journalling, "ROTATE_BYTES", 2_000)
    path, sizes = tmp_path / "pool.journal", []

    async def scenario() -> None:
        keeper = PoolJournal(path, lambda: waiting(RAWS[0]))
        await keeper.restore(lambda _: None)
        for _ in range(100):
            keeper.note(waiting(RAWS[0])[0])
            if keeper._writing is not None:
                await keeper._writing
            sizes.append(path.stat().st_size)
        await keeper.close()

    run(scenario)
    assert max(sizes) < 2_300
    assert len({size for size in sizes if size < 200}) == 1
    assert Journal(path).read().raws == RAWS[:1]


def test_a_disk_that_takes_nothing_stops_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "data"
    keeper = PoolJournal(folder / "pool.journal", lambda: waiting(*RAWS))

    async def scenario() -> None:
        await keeper.restore(lambda _: None)
        assert keeper._writing is not None
        await keeper._writing
        assert "cannot be written" in caplog.text
        folder.mkdir()
        keeper.note(waiting(RAWS[0])[0])
        await keeper._writing
        await keeper.close()

    run(scenario)
    assert Journal(folder / "pool.journal").read().raws == RAWS


def test_a_damaged_journal_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "pool.journal"
    taken: list[bytes] = []
    path.write_bytes(WHOLE + b"\xff" * 100)

    async def scenario() -> None:
        keeper = PoolJournal(path, list)
        assert await keeper.restore(taken.append) == len(RAWS)
        await keeper.close()

    run(scenario)
    assert taken == RAWS
    assert "is damaged" in caplog.text
    assert (tmp_path / "pool.journal.damaged-1").exists()
    assert path.read_bytes() == HEADER


def test_a_folder_in_its_place_stops_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "pool.journal").mkdir()

    async def scenario() -> None:
        keeper = PoolJournal(tmp_path / "pool.journal", list)
        assert await keeper.restore(lambda _: None) == 0
        keeper.note(waiting(RAWS[0])[0])
        await keeper.close()

    run(scenario)
    assert "cannot be read" in caplog.text
    assert "cannot be written" in caplog.text


def test_no_journal() -> None:
    async def scenario() -> None:
        keeper = PoolJournal(None, list)
        assert await keeper.restore(lambda _: None) == 0
        keeper.note(waiting(RAWS[0])[0])
        await keeper.close()

    run(scenario)
