"""Key files that are damaged, open or elsewhere: one clear error each. How the key is protected."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.keys import (
    ACCOUNT_KIND,
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
    where = tmp_path / "node.json"
    save_key(where, seed("key"), "a phrase", scrypt=SCRYPT_LIGHT)
    return where


def rewrite(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_account_keys_read_back(tmp_path: Path) -> None:
    where = tmp_path / "account.json"
    save_key(where, seed("key"), "a phrase", ACCOUNT_KIND, SCRYPT_LIGHT)
    assert load_key(where, "a phrase", ACCOUNT_KIND) == seed("key")


@pytest.mark.parametrize("mode", [0o640, 0o620, 0o604, 0o601])
def test_a_file_open_to_others_is_refused(path: Path, mode: int) -> None:
    path.chmod(mode)
    with pytest.raises(KeyFileError, match="chmod 600"):
        load_key(path, "a phrase")
    with pytest.raises(KeyFileError, match="chmod 600"):
        public_node_key(path)


@pytest.mark.parametrize("text", [b" " * 70_000, b"[" * 60_000, b"\xff", b'{"kind": "other"}', b"null"])
def test_what_is_no_key_file_is_refused(path: Path, text: bytes) -> None:
    path.write_bytes(text)
    with pytest.raises(KeyFileError):
        load_key(path, "a phrase")


def test_a_folder_is_no_key_file(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError):
        load_key(tmp_path, "a phrase")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 99) | st.text(max_size=9),
    lambda values: st.dictionaries(st.text(max_size=5), values, max_size=3),
    max_leaves=4,
)


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["version", "kdf", "ciphertext", "mac"]), JSON)
def test_a_damaged_keystore_is_one_clear_error(path: Path, field: str, value: Any) -> None:
    original = path.read_text()
    content = json.loads(original)
    (content["crypto"] if field in content["crypto"] else content)[field] = value
    path.write_text(json.dumps(content))
    try:
        if value != json.loads(original).get(field):
            with pytest.raises(KeyFileError):
                load_key(path, "a phrase")
    finally:
        path.write_text(original)


# -- known faults: each says what should hold, and turns red when it does


def test_the_passphrase_is_stretched_by_scrypt_at_the_stated_cost(path: Path) -> None:
    crypto = json.loads(path.read_text())["crypto"]
    assert crypto["kdf"] == "scrypt"
    assert crypto["kdfparams"]["n"] == SCRYPT_LIGHT


def test_a_key_file_holds_the_key_that_it_names(path: Path) -> None:
    rewrite(path, node_key="0x" + node_key_of(seed("other")).hex())
    with pytest.raises(KeyFileError):
        load_key(path, "a phrase")


def test_a_node_key_that_is_not_hexadecimal_is_a_clear_error(path: Path) -> None:
    rewrite(path, node_key="0x" + "z" * 64)
    with pytest.raises(KeyFileError):
        public_node_key(path)


def test_a_failed_write_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(KeyFileError, match="No space left"):
        save_key(tmp_path / "new.json", seed("key"), "a phrase", scrypt=SCRYPT_LIGHT)
    assert list(tmp_path.iterdir()) == []


def test_no_passphrase_and_nobody_to_ask_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_: str) -> str:
        raise EOFError

    monkeypatch.delenv("GRIDPACT_PASSPHRASE", raising=False)
    monkeypatch.setattr("getpass.getpass", nobody)
    with pytest.raises(KeyFileError, match="GRIDPACT_PASSPHRASE"):
        read_passphrase(None)
