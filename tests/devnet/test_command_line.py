"""Every command has help with an example, and what it cannot do is one line and exit status 2."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from node.cli import app, main


def commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command below a group with the words that call it."""
    if not hasattr(command, "list_commands"):
        yield words, command
        return
    context = typer.Context(command)
    for name in command.list_commands(context):
        yield from commands(command.get_command(context, name), (*words, name))


COMMANDS = dict(commands(typer.main.get_command(app)))


def test_the_commands_that_people_are_told_of_are_there() -> None:
    devnet = {("devnet", name) for name in ("up", "down", "status", "logs", "reset")}
    node = {("node", "init"), ("node", "run")}
    household = {("household", name) for name in ("init", "run", "operator", "bill")}
    audit: set[tuple[str, ...]] = {
        ("audit", name) for name in ("verify", "proof", "check-proof", "verify-disclosure", "balance")
    }
    audit |= {("audit", "trace", name) for name in ("request", "approve", "part", "open", "complain", "readmit")}
    audit |= {("audit", "open", name) for name in ("request", "approve", "part", "amount")}
    audit |= {("audit", "disclose", name) for name in ("action", "note")}
    assert devnet | node | household | audit | {("auditor", "run")} <= set(COMMANDS)


@pytest.mark.parametrize("words", sorted(COMMANDS), ids=" ".join)
def test_every_command_has_help_and_an_example(words: tuple[str, ...]) -> None:
    command = COMMANDS[words]
    assert command.help
    example = re.search(r"Example: (.*)", command.help)
    assert example is not None, f"gridpact {' '.join(words)}: expected a line that begins with Example:"
    assert example[1].startswith("gridpact " + " ".join(words))
    for parameter in command.params:
        assert parameter.param_type_name != "option" or parameter.help, f"{parameter.name} has no help"
    shown = CliRunner().invoke(app, [*words, "--help"])
    assert shown.exit_code == 0
    assert "Example: gridpact" in shown.output


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["devnet", "up", "--scenario", "avenue"], "avenue"),
        (["devnet", "up", "--tariff", "gift"], "expected shared-connection or public-grid"),
        (["devnet", "up", "--private", "--scenario", "street"], "4 households: fewer than 8 hide nobody"),
        (["devnet", "up", "--private", "--no-market"], "a bare chain has no meters"),
        (["devnet", "logs"], "no log of any process"),
        (["devnet", "logs", "node-9"], "no log of node-9"),
        (["devnet", "reset", "--data", "."], "is not a devnet's folder"),
        (["household", "run", "--config", "nowhere.toml"], "nowhere.toml"),
        (["audit", "verify", "nowhere", "--genesis", "nowhere.json"], "nowhere"),
        (["audit", "balance", "--window", "0"], "either a data directory or --rpc"),
        (["auditor", "run", "--config", "nowhere.toml"], "nowhere.toml"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    expected: str,
) -> None:
    (tmp_path / "letters.txt").write_text("dear …")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["gridpact", *words])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("gridpact: ")
    assert expected in line
    assert [path.name for path in tmp_path.iterdir()] == ["letters.txt"]


def test_nothing_runs(tmp_path: Path) -> None:
    status = CliRunner().invoke(app, ["devnet", "status", "--data", str(tmp_path)])
    assert (status.exit_code, status.output.split()[:3]) == (1, ["nothing", "runs", "in"])
    down = CliRunner().invoke(app, ["devnet", "down", "--data", str(tmp_path)])
    assert (down.exit_code, down.output.split()[:3]) == (0, ["nothing", "runs", "in"])
