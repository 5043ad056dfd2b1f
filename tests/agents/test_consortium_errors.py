"""What `gridpact consortium` cannot do is one sentence and an exit status, and nothing is half done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from node.cli import app
from tests.agents.consortium_street import ENDPOINT, EVE, EVE_NODE_KEY, ConsortiumStreet
from tests.node.samples import hex_of

NOBODY = "http://127.0.0.1:9"  # discard: nothing listens there
FIELDS = (("hash", 32), ("signature", 64))


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsortiumStreet]:
    """A consortium with one open rule proposal, by the first household, that no test here changes."""
    running = ConsortiumStreet(tmp_path_factory.mktemp("consortium"))
    running.ok(0, "propose-rule", "view_timeout_ms", "3000")
    yield running
    running.close()


@pytest.fixture(autouse=True)
def nothing_changes(street: ConsortiumStreet) -> Iterator[None]:
    """No transaction of any test is in a block."""
    before = street.height
    yield
    assert street.height == before


@pytest.mark.parametrize(
    ("sender", "words", "expected"),
    [
        (0, ["vote", "1"], "The member has voted for this proposal already"),
        (1, ["vote", "7"], "There is no proposal with this number"),
        ("household eve", ["vote", "1"], "Only a member of the consortium may do this"),
        ("meter 0", ["vote", "1"], "Only a member of the consortium may do this"),
        (1, ["ready", "1", "12:0x" + "00" * 64], "The proposal admits nobody"),
        (1, ["enact", "1"], "Not more than half of all members are for it"),
        (1, ["propose-rule", "view_timeout_ms", "1"], "The rule is not known, or its value out of range"),
        (1, ["propose-rule", "fees", "1"], "NAME: expected one of version, "),
        (1, ["propose-remove", "nobody"], "no member has this account or name; members: house-0 0x"),
        (1, ["vouch", "0x12"], "ACCOUNT: expected 0x and 40 hexadecimal digits"),
        (1, ["vouch", "0x" + "zz" * 20], "ACCOUNT: expected 0x and 40 hexadecimal digits"),
        (1, ["set-endpoint", "nowhere"], "ENDPOINT: expected HOST:PORT"),
        (1, ["set-endpoint", "here:0"], "ENDPOINT: expected HOST:PORT"),
        (1, ["ready", "1", "garbage"], "TOKEN: expected HEIGHT:0x and 128 hexadecimal digits"),
        (1, ["rotate-key", EVE_NODE_KEY, "0:0x" + "00" * 64], "the signature is not that of node key"),
        (1, ["vote", "1", "--chain-id", "1"], "expected chain 1, found chain 2016"),
        (1, ["vote", "1", "--key", "nowhere.json"], "nowhere.json: expected a readable key file"),
        (1, ["vote", "1", "--passphrase-file", "nowhere"], "nowhere: expected a readable passphrase file"),
        (1, ["vote", "1", "--rpc", NOBODY], f"node {NOBODY}: expected an answer"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else None,
)
def test_one_sentence(street: ConsortiumStreet, sender: int | str, words: list[str], expected: str) -> None:
    label = f"household {sender}" if isinstance(sender, int) else sender
    defaults = ("--rpc", street.node.url, "--key", str(street.key(label)))
    secret = ("--passphrase-file", str(street.folder / "passphrase"))
    result = CliRunner().invoke(app, ["consortium", words[0], *defaults, *secret, *words[1:]])
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("gridpact: ")
    assert expected in line
    assert result.stdout == ""


def test_a_wrong_passphrase(street: ConsortiumStreet, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("another phrase\n")
    refused = street.run(
        "vote", "1", "--key", str(street.key("household 1")), "--passphrase-file", str(tmp_path / "other")
    )
    assert refused.exit_code == 2
    assert "expected another passphrase: this one does not open the key" in refused.stderr


def test_no_passphrase(street: ConsortiumStreet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRIDPACT_PASSPHRASE", raising=False)
    refused = street.run("vote", "1", "--key", str(street.key("household 1")))
    assert (refused.exit_code, "GRIDPACT_PASSPHRASE" in refused.stderr) == (2, True)


@pytest.mark.parametrize("words", [["status"], ["list"], ["evidence"]], ids=" ".join)
def test_nobody_answers_or_another_chain(street: ConsortiumStreet, words: list[str]) -> None:
    silent = CliRunner().invoke(app, ["consortium", *words, "--rpc", NOBODY])
    assert (silent.exit_code, f"node {NOBODY}: expected an answer" in silent.stderr) == (2, True)
    other = street.run(*words, "--chain-id", "1")
    assert (other.exit_code, "expected chain 1, found chain 2016" in other.stderr) == (2, True)


def test_names_have_their_length(street: ConsortiumStreet) -> None:
    words = ("--node-key", EVE_NODE_KEY, "--account", EVE, "--endpoint", ENDPOINT)
    for name in ("", "e" * 33, "é" * 17):
        refused = street.send(0, "propose-admit", *words, "--name", name)
        assert (refused.exit_code, "a name takes 1 to 32 bytes" in refused.stderr) == (2, True)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"phase": 5}, "phase: expected 1 (propose) to 4 (view change), found 5"),
        ({"phase": None}, "phase: expected"),
        ({"view": -1}, "view: expected a whole number from 0 below 2^64"),
        ({"height": True}, "height: expected a whole number"),
        ({"node_key": "0x12"}, "node_key: expected 0x and 64 hexadecimal digits"),
        ({"second_signature": 7}, "second_signature: expected 0x and 128 hexadecimal digits"),
        ({"colour": "red"}, "colour: expected no such key"),
    ],
    ids=str,
)
def test_evidence_files_are_read_strictly(
    street: ConsortiumStreet, tmp_path: Path, change: dict[str, Any], expected: str
) -> None:
    content = {"node_key": hex_of(bytes(32)), "epoch": 0, "height": 1, "view": 0, "phase": 1}
    content |= {f"{which}_{what}": hex_of(bytes(n)) for which in ("first", "second") for what, n in FIELDS}
    file = tmp_path / "votes.json"
    file.write_text(json.dumps(content | change))
    refused = street.send(0, "evidence", str(file))
    assert (refused.exit_code, expected in refused.stderr) == (2, True)


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000], ids=["empty", "list", "half", "deep"])
def test_evidence_that_is_none(street: ConsortiumStreet, tmp_path: Path, text: str) -> None:
    file = tmp_path / "votes.json"
    file.write_text(text)
    refused = street.send(0, "evidence", str(file))
    assert (refused.exit_code, str(file) in refused.stderr) == (2, True)


def test_evidence_needs_a_key(street: ConsortiumStreet, tmp_path: Path) -> None:
    refused = street.run("evidence", str(tmp_path / "votes.json"))
    assert (refused.exit_code, "--key" in refused.stderr) == (2, True)
