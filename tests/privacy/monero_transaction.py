"""A Monero transaction of version 2 and type 6 (CLSAG, Bulletproof+), taken apart: bytes in, named bytes out.

Nothing is checked here but the layout; whether bytes are points, scalars or proofs is for those who read them.
Source: monero-project/monero, cryptonote_basic.h and rctTypes.h (serialisation), rctSigs.cpp (get_pre_mlsag_hash).
"""

from __future__ import annotations

from dataclasses import dataclass

from eth_hash.auto import keccak

BULLETPROOF_PLUS = 6  # RCTTypeBulletproofPlus
TO_KEY, TO_TAGGED_KEY = 2, 3  # tags of an input, and of the two kinds of outputs


class InvalidTransaction(ValueError):
    """Bytes that are not laid out as a transaction of this kind."""

    def __init__(self, at: int, expected: str) -> None:
        super().__init__(f"byte {at}: expected {expected}")


@dataclass(frozen=True, slots=True)
class Input:
    """What is spent.

    Args:
        key_image: I.
        ring: global indices of the members' outputs, absolute.
    """

    key_image: bytes
    ring: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BulletproofPlus:
    """The one range proof over all outputs; points are stored divided by 8, scalars little-endian."""

    A: bytes
    A1: bytes
    B: bytes
    r1: bytes
    s1: bytes
    d1: bytes
    L: tuple[bytes, ...]
    R: tuple[bytes, ...]

    def fields(self) -> tuple[bytes, ...]:
        """Return all fields in their order."""
        return self.A, self.A1, self.B, self.r1, self.s1, self.d1, *self.L, *self.R


@dataclass(frozen=True, slots=True)
class StoredClsag:
    """One input's signature.

    Args:
        responses: s, one a member.
        challenge: c1, with which member 0 begins.
        auxiliary: D, divided by 8.
    """

    responses: tuple[bytes, ...]
    challenge: bytes
    auxiliary: bytes


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction.

    Args:
        inputs: what is spent.
        output_keys: one an output.
        fee: in atomic units.
        commitments: outPk, one an output: C = v·H + γ·G, not divided.
        proof: that all amounts are in range.
        signatures: one an input.
        pseudo_outputs: C', one an input.
        message: what every signature signs.
    """

    inputs: tuple[Input, ...]
    output_keys: tuple[bytes, ...]
    fee: int
    commitments: tuple[bytes, ...]
    proof: BulletproofPlus
    signatures: tuple[StoredClsag, ...]
    pseudo_outputs: tuple[bytes, ...]
    message: bytes


class _Reader:
    """Bytes, read from the front."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.at = 0

    def take(self, count: int) -> bytes:
        if self.at + count > len(self.raw):
            raise InvalidTransaction(self.at, f"{count} more bytes, there are {len(self.raw) - self.at}")
        self.at += count
        return self.raw[self.at - count : self.at]

    def keys(self, count: int) -> tuple[bytes, ...]:
        return tuple(self.take(32) for _ in range(count))

    def number(self) -> int:
        """Return a number in groups of seven bits, the lowest first."""
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def only(self, value: int, what: str) -> None:
        at = self.at
        if self.number() != value:
            raise InvalidTransaction(at, f"{what} {value}")


def transaction_from_bytes_checked(raw: bytes) -> Transaction:
    """Return the transaction that is encoded.

    Raises:
        InvalidTransaction: of another kind or layout, or with bytes to spare.
    """
    reader = _Reader(raw)
    reader.only(2, "version")
    reader.number()  # unlock time
    inputs = tuple(_input(reader) for _ in range(reader.number()))
    output_keys = tuple(_output_key(reader) for _ in range(reader.number()))
    reader.take(reader.number())  # extra
    prefix_end = reader.at

    reader.only(BULLETPROOF_PLUS, "type")
    fee = reader.number()
    reader.take(8 * len(output_keys))  # encrypted amounts
    commitments = reader.keys(len(output_keys))
    base_end = reader.at

    reader.only(1, "number of range proofs")
    a, a1, b, r1, s1, d1 = reader.keys(6)
    proof = BulletproofPlus(a, a1, b, r1, s1, d1, reader.keys(reader.number()), reader.keys(reader.number()))
    signatures = tuple(StoredClsag(reader.keys(len(each.ring)), reader.take(32), reader.take(32)) for each in inputs)
    pseudo_outputs = reader.keys(len(inputs))
    if reader.at != len(raw):
        raise InvalidTransaction(reader.at, "the end")
    parts = (raw[:prefix_end], raw[prefix_end:base_end], b"".join(proof.fields()))
    message = keccak(b"".join(map(keccak, parts)))
    return Transaction(inputs, output_keys, fee, commitments, proof, signatures, pseudo_outputs, message)


def _input(reader: _Reader) -> Input:
    reader.only(TO_KEY, "input tag")
    reader.only(0, "amount")
    members, last = [], 0
    for _ in range(reader.number()):
        last += reader.number()  # distances to the one before
        members.append(last)
    return Input(reader.take(32), tuple(members))


def _output_key(reader: _Reader) -> bytes:
    reader.only(0, "amount")
    tag_at = reader.at
    tag = reader.number()
    if tag not in (TO_KEY, TO_TAGGED_KEY):
        raise InvalidTransaction(tag_at, f"output tag {TO_KEY} or {TO_TAGGED_KEY}")
    key = reader.take(32)
    reader.take(tag - TO_KEY)  # the view tag of a tagged key
    return key
