"""A short soak: four real processes, one killed, one frozen, one cut off, under load."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from devnet.manifest import load_manifest
from devnet.perturb import Perturbed
from devnet.scenario import find_scenario, load_scenario
from tests.devnet.running import free_port

SHORT = """
validators = 4
duration_s = 36
seed = 3
transactions_per_s = 8
"""
EACH = '\n[[perturb]]\nat_s = {at}\nfor_s = 6\nkind = "{kind}"\nnodes = [{node}]\n'


@pytest.mark.kill
def test_a_short_soak(tmp_path: Path) -> None:
    rows = ((3, "kill", 1), (14, "pause", 2), (25, "cut", 3))
    path = tmp_path / "short.toml"
    path.write_text(SHORT + "".join(EACH.format(at=at, kind=kind, node=node) for at, kind, node in rows))
    shown = io.StringIO()
    base = load_scenario(find_scenario("street"))
    run = Perturbed(load_manifest(path), base, tmp_path / "soak", free_port(80), Console(file=shown, width=200))
    assert run.run() == [], shown.getvalue()
    assert shown.getvalue().count("audit: ok") == 4
