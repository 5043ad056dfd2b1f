"""Key files: written for the owner alone, read strictly, never overwritten."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from eth_keyfile.keyfile import decode_keyfile_json
from typer.testing import CliRunner

from node.commands import app
from node.keys import (
    ACCOUNT_KIND,
    NODE_KIND,
    SCRYPT_LIGHT,
    KeyFileError,
    load_key,
    node_key_of,
    public_node_key,
    read_passphrase,
    save_key,
)
from tests.node.samples import seed


@pytest.fixture
def path(tmp_path: Path) -> Path:
    where = tmp_path / "keys" / "node.json"
    save_key(where, seed("key"), "a phrase", scrypt=SCRYPT_LIGHT)
    return where


def test_a_key_reads_back_and_its_public_half_needs_no_passphrase(path: Path) -> None:
    assert load_key(path, "a phrase") == seed("key")
    assert public_node_key(path) == node_key_of(seed("key"))
    assert path.stat().st_mode & 0o777 == 0o600
    assert seed("key").hex() not in path.read_text()


def test_account_keys_are_plain_keystores(tmp_path: Path) -> None:
    where = tmp_path / "account.json"
    save_key(where, seed("key"), "a phrase", ACCOUNT_KIND, SCRYPT_LIGHT)
    assert decode_keyfile_json(json.loads(where.read_text()), b"a phrase") == seed("key")
    with pytest.raises(KeyFileError, match=f"expected one of kind '{NODE_KIND}'"):
        load_key(where, "a phrase")


def test_wrong_passphrase_missing_file_open_file_and_nonsense(path: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="the passphrase it was saved with"):
        load_key(path, "another")
    with pytest.raises(KeyFileError, match="No such file"):
        load_key(tmp_path / "nothing", "a phrase")
    with pytest.raises(KeyFileError, match="the file exists"):
        save_key(path, seed("other"), "a phrase", scrypt=SCRYPT_LIGHT)
    path.chmod(0o644)
    with pytest.raises(KeyFileError, match="others may read it"):
        load_key(path, "a phrase")
    for text in (
        "",
        "[]",
        "{}",
        "not json",
        json.dumps({"kind": NODE_KIND}),
        json.dumps({"kind": NODE_KIND, "crypto": 1, "version": 3}),
    ):
        path.chmod(0o600)
        path.write_text(text)
        with pytest.raises(KeyFileError):
            load_key(path, "a phrase")


def test_the_command_makes_a_key_that_loads(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("a phrase\n")
    words = ["key", "--out", str(tmp_path / "node-key.json"), "--passphrase-file", str(tmp_path / "secret")]
    made = CliRunner().invoke(app, words)
    assert made.exit_code == 0, made.output
    public = node_key_of(load_key(tmp_path / "node-key.json", "a phrase"))
    assert f"node key 0x{public.hex()}" in made.output
    again = CliRunner().invoke(app, words)
    assert isinstance(again.exception, KeyFileError)


def test_passphrases_from_file_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = tmp_path / "passphrase"
    where.write_text("from the file\n")
    assert read_passphrase(where) == "from the file"
    monkeypatch.setenv("GRIDPACT_PASSPHRASE", "from the environment")
    assert read_passphrase(None) == "from the environment"
    with pytest.raises(KeyFileError, match="cannot be read"):
        read_passphrase(tmp_path / "nothing")
