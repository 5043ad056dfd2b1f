"""The core's tests hold whatever the hash seed: sets and dicts of bytes iterate differently under another."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
FILES = ("test_core.py", "test_evidence.py", "test_recall.py", "test_viewchange.py", "test_certificates.py")


@pytest.mark.parametrize("seed", ["0", "20160621"])
def test_the_core_does_not_depend_on_the_hash_seed(seed: str) -> None:
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "0",
        "-p",
        "no:cacheprovider",
        *(str(FOLDER / f) for f in FILES),
    ]
    run = subprocess.run(
        words, env={**os.environ, "PYTHONHASHSEED": seed}, cwd=FOLDER.parent.parent, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout[-2000:]
