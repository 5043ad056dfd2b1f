"""Every command has help, an example, `--json` and its place in docs/cli.md; what cannot be done is one line."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from node.cli import app, main
from node.errors import GridpactError
from node.plugins import AUDIT_COMMANDS, COMMANDS
from tests.node.cli_page import PAGE, commands, example_of, is_group, renewed

NOBODY = "http://127.0.0.1:1"
TREE = dict(commands())
LEAVES = {path: command for path, command in TREE.items() if not is_group(command)}
GRIDPACT = [sys.executable, "-c", "from node.cli import main; main()"]

GOOD_ENOUGH = {
    "gridpact household init": {"missing", "folder"},  # they make a new folder
    "gridpact household init-operator": {"missing", "folder"},
    "gridpact keys list": {"folder"},
}
"""What is nonsense to other commands."""

LOCAL_DEVNET = {f"gridpact devnet {name}" for name in ("up", "down", "status", "reset")}
"""They need no file that is there, and the first starts processes."""


def run(*words: str) -> Result:
    return CliRunner().invoke(app, [*words], prog_name="gridpact")


@pytest.mark.parametrize("path", sorted(TREE))
def test_every_command_has_help(path: str) -> None:
    command = TREE[path]
    assert command.help
    assert command.help.splitlines()[0].rstrip().endswith((".", ":", ";", ",", "s", "t")), "a first line in words"
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{path}: {parameter.name} has no help"
    shown = [command.help, *(getattr(parameter, "help", "") for parameter in command.params)]
    assert not [found for text in shown for found in re.findall(r"\[[a-z/@#].*?\]", text)], "rich hides this"
    if not is_group(command):
        assert any("--json" in parameter.opts for parameter in command.params)


@pytest.mark.parametrize("path", sorted(LEAVES))
def test_every_command_has_an_example_that_it_understands(path: str) -> None:
    example = example_of(LEAVES[path])
    assert example.startswith(path), f"{path}: expected a paragraph that begins with Example: {path}"
    words = shlex.split(example.partition(" < ")[0])[path.count(" ") + 1 :]
    LEAVES[path].make_context(path, words, resilient_parsing=False)


def test_the_page_is_what_the_code_says() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert renewed(text) == text, "run python -m tests.node.cli_page"


def test_groups_are_described_without_importing_their_folders() -> None:
    shown = subprocess.run(
        [*GRIDPACT[:2], "from node.cli import app\ntry: app(['--help'])\nfinally:\n import sys\n"
         " assert not {'agents.commands', 'devnet.commands', 'web3', 'eth', 'node.service'} & set(sys.modules)"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for entry in entry_points(group=COMMANDS):
        assert entry.name in shown
        assert TREE[f"gridpact {entry.name}"].help.split()[0] in shown


def command_modules() -> Iterator[Path]:
    """Yield the modules of all commands."""
    for command in LEAVES.values():
        yield Path(sys.modules[command.callback.__wrapped__.__module__].__file__ or "")


def test_commands_speak_through_emit_alone() -> None:
    """Otherwise --json would have people's words between."""
    spoken = []
    for file in sorted(set(command_modules())):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("typer.echo", "print", "typer.secho"):
                spoken += [f"{file.name}:{node.lineno}"] * (not any(each.arg == "err" for each in node.keywords))
    assert spoken == []


def nonsense(command: Any, path: str, file: Path) -> list[str]:
    """Return the words of a command's example with `file` for every file and folder, and nobody at every address."""
    words = shlex.split(example_of(command).partition(" < ")[0])[path.count(" ") + 1 :]
    context = command.make_context(path, words, resilient_parsing=False)
    arguments, options = list[str](), list[str]()
    for parameter in command.params:
        value = context.params.get(parameter.name)
        many = value if isinstance(value, list | tuple) else [value]
        given = [str(file) if isinstance(each, Path) else str(each) for each in many if each is not None]
        if parameter.name in ("rpc", "join"):
            given = [NOBODY]
        if parameter.param_type_name == "argument":
            arguments += given
        elif isinstance(value, bool):
            options += [parameter.opts[0]] if value or parameter.name == "yes" else parameter.secondary_opts[:1]
        else:
            options += [word for each in given for word in (parameter.opts[-1], each)]
    return [*path.split()[1:], *options, *arguments]


