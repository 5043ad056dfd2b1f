"""Transactions between validators: each goes whole to all others once, and as a hash wherever it may be known.

The validator that a client gave a transaction to sends it to all others, together with those that arrive in the same
moment. That is the least that can be sent, since every pool needs it once. Where that would take too much of one line,
because many clients use one validator of a large consortium, it goes to about √n validators, each of which passes it on
to a group of as many others: the same bytes from many lines (docs/scale.md has the measured figures). Whoever may know
it already, a peer that has just connected or a leader that does not propose, is told hashes and asks for what it lacks.

A payload is msgpack `[kind, rows]`, strict and bounded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import islice
from typing import Any, Protocol

import msgpack

from consensus.types import MAX_VALIDATORS
from node.chain.transaction import MAX_TRANSACTION_BYTES
from node.p2p.allowance import Allowance
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
SMALL_CONSORTIUM = 16  # up to here everybody is sent everything directly
DIRECT_BYTES_S = 16 * 1024  # sent directly to all others together, an eighth of a line of 1 Mbit/s; beyond: by relays
DIRECT_BURST_S = 4
MASK_BYTES = MAX_VALIDATORS // 8


class Kind(IntEnum):
    """What the rows of a payload are."""

    WHOLE = 1  # raw transactions
    KNOWN = 2  # hashes of transactions that the sender has
    WANTED = 3  # hashes of transactions that the sender asks for
    RELAY = 4  # a mask of validators by place, then raw transactions to be passed on to them


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


@dataclass(frozen=True, slots=True)
class Parcel:
    """Raw transactions for the pool, and the validators to whom those that it takes are to be passed on."""

    raws: list[bytes]
    onward: tuple[bytes, ...] = ()


def encode_batches(raws: Iterable[bytes]) -> Iterator[bytes]:
    """Yield payloads that hold all raw transactions, in order, each within the bounds."""
    return (_encode(Kind.WHOLE, batch) for batch in _batches(raws))


def _batches(raws: Iterable[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for raw in raws:
        if batch and (size + len(raw) > BATCH_BYTES or len(batch) >= MAX_BATCH - 1):
            yield batch
            batch, size = [], 0
        batch.append(raw)
        size += len(raw)
    if batch:
        yield batch


def decode_transactions(payload: bytes) -> tuple[Kind, list[bytes]]:
    """Return what a payload holds: raw transactions, hashes, or a mask and raw transactions.

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
        raise ValueError("no transactions: expected kind 1 to 4 and rows of bytes")
    if number == Kind.RELAY and (not rows or len(rows[0]) != MASK_BYTES):
        raise ValueError(f"no transactions: expected a mask of {MASK_BYTES} bytes first")
    if number in (Kind.KNOWN, Kind.WANTED) and any(len(row) != HASH_BYTES for row in rows):
        raise ValueError(f"no transactions: expected hashes of {HASH_BYTES} bytes")
    return Kind(number), rows


class Gossip:
    """What goes to whom. Synchronous; one thread owns it.

    Args:
        network: where payloads go.
        find: the pool: raw transaction by hash, None if it is not there.
        validators: the node keys of the validators, sorted, our own among them.
        node_key: our own.
        later: calls something after so many seconds.
        now: seconds, from any start.
    """

    def __init__(
        self,
        network: Network,
        find: Callable[[bytes], bytes | None],
        validators: Callable[[], Sequence[bytes]],
        node_key: bytes,
        *,
        later: Callable[[float, Callable[[], None]], Cancellable],
        now: Callable[[], float],
    ) -> None:
        self._network = network
        self._find = find
        self._validators = validators
        self._node_key = node_key
        self._later = later
        self._now = now
        self._waiting: list[bytes] = []
        self._timer: Cancellable | None = None
        self._own: dict[bytes, None] = {}
        self._asked: dict[bytes, float] = {}
        self._answers: dict[bytes, Allowance] = {}
        self._direct = Allowance(DIRECT_BYTES_S, DIRECT_BURST_S, now())
        self._turn = 0

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

    def receive(self, sender: bytes, payload: bytes) -> Parcel:
        """Take a payload of a peer; return the raw transactions in it, for the pool.

        Raises:
            ValueError: no honest peer sends it.
        """
        kind, rows = decode_transactions(payload)
        match kind:
            case Kind.WHOLE:
                return Parcel(rows)
            case Kind.RELAY:
                return Parcel(rows[1:], self._named(rows[0], sender))
            case Kind.KNOWN:
                self._ask(sender, rows)
            case Kind.WANTED:
                self._answer(sender, rows)
        return Parcel([])

    def pass_on(self, raws: Iterable[bytes], onward: Iterable[bytes]) -> None:
        """Send transactions that the pool has just taken to those for whom they came with us.

        What a pool takes is bounded for each member, so nobody can make us send without end.
        """
        batches = list(encode_batches(raws))
        for key in onward:
            for payload in batches:
                self._network.send(key, Channel.TRANSACTIONS, payload)

    def close(self) -> None:
        """Stop publishing."""
        if self._timer is not None:
            self._timer.cancel()

    def _flush(self) -> None:
        self._timer = None
        waiting, self._waiting = self._waiting, []
        others = [key for key in self._validators() if key != self._node_key]
        size = sum(map(len, waiting)) * len(others)
        if len(others) < SMALL_CONSORTIUM or self._direct.take(size, self._now()):
            for payload in encode_batches(waiting):
                self._network.broadcast(Channel.TRANSACTIONS, payload)
            return
        width = math.isqrt(len(others))
        for begin in range(0, len(others), width):
            self._relay(waiting, others[begin : begin + width])
        self._turn += 1

    def _relay(self, raws: list[bytes], group: list[bytes]) -> None:
        """Send to one of a group, who is to pass it on to the others; to the next one if it is not connected."""
        place = {key: number for number, key in enumerate(self._validators())}
        mask = sum(1 << place[key] for key in group).to_bytes(MASK_BYTES, "big")
        payloads = [_encode(Kind.RELAY, [mask, *batch]) for batch in _batches(raws)]
        for step in range(len(group)):
            relay = group[(self._turn + step) % len(group)]
            if all(self._network.send(relay, Channel.TRANSACTIONS, payload) for payload in payloads):
                return

    def _named(self, mask: bytes, sender: bytes) -> tuple[bytes, ...]:
        """Return the validators that a mask names, but for us and the sender, no more than a group has."""
        keys, bits = self._validators(), int.from_bytes(mask, "big")
        named = [key for place, key in enumerate(keys) if bits >> place & 1 and key not in (self._node_key, sender)]
        return tuple(named[: math.isqrt(len(keys))])

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
        allowance = self._answers.setdefault(sender, Allowance(ANSWER_BYTES_S, ANSWER_BURST_S, now))
        raws = [raw for raw in map(self._find, hashes) if raw is not None]
        found = [raw for raw in raws if allowance.take(len(raw), now)]
        for batch in encode_batches(found):
            self._network.send(sender, Channel.TRANSACTIONS, batch)


def _encode(kind: Kind, rows: list[bytes]) -> bytes:
    return bytes(msgpack.packb([int(kind), rows]))
