"""A database of an earlier schema: refused, with the command to run; brought here, whatever interrupts it."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.storage import CorruptValue, StorageError, Store, migrate
from node.storage.migrate import STEPS, Migrated, Migration
from node.storage.tables import SCHEMA_VERSION
from tests.audit.street import Street, fill
from tests.storage.old import BACK, take_back
from tests.storage.raw import entries, overwrite

VERSIONS = [step.version for step in STEPS]


class Killed(Exception):
    """The process ends here."""


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Street:
    made = fill(Street(tmp_path_factory.mktemp("migrate") / "node"))
    made.close()
    return made


def reopened(street: Street) -> Store:
    return Store.open(street.path, chain_id=2016, genesis_hash=street.genesis_hash, readonly=True)


def test_there_is_a_step_from_every_version_to_the_next() -> None:
    assert list(range(STEPS[0].version, SCHEMA_VERSION)) == VERSIONS
    assert sorted(BACK) == VERSIONS  # and the way back is tested here


@pytest.mark.parametrize("version", VERSIONS)
def test_an_old_database_is_refused_then_migrated_and_audited(street: Street, version: int) -> None:
    before = dict(entries(street.path, "jumps"))
    take_back(street.path, version)
    with pytest.raises(StorageError, match=rf"schema version {version}; expected .* `gridpact node migrate --data"):
        reopened(street)
    told: list[tuple[str, int, int]] = []
    migration = Migration(street.path)
    assert migration.run(lambda *row: told.append(row)) == Migrated(version, SCHEMA_VERSION)
    migration.close()
    assert told[-1][1] == told[-1][2] > 0
    assert dict(entries(street.path, "jumps")) == before
    assert street.audit().offence is None
    again = Migration(street.path)  # nothing is left to do
    assert again.run() == Migrated(SCHEMA_VERSION, SCHEMA_VERSION)
    again.close()


def test_a_migration_that_was_killed_goes_on_where_it_was(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "PORTION", 1)
    before = {step.version: dict(entries(street.path, "jumps")) for step in STEPS}
    take_back(street.path, VERSIONS[0])
    runs = 0
    while True:
        counted: list[int] = []

        def stop(_what: str, done: int, _total: int, counted: list[int] = counted) -> None:
            counted.append(done)
            if len(counted) == 2:
                raise Killed

        migration = Migration(street.path)
        try:
            migration.run(stop)
            break
        except Killed:
            runs += 1
        finally:
            migration.close()
        if "migrating" in {key.decode("ascii", "replace") for key, _ in entries(street.path, "meta")}:
            with pytest.raises(StorageError, match=r"a migration was interrupted; .* go on: `gridpact node"):
                reopened(street)
    assert runs > 2
    assert dict(entries(street.path, "jumps")) == before[VERSIONS[0]]
    assert street.audit().offence is None


def test_what_is_newer_damaged_in_use_or_not_there_is_refused(street: Street, tmp_path: Path) -> None:
    raw = dict(entries(street.path, "meta"))[b"schema"]
    overwrite(street.path, "meta", b"schema", b"\x09    ", repair_checksum=True)
    try:
        with pytest.raises(StorageError, match="schema version 9; expected schema version 2 to"):
            Migration(street.path)
        with pytest.raises(StorageError, match="or the newer gridpact that wrote it"):
            reopened(street)
        overwrite(street.path, "meta", b"schema", b"\x09\0\0\0\0")
        with pytest.raises(CorruptValue):
            Migration(street.path)
    finally:
        overwrite(street.path, "meta", b"schema", raw)
    with pytest.raises(StorageError, match="there is no database"):
        Migration(tmp_path)
    running = Store.open(street.path, chain_id=2016, genesis_hash=street.genesis_hash)
    with pytest.raises(StorageError, match="another process has this database open"):
        Migration(street.path)
    running.close()
