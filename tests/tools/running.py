"""Running a tool's command: bounded, with all processes that it starts, and its output in the failure."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

BOUND_S = 180.0


def run(
    command: Sequence[str | Path], folder: Path, *, more: Mapping[str, str] | None = None, bound_s: float = BOUND_S
) -> str:
    """Run a command in a folder, with more environment if wanted; return what it printed. It must end with status 0."""
    words = [str(word) for word in command]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as printed:
        process = subprocess.Popen(
            words,
            cwd=folder,
            env={**os.environ, "NO_COLOR": "1", **(more or {})},
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = f"status {process.wait(bound_s)}"
        except subprocess.TimeoutExpired:
            status = f"no end within {bound_s:.0f} s"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # what it left behind, too
            process.wait()
        printed.seek(0)
        text = printed.read()
    assert status == "status 0", f"{' '.join(words)}: {status}\n{text[-8000:]}"
    return text
