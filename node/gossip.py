"""Transactions between validators: each goes whole to all others once, and as a hash wherever it may be known.

The validator that a client gave a transaction to sends it to all others, together with those that arrive in the same
moment; nobody passes it on. That is the least that can be sent, since every pool needs it once (docs/scale.md has the
measured figures). Whoever may know it already, a peer that has just connected or a leader that does not propose, is
told hashes, and asks for what it lacks.

A payload is msgpack `[kind, rows]`, strict and bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import islice
from typing import Any, Protocol

import msgpack

from node.chain.transaction import MAX_TRANSACTION_BYTES
from node.p2p.frames import Channel

HASH_BYTES = 32
BATCH_BYTES = 128 * 1024  # a payload holds at least one transaction, whatever its size
MAX_BATCH = 1_000
GATHER_S = 0.002  # transactions that arrive within this time share a message
MAX_ANNOUNCED = 256  # hashes told to one peer at once, 8 kB: 99 of them tell a leader as much as it can take in seconds
MAX_OWN = 4_096  # own transactions remembered, to be announced to peers that connect: a member's share of a pool
MAX_ASKED = 4_096  # transactions that we have asked for and wait for
ASK_AGAIN_S = 2.0  # a transaction is asked of one peer at a time; after this long, of the next one that has it
ANSWER_BYTES_S = 256 * 1024  # a peer may draw this much a second from us, and four times that at once
ANSWER_BURST_S = 4


class Kind(IntEnum):
    """What the rows of a payload are."""

    WHOLE = 1  # raw transactions
    KNOWN = 2  # hashes of transactions that the sender has
    WANTED = 3  # hashes of transactions that the sender asks for


class Network(Protocol):
    """Where payloads go; may lose."""

    def send(self, node_key: bytes, channel: Channel, payload: bytes) -> bool:
        """Send to one validator."""

    def broadcast(self, channel: Channel, payload: bytes) -> None:
        """Send to all other validators."""


class Cancellable(Protocol):
    """A call that is to come."""

    def cancel(self) -> None:
        """Let it not happen."""


@dataclass(slots=True)
class _Allowance:
    """What a peer may still draw from us."""

    left_bytes: float
    at_s: float


def encode_batches(raws: Iterable[bytes]) -> Iterator[bytes]:
    """Yield payloads that hold all raw transactions, in order, each within the bounds."""
    batch: list[bytes] = []
    size = 0
    for raw in raws:
        if batch and (size + len(raw) > BATCH_BYTES or len(batch) >= MAX_BATCH):
            yield _encode(Kind.WHOLE, batch)
            batch, size = [], 0
        batch.append(raw)
        size += len(raw)
    if batch:
        yield _encode(Kind.WHOLE, batch)


def decode_transactions(payload: bytes) -> tuple[Kind, list[bytes]]:
    """Return what a payload holds: raw transactions, or hashes.

    Raises:
        ValueError: it is not exactly one kind with its rows within the bounds.
    """
    try:
        content: Any = msgpack.unpackb(
            payload, max_array_len=MAX_BATCH, max_bin_len=MAX_TRANSACTION_BYTES, max_str_len=0, max_map_len=0
        )
    except (ValueError, TypeError, msgpack.UnpackException, RecursionError) as error:
        raise ValueError(f"no transactions: {type(error).__name__}") from None
    if not (isinstance(content, list) and [type(part) for part in content] == [int, list]):
        raise ValueError("no transactions: expected [kind, rows]")
    number, rows = content
    if number not in Kind.__members__.values() or not all(type(row) is bytes for row in rows):
        raise ValueError("no transactions: expected kind 1 to 3 and rows of bytes")
    if number != Kind.WHOLE and any(len(row) != HASH_BYTES for row in rows):
        raise ValueError(f"no transactions: expected hashes of {HASH_BYTES} bytes")
    return Kind(number), rows


class Gossip:
    """What goes to whom. Synchronous; one thread owns it.

    Args:
        network: where payloads go.
        find: the pool: raw transaction by hash, None if it is not there.
        later: calls something after so many seconds.
        now: seconds, from any start.
    """

    def __init__(
        self,
        network: Network,
        find: Callable[[bytes], bytes | None],
        *,
        later: Callable[[float, Callable[[], None]], Cancellable],
        now: Callable[[], float],
    ) -> None:
        self._network = network
        self._find = find
        self._later = later
        self._now = now
        self._waiting: list[bytes] = []
        self._timer: Cancellable | None = None
        self._own: dict[bytes, None] = {}
        self._asked: dict[bytes, float] = {}
        self._allowances: dict[bytes, _Allowance] = {}

    def publish(self, transaction_hash: bytes, raw: bytes) -> None:
        """Send a client's transaction to all validators, together with those that arrive in the same moment."""
        self._own[transaction_hash] = None
        if len(self._own) > MAX_OWN:
            del self._own[next(iter(self._own))]
        self._waiting.append(raw)
        if self._timer is None:
            self._timer = self._later(GATHER_S, self._flush)

    def announce(self, node_key: bytes, hashes: Iterable[bytes]) -> None:
        """Tell one validator what we have, the first `MAX_ANNOUNCED` at most; it asks for what it lacks."""
        known = list(islice(hashes, MAX_ANNOUNCED))
        if known:
            self._network.send(node_key, Channel.TRANSACTIONS, _encode(Kind.KNOWN, known))

    def greet(self, node_key: bytes) -> None:
        """A connection has come up: tell the peer which of our own clients' transactions still wait.

        Everybody tells only what it brought in itself, so that a peer that comes back hears of each transaction once.
        """
        for transaction_hash in [each for each in self._own if self._find(each) is None]:
            del self._own[transaction_hash]
        self.announce(node_key, self._own)

    def receive(self, sender: bytes, payload: bytes) -> list[bytes]:
        """Take a payload of a peer; return the raw transactions in it, for the pool.

        Raises:
            ValueError: no honest peer sends it.
        """
        kind, rows = decode_transactions(payload)
        match kind:
            case Kind.WHOLE:
                return rows
            case Kind.KNOWN:
                self._ask(sender, rows)
            case Kind.WANTED:
                self._answer(sender, rows)
        return []

    def close(self) -> None:
        """Stop publishing."""
        if self._timer is not None:
            self._timer.cancel()

    def _flush(self) -> None:
        self._timer = None
        waiting, self._waiting = self._waiting, []
        for payload in encode_batches(waiting):
            self._network.broadcast(Channel.TRANSACTIONS, payload)

    def _ask(self, sender: bytes, hashes: list[bytes]) -> None:
        now = self._now()
        if len(self._asked) + len(hashes) > MAX_ASKED:
            self._asked = {each: until for each, until in self._asked.items() if until > now}
        wanted = []
        for each in hashes:
            if self._asked.get(each, now) <= now and self._find(each) is None and len(self._asked) < MAX_ASKED:
                self._asked[each] = now + ASK_AGAIN_S
                wanted.append(each)
        if wanted:
            self._network.send(sender, Channel.TRANSACTIONS, _encode(Kind.WANTED, wanted))

    def _answer(self, sender: bytes, hashes: list[bytes]) -> None:
        now = self._now()
        most = ANSWER_BYTES_S * ANSWER_BURST_S
        allowance = self._allowances.setdefault(sender, _Allowance(most, now))
        allowance.left_bytes = min(most, allowance.left_bytes + (now - allowance.at_s) * ANSWER_BYTES_S)
        allowance.at_s = now
        found = []
        for raw in map(self._find, hashes):
            if raw is not None and len(raw) <= allowance.left_bytes:
                allowance.left_bytes -= len(raw)
                found.append(raw)
        for batch in encode_batches(found):
            self._network.send(sender, Channel.TRANSACTIONS, batch)


def _encode(kind: Kind, rows: list[bytes]) -> bytes:
    return bytes(msgpack.packb([int(kind), rows]))
