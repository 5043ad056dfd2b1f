"""`gridpact devnet` as a user types it, on a data directory of the benchmark's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import contracts

RPC_PORT = 20545
ARTIFACTS = Path(contracts.__file__).parent / "artifacts"
GRIDPACT = str(Path(sys.executable).with_name("gridpact"))


def devnet(*words: str, data: Path) -> None:
    """Run a `gridpact devnet` command.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    subprocess.run([GRIDPACT, "devnet", *words, "--data", str(data)], check=True)
