"""Revert data as a sentence: which of the contracts' errors it is, what that means, and with what values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_hash.auto import keccak

from contracts.artifact import load_artifact
from contracts.bindings.abi import signature, snake_case
from contracts.system import SYSTEM_CONTRACTS, canonical_type

_PANICS = {
    0x01: "a failed assertion",
    0x11: "an arithmetic overflow or underflow",
    0x12: "a division by zero",
    0x21: "a value outside its enumeration",
    0x32: "an index outside its array",
    0x41: "an allocation too large",
}


@dataclass(frozen=True, slots=True)
class Revert:
    """A decoded custom error: its name, what it means (may be empty), and its values by name in snake case."""

    name: str
    meaning: str
    values: Mapping[str, Any]


def decode_revert(data: bytes) -> Revert | None:
    """Return the error that `data` is; None for one that no contract here declares."""
    if len(data) < 4:
        return None
    known = _errors().get(data[:4])
    if known is None:
        return None
    entry, meaning = known
    try:
        values = decode([canonical_type(parameter) for parameter in entry["inputs"]], data[4:])
    except (DecodingError, OverflowError, UnicodeDecodeError):
        return None
    names = [snake_case(parameter["name"]) for parameter in entry["inputs"]]
    return Revert(entry["name"], meaning, dict(zip(names, values, strict=True)))


def explain_revert(data: bytes) -> str:
    """Return why a call was refused, in a sentence, from its revert data; for any data."""
    if not data:
        return "the call was refused without a reason (or ran out of gas)"
    revert = decode_revert(data)
    if revert is None:
        return f"the call was refused with data that no system contract declares: 0x{data[:68].hex()}"
    if revert.name == "Error":
        return str(revert.values["reason"])
    if revert.name == "Panic":
        code = revert.values["code"]
        return f"the contract stopped at {_PANICS.get(code, 'a fault')} (Panic {code:#04x})"
    values = ", ".join(f"{name}={_text(value)}" for name, value in revert.values.items())
    meaning = f"{revert.meaning.rstrip('.')}: " if revert.meaning else ""
    return f"{meaning}{revert.name}({values})"


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    if isinstance(value, tuple):
        return f"({', '.join(_text(item) for item in value)})"
    return str(value)


@cache
def _errors() -> dict[bytes, tuple[Mapping[str, Any], str]]:
    errors: dict[bytes, tuple[Mapping[str, Any], str]] = {}
    builtin = (
        {"name": "Error", "inputs": [{"name": "reason", "type": "string"}]},
        {"name": "Panic", "inputs": [{"name": "code", "type": "uint256"}]},
    )
    for entry in builtin:
        errors[keccak(signature(entry).encode())[:4]] = (entry, "")
    for contract in SYSTEM_CONTRACTS.values():
        artifact = load_artifact(contract)
        for declared in artifact.abi:
            if declared["type"] == "error":
                text = signature(declared)
                errors[keccak(text.encode())[:4]] = (declared, " ".join(artifact.errors.get(text, "").split()))
    return errors
