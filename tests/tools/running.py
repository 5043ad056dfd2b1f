"""Running a tool's command: bounded, its output in the failure."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

BOUND_S = 300.0


def run(
    command: Sequence[str | Path], folder: Path, *, more: Mapping[str, str] | None = None, bound_s: float = BOUND_S
) -> str:
    """Run a command in a folder, with more environment if wanted; return what it printed. It must end with status 0."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env={**os.environ, "NO_COLOR": "1", **(more or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=bound_s,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout[-8000:]}"
    return done.stdout
