"""Transactions between validators: once to each, by relays where one line would be too full, nothing unbounded."""

from __future__ import annotations

from collections.abc import Callable

import msgpack
import pytest
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st

from node.gossip import (
    ANSWER_BURST_S,
    ANSWER_BYTES_S,
    ASK_AGAIN_S,
    BATCH_BYTES,
    DIRECT_BURST_S,
    DIRECT_BYTES_S,
    MASK_BYTES,
    MAX_ANNOUNCED,
    Gossip,
    Kind,
    Parcel,
    decode_transactions,
    encode_batches,
)
from node.p2p import Channel


class Street:
    """Validators whose payloads arrive at once, in order; it keeps the time."""

    def __init__(self, size: int) -> None:
        self.now_s = 0.0
        self.keys = [bytes([number]) * 32 for number in range(size)]
        self.pools: list[dict[bytes, bytes]] = [{} for _ in self.keys]
        self.down: set[int] = set()
        self.sent: list[tuple[int, int, Kind, int]] = []  # from, to, kind, bytes
        self.calls: list[Callable[[], None]] = []
        self.gossips = [
            Gossip(
                Port(self, number),
                self.pools[number].get,
                lambda: self.keys,
                key,
                later=self.later,
                now=lambda: self.now_s,
            )
            for number, key in enumerate(self.keys)
        ]

    def later(self, _: float, act: Callable[[], None]) -> Street:
        self.calls.append(act)
        return self

    def cancel(self) -> None:
        """As a call that is to come."""

    def submit(self, number: int, raw: bytes) -> None:
        """A client gives a validator a transaction."""
        self.pools[number][keccak(raw)] = raw
        self.gossips[number].publish(keccak(raw), raw)

    def flush(self) -> None:
        """Let what waits go out."""
        calls, self.calls = self.calls, []
        for act in calls:
            act()

    def arrive(self, sender: int, receiver: int, payload: bytes) -> bool:
        if receiver in self.down:
            return False
        self.sent.append((sender, receiver, decode_transactions(payload)[0], len(payload)))
        parcel = self.gossips[receiver].receive(self.keys[sender], payload)
        fresh = [raw for raw in parcel.raws if keccak(raw) not in self.pools[receiver]]
        self.pools[receiver].update((keccak(raw), raw) for raw in fresh)
        self.gossips[receiver].pass_on(fresh, parcel.onward)
        return True

    def holders(self, raw: bytes) -> int:
        return sum(keccak(raw) in pool for pool in self.pools)


class Port:
    """One validator's network."""

    def __init__(self, street: Street, number: int) -> None:
        self._street = street
        self._number = number

    def send(self, node_key: bytes, channel: Channel, payload: bytes) -> bool:
        assert channel is Channel.TRANSACTIONS
        return self._street.arrive(self._number, self._street.keys.index(node_key), payload)

    def broadcast(self, channel: Channel, payload: bytes) -> None:
        for key in self._street.keys:
            if key != self._street.keys[self._number]:
                self.send(key, channel, payload)


def test_a_transaction_goes_once_to_each_and_nobody_passes_it_on() -> None:
    street = Street(4)
    street.submit(0, b"first")
    street.submit(0, b"second")
    street.flush()
    assert (street.holders(b"first"), street.holders(b"second")) == (4, 4)
    assert [(sender, receiver) for sender, receiver, _, _ in street.sent] == [(0, 1), (0, 2), (0, 3)]


def test_a_full_line_hands_over_to_relays_and_each_still_gets_it_once() -> None:
    street = Street(100)
    raws = [bytes([number]) * 200 for number in range(60)]
    for raw in raws:
        street.submit(7, raw)
    assert DIRECT_BYTES_S * DIRECT_BURST_S < 60 * 200 * 99
    street.flush()
    assert {street.holders(raw) for raw in raws} == {100}
    received = [receiver for _, receiver, _, _ in street.sent]
    assert sorted(received) == [number for number in range(100) if number != 7]
    assert sum(sender == 7 for sender, _, _, _ in street.sent) == 11
    assert max(sum(sender == each for sender, _, _, _ in street.sent) for each in range(100)) <= 11


