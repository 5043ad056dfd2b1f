"""What goes over the signer's socket: a length of four bytes and msgpack, a request and its answer in turn.

A request names what is to be signed by its fields, never by bytes, so that the signer makes the bytes itself and signs
nothing that means something else somewhere.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Any, NamedTuple

import msgpack

from consensus.types import HASH_BYTES, KEY_BYTES, SIGNATURE_BYTES, Epoch, Height, Phase, View, Vote
from contracts.bindings.consortium_votes import Equivocation
from node.errors import GridpactError

VERSION = 1
MAX_FRAME_BYTES = 4_096  # the longest is a report: a transaction of under a thousand bytes
LENGTH = struct.Struct(">I")
UINT64 = 1 << 64
ADDRESS_BYTES = 20
MAX_TEXT = 1_000


class Kind(IntEnum):
    """What is asked for. The numbers are sent and must not change."""

    HELLO = 0
    VOTE = 1
    LEAF = 2
    REPORT = 3
    READY = 4


class Answer(IntEnum):
    """How a request ended: done, or why nothing was signed."""

    DONE = 0
    CONTRADICTION = 1
    MALFORMED = 2
    FAILED = 3


class InvalidSignerFrame(GridpactError):
    """The other end of the signer's socket sent something that does not belong there."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"signer's socket: {reason}")
        self.reason = reason


class Hello(NamedTuple):
    """Whose key a signer holds, for which chain, and the account that reports with it (20 bytes)."""

    node_key: bytes
    chain_id: int
    genesis_hash: bytes
    reporter: bytes


def pack(fields: list[Any]) -> bytes:
    """Return a frame of these fields."""
    payload: bytes = msgpack.packb(fields)
    return LENGTH.pack(len(payload)) + payload


def length_of(head: bytes) -> int:
    """Return how many bytes follow a frame's head.

    Raises:
        InvalidSignerFrame: more than a frame may have.
    """
    length: int = LENGTH.unpack(head)[0]
    if length > MAX_FRAME_BYTES:
        raise InvalidSignerFrame(f"a frame of {length} bytes; at most {MAX_FRAME_BYTES} are taken")
    return length


def unpack(payload: bytes) -> tuple[int, list[Any]]:
    """Return a frame's number, a kind or an answer, and its fields.

    Raises:
        InvalidSignerFrame: no list that begins with a number.
    """
    try:
        found = msgpack.unpackb(payload, max_ext_len=0, max_map_len=0, max_array_len=32)
    except (ValueError, TypeError, msgpack.UnpackException, UnicodeDecodeError, RecursionError) as error:
        raise InvalidSignerFrame(f"no msgpack: {type(error).__name__}") from None
    if not isinstance(found, list) or not found or type(found[0]) is not int:
        raise InvalidSignerFrame("expected a list that begins with a number")
    return found[0], found[1:]


def _take(fields: list[Any], *shape: int | None) -> list[Any]:
    """Check fields against a shape: so many bytes each, 0 for any bytes, None for an unsigned integer of 64 bits."""
    if len(fields) != len(shape):
        raise InvalidSignerFrame(f"expected {len(shape)} fields, found {len(fields)}")
    for at, (field, length) in enumerate(zip(fields, shape, strict=True)):
        if length is None:
            if type(field) is not int or not 0 <= field < UINT64:
                raise InvalidSignerFrame(f"field {at}: expected an unsigned integer of 64 bits")
        elif not isinstance(field, bytes) or (length and len(field) != length):
            raise InvalidSignerFrame(f"field {at}: expected {length or 'some'} bytes")
    return fields


def vote_fields(vote: Vote) -> list[Any]:
    """Return a vote as fields."""
    return [vote.epoch, vote.height, vote.view, int(vote.phase), vote.block_hash]


def read_vote(fields: list[Any]) -> Vote:
    """Return the vote that fields name.

    Raises:
        InvalidSignerFrame: they name none.
    """
    epoch, height, view, phase, block_hash = _take(fields, None, None, None, None, HASH_BYTES)
    if phase not in set(Phase):
        raise InvalidSignerFrame(f"field 3: expected a phase, {min(Phase)} to {max(Phase)}")
    return Vote(Epoch(epoch), Height(height), View(view), Phase(phase), block_hash)


def report_fields(equivocation: Equivocation, nonce: int) -> list[Any]:
    """Return a report as fields."""
    each = equivocation
    place = [each.node_key, each.epoch, each.height, each.view, each.phase]
    return [nonce, *place, each.first_hash, each.first_signature, each.second_hash, each.second_signature]


def read_report(fields: list[Any]) -> tuple[Equivocation, int]:
    """Return what fields report, and the nonce to report it with.

    Raises:
        InvalidSignerFrame: they are no report.
    """
    votes = (HASH_BYTES, SIGNATURE_BYTES) * 2
    nonce, *rest = _take(fields, None, KEY_BYTES, None, None, None, None, *votes)
    if rest[4] not in set(Phase):
        raise InvalidSignerFrame(f"field 5: expected a phase, {min(Phase)} to {max(Phase)}")
    return Equivocation(*rest), nonce


def read_leaf(fields: list[Any]) -> bytes:
    """Return the public key (DER) for which a certificate is wanted."""
    return bytes(_take(fields, 0)[0])


def read_ready(fields: list[Any]) -> tuple[int, bytes]:
    """Return the height and block hash to sign as seen."""
    height, block_hash = _take(fields, None, HASH_BYTES)
    return height, block_hash


def read_hello(fields: list[Any]) -> Hello:
    """Return whom a signer signs for.

    Raises:
        InvalidSignerFrame: it speaks another version, or no hello.
    """
    if fields and fields[0] != VERSION:
        raise InvalidSignerFrame(f"it speaks version {fields[0]!r}, this node {VERSION}")
    _, *rest = _take(fields, None, KEY_BYTES, None, HASH_BYTES, ADDRESS_BYTES)
    return Hello(*rest)


def read_signed(fields: list[Any]) -> bytes:
    """Return what was signed or issued."""
    return bytes(_take(fields, 0)[0])


def read_refusal(fields: list[Any]) -> str:
    """Return why nothing was signed."""
    if len(fields) != 1 or not isinstance(fields[0], str):
        raise InvalidSignerFrame("expected a refusal in words")
    return fields[0][:MAX_TEXT]
