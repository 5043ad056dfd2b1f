"""Units, image and compose file: linters accept them where they are installed, and what they name exists."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.node.cli_page import commands

ROOT = Path(__file__).parents[2]
OPS = ROOT / "docs" / "ops"
BIN = Path(sys.executable).parent
UNITS = sorted(OPS.glob("*.service"))
COMMANDS = dict(commands())


def check_command(words: list[str]) -> None:
    """Check that a group has a command, and the command the options."""
    found = COMMANDS[f"gridpact {words[0]} {words[1]}"]
    options = {name for each in found.params for name in each.opts}
    assert {word for word in words[2:] if word.startswith("--")} <= options, words


def ran(*words: str | Path) -> str:
    """Run a linter; return what it found wrong."""
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=60, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr or "failed"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_takes_a_unit(unit: Path, tmp_path: Path) -> None:
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace("/opt/gridpact/.venv/bin/gridpact", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if unit.name in line]) == (0, [])


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_runs_a_command_that_exists_and_is_confined(unit: Path) -> None:
    text = unit.read_text()
    (started,) = re.findall(r"^ExecStart=\S+/gridpact (.*)$", text, re.MULTILINE)
    check_command(started.split())
    for line in ("NoNewPrivileges=yes", "ProtectSystem=strict", "LoadCredential=", "Restart=on-failure"):
        assert f"\n{line}" in text


def test_hadolint_takes_the_image() -> None:
    assert ran(BIN / "hadolint", OPS / "Containerfile") == ""


def test_the_compose_file_is_one_by_its_specification() -> None:
    command = (BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec")
    assert ran(*command, OPS / "compose.yml") == ""


def test_what_is_no_compose_file_is_not_taken(tmp_path: Path) -> None:
    wrong = tmp_path / "compose.yml"
    wrong.write_text((OPS / "compose.yml").read_text().replace("    ports: [", "    prots: [", 1))
    assert "prots" in ran(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", wrong)


def test_the_image_is_made_of_what_is_there_and_runs_as_nobody_in_particular() -> None:
    text = (OPS / "Containerfile").read_text()
    for sources in re.findall(r"^COPY (?!--from)(?:--\S+ )*(.+) \S+$", text, re.MULTILINE):
        for source in sources.split():
            assert (ROOT / source).exists(), source
    assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == ["python:3.11-slim-bookworm"] * 2
    assert "--require-hashes -r requirements.lock" in text
    assert text.index("\nUSER 10001") < text.index("\nENTRYPOINT")
    packages = re.findall(r'"(\w+)\*"', (ROOT / "pyproject.toml").read_text())
    assert {f"COPY {name} {name}" for name in packages} <= set(text.splitlines())


def test_the_street_of_containers_calls_commands_that_exist() -> None:
    text = (OPS / "compose.yml").read_text()
    started = [line.split(", ") for line in re.findall(r"^    command: \[(.+)\]$", text, re.MULTILINE)]
    assert len(started) == 4
    for words in started:
        check_command(words)
    for name in re.findall(r"- \./(\S+?):", text):
        assert (OPS / name).exists()
    published = re.findall(r'^    ports: \["(.*)"\]$', text, re.MULTILINE)
    assert all(port.startswith("127.0.0.1:") for port in published)
    script = (OPS / "four-validators.sh").read_text().replace("\\\n", " ")
    called = re.findall(r"gridpact ((?:keys|genesis|node) .*)$", script, re.MULTILINE)
    assert len(called) == 3
    for line in called:
        check_command(line.replace("|", " ").split())
    assert ran("sh", "-n", OPS / "four-validators.sh") == ""


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_prometheus_takes_what_the_containers_give_it() -> None:
    assert ran("promtool", "check", "config", OPS / "prometheus-compose.yml") == ""
