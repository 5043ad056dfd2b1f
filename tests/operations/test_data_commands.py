"""What the commands on a data directory print and return; what they do is tested beside what does it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from node.cli import app
from node.config import CONFIG_NAME, render_config
from node.storage.tables import SCHEMA_VERSION
from tests.audit.street import Street, fill
from tests.storage.old import take_back


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Street:
    made = fill(Street(tmp_path_factory.mktemp("commands") / "house"))
    made.close()
    text = render_config(
        genesis="genesis.json", key="key.json", passphrase_file="", p2p_listen="127.0.0.1:0", rpc_listen="127.0.0.1:0"
    )
    (made.directory / CONFIG_NAME).write_text(text, encoding="utf-8")
    return made


def run(*words: str | Path) -> tuple[int, str]:
    """Run a command of `gridpact node`; return its exit status and what it printed."""
    result = CliRunner().invoke(app, ["node", *map(str, words)])
    return result.exit_code, result.output


def test_an_old_database_is_migrated(street: Street) -> None:
    take_back(street.path, SCHEMA_VERSION - 1)
    code, output = run("migrate", "--data", street.directory, "--json")
    assert (code, json.loads(output)) == (0, {"from": SCHEMA_VERSION - 1, "to": SCHEMA_VERSION})
    assert run("migrate", "--data", street.directory)[1].endswith("already, nothing to do\n")
    assert street.audit().offence is None
