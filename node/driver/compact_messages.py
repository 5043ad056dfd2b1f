"""What validators say to each other about compact proposals, as bytes: one encoding for each value, strict and bounded.

The tags lie beyond those of `consensus.codec`, which knows nothing of these messages. Integers are unsigned and
big-endian; an item is a transaction, whatever the application makes of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

from consensus.codec import MAX_HEIGHT, InvalidPeerMessage, decode_record, encode_record
from consensus.types import HASH_BYTES, KEY_BYTES, SIGNATURE_BYTES, Height, Phase, SignedVote

MAX_ITEMS = 8_192  # in a block; indices fit two bytes
MAX_HEAD_BYTES = 2_048  # a header of a round block takes about 650
VOTE_BYTES = 1 + 8 + 8 + 8 + 1 + HASH_BYTES + KEY_BYTES + SIGNATURE_BYTES  # a vote as a record, its tag included


class CompactTag(IntEnum):
    """The first byte of every message of compact proposals."""

    COMPACT_PROPOSAL = 64
    TRANSACTIONS_REQUEST = 65
    TRANSACTIONS = 66


@dataclass(frozen=True, slots=True)
class CompactProposal:
    """A proposal whose items are named by their hashes (32 bytes each): the leader's vote, the rest of the body."""

    vote: SignedVote
    head: bytes
    hashes: tuple[bytes, ...]

    @property
    def height(self) -> Height:
        """The height that the block is proposed for."""
        return self.vote.height


@dataclass(frozen=True, slots=True)
class TransactionsRequest:
    """Asks the leader for items of its proposal by their places in it, in rising order."""

    height: Height
    block_hash: bytes
    indices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Transactions:
    """Items of a proposal with their places, in rising order."""

    height: Height
    block_hash: bytes
    items: tuple[tuple[int, bytes], ...]


CompactMessage = CompactProposal | TransactionsRequest | Transactions


def is_compact(payload: bytes) -> bool:
    """Return whether a payload is one of these messages, well-formed or not, rather than one of the core's."""
    return bool(payload) and payload[0] in CompactTag.__members__.values()


def encode_compact(message: CompactMessage) -> bytes:
    """Return the bytes of a message."""
    match message:
        case CompactProposal(vote, head, hashes):
            parts = (encode_record(vote), _u16(len(head)), head, _u16(len(hashes)), *hashes)
            return bytes((CompactTag.COMPACT_PROPOSAL,)) + b"".join(parts)
        case TransactionsRequest(height, block_hash, indices):
            start = bytes((CompactTag.TRANSACTIONS_REQUEST,)) + height.to_bytes(8, "big") + block_hash
            return start + _u16(len(indices)) + b"".join(map(_u16, indices))
        case Transactions(height, block_hash, items):
            start = bytes((CompactTag.TRANSACTIONS,)) + height.to_bytes(8, "big") + block_hash + _u16(len(items))
            return start + b"".join(_u16(place) + len(raw).to_bytes(4, "big") + raw for place, raw in items)


def decode_compact(payload: bytes, *, max_body_bytes: int) -> CompactMessage:
    """Return the message that a peer's bytes encode.

    Args:
        payload: the bytes, whole.
        max_body_bytes: the most that the items of a message may take together.

    Raises:
        InvalidPeerMessage: the bytes are not exactly one message within its bounds.
    """
    reader = _Reader(payload)
    message: CompactMessage
    match CompactTag(payload[0]):
        case CompactTag.COMPACT_PROPOSAL:
            message = _proposal(reader)
        case CompactTag.TRANSACTIONS_REQUEST:
            message = _request(reader)
        case CompactTag.TRANSACTIONS:
            message = _transactions(reader, max_body_bytes)
    reader.end()
    return message


class _Reader:
    """Takes values off the front of a peer's bytes; every method raises InvalidPeerMessage."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._at = 1  # after the tag

    def take(self, size: int) -> bytes:
        """Read so many bytes."""
        part = self._payload[self._at : self._at + size]
        if len(part) != size:
            raise InvalidPeerMessage(f"{len(self._payload)} bytes end before byte {self._at + size}")
        self._at += size
        return part

    def number(self, size: int, below: int, what: str) -> int:
        """Read an integer of so many bytes."""
        value = int.from_bytes(self.take(size), "big")
        if value >= below:
            raise InvalidPeerMessage(f"{what} {value}, expected less than {below}")
        return value

    def count(self) -> int:
        """Read the number of items, at least one."""
        found = self.number(2, MAX_ITEMS + 1, "items")
        if found == 0:
            raise InvalidPeerMessage(f"no items, expected 1 to {MAX_ITEMS}")
        return found

    def end(self) -> None:
        """Check that nothing is left."""
        if self._at != len(self._payload):
            raise InvalidPeerMessage(f"{len(self._payload) - self._at} bytes too many after byte {self._at}")


def _proposal(reader: _Reader) -> CompactProposal:
    vote = decode_record(reader.take(VOTE_BYTES), max_body_bytes=0)
    if not isinstance(vote, SignedVote) or vote.vote.phase is not Phase.PROPOSE:
        raise InvalidPeerMessage("a compact proposal must begin with a PROPOSE vote")
    head = reader.take(reader.number(2, MAX_HEAD_BYTES + 1, "head length"))
    return CompactProposal(vote, head, tuple(reader.take(HASH_BYTES) for _ in range(reader.count())))


def _request(reader: _Reader) -> TransactionsRequest:
    height, block_hash = Height(reader.number(8, MAX_HEIGHT, "height")), reader.take(HASH_BYTES)
    indices = tuple(reader.number(2, MAX_ITEMS, "index") for _ in range(reader.count()))
    _check_rising(indices)
    return TransactionsRequest(height, block_hash, indices)


def _transactions(reader: _Reader, max_body_bytes: int) -> Transactions:
    height, block_hash = Height(reader.number(8, MAX_HEIGHT, "height")), reader.take(HASH_BYTES)
    items, room = [], max_body_bytes
    for _ in range(reader.count()):
        place = reader.number(2, MAX_ITEMS, "index")
        raw = reader.take(reader.number(4, room + 1, "item length"))
        room -= len(raw)
        items.append((place, raw))
    _check_rising(tuple(place for place, _ in items))
    return Transactions(height, block_hash, tuple(items))


def _check_rising(places: tuple[int, ...]) -> None:
    if any(place >= following for place, following in pairwise(places)):
        raise InvalidPeerMessage("indices must rise")


def _u16(value: int) -> bytes:
    return value.to_bytes(2, "big")