@pytest.mark.parametrize("path", sorted(set(LEAVES) - LOCAL_DEVNET))
def test_nonsense_is_one_line(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GRIDPACT_PASSPHRASE", raising=False)
    for module in ("agents.client", "agents.wallet.client", "agents.wallet.commands"):
        monkeypatch.setattr(f"{module}.PATIENCE_S", 0.0)
    (tmp_path / "folder").mkdir()
    (tmp_path / "garbage").write_bytes(b"\xff\x00{")
    for name in sorted({"missing", "folder", "garbage"} - GOOD_ENOUGH.get(path, set())):
        words = nonsense(LEAVES[path], path, tmp_path / name)
        result = run(*words)
        assert isinstance(result.exception, SystemExit), (words, result.exception)
        assert result.exit_code in (1, 2), (words, result.output)
        assert len(result.stderr.splitlines() or result.stdout.splitlines()) == 1, (words, result.output)
    words = nonsense(LEAVES[path], path, tmp_path / "garbage")
    result = run(*words, "--json")
    said = json.loads(result.stderr or result.stdout)
    assert said.get("error", {"exit_code": 1})["exit_code"] == result.exit_code
    result = run(*path.split()[1:], "--nonsense")
    assert (result.exit_code, len(result.stderr.splitlines()), result.stdout) == (2, 1, "")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["folder", "garbage"]


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
        (["audit", "balance", "--window", "0"], "either a data directory or --rpc"),
        (["nodes"], "No such command"),
        (["node", "run", "--config"], "requires an argument"),
        (["node", "init"], "see gridpact node init --help"),
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
    status = run("devnet", "status", "--data", str(tmp_path))
    assert (status.exit_code, status.output.split()[:3]) == (1, ["nothing", "runs", "in"])
    status = run("devnet", "status", "--data", str(tmp_path), "--json")
    assert (status.exit_code, json.loads(status.stdout)["nodes"]) == (1, [])
    down = run("devnet", "down", "--data", str(tmp_path), "--json")
    assert (down.exit_code, json.loads(down.stdout)) == (0, {"data": str(tmp_path), "ended": []})


def test_logs_are_an_object_a_line_for_machines(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    for name in ("node-0", "node-1"):
        (tmp_path / "logs" / f"{name}.log").write_text(f"{name} begins\nand ends\n")
    rows = [json.loads(line) for line in run("devnet", "logs", "--data", str(tmp_path), "--json").stdout.splitlines()]
    assert [row["process"] for row in rows] == ["node-0", "node-0", "node-1", "node-1"]
    assert rows[0]["line"] == "node-0 begins"
    assert run("devnet", "logs", "--data", str(tmp_path), "--json", "--follow").exit_code == 2


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt(), 130), (GridpactError("no"), 2), (OSError(28, "No space left"), 2)]
)
def test_how_a_command_ends(monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int) -> None:
    def fails() -> None:
        raise error

    monkeypatch.setattr("node.versions.versions", fails)
    result = run("--version")
    assert result.exit_code == status
    assert len(result.stderr.splitlines()) == (status == 2)


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.versions.versions", lambda: 1 / 0)
    assert isinstance(run("--version").exception, ZeroDivisionError)


def test_nothing_is_said_when_nobody_reads() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        done = subprocess.run([*GRIDPACT, "--help"], stdout=closed, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", {"node", "audit", "wallet", "devnet"}),
        ("node ", {"init", "run", "status"}),
        ("audit ", {"verify", "trace", "verify-disclosure"}),
        ("audit trace ", {"request", "approve"}),
        ("audit disclose note c", {"confirm"}),
        ("node log-level all d", {"debug"}),
        ("devnet up --tariff p", {"public-grid"}),
        ("devnet up --scenario street-", {"street-8"}),
        ("devnet byzantine --behaviour s", {"split", "silent"}),
        ("node status --j", {"--json"}),
        ("node run --config ", set()),
    ],
)
def test_completion(words: str, expected: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    line = f"gridpact {words}"
    for shell, environment in (
        ("bash", {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}),
        ("zsh", {"_TYPER_COMPLETE_ARGS": line}),
        ("fish", {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}),
    ):
        told = CliRunner().invoke(
            app, env=environment | {"_GRIDPACT_COMPLETE": f"complete_{shell}"}, prog_name="gridpact"
        )
        found = set(re.findall(r"[\w-]+", told.output))
        assert expected <= found, (shell, told.output)
        assert expected or not told.output.strip() or "_files" in told.output, "left to the shell: files"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_of_a_shell_can_be_shown(shell: str) -> None:
    told = CliRunner().invoke(app, env={"_GRIDPACT_COMPLETE": f"source_{shell}"}, prog_name="gridpact")
    assert "_GRIDPACT_COMPLETE=complete_" in told.output
    assert AUDIT_COMMANDS not in told.output
