"""The write-ahead log: what is appended is there after any crash, and damage is told apart from a torn tail."""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from itertools import accumulate, pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.driver import wal
from node.driver.wal import DamagedLog, WriteAheadLog, WriteAheadLogError

IDENTITY = b"chain 2016, validator 1"
BATCHES = [[b"one", b""], [b"two" * 50], [b"three", b"3" * 300, b"end"]]
RECORDS = [record for batch in BATCHES for record in batch]
FIRST = wal.HEAD.size + wal.SALT_BYTES + wal.VERSION.size + len(IDENTITY)
SEAL = wal.HEAD.size

anywhere = settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
batches = st.lists(st.lists(st.binary(max_size=60), min_size=1, max_size=4), min_size=1, max_size=5)


def written(path: Path, filled: Sequence[Sequence[bytes]] = BATCHES) -> bytes:
    """Write batches to a new log and return the file's bytes."""
    path.unlink(missing_ok=True)
    log = WriteAheadLog(path, IDENTITY)
    for batch in filled:
        log.append(batch)
    log.close()
    return path.read_bytes()


def reopened(path: Path) -> list[bytes]:
    """Open, read, close."""
    log = WriteAheadLog(path, IDENTITY)
    log.close()
    return list(log.records())


def frames(content: bytes) -> list[bytes]:
    """Return the frames of an undamaged log."""
    found, at = [], 0
    while at < len(content):
        end = at + wal.HEAD.size + wal.HEAD.unpack_from(content, at)[2]
        found.append(content[at:end])
        at = end
    return found


def opened_or_refused(path: Path, content: bytes) -> list[bytes] | None:
    """Return the records of a log with this content; None if it is refused as damaged, naming byte and command."""
    path.write_bytes(content)
    try:
        return reopened(path)
    except DamagedLog as error:
        refused = error
    assert f"gridpact node restore --config {path.parent}/node.toml" in str(refused)
    assert str(refused).startswith(str(path))
    assert 0 <= refused.at <= len(content)
    assert path.read_bytes() == content  # a refused log is left as it is
    return None


def test_records_come_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "log"
    written(path)
    assert reopened(path) == RECORDS
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_torn_tail_is_dropped_at_every_byte_and_appending_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "log"
    content = written(path)
    ends = list(accumulate(len(frame) for frame in frames(content)))
    assert ends[0] == FIRST
    for cut in range(FIRST, len(content) + 1):
        kept = [record for batch, end in zip(BATCHES, ends[1::2], strict=True) if end <= cut for record in batch]
        path.write_bytes(content[:cut])
        log = WriteAheadLog(path, IDENTITY)
        assert list(log.records()) == kept
        log.append([b"more"])
        log.close()
        assert reopened(path) == [*kept, b"more"]


def test_a_log_cut_in_its_first_frame_is_refused(tmp_path: Path) -> None:
    content = written(tmp_path / "log")
    for cut in range(FIRST):
        assert opened_or_refused(tmp_path / "log", content[:cut]) is None


def test_a_tail_of_zeros_or_garbage_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "log"
    content = written(path)
    for tail in (bytes(4096), b"gpW1" + bytes(100), b"gpW1" * 500):
        path.write_bytes(content + tail)
        assert reopened(path) == RECORDS


@anywhere
@given(data=st.data(), filled=batches)
def test_any_flipped_byte_costs_nothing_or_is_refused(
    tmp_path: Path, data: st.DataObject, filled: list[list[bytes]]
) -> None:
    """Every frame is sealed, so not one record may vanish: a seal may be damaged, but nothing else."""
    content = bytearray(written(tmp_path / "log", filled))
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    assert opened_or_refused(tmp_path / "log", bytes(content)) in (None, [r for batch in filled for r in batch])


def test_every_flipped_bit_costs_nothing_or_is_refused(tmp_path: Path) -> None:
    content = written(tmp_path / "log", [[b"a"], [b"bc", b""]])
    in_seals = 0
    for bit in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        found = opened_or_refused(tmp_path / "log", bytes(flipped))
        assert found in (None, [b"a", b"bc", b""])
        in_seals += found is not None
    assert in_seals == 2 * 8 * SEAL


@anywhere
@given(data=st.data(), filled=batches)
def test_a_frame_that_was_not_sealed_may_be_torn_anyhow(
    tmp_path: Path, data: st.DataObject, filled: list[list[bytes]]
) -> None:
    """Power fails during a write: any of its bytes may have another value, and all before it is kept."""
    parts = frames(written(tmp_path / "log", filled))[:-1]
    frame = bytearray(parts[-1])
    for at in data.draw(st.sets(st.integers(0, len(frame) - 1), min_size=1, max_size=8)):
        frame[at] ^= data.draw(st.integers(1, 255))
    found = opened_or_refused(tmp_path / "log", b"".join(parts[:-1]) + bytes(frame))
    assert found == [record for batch in filled[:-1] for record in batch]


@anywhere
@given(data=st.data(), filled=batches)
def test_a_tail_of_zeros_is_one_torn_write_or_refused(
    tmp_path: Path, data: st.DataObject, filled: list[list[bytes]]
) -> None:
    """Where the head of a frame is left, zeros beyond that frame show that it had been synced."""
    content = written(tmp_path / "log", filled)
    start = data.draw(st.integers(0, len(content) - 1))
    path, zeroed = tmp_path / "log", content[:start] + bytes(len(content) - start)
    found = opened_or_refused(path, zeroed)
    records = [record for batch in filled for record in batch]
    assert found is None or found == records[: len(found)]
    for begin, end in pairwise([0, *accumulate(len(frame) for frame in frames(content))]):
        in_payload = begin + wal.HEAD.size <= start < end and any(content[start:end])
        assert not in_payload or found is None