def test_a_relay_that_is_not_there_is_passed_over() -> None:
    street = Street(100)
    street.down = {0, 1, 9, 18, 19}
    street.submit(7, b"x" * 100_000)
    street.flush()
    assert street.holders(b"x" * 100_000) == 95
    assert Kind.RELAY in {kind for _, _, kind, _ in street.sent}


def test_a_mask_names_no_more_than_a_group() -> None:
    street = Street(100)
    payload = msgpack.packb([int(Kind.RELAY), [b"\xff" * MASK_BYTES, b"raw"]])
    parcel = street.gossips[5].receive(street.keys[0], payload)
    assert parcel == Parcel([b"raw"], tuple(street.keys[1:5] + street.keys[6:12]))


def test_a_peer_that_connects_hears_of_our_own_and_asks_for_what_it_lacks() -> None:
    street = Street(4)
    street.down = {3}
    street.submit(0, b"old")
    street.submit(1, b"of another")
    street.flush()
    street.submit(0, b"committed meanwhile")
    street.flush()
    del street.pools[0][keccak(b"committed meanwhile")]
    street.down.clear()
    street.sent.clear()
    street.gossips[0].greet(street.keys[3])
    assert [(sender, receiver, kind) for sender, receiver, kind, _ in street.sent] == [
        (0, 3, Kind.KNOWN),
        (3, 0, Kind.WANTED),
        (0, 3, Kind.WHOLE),
    ]
    assert list(street.pools[3].values()) == [b"old"]
    street.sent.clear()
    street.gossips[0].greet(street.keys[3])
    assert [kind for _, _, kind, _ in street.sent] == [Kind.KNOWN]


def test_one_transaction_is_asked_of_one_peer_at_a_time() -> None:
    street = Street(4)
    known = msgpack.packb([int(Kind.KNOWN), [bytes(32)]])
    for sender in (1, 2, 1):
        street.gossips[0].receive(street.keys[sender], known)
    assert [receiver for _, receiver, _, _ in street.sent] == [1]
    street.now_s = ASK_AGAIN_S
    street.gossips[0].receive(street.keys[2], known)
    assert [receiver for _, receiver, _, _ in street.sent] == [1, 2]


def test_announcements_and_answers_are_bounded() -> None:
    street = Street(2)
    street.gossips[0].announce(street.keys[1], (number.to_bytes(32, "big") for number in range(5_000)))
    assert street.sent[0][3] < 40 * MAX_ANNOUNCED
    large = b"x" * 100_000
    street.pools[0][keccak(large)] = large
    street.sent.clear()
    for _ in range(100):
        street.pools[1].clear()
        street.gossips[0].receive(street.keys[1], msgpack.packb([int(Kind.WANTED), [keccak(large)]]))
    assert len(street.sent) == ANSWER_BYTES_S * ANSWER_BURST_S // len(large)


@pytest.mark.parametrize(
    "content",
    [
        [],
        [1],
        [5, []],
        [0, []],
        [True, []],
        [1, ["text"]],
        [2, [b"short"]],
        [3, [bytes(33)]],
        [4, []],
        [4, [b"short mask"]],
        {},
        [1, [b""] * 1_001],
        [1, [[b""]]],
    ],
)
def test_what_is_no_payload_is_refused(content: object) -> None:
    with pytest.raises(ValueError, match="no transactions"):
        decode_transactions(msgpack.packb(content))


@given(st.binary(max_size=80))
def test_whatever_arrives_is_refused_or_read(raw: bytes) -> None:
    try:
        kind, rows = decode_transactions(raw)
    except ValueError:
        return
    assert isinstance(kind, Kind)
    assert all(type(row) is bytes for row in rows)


@given(st.lists(st.binary(max_size=BATCH_BYTES // 3), max_size=12))
def test_batches_hold_everything_in_order(raws: list[bytes]) -> None:
    batches = list(encode_batches(raws))
    assert [raw for batch in batches for raw in decode_transactions(batch)[1]] == raws
    assert all(len(batch) < BATCH_BYTES + 200 for batch in batches)
