"""A wallet's file: private, whole, opened by its passphrase alone, used by one command at a time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from agents.wallet.store import WalletFile, WalletFileError, create_wallet_file, locked, open_wallet_file
from agents.wallet.wallet import Entry, OwnedNote

SEED = b"\x11" * 32
NOTE = OwnedNote(7, 3, "02" * 33, "03" * 33, "02" * 33, 1_500, "04" * 32, spent_height=9)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "wallet.json"


def created(path: Path) -> WalletFile:
    return create_wallet_file(path, b"phrase", SEED, chain_id=5, genesis="0xab", height=3, work_factor=2)


def test_what_was_saved_is_there_again(path: Path) -> None:
    file = created(path)
    file.wallet.notes[7] = NOTE
    file.wallet.history.append(Entry(3, 1_500, "received"))
    file.wallet.memos["02"] = "for you"
    file.wallet.bins = 4
    file.save()
    again = open_wallet_file(path, b"phrase")
    assert again.wallet.to_plain() == file.wallet.to_plain()
    assert again.wallet.keys == file.wallet.keys
    assert (again.genesis, again.wallet.chain_id, again.wallet.height) == ("0xab", 5, 3)
    assert again.wallet.notes[7] == NOTE


def test_a_file_tells_nothing_and_is_its_owners(path: Path) -> None:
    file = created(path)
    file.wallet.memos["02"] = "a secret memo"
    file.save()
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    assert "memo" not in text
    assert "chain" not in text
    assert SEED.hex() not in text
    assert "address" not in json.loads(text)["keystore"]
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_wallet_is_never_overwritten(path: Path) -> None:
    created(path)
    before = path.read_bytes()
    with pytest.raises(WalletFileError, match="never overwritten"):
        created(path)
    assert path.read_bytes() == before


def test_a_save_that_fails_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = created(path)
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("agents.wallet.store.os.fsync", full)
    file.wallet.height = 99
    with pytest.raises(WalletFileError, match="No space left"):
        file.save()
    assert path.read_bytes() == before
    monkeypatch.undo()
    file.save()  # what was left of the other does not stand in the way
    assert open_wallet_file(path, b"phrase").wallet.height == 99


def test_another_passphrase_opens_nothing(path: Path) -> None:
    created(path)
    with pytest.raises(WalletFileError, match="another passphrase"):
        open_wallet_file(path, b"phrase ")


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"format": "gridpact wallet 2"}', "\xff"])
def test_other_files_are_no_wallets(path: Path, text: str) -> None:
    path.write_text(text, encoding="latin-1")
    with pytest.raises(WalletFileError, match="gridpact wallet 1"):
        open_wallet_file(path, b"phrase")
    with pytest.raises(WalletFileError, match="readable"):
        open_wallet_file(path.with_name("none"), b"phrase")


def test_a_file_that_was_changed_is_refused(path: Path) -> None:
    created(path)
    content = json.loads(path.read_text())
    state = bytearray.fromhex(content["state"])
    for at in (0, 30, len(state) - 1):
        bent = bytearray(state)
        bent[at] ^= 1
        path.write_text(json.dumps({**content, "state": bent.hex()}))
        with pytest.raises(WalletFileError, match="unchanged"):
            open_wallet_file(path, b"phrase")
    for bad in ({"state": "zz"}, {"state": ""}, {"state": None}):
        path.write_text(json.dumps({**content, **bad}))
        with pytest.raises(WalletFileError, match="unchanged"):
            open_wallet_file(path, b"phrase")
    for keystore in ({}, None, {**content["keystore"], "version": 9}):
        path.write_text(json.dumps({**content, "keystore": keystore}))
        with pytest.raises(WalletFileError):
            open_wallet_file(path, b"phrase")


def test_one_command_uses_a_wallet_at_a_time(path: Path) -> None:
    """The other one is another process; when it ends, however it does, the wallet is free again."""
    with locked(path):
        code = "import sys, pathlib, agents.wallet.store as s\nwith s.locked(pathlib.Path(sys.argv[1])): pass"
        command = [sys.executable, "-c", code, str(path)]
        other = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert "no other command uses: one is running" in other.stderr
        with pytest.raises(WalletFileError, match="one is running"), locked(path):
            pass
    with locked(path):
        pass
    with pytest.raises(WalletFileError, match="a folder to write to"), locked(path.parent / "none" / "wallet"):
        pass