@anywhere
@given(data=st.data(), filled=batches)
def test_a_frame_that_is_missing_twice_or_elsewhere_is_refused(
    tmp_path: Path, data: st.DataObject, filled: list[list[bytes]]
) -> None:
    path = tmp_path / "log"
    parts = frames(written(path, filled))
    records = [record for batch in filled for record in batch]
    index = data.draw(st.integers(0, len(parts) - 2))
    assert opened_or_refused(path, b"".join(parts[:index] + parts[index + 1 :])) is None
    other = data.draw(st.integers(1, len(parts)))
    copied = opened_or_refused(path, b"".join([*parts[:other], parts[index], *parts[other:]]))
    assert copied is None or (index == 0 and other == len(parts) and copied == records)
    swapped = list(parts)
    swapped[index], swapped[-1] = swapped[-1], swapped[index]
    assert opened_or_refused(path, b"".join(swapped)) is None
    assert opened_or_refused(path, b"".join(parts[:-1])) == records  # the last seal alone: nothing is lost with it


def test_a_frame_of_another_file_is_no_frame_of_this_one(tmp_path: Path) -> None:
    ours, theirs = frames(written(tmp_path / "log")), frames(written(tmp_path / "other"))
    assert opened_or_refused(tmp_path / "log", b"".join([*ours[:3], theirs[3], *ours[4:]])) is None


def test_a_stale_copy_reads_as_what_it_held(tmp_path: Path) -> None:
    """No log can tell that it is an older one: that is what the restore marker and the peers are for."""
    path = tmp_path / "log"
    stale = written(path, BATCHES[:1])
    log = WriteAheadLog(path, IDENTITY)
    log.append(BATCHES[1])
    log.close()
    assert opened_or_refused(path, stale) == BATCHES[0]


def test_a_frame_hidden_in_a_record_is_not_taken_for_one(tmp_path: Path) -> None:
    path = tmp_path / "log"
    hidden = wal._frame(3, wal._pack([b"forged"]), b"")
    log = WriteAheadLog(path, IDENTITY)
    log.append([b"before"])
    log.append([b"body" + hidden * 3 + b"more body"])
    log.close()
    path.write_bytes(path.read_bytes()[: -SEAL - 4])
    assert reopened(path) == [b"before"]


@pytest.mark.parametrize("content", [b"", b"not a log", bytes(100)])
def test_what_is_no_log_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "log"
    path.write_bytes(content)
    with pytest.raises(DamagedLog, match="no valid first frame") as caught:
        WriteAheadLog(path, IDENTITY)
    assert caught.value.at == 0


def test_a_log_of_another_chain_is_refused(tmp_path: Path) -> None:
    WriteAheadLog(tmp_path / "log", b"other").close()
    with pytest.raises(WriteAheadLogError, match="another chain or validator"):
        WriteAheadLog(tmp_path / "log", IDENTITY)


@pytest.mark.parametrize("version", [0, 1, 3])
def test_a_log_of_another_schema_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(wal, "SCHEMA_VERSION", version)
        written(tmp_path / "log")
    with pytest.raises(DamagedLog, match=rf"log: schema version {version}; expected schema version 2"):
        WriteAheadLog(tmp_path / "log", IDENTITY)


def test_a_log_from_before_schemas_is_refused_as_the_first(tmp_path: Path) -> None:
    payload = bytes(wal.SALT_BYTES) + IDENTITY
    head = wal.MAGIC + len(payload).to_bytes(4, "big")
    sums = (zlib.crc32(head).to_bytes(4, "big"), zlib.crc32(payload).to_bytes(4, "big"))
    (tmp_path / "log").write_bytes(b"".join((head, *sums, payload)))
    with pytest.raises(DamagedLog, match="schema version 1; expected schema version 2"):
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
    assert path.stat().st_size > FIRST  # not worth rotating
    log.append([b"x" * 2_000])
    log.clear()
    assert path.stat().st_size == FIRST
    log.append([b"after"])
    log.close()
    (tmp_path / "log.new").write_bytes(b"half a frame")  # a rotation that a crash interrupted
    assert reopened(path) == [b"after"]
    log = WriteAheadLog(path, IDENTITY)
    log.append([b"x" * 2_000])
    log.clear()
    log.close()
    assert reopened(path) == []


def test_a_rename_that_was_lost_leaves_the_old_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder was not synced: the old file has its name again, and whole beside it lies the new one."""
    path = tmp_path / "log"
    old = written(path)
    monkeypatch.setattr(wal, "ROTATE_BYTES", 0)
    log = WriteAheadLog(path, IDENTITY)
    log.clear()
    log.close()
    path.replace(tmp_path / "log.new")
    path.write_bytes(old)
    log = WriteAheadLog(path, IDENTITY)
    assert list(log.records()) == RECORDS
    log.append([b"more"])
    log.clear()  # rotates again, over the file that lies there
    log.append([b"after"])
    log.close()
    assert reopened(path) == [b"after"]


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
    reopened(path)  # who was killed may have left neither its last frame nor the name on the disk
    assert synced[3:] == [str(path), str(tmp_path)]
