"""Pruned, a chain is as good to an auditor and to whoever imports it; only old states cannot be read any more."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from node.audit.verify import Auditor
from node.cli import app
from node.config import CONFIG_NAME, DATABASE_NAME, render_config
from node.operations import prune, transfer
from node.operations.database import check_head, open_database
from node.storage import StateNotKept, Store
from tests.audit.street import HEAD, TARGET, Street, fill
from tests.storage.raw import entries

KEEP = 3


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Street:
    made = fill(Street(tmp_path_factory.mktemp("prune") / "house"))
    made.close()
    text = render_config(
        genesis="genesis.json", key="key.json", passphrase_file="", p2p_listen="127.0.0.1:0", rpc_listen="127.0.0.1:0"
    )
    (made.directory / CONFIG_NAME).write_text(text, encoding="utf-8")
    return made


@pytest.fixture
def house(street: Street, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(prune, "MIN_HISTORY_HEIGHTS", 2)
    shutil.copytree(street.directory, tmp_path / "house")
    return tmp_path / "house"


def run(*words: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["node", *map(str, words)])
    return result.exit_code, result.output


def check_pruned(street: Street, house: Path) -> None:
    """Check what is promised: the newest states, every block, and an audit that finds nothing."""
    store, domain = open_database(house / DATABASE_NAME, street.genesis, readonly=True)
    with store.read() as view:
        check_head(view, street.genesis, domain)
        account = view.state_at(HEAD - KEEP).account(TARGET)
        assert account is not None
        assert account.balance == 15
        with pytest.raises(StateNotKept, match=f"expected height {HEAD - KEEP} or a later one"):
            view.state_at(HEAD - KEEP - 1)
        report = Auditor(street.genesis).audit(view)
    store.close()
    assert report.lines() == street.audit().lines()
    assert report.offence is None
    for table in ("accounts_before", "storage_before"):
        left = [key for key, _ in entries(house / DATABASE_NAME, table)]
        assert left
        assert all(int.from_bytes(key[-8:], "big") > HEAD - KEEP for key in left)


def test_old_states_go_and_the_audit_still_passes(street: Street, house: Path, tmp_path: Path) -> None:
    code, output = run("prune", "--data", house, "--keep", str(KEEP), "--json")
    shown = json.loads(output)
    assert (code, shown["first"]) == (0, HEAD - KEEP)
    assert shown["values"] > 0
    assert shown["freed"] == shown["before"] - shown["after"] >= 0
    check_pruned(street, house)
    assert not (house / DATABASE_NAME / "compacted").exists()
    transfer.export_directory(house, tmp_path / "pruned")
    transfer.export_directory(street.directory, tmp_path / "whole")
    assert (tmp_path / "pruned").read_bytes() == (tmp_path / "whole").read_bytes()
    assert json.loads(run("prune", "--data", house, "--keep", "7", "--json")[1])["first"] == HEAD - KEEP  # gone is gone


@pytest.mark.parametrize("where", ["forgetting", "copying"])
def test_a_prune_that_was_interrupted_leaves_a_good_chain(
    street: Street, house: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    class Killed(Exception):
        pass

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("node.storage.prune.PORTION", 1)
        if where == "copying":
            patched.setattr("node.storage.prune.shutil.rmtree", die)  # the copy has just taken the old file's place
        with pytest.raises(Killed):
            prune.prune_directory(house, KEEP, advance=die if where == "forgetting" else lambda done, total: None)
    store, _ = open_database(house / DATABASE_NAME, street.genesis, readonly=True)
    with store.read() as view:
        assert Auditor(street.genesis).audit(view).offence is None
    store.close()
    prune.prune_directory(house, KEEP)
    check_pruned(street, house)


def test_what_runs_or_is_read_is_not_pruned(street: Street, house: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from node.storage import Store\n"
        f"store = Store(Path({str(house / DATABASE_NAME)!r}), readonly=True, map_bytes=1 << 30)\n"
        "with store.read() as view:\n    print('reading', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path.cwd(), env=os.environ
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == b"reading\n"
        code, output = run("prune", "--data", house, "--keep", str(KEEP))
        assert code == 2
        assert f"processes {reader.pid} read it" in output
    running = Store.open(house / DATABASE_NAME, chain_id=2016, genesis_hash=street.genesis_hash)
    assert run("prune", "--data", house, "--keep", str(KEEP))[0] == 2
    running.close()
    assert run("prune", "--data", house, "--keep", "1")[1].endswith("expected at least 2 heights, found 1\n")
