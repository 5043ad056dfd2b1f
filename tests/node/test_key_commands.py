"""`gridpact keys`: keys go in and out of encrypted files, and never over the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from node import key_commands, keys
from node.cli import app as root
from node.errors import GridpactError
from node.key_commands import app
from node.keys import ACCOUNT_KIND, NODE_KIND, account_address, load_key, node_key_of
from tests.node.samples import seed

SECRET = seed("imported")


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a guess at a passphrase be cheap, and have one."""

    def light(path: Path, secret: bytes, passphrase: str, kind: str) -> None:
        keys.save_key(path, secret, passphrase, kind, keys.SCRYPT_LIGHT)

    monkeypatch.setattr(key_commands, "save_key", light)
    monkeypatch.setenv(keys.PASSPHRASE_VARIABLE, "secret")


def run(*words: str | Path, given: str | None = None) -> dict[str, Any]:
    """Run a command with --json and return what it says."""
    done = CliRunner().invoke(root, ["keys", *map(str, words), "--json"], input=given, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def refused(*words: str | Path, given: str | None = None) -> str:
    """Run a command that must not do it; return why."""
    with pytest.raises(GridpactError) as caught:
        CliRunner().invoke(app, [*map(str, words)], input=given, catch_exceptions=False)
    return str(caught.value)


@pytest.mark.parametrize(("kind", "stored"), [("node", NODE_KIND), ("account", ACCOUNT_KIND)])
def test_a_key_is_made_exported_imported_and_listed(tmp_path: Path, kind: str, stored: str) -> None:
    made = run("new", "--kind", kind, "--out", tmp_path / "one.json")
    plain = tmp_path / "one.txt"
    words = ["export", str(tmp_path / "one.json"), "--out", str(plain), "--unencrypted"]
    assert CliRunner().invoke(app, words, input="export\n").exit_code == 0
    assert plain.stat().st_mode & 0o777 == 0o600
    assert plain.read_text().strip() == load_key(tmp_path / "one.json", "secret", stored).hex()
    again = run("import", "--kind", kind, "--from", plain, "--out", tmp_path / "two.json")
    piped = run("import", "--kind", kind, "--from", "-", "--out", tmp_path / "three.json", given=plain.read_text())
    store = run("import", "--kind", kind, "--from", tmp_path / "one.json", "--out", tmp_path / "four.json")
    assert made["public"] == again["public"] == piped["public"] == store["public"]
    (tmp_path / "other.json").write_text("{}")
    listed = run("list", tmp_path)["keys"]
    assert [(each["kind"], each["public"]) for each in listed] == [(kind, made["public"])] * 4


def test_the_public_halves_are_the_keys_own(tmp_path: Path) -> None:
    given = SECRET.hex()
    node = run("import", "--from", "-", "--out", tmp_path / "node.json", given=given)
    account = run("import", "--kind", "account", "--from", "-", "--out", tmp_path / "account.json", given=given)
    assert node["public"] == "0x" + node_key_of(SECRET).hex()
    assert account["public"] == "0x" + account_address(SECRET).hex()


def test_an_export_wants_to_be_meant(tmp_path: Path) -> None:
    run("new", "--out", tmp_path / "one.json")
    where: list[str | Path] = ["export", tmp_path / "one.json", "--out", tmp_path / "plain"]
    assert "not encrypted" in refused(*where)
    assert "nothing was written" in refused(*where, "--unencrypted", given="yes\n")
    assert not (tmp_path / "plain").exists()
    (tmp_path / "plain").write_text("something")
    assert "exists" in refused(*where, "--unencrypted", "--yes")
    assert (tmp_path / "plain").read_text() == "something"


@pytest.mark.parametrize(
    ("content", "said"),
    [("ab" * 31, "64 hexadecimal digits"), ("no key", "64 hexadecimal digits"), ("00" * 32, "above zero")],
)
def test_what_is_no_key_is_refused(tmp_path: Path, content: str, said: str) -> None:
    words: list[str | Path] = ["import", "--kind", "account", "--from", "-", "--out", tmp_path / "key.json"]
    assert said in refused(*words, given=content)
    assert not (tmp_path / "key.json").exists()


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text(SECRET.hex())
    (tmp_path / "plain").chmod(0o644)
    assert "others may read it" in refused("import", "--from", tmp_path / "plain", "--out", tmp_path / "key.json")


def test_a_list_says_what_it_cannot_use(tmp_path: Path) -> None:
    run("new", "--out", tmp_path / "one.json")
    (tmp_path / "one.json").chmod(0o644)
    done = CliRunner().invoke(app, ["list", str(tmp_path)])
    assert done.exit_code == 1
    assert "others may read it" in done.output
