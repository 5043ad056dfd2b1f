"""Transactions between validators: what a client gave us goes to all others once, in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

import msgpack

from node.chain.transaction import MAX_TRANSACTION_BYTES, Transaction
from node.p2p import Channel, PeerNetwork

BATCH_BYTES = 128 * 1024  # a payload holds at least one transaction, whatever its size
MAX_BATCH = 1_000
MAX_FORWARDED = 1_000  # transactions sent to a new leader or a new peer: a few blocks' worth
GATHER_S = 0.002  # transactions that arrive within this time share a message


def encode_batches(raws: Iterable[bytes]) -> Iterator[bytes]:
    """Yield payloads that hold all raw transactions, in order, each within the bounds."""
    batch: list[bytes] = []
    size = 0
    for raw in raws:
        if batch and (size + len(raw) > BATCH_BYTES or len(batch) >= MAX_BATCH):
            yield bytes(msgpack.packb(batch))
            batch, size = [], 0
        batch.append(raw)
        size += len(raw)
    if batch:
        yield bytes(msgpack.packb(batch))


def decode_transactions(payload: bytes) -> list[bytes]:
    """Return the raw transactions in a payload.

    Raises:
        ValueError: it is not a list of transactions within the bounds.
    """
    try:
        rows = msgpack.unpackb(
            payload, max_array_len=MAX_BATCH, max_bin_len=MAX_TRANSACTION_BYTES, max_str_len=0, max_map_len=0
        )
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise ValueError(f"no batch of transactions: {type(error).__name__}") from None
    if not isinstance(rows, list) or not all(isinstance(row, bytes) for row in rows):
        raise ValueError("no batch of transactions: expected a list of bytes")
    return rows


class Gossip:
    """Publishes transactions to the connected validators."""

    def __init__(self, network: PeerNetwork) -> None:
        self._network = network
        self._waiting: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None

    def publish(self, tx: Transaction) -> None:
        """Send a transaction to all validators, together with those that arrive in the same moment."""
        self._waiting.append(tx.raw)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER_S, self._flush)

    def forward(self, node_key: bytes, transactions: Iterable[Transaction]) -> None:
        """Send transactions to one validator."""
        raws = [tx.raw for _, tx in zip(range(MAX_FORWARDED), transactions, strict=False)]
        for payload in encode_batches(raws):
            self._network.send(node_key, Channel.TRANSACTIONS, payload)

    def close(self) -> None:
        """Stop publishing."""
        if self._timer is not None:
            self._timer.cancel()

    def _flush(self) -> None:
        self._timer = None
        waiting, self._waiting = self._waiting, []
        for payload in encode_batches(waiting):
            self._network.broadcast(Channel.TRANSACTIONS, payload)
