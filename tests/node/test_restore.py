"""Whoever may have forgotten votes is marked: by an operator, by a backup, by coming back to a seat with a new disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from node.commands import app
from node.config import CONFIG_NAME, DATABASE_NAME, RESTORED_NAME, WAL_NAME, load_config, render_config
from node.driver.wal import WriteAheadLog, WriteAheadLogError
from node.keys import SCRYPT_LIGHT, node_key_of, public_node_key, save_key
from node.restore import is_marked, mark_if_seated, open_log, unmark
from node.storage import StorageError, Store
from tests.audit.street import Street
from tests.node.samples import node_key, seed

VOTES = [b"a vote", b"another"]
OWN_KEY = bytes(node_key(0).verify_key)
NEW_KEY = bytes(node_key(7).verify_key)


class House:
    """A validator's data directory of two blocks whose node has ended; member 0's key beside it."""

    def __init__(self, folder: Path) -> None:
        street = Street(folder / "house")
        street.mine()
        street.mine()
        street.close()
        self.street = street
        self.directory = street.directory
        self.log = self.directory / WAL_NAME
        self.identity = street.genesis_hash + OWN_KEY
        self.key = folder / "key.json"
        save_key(self.key, bytes(node_key(0)), "secret", scrypt=SCRYPT_LIGHT)
        self.config = self.directory / CONFIG_NAME
        text = render_config(
            genesis="genesis.json",
            key=str(self.key),
            passphrase_file="",
            p2p_listen="127.0.0.1:0",
            rpc_listen="127.0.0.1:0",
        )
        self.config.write_text(text, encoding="utf-8")
        self.append(*VOTES)

    def append(self, *records: bytes) -> None:
        """Write to the log."""
        log = WriteAheadLog(self.log, self.identity)
        log.append(records)
        log.close()

    def opened(self, node_key: bytes = OWN_KEY) -> list[bytes]:
        """Open the log as a node does that starts with this key, and return its records."""
        store = Store.open(
            self.directory / DATABASE_NAME, chain_id=2016, genesis_hash=self.street.genesis_hash, readonly=True
        )
        try:
            log = open_log(self.directory, self.street.genesis_hash, node_key, store)
        finally:
            store.close()
        log.close()
        return list(log.records())

    def run(self, *words: str) -> str:
        """Run a command of `gridpact node` and return what it prints."""
        result = CliRunner().invoke(app, [*words, "--config", str(self.config)], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_a_restored_directory_is_marked_and_a_whole_log_is_kept(house: House) -> None:
    output = house.run("restore")
    assert is_marked(house.directory)
    assert "abstains" in (house.directory / RESTORED_NAME).read_text()
    assert "marked as restored, at height 2" in output
    assert f"gridpact node run --config {house.config}" in output
    assert house.opened() == VOTES
    house.run("restore")  # again: nothing changes
    assert house.opened() == VOTES
    unmark(house.directory)
    assert not is_marked(house.directory)
    unmark(house.directory)


def test_a_damaged_log_is_moved_aside_and_never_deleted(house: House) -> None:
    damaged = bytearray(house.log.read_bytes())
    damaged[100] ^= 1
    for number in (1, 2):
        house.log.write_bytes(damaged)
        with pytest.raises(WriteAheadLogError, match="gridpact node restore --config"):
            house.opened()
        output = house.run("restore")
        aside = house.directory / f"{WAL_NAME}.damaged-{number}"
        assert aside.read_bytes() == damaged
        assert "damage at byte" in output
        assert str(aside) in output
        assert house.opened() == []
    assert is_marked(house.directory)


def test_a_missing_log_is_noticed_where_the_node_has_taken_part(house: House) -> None:
    house.log.unlink()
    with pytest.raises(
        WriteAheadLogError, match=r"the log is missing; expected .* at height 2; .*gridpact node restore"
    ):
        house.opened()
    assert not house.log.exists()
    house.run("restore")
    assert house.opened() == []


def test_a_node_with_a_new_key_has_a_new_log_and_its_old_one_is_kept(house: House) -> None:
    assert house.opened(NEW_KEY) == []
    log = WriteAheadLog(house.log, house.street.genesis_hash + NEW_KEY)
    log.append([b"with the new key"])
    log.close()
    assert house.opened(OWN_KEY) == VOTES  # changed back: what the old key voted is remembered
    assert house.opened(NEW_KEY) == [b"with the new key"]
    assert not is_marked(house.directory)


def test_the_log_of_another_chain_stays_where_it_is(house: House) -> None:
    house.log.unlink()
    WriteAheadLog(house.log, bytes(32) + OWN_KEY).close()
    content = house.log.read_bytes()
    with pytest.raises(WriteAheadLogError, match="another chain or validator"):
        house.run("restore")
    assert house.log.read_bytes() == content
    assert is_marked(house.directory)


def test_a_running_node_is_not_restored(house: House) -> None:
    running = Store.open(house.directory / DATABASE_NAME, chain_id=2016, genesis_hash=house.street.genesis_hash)
    with pytest.raises(StorageError, match="another process has this database open"):
        house.run("restore")
    running.close()
    assert not is_marked(house.directory)


def test_a_backup_is_marked_and_can_be_put_back(house: House, tmp_path: Path) -> None:
    out = tmp_path / "backups" / "monday"
    output = house.run("backup", "--out", str(out))
    assert f"backup of height 2 in {out}" in output
    assert sorted(path.name for path in out.iterdir()) == [
        "backup.json",
        DATABASE_NAME,
        "genesis.json",
        CONFIG_NAME,
        RESTORED_NAME,
    ]
    assert load_config(out / CONFIG_NAME).key == house.key
    house.directory.rename(tmp_path / "lost")
    out.rename(house.directory)  # put back: the node would start, and abstain
    assert house.opened() == []
    assert is_marked(house.directory)
    assert house.street.audit().offence is None


def test_a_backup_does_not_write_over_anything(house: House, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    result = CliRunner().invoke(app, ["backup", "--config", str(house.config), "--out", str(tmp_path / "there")])
    assert "the folder exists; expected a new folder for the backup" in str(result.exception)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_whoever_comes_back_to_a_seat_is_marked(house: House, tmp_path: Path) -> None:
    assert not mark_if_seated(house.directory, house.street.genesis, node_key_of(seed("stranger")))
    assert not is_marked(house.directory)
    assert mark_if_seated(house.directory, house.street.genesis, public_node_key(house.key))
    assert is_marked(house.directory)
