"""The committed build output of the Solidity sources: interface, bytecode, and Consortium's storage layout."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

DIRECTORY = Path(__file__).parent / "artifacts"


@dataclass(frozen=True, slots=True)
class Artifact:
    """One compiled contract.

    `bytecode` creates it (constructor arguments follow it), `deployed_bytecode` is what lies at its address before its
    immutables are filled in; `errors` maps an error's signature to what it means.
    """

    contract: str
    abi: tuple[Mapping[str, Any], ...]
    bytecode: bytes
    deployed_bytecode: bytes
    errors: Mapping[str, str]
    storage_layout: Mapping[str, Any] | None


@cache
def load_artifact(contract: str) -> Artifact:
    """Return the artifact of `contract`, for example "Market".

    Raises:
        FileNotFoundError: no contract of that name is built.
    """
    content = json.loads((DIRECTORY / f"{contract}.json").read_text(encoding="utf-8"))
    return Artifact(
        contract=content["contract"],
        abi=tuple(content["abi"]),
        bytecode=bytes.fromhex(content["bytecode"][2:]),
        deployed_bytecode=bytes.fromhex(content["deployedBytecode"][2:]),
        errors=content["errors"],
        storage_layout=content.get("storageLayout"),
    )
