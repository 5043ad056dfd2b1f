"""The header of a round block: an ordinary Ethereum header with all fields of Prague."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from functools import cached_property

from eth_hash.auto import keccak

from node.chain import rlp

EMPTY_LIST_ROOT = keccak(rlp.encode(b""))  # root of an empty trie
OMMERS_HASH = keccak(rlp.encode([]))
REQUESTS_HASH = hashlib.sha256(b"").digest()  # EIP-7685, no requests
ZERO_HASH = bytes(32)
NO_COINBASE = bytes(20)
NONCE = bytes(8)
MIX_HASH = keccak(b"gridpact/mix-hash/v1")  # PREVRANDAO: fixed by rule, so that no leader can choose it

_LENGTHS = {
    "parent_hash": 32,
    "ommers_hash": 32,
    "coinbase": 20,
    "state_root": 32,
    "transactions_root": 32,
    "receipts_root": 32,
    "bloom": 256,
    "extra_data": 32,
    "mix_hash": 32,
    "nonce": 8,
    "withdrawals_root": 32,
    "parent_beacon_root": 32,
    "requests_hash": 32,
}


BLOOM_AT = 192  # where the bloom begins in every header's RLP: what stands before it has one length
_TIMESTAMP_PLACE = 11


class InvalidHeader(ValueError):
    """Bytes that are no header of ours; the message names the field."""


@dataclass(frozen=True)
class Header:
    """An Ethereum header; hashes are 32 bytes, the bloom 256, the time in chain seconds.

    `extra_data` is the digest of the round record. What must not depend on who leads is fixed: coinbase, mix hash,
    nonce, difficulty, blob fields.
    """

    parent_hash: bytes
    ommers_hash: bytes
    coinbase: bytes
    state_root: bytes
    transactions_root: bytes
    receipts_root: bytes
    bloom: bytes
    difficulty: int
    number: int
    gas_limit: int
    gas_used: int
    timestamp: int
    extra_data: bytes
    mix_hash: bytes
    nonce: bytes
    base_fee_per_gas: int
    withdrawals_root: bytes
    blob_gas_used: int
    excess_blob_gas: int
    parent_beacon_root: bytes
    requests_hash: bytes

    def encode(self) -> bytes:
        """Return the header's RLP."""
        return rlp.encode([getattr(self, name) for name in FIELDS])

    @cached_property
    def hash(self) -> bytes:
        """keccak(rlp(header)), computed once."""
        return keccak(self.encode())


FIELDS = tuple(entry.name for entry in fields(Header))


def timestamp_of(raw: bytes) -> int:
    """Return the time, in chain seconds, of the header that `raw` encodes, without decoding the rest.

    Raises:
        InvalidRlp: not a list of that many items.
    """
    return rlp.decode_int(rlp.decode(rlp.split(raw)[_TIMESTAMP_PLACE]), 64)


def decode_header(raw: bytes) -> Header:
    """Return the header that `raw` encodes.

    Raises:
        InvalidHeader: naming the field that is not as expected.
    """
    try:
        items = rlp.decode_list(rlp.decode(raw), len(FIELDS))
    except rlp.InvalidRlp as error:
        raise InvalidHeader(f"header: {error}") from None
    values: dict[str, bytes | int] = {}
    for name, item in zip(FIELDS, items, strict=True):
        try:
            length = _LENGTHS.get(name)
            values[name] = rlp.decode_int(item, 64) if length is None else rlp.decode_data(item, length)
        except rlp.InvalidRlp as error:
            raise InvalidHeader(f"header.{name}: {error}") from None
    return Header(**values)  # type: ignore[arg-type]
