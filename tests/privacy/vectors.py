"""Published vectors, read where they lie; a test that needs them says so where they are missing."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(os.environ.get("GRIDPACT_VECTORS", Path(__file__).parents[3] / "shared" / "vectors"))


def read(name: str) -> bytes:
    """Return a file of the vectors; skip the test if it is not there."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"no vectors at {path}: set GRIDPACT_VECTORS")
    content = path.read_bytes()
    return gzip.decompress(content) if path.suffix == ".gz" else content


def read_json(name: str) -> Any:
    """Return a file's JSON."""
    return json.loads(read(name))
