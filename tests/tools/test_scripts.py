"""ethers and viem: every check of their scripts holds against four validators."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from devnet.run import Devnet
from tests.tools.conftest import FOLDER
from tests.tools.running import run

pytestmark = [pytest.mark.tools, pytest.mark.xdist_group("tools")]


@pytest.mark.parametrize("library", ["ethers", "viem"])
def test_a_script(library: str, chain: Devnet, installed: Callable[[Path], Path]) -> None:
    """HTTP to one validator, WebSocket to another."""
    installed(FOLDER)
    script = FOLDER / f"{library}.mjs"
    printed = run(["node", script, f"http://{chain.place.rpc(0)}", f"ws://{chain.place.rpc(1)}"], FOLDER)
    written = len(re.findall(r"^await check\(", script.read_text(encoding="utf-8"), re.MULTILINE))
    assert printed.rstrip().endswith(f"{written} checks passed")
