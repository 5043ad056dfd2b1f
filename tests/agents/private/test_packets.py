from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.public import PrivateKey

from agents.messaging import MAX_MESSAGE_BYTES
from agents.private.packets import (
    CONTENT_BYTES,
    PACKET_BYTES,
    Arrived,
    Forward,
    InvalidRelayKey,
    Kind,
    Relay,
    draw_relays,
    open_packet,
    replay_mark,
    seal_box,
    seal_packet,
)
from agents.private.relay import unwrap, wrap

SECRETS = [PrivateKey(bytes([i + 1]) * 32) for i in range(4)]
RELAYS = [Relay(bytes([i]) * 20, bytes(secret.public_key), f"tcp://h:{i + 1}") for i, secret in enumerate(SECRETS)]
FIRST, SECOND, OTHER = SECRETS[:3]


def box(kind: int = 1, length: int = 0, rest: bytes = bytes(CONTENT_BYTES)) -> bytes:
    inner = seal_box(RELAYS[1].key, bytes([kind]) + length.to_bytes(2, "big") + rest)
    return inner.ljust(PACKET_BYTES, b"\x07")


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(Kind), st.binary(max_size=CONTENT_BYTES))
def test_a_packet_gives_its_content_to_the_second_relay_alone(kind: Kind, content: bytes) -> None:
    packet = seal_packet(kind, content, RELAYS[0], RELAYS[1])
    assert open_packet(packet, SECOND) is None
    forward = open_packet(packet, FIRST)
    assert isinstance(forward, Forward)
    assert forward.account == RELAYS[1].account
    assert open_packet(forward.packet, FIRST) is None
    assert open_packet(forward.packet, OTHER) is None
    assert open_packet(forward.packet, SECOND) == Arrived(kind, content)
    assert len(packet) == len(forward.packet) == PACKET_BYTES


def test_all_packets_have_one_size_on_both_lines_and_fit_into_a_message() -> None:
    sizes = set()
    for kind in Kind:
        for length in (0, 1, 1024, CONTENT_BYTES):
            packet = seal_packet(kind, bytes(length), RELAYS[0], RELAYS[1])
            forward = open_packet(packet, FIRST)
            assert isinstance(forward, Forward)
            sizes |= {len(packet), len(forward.packet)}
    assert sizes == {PACKET_BYTES}
    assert len(str(wrap(bytes(PACKET_BYTES)))) < MAX_MESSAGE_BYTES - 1024


def test_two_packets_of_one_content_share_nothing() -> None:
    one, two = (seal_packet(Kind.COVER, b"", RELAYS[0], RELAYS[1]) for _ in range(2))
    assert replay_mark(one) != replay_mark(two)
    assert sum(a == b for a, b in zip(one, two, strict=True)) < PACKET_BYTES // 64


def test_what_cannot_be_sealed_is_refused() -> None:
    with pytest.raises(ValueError, match="content of 8193 bytes: expected at most 8192"):
        seal_packet(Kind.SUBMIT, bytes(CONTENT_BYTES + 1), RELAYS[0], RELAYS[1])
    with pytest.raises(ValueError, match="two different relays"):
        seal_packet(Kind.SUBMIT, b"", RELAYS[0], RELAYS[0])
    for key in (bytes(32), bytes(31), b"\x01" + bytes(31)):
        with pytest.raises(InvalidRelayKey, match="expected 32 bytes of X25519"):
            seal_packet(Kind.SUBMIT, b"", Relay(bytes(20), key, ""), RELAYS[1])


@given(st.binary(max_size=200))
def test_nonsense_is_no_packet(data: bytes) -> None:
    assert open_packet(data, FIRST) is None
    assert open_packet(data.ljust(PACKET_BYTES, b"\x00"), FIRST) is None


@settings(max_examples=50, deadline=None)
@given(st.integers(0, PACKET_BYTES - 1), st.integers(1, 255))
def test_a_packet_that_was_changed_is_none(place: int, change: int) -> None:
    packet = bytearray(seal_packet(Kind.SUBMIT, b"a", RELAYS[0], RELAYS[1]))
    packet[place] ^= change
    assert open_packet(bytes(packet), FIRST) is None


def test_nonsense_inside_a_good_box_is_dropped() -> None:
    assert open_packet(box(), SECOND) == Arrived(Kind.SUBMIT, b"")
    assert open_packet(box(kind=0), SECOND) is None
    assert open_packet(box(kind=4), SECOND) is None
    assert open_packet(box(length=CONTENT_BYTES + 1), SECOND) is None
    assert open_packet(box(rest=bytes(CONTENT_BYTES - 1) + b"\x01"), SECOND) is None
    assert open_packet(box(rest=bytes(CONTENT_BYTES - 1)), SECOND) is None
    outer = seal_box(RELAYS[0].key, RELAYS[1].account + b"\xff" * (PACKET_BYTES - 48 - 20))
    forward = open_packet(outer, FIRST)
    assert isinstance(forward, Forward)
    assert open_packet(forward.packet, SECOND) is None


def test_relays_are_two_others_drawn_uniformly() -> None:
    relays = {relay.account: relay for relay in RELAYS}
    rng = random.Random(7)
    drawn = Counter(
        (first.account, second.account)
        for first, second in (draw_relays(relays, RELAYS[0].account, rng) for _ in range(6_000))
    )
    assert len(drawn) == 6
    assert all(first != second and RELAYS[0].account not in (first, second) for first, second in drawn)
    assert max(drawn.values()) - min(drawn.values()) < 200  # six standard deviations of the difference
    with pytest.raises(ValueError, match="1 relays of others: expected at least 2"):
        draw_relays({r.account: r for r in RELAYS[:2]}, RELAYS[0].account, rng)


def test_only_base64_of_the_one_length_is_unwrapped() -> None:
    data = bytes(range(100))
    assert unwrap(wrap(data), 100) == data
    text = wrap(data)["data"]
    nonsense: list[object] = [None, [], {}, {"data": 1}, {"data": text, "more": 1}, {"data": text[:-4]}]
    nonsense += [{"data": "!" * len(text)}, {"data": "é" * len(text)}, {"data": text[:-4] + "===="}]
    for content in nonsense:
        assert unwrap(content, 100) is None
    assert unwrap(wrap(data), 99) is None
