"""A backup is whole or is none, says what it holds, and is put back only as it was."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from node.cli import app
from node.config import CONFIG_NAME, DATABASE_NAME, load_config, render_config
from node.errors import GridpactError
from node.keys import SCRYPT_LIGHT, save_key
from node.operations.backup import DATA, KEY_NAME, MANIFEST, back_up, put_back
from node.restore import is_marked
from node.storage import CorruptValue
from tests.audit.street import HEAD, Street, fill
from tests.node.samples import node_key
from tests.storage.old import take_back
from tests.storage.raw import entries, overwrite


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Street:
    """A validator's data directory whose node has ended; its genesis file and key lie beside it."""
    root = tmp_path_factory.mktemp("backup")
    made = fill(Street(root / "house"))
    made.close()
    (made.directory / "genesis.json").rename(root / "street.json")
    save_key(root / "key.json", bytes(node_key(0)), "secret", scrypt=SCRYPT_LIGHT)
    text = render_config(
        genesis="../street.json",
        key="../key.json",
        passphrase_file="",
        p2p_listen="127.0.0.1:0",
        rpc_listen="127.0.0.1:0",
    )
    (made.directory / CONFIG_NAME).write_text(text, encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def backup(street: Street, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("backups") / "monday"
    back_up(load_config(street.directory / CONFIG_NAME), out, with_key=True)
    return out


def run(*words: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["node", *map(str, words)])
    return result.exit_code, result.output


def test_what_is_put_back_is_the_same_node_and_abstains(street: Street, tmp_path: Path) -> None:
    out = tmp_path / "backup"
    code, output = run("backup", "--config", street.directory / CONFIG_NAME, "--out", out, "--json")
    manifest = json.loads(output)
    assert code == 0
    assert manifest == json.loads((out / MANIFEST).read_text())
    with_head = street.stored("headers")
    assert manifest["height"] == HEAD == len(with_head) - 1
    assert not (out / KEY_NAME).exists()
    code, output = run("restore", "--from", out, "--data", tmp_path / "again")
    assert code == 0, output
    assert f"restored {tmp_path / 'again'} from {out}: height {HEAD}, block {manifest['block_hash']}" in output
    assert "the node key is not in the backup: put it at" in output
    assert is_marked(tmp_path / "again")
    for table in ("meta", "headers", "bodies", "certificates", "accounts", "storage_before", "trie"):
        assert list(entries(tmp_path / "again" / DATABASE_NAME, table)) == list(entries(street.path, table))
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_backup_with_the_key_stands_alone(backup: Path, tmp_path: Path) -> None:
    put_back(backup, tmp_path / "elsewhere" / "house")
    config = load_config(tmp_path / "elsewhere" / "house" / CONFIG_NAME)
    assert isinstance(config.key, Path)
    assert config.key.parent == config.genesis.parent == config.directory
    assert config.key.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("name", "alter", "said"),
    [
        (DATA, lambda raw: raw[:-4096], r"chain/data\.mdb: truncated: \d+ bytes; expected \d+ bytes"),
        (DATA, lambda raw: raw[:9000] + bytes([raw[9000] ^ 1]) + raw[9001:], r"data\.mdb: altered: SHA-256"),
        ("genesis.json", lambda raw: raw + b" ", r"genesis\.json: longer than it was"),
        (CONFIG_NAME, lambda raw: raw.replace(b"30300", b"30301").replace(b"info", b"warn"), r"node\.toml: altered"),
        (MANIFEST, lambda raw: raw[:40], r"backup\.json: no JSON"),
        (MANIFEST, lambda raw: raw.replace(b'"format": 1', b'"format": 7'), r"format 7; expected format 1"),
        (MANIFEST, lambda raw: raw.replace(b'"height": 8', b'"height": 9'), r"height 8, .*expected height 9"),
        (
            MANIFEST,
            lambda raw: raw.replace(b"node.toml", b"../../etc"),
            r"a file '\.\./\.\./etc'; expected nothing",
        ),
        (MANIFEST, lambda raw: raw.replace(b'"storage": "', b'"storage": "9'), r"storage version 9\d; expected"),
        (MANIFEST, lambda raw: raw.replace(b'"chain_id": 2016', b'"chain_id": 1'), r"chain 2016.*expected chain 1,"),
        (MANIFEST, lambda raw: b"[]", r"format None"),
        ("restored", None, r"restored: cannot be copied"),
    ],
)
def test_a_truncated_or_altered_backup_is_refused(backup: Path, tmp_path: Path, name: str, alter, said: str) -> None:  # type: ignore[no-untyped-def]
    copy = tmp_path / "copy"
    shutil.copytree(backup, copy)
    if alter is None:
        (copy / name).unlink()
    else:
        before = (copy / name).read_bytes()
        (copy / name).write_bytes(alter(before))
        assert (copy / name).read_bytes() != before
    with pytest.raises(GridpactError, match=said):
        put_back(copy, tmp_path / "house")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy"]


def test_nothing_is_overwritten(street: Street, backup: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert f"{tmp_path}: something is there" in run("restore", "--from", backup, "--data", tmp_path)[1]
    assert "the folder exists" in run("backup", "--config", street.directory / CONFIG_NAME, "--out", tmp_path)[1]
    code, output = run("restore", "--from", backup)
    assert (code, output) == (2, "gridpact: command line: --from and --data: expected both, or neither\n")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_damaged_value_is_not_backed_up_in_silence(street: Street, tmp_path: Path) -> None:
    key, raw = next(entries(street.path, "receipts"))
    overwrite(street.path, "receipts", key, raw[:-1] + bytes([raw[-1] ^ 1]))
    try:
        with pytest.raises(CorruptValue, match="receipts"):
            back_up(load_config(street.directory / CONFIG_NAME), tmp_path / "out")
    finally:
        overwrite(street.path, "receipts", key, raw)
    assert list(tmp_path.iterdir()) == []


def test_a_backup_of_an_earlier_schema_is_put_back_and_then_migrated(backup: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(backup, copy)
    take_back(copy / DATABASE_NAME, 2)
    manifest = json.loads((copy / MANIFEST).read_text())
    raw = (copy / DATA).read_bytes()
    manifest["files"][DATA] = {"bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
    manifest["versions"]["storage"] = "2"
    (copy / MANIFEST).write_text(json.dumps(manifest))
    code, output = run("restore", "--from", copy, "--data", tmp_path / "house")
    assert code == 0
    assert f"gridpact node migrate --data {tmp_path / 'house'}" in output
    assert run("migrate", "--data", tmp_path / "house")[0] == 0
