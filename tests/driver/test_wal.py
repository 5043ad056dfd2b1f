"""The write-ahead log: what is appended is there after any crash, and damage is told apart from a torn tail."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.driver import wal
from node.driver.wal import WriteAheadLog, WriteAheadLogError

IDENTITY = b"chain 2016, validator 1"
BATCHES = [[b"one", b""], [b"two" * 50], [b"three", b"3" * 300, b"end"]]
RECORDS = [record for batch in BATCHES for record in batch]


def written(path: Path) -> bytes:
    """Write the batches to a new log and return the file's bytes."""
    log = WriteAheadLog(path, IDENTITY)
    for batch in BATCHES:
        log.append(batch)
    log.close()
    return path.read_bytes()


def reopened(path: Path) -> list[bytes]:
    """Open, read, close."""
    log = WriteAheadLog(path, IDENTITY)
    log.close()
    return list(log.records())


def test_records_come_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "log"
    written(path)
    assert reopened(path) == RECORDS
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_torn_tail_is_dropped_at_every_byte_and_appending_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "log"
    content = written(path)
    ends = [len(content)]
    for batch in reversed(BATCHES):
        ends.append(ends[-1] - wal.HEAD.size - sum(wal.COUNT.size + len(record) for record in batch))
    first = ends[-1]
    for cut in range(first, len(content) + 1):
        path.write_bytes(content[:cut])
        kept = RECORDS[: sum(len(batch) for batch, end in zip(BATCHES, reversed(ends[:-1]), strict=True) if end <= cut)]
        log = WriteAheadLog(path, IDENTITY)
        assert list(log.records()) == kept
        log.append([b"more"])
        log.close()
        assert reopened(path) == [*kept, b"more"]


def test_a_tail_of_zeros_or_garbage_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "log"
    content = written(path)
    for tail in (bytes(4096), b"gpW1" + bytes(100), b"gpW1" * 500):
        path.write_bytes(content + tail)
        assert reopened(path) == RECORDS


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_flipped_byte_is_noticed(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "flipped"
    path.unlink(missing_ok=True)
    content = bytearray(written(path))
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    last = len(content) - wal.HEAD.size - sum(wal.COUNT.size + len(record) for record in BATCHES[-1])
    if at < last:
        with pytest.raises(WriteAheadLogError, match=r"damage at byte|first frame|another chain"):
            WriteAheadLog(path, IDENTITY)
    else:
        assert reopened(path) == RECORDS[:-3]  # not to be told from a torn write


def test_a_frame_hidden_in_a_record_is_not_taken_for_one(tmp_path: Path) -> None:
    path = tmp_path / "log"
    hidden = wal._frame(wal._pack([b"forged"]), b"")
    log = WriteAheadLog(path, IDENTITY)
    log.append([b"before"])
    log.append([b"body" + hidden * 3 + b"more body"])
    log.close()
    path.write_bytes(path.read_bytes()[:-4])
    assert reopened(path) == [b"before"]


@pytest.mark.parametrize("content", [b"", b"not a log", bytes(100)])
def test_what_is_no_log_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "log"
    path.write_bytes(content)
    with pytest.raises(WriteAheadLogError, match="no valid first frame"):
        WriteAheadLog(path, IDENTITY)


def test_a_log_of_another_chain_is_refused(tmp_path: Path) -> None:
    WriteAheadLog(tmp_path / "log", b"other").close()
    with pytest.raises(WriteAheadLogError, match="another chain or validator"):
        WriteAheadLog(tmp_path / "log", IDENTITY)


def test_a_missing_directory_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(WriteAheadLogError, match="No such file"):
        WriteAheadLog(tmp_path / "missing" / "log", IDENTITY)


def test_the_log_is_bounded_and_rotation_survives_a_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wal, "ROTATE_BYTES", 1_000)
    path = tmp_path / "log"
    log = WriteAheadLog(path, IDENTITY)
    log.append([b"small"])
    log.clear()
    assert path.stat().st_size > 50  # not worth rotating
    log.append([b"x" * 2_000])
    log.clear()
    assert path.stat().st_size < 100
    log.append([b"after"])
    log.close()
    (tmp_path / "log.new").write_bytes(b"half a frame")  # a rotation that a crash interrupted
    assert reopened(path) == [b"after"]
    log = WriteAheadLog(path, IDENTITY)
    log.append([b"x" * 2_000])
    log.clear()
    log.close()
    assert reopened(path) == []


def test_a_full_disk_closes_the_log_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    log = WriteAheadLog(path, IDENTITY)
    log.append([b"safe"])
    real = os.write

    def full(fd: int, data: bytes) -> int:
        if len(data) > 10:
            return real(fd, bytes(data)[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(WriteAheadLogError, match="No space left"):
        log.append([b"lost"])
    monkeypatch.undo()
    with pytest.raises(WriteAheadLogError, match="closed"):
        log.append([b"after the failure"])
    assert reopened(path) == [b"safe"]


def test_every_append_is_synced_and_so_is_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{fd}").readlink()))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    path = tmp_path / "log"
    log = WriteAheadLog(path, IDENTITY)
    assert synced == [f"{path}.new", str(tmp_path)]
    log.append([b"record"])
    log.close()
    assert synced[2:] == [str(path)]
