"""Hexadecimal quantities and data: strict parsing of what a client sends, encoding of what it gets.

Source: execution-apis, "Hex value encoding" (quantities without leading zeros, data in whole bytes). Every parser takes
(value, where); `where` names the parameter in the error: its position, its name, and the path inside it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, TypeVar

from node.rpc import schemas
from node.rpc.errors import InvalidParams
from node.rpc.schemas import takes

T = TypeVar("T")
D = TypeVar("D")
Parser = Callable[[object, str], T]
Json = Any
"""A value that `json.dumps` takes."""

_QUANTITY = re.compile(r"0x(0|[1-9a-fA-F][0-9a-fA-F]*)\Z")
_SLOT = re.compile(r"0x[0-9a-fA-F]{1,64}\Z")
ID_BITS = 128  # as Ethereum clients expect
MAX_NUMBER_BITS = 64  # heights and counts


class Tag(StrEnum):
    """Blocks by name. A block is final at once: latest, safe and finalized are the same one; so is pending's state."""

    LATEST = "latest"
    SAFE = "safe"
    FINALIZED = "finalized"
    PENDING = "pending"
    EARLIEST = "earliest"


BlockRef = Tag | int | bytes
"""A block by name, by height, or by hash (32 bytes)."""


# -- encoding


def to_quantity(value: int) -> str:
    """Return a non-negative integer as 0x and hexadecimal digits without leading zeros."""
    return hex(value)


def to_data(value: bytes) -> str:
    """Return bytes as 0x and two hexadecimal digits a byte."""
    return "0x" + value.hex()


def random_id() -> str:
    """Return the id of a filter or a subscription: 128 random bits but the highest, so that it is a quantity too."""
    return to_quantity(secrets.randbits(ID_BITS) | 1 << (ID_BITS - 1))


# -- parsing


@takes(schemas.UINT)
def quantity(value: object, where: str, bits: int = 256) -> int:
    """Return the unsigned integer of at most `bits` bits that a quantity encodes."""
    if isinstance(value, str) and _QUANTITY.match(value) and (len(value) - 2) * 4 <= bits + 3:
        number = int(value, 16)
        if number.bit_length() <= bits:
            return number
    raise InvalidParams(where, f"a hexadecimal quantity of at most {bits} bits (0x0, 0x1f, no leading zeros)", value)


@takes(schemas.UINT64)
def number(value: object, where: str) -> int:
    """Return the height or count that a quantity encodes."""
    return quantity(value, where, MAX_NUMBER_BITS)


@takes(schemas.COUNT)
def count(value: object, where: str) -> int:
    """Return a count, written as a quantity or as a plain JSON number."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**MAX_NUMBER_BITS:
        return value
    return number(value, where)


@takes(schemas.BYTES)
def data(value: object, where: str) -> bytes:
    """Return the bytes that hexadecimal data encodes."""
    found = _unhex(value) if isinstance(value, str) else None
    if found is not None:
        return found
    raise InvalidParams(where, "data as 0x and two hexadecimal digits a byte", value)


def _unhex(text: str) -> bytes | None:
    """Return the bytes that 0x and digits stand for, None if it is none: of megabytes within milliseconds."""
    if not text.startswith("0x"):
        return None
    try:
        found = bytes.fromhex(text[2:])
    except ValueError:
        return None
    return found if 2 + 2 * len(found) == len(text) else None  # `fromhex` passes over spaces


def _fixed(value: object, where: str, length: int, what: str) -> bytes:
    found = _unhex(value) if isinstance(value, str) and len(value) == 2 + 2 * length else None
    if found is not None:
        return found
    raise InvalidParams(where, f"{what} as 0x and {2 * length} hexadecimal digits", value)


@takes(schemas.ADDRESS)
def address(value: object, where: str) -> bytes:
    """Return an address (20 bytes); its checksum in upper and lower case is not judged."""
    return _fixed(value, where, 20, "an address")


@takes(schemas.HASH32)
def hash32(value: object, where: str) -> bytes:
    """Return a hash (32 bytes)."""
    return _fixed(value, where, 32, "a hash")


@takes(schemas.SLOT)
def slot(value: object, where: str) -> int:
    """Return a storage slot: up to 32 bytes in hexadecimal, leading zeros allowed."""
    if isinstance(value, str) and _SLOT.match(value):
        return int(value, 16)
    raise InvalidParams(where, "a storage slot as 0x and 1 to 64 hexadecimal digits", value)


@takes(schemas.BOOLEAN)
def boolean(value: object, where: str) -> bool:
    """Return true or false."""
    if isinstance(value, bool):
        return value
    raise InvalidParams(where, "true or false", value)


@takes(schemas.TEXT)
def text(value: object, where: str) -> str:
    """Return a string."""
    if isinstance(value, str):
        return value
    raise InvalidParams(where, "a string", value)


def mapping(value: object, where: str) -> Mapping[str, object]:
    """Return a JSON object."""
    if isinstance(value, dict):
        return value
    raise InvalidParams(where, "an object", value)


def sequence(value: object, where: str, most: int) -> list[object]:
    """Return a list of at most `most` values."""
    if isinstance(value, list) and len(value) <= most:
        return value
    raise InvalidParams(where, f"a list of at most {most}", value)


def field(table: Mapping[str, object], key: str, where: str, parse: Parser[T], default: D) -> T | D:
    """Return the parsed value at `key` of an object; `default` if it is absent or null."""
    value = table.get(key)
    return default if value is None else parse(value, f"{where}.{key}")


@takes(schemas.BLOCK_REF)
def block_ref(value: object, where: str) -> BlockRef:
    """Return the block that a tag, a number, or an object with blockHash or blockNumber (EIP-1898) names."""
    if isinstance(value, dict):
        return _block_object(value, where)
    if isinstance(value, str):
        if value in _TAGS:
            return Tag(value)
        if len(value) == 66:
            return hash32(value, where)
        if _QUANTITY.match(value):
            return number(value, where)
    raise InvalidParams(where, f"a block as a quantity, {', '.join(_TAGS)}, or {{blockHash}} or {{blockNumber}}", value)


_TAGS = tuple(Tag)


def _block_object(table: Mapping[str, object], where: str) -> BlockRef:
    if ("blockHash" in table) == ("blockNumber" in table):
        raise InvalidParams(where, "an object with either blockHash or blockNumber", table)
    if "requireCanonical" in table:
        boolean(table["requireCanonical"], f"{where}.requireCanonical")  # every block we know is canonical
    if "blockHash" in table:
        return hash32(table["blockHash"], f"{where}.blockHash")
    return block_number(table["blockNumber"], f"{where}.blockNumber")


@takes(schemas.BLOCK_NUMBER)
def block_number(value: object, where: str) -> Tag | int:
    """Return the block that a tag or a number names."""
    if isinstance(value, str):
        if value in _TAGS:
            return Tag(value)
        if _QUANTITY.match(value):
            return number(value, where)
    raise InvalidParams(where, f"a block as a quantity or {', '.join(_TAGS)}", value)
