"""Blocks that an auditor knows from elsewhere must be in the chain; a database that misnames its chain is found out."""

from __future__ import annotations

import signal
import subprocess

import pytest
from typer.testing import CliRunner

from node.audit.commands import app
from node.audit.launch import HEIGHT_BYTES, audit_in_child
from node.audit.verify import Auditor
from node.chain.header import decode_header
from node.chain.rlp import encode_int
from node.parsing import ConfigError
from node.storage import Store, tables
from tests.audit.street import HEAD, Street


def block_hash(street: Street, height: int) -> str:
    return "0x" + decode_header(street.stored("headers")[tables.height_key(height)]).hash.hex()


def verify(street: Street, *checkpoints: str) -> tuple[int, str]:
    words = [word for checkpoint in checkpoints for word in ("--checkpoint", checkpoint)]
    result = CliRunner().invoke(app, ["verify", str(street.directory), *words])
    return result.exit_code, result.output


def test_a_chain_that_contains_its_checkpoints_is_ok(street: Street) -> None:
    code, output = verify(street, *(f"{height}:{block_hash(street, height)}" for height in (0, 3, HEAD)))
    assert code == 0, output
    assert "audit: ok" in output


@pytest.mark.parametrize("height", [0, 3, HEAD])
def test_another_block_at_a_checkpoint_is_an_offence_with_both_hashes(street: Street, height: int) -> None:
    code, output = verify(street, f"4:{block_hash(street, 4)}", f"{height}:0x{'ab' * 32}")
    assert code == 1
    assert f"audit: FAILED at height {height}, chain round, kind checkpoint: " in output
    assert "ab" * 32 in output
    assert block_hash(street, height) in output


def test_a_chain_that_ends_before_a_checkpoint_is_an_offence(street: Street) -> None:
    code, output = verify(street, f"{HEAD + 1}:0x{'ab' * 32}")
    assert code == 1
    assert f"this chain ends at height {HEAD}" in output


@pytest.mark.parametrize(
    "text",
    ["3", "3:", ":0x" + "ab" * 32, "-1:0x" + "ab" * 32, "3:" + "ab" * 32, "3:0x" + "ab" * 31, "³:0x" + "ab" * 32],
)
def test_a_malformed_checkpoint_is_a_usage_error(street: Street, text: str) -> None:
    result = CliRunner().invoke(app, ["verify", str(street.directory), "--checkpoint", text])
    assert isinstance(result.exception, ConfigError)
    assert "expected HEIGHT:0x and 64 hexadecimal digits" in str(result.exception)


def test_two_blocks_at_a_checkpoint_are_a_usage_error(street: Street) -> None:
    words = ["--checkpoint", f"3:0x{'ab' * 32}", "--checkpoint", f"3:0x{'cd' * 32}"]
    result = CliRunner().invoke(app, ["verify", str(street.directory), *words])
    assert isinstance(result.exception, ConfigError)


@pytest.mark.tamper
@pytest.mark.parametrize(
    ("key", "value", "said"),
    [(b"chain", encode_int(2017), "it says chain id 2017"), (b"genesis", b"\7" * 32, "it says genesis hash 0x0707")],
)
def test_a_database_that_misnames_its_chain_is_an_offence(street: Street, key: bytes, value: bytes, said: str) -> None:
    with street.altered("meta", key, value):
        code, output = verify(street)
    assert code == 1
    assert "kind database" in output
    assert said in output
    assert verify(street)[0] == 0


@pytest.mark.tamper
def test_a_database_of_another_schema_stays_a_usage_error(street: Street) -> None:
    with street.altered("meta", b"schema", encode_int(9)):
        result = CliRunner().invoke(app, ["verify", str(street.directory)])
    assert "schema version 9" in str(result.exception)


def test_a_reader_that_dies_is_blamed_where_it_was(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child is replaced by one that kills itself when it has begun with height 5, as a corrupt page would."""
    program = (
        "import os, signal, sys;"
        f"os.pwrite(int(sys.argv[2]), (5).to_bytes({HEIGHT_BYTES}, 'big'), 0);"
        "os.kill(os.getpid(), signal.SIGBUS)"
    )
    real = subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda words, **options: real([words[0], "-c", program, *words[3:]], **options)
    )
    offence = audit_in_child(street.path, street.directory / "genesis.json").offence
    assert offence is not None
    assert (offence.height, offence.kind) == (5, "database")
    assert f"was killed by signal {int(signal.SIGBUS)}" in offence.detail


def test_every_height_is_told_before_it_is_read(street: Street) -> None:
    heights: list[int] = []
    store = Store.open(street.path, chain_id=2016, genesis_hash=street.genesis_hash, readonly=True)
    with store.read() as view:
        assert Auditor(street.genesis, reached=heights.append).audit(view).offence is None
    store.close()
    assert heights == list(range(1, HEAD + 1))
