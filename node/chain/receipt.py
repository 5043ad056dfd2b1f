"""Logs, blooms and receipts. Source: yellow paper §4.3.1; EIP-2718 for typed receipts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from eth_hash.auto import keccak

from node.chain import rlp

BLOOM_BYTES = 256
EMPTY_BLOOM = bytes(BLOOM_BYTES)


@dataclass(frozen=True, slots=True)
class Log:
    """What a contract logged: its address (20 bytes), up to four topics (32 bytes each), data."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a transaction did: type, status (1 or 0), gas used by the block up to and with it, logs and their bloom."""

    type: int
    status: int
    cumulative_gas_used: int
    logs: tuple[Log, ...]
    bloom: bytes

    def encode(self) -> bytes:
        """Return the EIP-2718 encoding, as it enters the receipts trie."""
        logs = [(entry.address, entry.topics, entry.data) for entry in self.logs]
        payload = rlp.encode((self.status, self.cumulative_gas_used, self.bloom, logs))
        return payload if self.type == 0 else bytes((self.type,)) + payload

    def encode_stored(self) -> bytes:
        """Return a compact encoding without the bloom, which the logs determine."""
        logs = [(entry.address, entry.topics, entry.data) for entry in self.logs]
        return rlp.encode((self.type, self.status, self.cumulative_gas_used, logs))


def decode_stored(item: rlp.Item) -> Receipt:
    """Return the receipt that `Receipt.encode_stored` made (already split from its list).

    Raises:
        InvalidRlp: not of that shape.
    """
    kind, status, gas, rows = rlp.decode_list(item, 4)
    return make_receipt(rlp.decode_int(kind, 8), rlp.decode_int(status, 8), rlp.decode_int(gas, 64), _decode_logs(rows))


def stored_logs(raw: bytes) -> list[Log]:
    """Return the logs alone of the receipt that `Receipt.encode_stored` made.

    Raises:
        InvalidRlp: not of that shape.
    """
    return _decode_logs(rlp.decode_list(rlp.decode(raw), 4)[3])


def stored_logs_in_turn(raw: bytes) -> Iterator[Log]:
    """Yield the logs of the receipt that `Receipt.encode_stored` made, each decoded when its turn has come.

    Raises:
        InvalidRlp: not of that shape.
    """
    for row in rlp.split(rlp.split(raw)[-1]):
        yield _decode_log(rlp.decode(row))


def stored_outcome(raw: bytes) -> tuple[int, int]:
    """Return status and cumulative gas of the receipt that `Receipt.encode_stored` made; no log is decoded.

    Raises:
        InvalidRlp: not of that shape.
    """
    _, status, gas, *_ = rlp.split(raw)
    return rlp.decode_int(rlp.decode(status), 8), rlp.decode_int(rlp.decode(gas), 64)


def count_stored_logs(raw: bytes) -> int:
    """Return how many logs the receipt has that `Receipt.encode_stored` made; none is decoded.

    Raises:
        InvalidRlp: not of that shape.
    """
    return len(rlp.split(rlp.split(raw)[-1]))


def _decode_logs(rows: rlp.Item) -> list[Log]:
    return [_decode_log(row) for row in rlp.decode_list(rows)]


def _decode_log(row: rlp.Item) -> Log:
    address, topics, data = rlp.decode_list(row, 3)
    return Log(
        rlp.decode_data(address, 20),
        tuple(rlp.decode_data(topic, 32) for topic in rlp.decode_list(topics)),
        rlp.decode_data(data),
    )


def make_receipt(kind: int, status: int, cumulative_gas_used: int, logs: Iterable[Log]) -> Receipt:
    """Return a receipt with the bloom of its logs."""
    entries = tuple(logs)
    return Receipt(kind, status, cumulative_gas_used, entries, logs_bloom(entries))


@lru_cache(maxsize=65_536)
def bloom_bits(value: bytes) -> int:
    """Return the three bloom bits of a value as an integer of 2048 bits (yellow paper, equation 30)."""
    digest = keccak(value)
    bits = 0
    for at in (0, 2, 4):
        bits |= 1 << (int.from_bytes(digest[at : at + 2], "big") & 2047)
    return bits


def logs_bloom(logs: Iterable[Log]) -> bytes:
    """Return the bloom filter (256 bytes) over the addresses and topics of `logs`."""
    bits = 0
    for entry in logs:
        bits |= bloom_bits(entry.address)
        for topic in entry.topics:
            bits |= bloom_bits(topic)
    return bits.to_bytes(BLOOM_BYTES, "big")


def blooms_union(blooms: Iterable[bytes]) -> bytes:
    """Return the bitwise union of blooms."""
    bits = 0
    for bloom in blooms:
        bits |= int.from_bytes(bloom, "big")
    return bits.to_bytes(BLOOM_BYTES, "big")
