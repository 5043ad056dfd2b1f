"""Doctor finds what is wrong, names it, says what to do, and changes nothing."""

from __future__ import annotations

import fcntl
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from node.cli import app
from node.config import CONFIG_NAME, DATABASE_NAME, WAL_NAME, render_config
from node.driver.wal import WriteAheadLog
from node.keys import SCRYPT_LIGHT, save_key
from node.operations import checks_of_machine
from node.restore import mark, unmark
from tests.audit.street import Street, fill
from tests.node.samples import node_key, seed
from tests.storage.raw import entries, overwrite


class House:
    """A validator's data directory that a doctor finds healthy."""

    def __init__(self, folder: Path) -> None:
        self.street = fill(Street(folder / "house"))
        self.street.close()
        self.directory = self.street.directory
        self.config = self.directory / CONFIG_NAME
        self.passphrase = folder / "passphrase"
        self.passphrase.write_text("secret\n")
        self.key = folder / "key.json"
        save_key(self.key, bytes(node_key(0)), "secret", scrypt=SCRYPT_LIGHT)
        self.log = self.directory / WAL_NAME
        log = WriteAheadLog(self.log, self.street.genesis_hash + bytes(node_key(0).verify_key))
        log.append([b"a vote"])
        log.close()
        self.configure()

    def configure(self, **changes: str) -> None:
        values = {
            "genesis": "genesis.json",
            "key": str(self.key),
            "passphrase_file": str(self.passphrase),
            "p2p_listen": "127.0.0.1:0",
            "rpc_listen": "127.0.0.1:0",
        }
        self.config.write_text(render_config(**(values | changes)), encoding="utf-8")  # type: ignore[arg-type]

    def findings(self) -> tuple[int, dict[str, tuple[str, str]]]:
        """Return the exit status, and verdict and text by check."""
        result = CliRunner().invoke(app, ["node", "doctor", "--config", str(self.config), "--json"])
        assert result.exit_code in (0, 1), result.exception
        content = json.loads(result.output)
        assert content["ok"] is (result.exit_code == 0)
        rows = content["findings"]
        return result.exit_code, {row["check"]: (row["verdict"], f"{row['found']}: {row['advice']}") for row in rows}

    def expect(self, check: str, verdict: str, said: str) -> None:
        """Check what one check says, and the exit status that follows."""
        code, found = self.findings()
        assert found[check][0] == verdict, found[check]
        assert said in found[check][1]
        if verdict == "fail":
            assert code == 1


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> House:
    return House(tmp_path_factory.mktemp("doctor"))


@pytest.fixture
def house(made: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setattr(checks_of_machine, "_answers", lambda endpoint: True)
    yield made
    made.configure()


def test_a_healthy_node_passes_and_nothing_is_changed(house: House) -> None:
    before = {
        path: path.read_bytes()
        for path in sorted(house.directory.rglob("*"))
        if path.name != "lock.mdb"
        if path.is_file()
    }
    code, found = house.findings()
    assert code == 0, found
    assert {verdict for verdict, _ in found.values()} == {"ok"}
    assert set(found) == {
        "config", "genesis", "key", "passphrase", "database", "head", "checksums", "seat", "marker", "log", "disk",
        "open files", "versions", "p2p port", "rpc port", "rpc", "clock", "peers",
    }  # fmt: skip
    assert {path: path.read_bytes() for path in before} == before
    result = CliRunner().invoke(app, ["node", "doctor", "--config", str(house.config)])
    assert len(result.output.splitlines()) == len(found)
    assert result.output.startswith("ok    config")


def test_a_configuration_that_cannot_be_read(house: House) -> None:
    house.config.write_text("[node]\ngenesis = 7\n")
    house.expect("config", "fail", "p2p: expected a table")
    house.configure(genesis="nowhere.json")
    house.expect("config", "fail", "nowhere.json")


def test_keys_and_passphrases(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house.key.chmod(0o644)
    house.expect("key", "fail", "others may read it (mode 0o644)")
    house.key.chmod(0o600)
    (tmp_path / "wrong").write_text("wrong")
    house.configure(passphrase_file=str(tmp_path / "wrong"))
    house.expect("passphrase", "fail", "cannot be decrypted")
    house.configure(passphrase_file="")
    house.expect("passphrase", "warn", "none is configured")
    monkeypatch.setenv("GRIDPACT_PASSPHRASE", "secret")
    house.expect("passphrase", "ok", "opens the key")
    save_key(tmp_path / "stranger.json", seed("stranger"), "secret", scrypt=SCRYPT_LIGHT)
    house.configure(key=str(tmp_path / "stranger.json"))
    house.expect("seat", "warn", "no validator's")
    house.expect("log", "warn", "of another key")


def test_databases(house: House, tmp_path: Path) -> None:
    content = json.loads((house.directory / "genesis.json").read_text())
    content["chain_id"] = 7
    (tmp_path / "other.json").write_text(json.dumps(content))
    house.configure(genesis=str(tmp_path / "other.json"))
    house.expect("database", "fail", "chain id 2016; expected chain id 7")
    house.configure()
    for table, check, said in (("receipts", "checksums", "receipts"), ("certificates", "checksums", "certificates")):
        key, raw = list(entries(house.street.path, table))[-1]
        overwrite(house.street.path, table, key, raw[:-1] + bytes([raw[-1] ^ 1]))
        house.expect(check, "fail", said)
        overwrite(house.street.path, table, key, raw)
    (_, first), *_, (key, raw) = entries(house.street.path, "certificates")
    overwrite(house.street.path, "certificates", key, first, repair_checksum=True)
    house.expect("database", "fail", "expected a head that a quorum certified")
    overwrite(house.street.path, "certificates", key, raw)


def test_logs_and_the_marker(house: House) -> None:
    content = house.log.read_bytes()
    house.log.write_bytes(content[:40] + bytes([content[40] ^ 1]) + content[41:])
    house.expect("log", "fail", "gridpact node restore --config")
    house.log.unlink()
    house.expect("log", "fail", "is missing")
    mark(house.directory)
    house.expect("log", "ok", "none yet")
    house.expect("marker", "warn", "abstains until")
    unmark(house.directory)
    house.log.write_bytes(content)


def test_the_machine(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        house.configure(p2p_listen=taken)
        house.expect("p2p port", "fail", f"{taken} is in use by another process")
    house.configure(rpc_listen="0.0.0.0:0")
    house.expect("rpc", "warn", "without a token")
    house.configure()
    monkeypatch.setattr(checks_of_machine, "MIN_FREE_BYTES", 1 << 60)
    house.expect("disk", "fail", "make room")
    monkeypatch.setattr(checks_of_machine, "MIN_FILES", 1 << 40)
    house.expect("open files", "warn", "raise the limit")
    monkeypatch.setattr(checks_of_machine, "wall_ms", lambda: 0)
    monkeypatch.setattr(checks_of_machine, "_answers", lambda endpoint: False)
    house.expect("clock", "fail", "ahead of this machine's clock")
    house.expect("peers", "fail", "0 of 3 other members take a connection")
    down = iter([True, False, True])
    monkeypatch.setattr(checks_of_machine, "_answers", lambda endpoint: next(down))
    house.expect("peers", "warn", "2 of 3 other members")


def test_a_running_node_is_seen(house: House) -> None:
    with (house.directory / DATABASE_NAME / "writer.lock").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        house.expect("database", "ok", "in use by the running node")
        house.configure(rpc_listen="127.0.0.1:1")
        house.expect("rpc port", "fail", "nobody listens at 127.0.0.1:1 though the node runs")
