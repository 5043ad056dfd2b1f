"""The codec: one encoding for each value, and nothing but InvalidPeerMessage for anything else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.certificates import Certificate
from consensus.codec import (
    MAX_BLOCKS,
    MAX_HEIGHT,
    MAX_VIEW,
    InvalidPeerMessage,
    decode_certificate,
    decode_message,
    decode_record,
    encode_certificate,
    encode_message,
    encode_record,
)
from consensus.messages import (
    BlocksRequest,
    Body,
    BodyRequest,
    CertifiedBlock,
    Claim,
    Departure,
    Message,
    NewView,
    Proposal,
    Recall,
    Recalled,
    Record,
    Status,
    ViewChange,
)
from consensus.types import MAX_VALIDATORS, Epoch, Height, Phase, SignedVote, View, Vote

MAX_BODY_BYTES = 64

heights = st.integers(0, MAX_HEIGHT - 1).map(Height)
views = st.integers(0, MAX_VIEW - 1).map(View)
hashes = st.binary(min_size=32, max_size=32)
signatures = st.binary(min_size=64, max_size=64)
bodies = st.binary(max_size=MAX_BODY_BYTES)
masks = st.integers(0, 2**MAX_VALIDATORS - 1)


def votes(*phases: Phase) -> st.SearchStrategy[SignedVote]:
    fields = st.builds(Vote, heights.map(Epoch), heights, views, st.sampled_from(phases), hashes)
    return st.builds(SignedVote, fields, hashes, signatures)


@st.composite
def certificates(draw: st.DrawFn) -> Certificate:
    size = draw(st.integers(0, 5))
    phase = draw(st.sampled_from((Phase.PREPARE, Phase.COMMIT)))
    pairs = [(draw(hashes), draw(signatures)) for _ in range(size)]
    numbers = (draw(heights), Epoch(draw(heights)), draw(views))
    return Certificate(*numbers, phase, draw(hashes), tuple(a for a, _ in pairs), tuple(b for _, b in pairs))


view_changes = st.builds(ViewChange, votes(Phase.VIEW_CHANGE), st.none() | certificates())


departures = st.builds(Departure, hashes, signatures, st.none() | st.builds(Claim, views, hashes))
new_views = st.builds(
    NewView,
    heights.map(Epoch),
    heights,
    views,
    st.lists(departures, max_size=4).map(tuple),
    st.none() | certificates(),
)


messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(Proposal, votes(Phase.PROPOSE), bodies),
    votes(Phase.PROPOSE, Phase.PREPARE, Phase.COMMIT),
    view_changes,
    new_views,
    st.just(Recall()),
    st.builds(Recalled, heights, st.lists(votes(*Phase), max_size=4).map(tuple)),
    st.builds(Status, heights, views, st.booleans(), st.booleans(), masks, masks, masks),
    st.builds(BlocksRequest, heights, st.integers(0, MAX_BLOCKS)),
    st.builds(CertifiedBlock, bodies, certificates()),
    st.builds(BodyRequest, heights, hashes),
    st.builds(Body, heights, bodies),
)
records: st.SearchStrategy[Record] = st.one_of(
    votes(*Phase), view_changes, certificates(), st.builds(Body, heights, bodies)
)


@given(messages)
def test_messages_come_back(message: Message) -> None:
    assert decode_message(encode_message(message), max_body_bytes=MAX_BODY_BYTES) == message


@given(records)
def test_records_come_back(record: Record) -> None:
    assert decode_record(encode_record(record), max_body_bytes=MAX_BODY_BYTES) == record


@given(certificates())
def test_certificates_come_back(certificate: Certificate) -> None:
    assert decode_certificate(encode_certificate(certificate)) == certificate


@settings(max_examples=400)
@given(
    st.binary(max_size=600) | st.tuples(st.integers(0, 13), st.binary(max_size=600)).map(lambda p: bytes([p[0]]) + p[1])
)
def test_any_bytes_are_one_message_or_are_refused(payload: bytes) -> None:
    try:
        message = decode_message(payload, max_body_bytes=MAX_BODY_BYTES)
    except InvalidPeerMessage:
        return
    assert encode_message(message) == payload


@settings(max_examples=400)
@given(messages, st.data())
def test_a_damaged_message_is_another_message_or_is_refused(message: Message, data: st.DataObject) -> None:
    payload = bytearray(encode_message(message))
    at = data.draw(st.integers(0, len(payload) - 1))
    payload[at] ^= data.draw(st.integers(1, 255))
    for damaged in (bytes(payload), bytes(payload[:at]), bytes(payload) + b"\x00"):
        try:
            decoded = decode_message(damaged, max_body_bytes=MAX_BODY_BYTES)
        except InvalidPeerMessage:
            continue
        assert encode_message(decoded) == damaged


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "0 bytes end before byte 1"),
        (b"\x0a", "tag 10 is no message's"),
        (b"\xff" * 8, "tag 255 is no message's"),
        (b"\x06" + (MAX_HEIGHT).to_bytes(8, "big") + b"\x00\x01", "height"),
        (b"\x06" + bytes(8) + b"\x00\x11", "count 17, expected less than 17"),
        (b"\x0c" + bytes(8) + b"\x00\x81", "votes 129, expected less than 129"),
        (b"\x04" + bytes(24) + b"\xff\xff", "view changes 65535"),
        (b"\x09" + bytes(8) + b"\x00\x00\x00\x41" + bytes(65), "body length 65"),
        (b"\x09" + bytes(8) + b"\x00\x00\x00\x02" + bytes(3), "1 bytes too many"),
        (b"\x05" + bytes(16) + b"\x02", "flag 2"),
    ],
)
def test_refusals_say_what_was_wrong(payload: bytes, reason: str) -> None:
    with pytest.raises(InvalidPeerMessage, match=reason):
        decode_message(payload, max_body_bytes=MAX_BODY_BYTES)


def test_a_vote_of_the_wrong_phase_is_no_message() -> None:
    vote = SignedVote(Vote(Epoch(0), Height(1), View(0), Phase.VIEW_CHANGE, bytes(32)), bytes(32), bytes(64))
    with pytest.raises(InvalidPeerMessage, match="phase 4"):
        decode_message(encode_message(vote), max_body_bytes=MAX_BODY_BYTES)
