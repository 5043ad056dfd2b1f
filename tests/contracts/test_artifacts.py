"""The committed artifacts are what the sources compile to, deployable, and name no machine."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from contracts.artifact import DIRECTORY, load_artifact

CONTRACTS = DIRECTORY.parent
NAMES = (
    "Consortium",
    "Disclosures",
    "EnergyToken",
    "FiatToken",
    "Market",
    "MeterRegistry",
    "PrivacyRegistry",
    "PrivateMarket",
    "SealedMeters",
    "ShieldedPool",
    "TestToken",
)
WITH_LAYOUT = ("Consortium", "PrivacyRegistry", "PrivateMarket", "ShieldedPool")


def test_artifacts_are_what_the_sources_compile_to(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node: the Solidity sources cannot be recompiled here")
    if not (CONTRACTS / "node_modules" / "solc").is_dir():
        pytest.skip("no contracts/node_modules: `make contracts` installs the pinned compiler")
    command = [node, str(CONTRACTS / "compile.mjs"), "--out", str(tmp_path)]
    compiled = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert compiled.returncode == 0, compiled.stderr
    for path in sorted(DIRECTORY.glob("*.json")):
        fresh = (tmp_path / path.name).read_text(encoding="utf-8")
        assert fresh == path.read_text(encoding="utf-8"), f"{path.name} is stale: run `make contracts`"
    assert sorted(path.stem for path in tmp_path.glob("*.json")) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_contracts_fit_the_limits(name: str) -> None:
    artifact = load_artifact(name)
    assert 0 < len(artifact.deployed_bytecode) <= 24_576  # EIP-170
    assert len(artifact.bytecode) <= 49_152  # EIP-3860
    assert (artifact.storage_layout is not None) == (name in WITH_LAYOUT)


def test_the_lock_names_no_registry() -> None:
    for folder in (CONTRACTS, CONTRACTS.parent / "benchmarks" / "peers"):
        assert "://" not in (folder / "package-lock.json").read_text(encoding="utf-8")
    pinned = json.loads((CONTRACTS / "package.json").read_text(encoding="utf-8"))["dependencies"]
    assert all(version[0].isdigit() for version in pinned.values())
