"""Runs the commands of docs/operations.md as a reader would: `python -m tests.devnet.operations [--rewrite]`.

Every line of a ```console block that begins with "$ " is given to one bash, in a folder of its own; what it prints
follows it in the page. Without --rewrite the page is left alone; the exit status says whether every command ended as it
should: a command whose last line reads "[exit N]" with N, any other with 0.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "operations.md"
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
MARK = "==ended=="
TIMEOUT_S = 120


@dataclass(frozen=True, slots=True)
class Step:
    """One command of the page, and the exit status that the page says it has."""

    command: str
    status: int


def steps(block: str) -> list[Step]:
    """Return the commands of a console block."""
    found = []
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        lines = part.rstrip("\n").split("\n")
        length = 1
        while lines[length - 1].endswith("\\"):
            length += 1
        ended = re.fullmatch(r"\[exit (\d+)\]", lines[-1])
        found.append(Step("\n".join(lines[:length]), int(ended[1]) if ended else 0))
    return found


class Shell:
    """A bash that keeps its variables and background jobs from one command to the next.

    Args:
        folder: where it begins.
    """

    def __init__(self, folder: Path) -> None:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._process = subprocess.Popen(
            ["bash"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            env={**os.environ, "PATH": path, "COLUMNS": "120"},
        )

    def run(self, command: str) -> tuple[str, int]:
        """Return what a command printed, and its exit status."""
        process = self._process
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the shell has no pipes")
        process.stdin.write(f"{command}\necho {MARK}$?\n")
        process.stdin.flush()
        printed = ""
        for line in process.stdout:
            before, mark, status = line.partition(MARK)
            printed += before
            if mark:
                return printed, int(status)
        raise RuntimeError(f"the shell ended in {command!r}")

    def close(self) -> None:
        """End it, and what it started."""
        if self._process.stdin is not None:
            self._process.stdin.write("kill $(jobs -p) 2>/dev/null; wait\n")
            self._process.stdin.close()
        self._process.wait(TIMEOUT_S)


def play(page: str) -> tuple[str, list[str]]:
    """Run a page's commands; return the page with what they print now, and those that ended otherwise than it says."""
    surprises: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        shell = Shell(Path(folder))
        shell.run("set -o pipefail")

        def played(match: re.Match[str]) -> str:
            shown = []
            for step in steps(match[1]):
                print(f"$ {step.command}", flush=True)
                printed, status = shell.run(step.command)
                print(printed, end="", flush=True)
                if status != step.status:
                    surprises.append(f"{step.command}: exit {status}, expected {step.status}")
                ending = f"[exit {status}]\n" if status else ""
                shown.append(f"$ {step.command}\n{printed.replace(folder, '/home/ann')}{ending}")
            return "```console\n" + "".join(shown) + "```"

        try:
            return BLOCK.sub(played, page), surprises
        finally:
            shell.run("gridpact devnet down --data street >/dev/null 2>&1")
            shell.close()


def main() -> int:
    """Play the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.devnet.operations")
    parser.add_argument("--rewrite", action="store_true", help="put what was printed into the page")
    chosen = parser.parse_args()
    page, surprises = play(PAGE.read_text(encoding="utf-8"))
    if chosen.rewrite:
        PAGE.write_text(page, encoding="utf-8")
    for surprise in surprises:
        print(surprise)
    print(f"{len(surprises)} of the page's commands ended otherwise than it says")
    return 1 if surprises else 0


if __name__ == "__main__":
    sys.exit(main())
