"""What a person types or hands over about the consortium, read strictly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agents.errors import AgentError
from contracts.bindings.consortium_votes import Equivocation
from contracts.readiness import SIGNATURE_BYTES, InvalidToken, Readiness, parse_token
from contracts.system import SYSTEM_CONTRACTS

ACCOUNT_BYTES = 20
NODE_KEY_BYTES = 32
HASH_BYTES = 32
MAX_EVIDENCE_BYTES = 64 * 1024
PHASES = range(1, 5)
RULES = ("version", "block_gas_limit", "future_tolerance_ms", "view_timeout_ms", "max_view_timeout_ms")
"""Rules that the consortium may change, as its contract knows them."""

_EVIDENCE_NUMBERS = ("epoch", "height", "view")
_EVIDENCE_DATA = {
    "node_key": NODE_KEY_BYTES,
    "first_hash": HASH_BYTES,
    "first_signature": SIGNATURE_BYTES,
    "second_hash": HASH_BYTES,
    "second_signature": SIGNATURE_BYTES,
}


class InputError(AgentError):
    """An option, argument or file is not what was expected."""

    def __init__(self, where: str, expected: str) -> None:
        super().__init__(f"{where}: expected {expected}")
        self.where = where
        self.expected = expected


def parse_data(text: object, length: int, where: str) -> bytes:
    """Return `length` bytes written as 0x and hexadecimal digits."""
    expected = f"0x and {2 * length} hexadecimal digits, found {text!r}"
    if not isinstance(text, str) or not text.startswith("0x") or len(text) != 2 + 2 * length:
        raise InputError(where, expected)
    try:
        return bytes.fromhex(text[2:])
    except ValueError:
        raise InputError(where, expected) from None


def parse_endpoint(text: str, where: str) -> str:
    """Return HOST:PORT as it is, when it is that."""
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdecimal()) or not 1 <= int(port[:6]) <= 65_535:
        raise InputError(where, f"HOST:PORT with a port from 1 to 65535, found {text!r}")
    return text


def parse_readiness(text: str, where: str) -> Readiness:
    """Return the readiness of a token."""
    try:
        return parse_token(text)
    except InvalidToken as error:
        raise InputError(where, str(error).removeprefix("expected ")) from None


def parse_contract(text: str, where: str) -> bytes:
    """Return the address of a system contract, given by its name in any case or by its address."""
    by_name = {name.lower(): address for address, name in SYSTEM_CONTRACTS.items()}
    known = ", ".join(SYSTEM_CONTRACTS.values())
    if text.lower() in by_name:
        return by_name[text.lower()]
    if not text.startswith("0x"):
        raise InputError(where, f"one of {known}, or its address, found {text!r}")
    address = parse_data(text, ACCOUNT_BYTES, where)
    if address not in SYSTEM_CONTRACTS:
        raise InputError(where, f"the address of one of {known}, found {text}")
    return address


def parse_rule(text: str) -> str:
    """Return the name of a rule that may be changed."""
    if text not in RULES:
        raise InputError("NAME", f"one of {', '.join(RULES)}, found {text!r}")
    return text


def load_equivocation(path: Path) -> Equivocation:
    """Return the two contradictory votes that a JSON file holds.

    Raises:
        InputError: naming the file, the key and what was expected.
    """
    content = _load(path)
    known = {*_EVIDENCE_DATA, *_EVIDENCE_NUMBERS, "phase"}
    for key in content:
        if key not in known:
            raise InputError(f"{path}: {key}", f"no such key; known here: {', '.join(sorted(known))}")
    values: dict[str, Any] = {
        key: parse_data(content.get(key), length, f"{path}: {key}") for key, length in _EVIDENCE_DATA.items()
    }
    for key in (*_EVIDENCE_NUMBERS, "phase"):
        number = content.get(key)
        if type(number) is not int or not 0 <= number < 2**64 or (key == "phase" and number not in PHASES):
            expected = "1 (propose) to 4 (view change)" if key == "phase" else "a whole number from 0 below 2^64"
            raise InputError(f"{path}: {key}", f"{expected}, found {number!r}")
        values[key] = number
    return Equivocation(**values)


def _load(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_EVIDENCE_BYTES + 1)
        if len(raw) > MAX_EVIDENCE_BYTES:
            raise InputError(str(path), f"at most {MAX_EVIDENCE_BYTES} bytes")
        content = json.loads(raw)
    except OSError as error:
        raise InputError(str(path), f"a readable file ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise InputError(str(path), f"JSON in UTF-8 ({error})") from None
    if not isinstance(content, dict):
        raise InputError(str(path), "a JSON object with two votes of a validator")
    return content
