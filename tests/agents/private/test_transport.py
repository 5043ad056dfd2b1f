"""Packets and envelopes on their way between the members of a street."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from nacl.public import PrivateKey

from agents.private.mail import (
    ENVELOPE_BYTES,
    MAX_MESSAGE_BYTES,
    MAX_SESSIONS,
    MessageTooLong,
    open_envelope,
    seal_envelope,
)
from agents.private.packets import PACKET_BYTES, Kind, seal_box, seal_packet
from agents.private.post import NoRelay
from agents.private.relay import MAIL, MAX_DELAY_S, MAX_WAITING_OF_PEER, RELAY, Seen, wrap
from tests.agents.private.wires import Wires, settled

CONTACT, OTHER = PrivateKey(b"c" * 32), PrivateKey(b"o" * 32)
KEY = bytes(CONTACT.public_key)


def test_a_transaction_reaches_one_node_by_way_of_two_others() -> None:
    async def scenario() -> None:
        wires = Wires(4)
        await wires.post(0).submit(b"transaction")
        await settled()
        assert [sent.agent for sent in wires.sent] == [RELAY, RELAY]
        first, second = (sent.endpoint for sent in wires.sent)
        assert len({wires.endpoint(0), first, second}) == 3
        ((number, transactions),) = wires.submitted.items()
        assert (wires.endpoint(number), transactions) == (second, [b"transaction"])
        assert len(wires.paused_s) == 2
        assert all(0 <= pause <= MAX_DELAY_S for pause in wires.paused_s)

    asyncio.run(scenario())


def test_an_envelope_reaches_every_household_and_one_session() -> None:
    async def scenario() -> None:
        wires = Wires(5)
        heard: list[Any] = []
        wires.mails[3].open_session(7, OTHER, lambda message: heard.append("wrong"))
        wires.mails[3].open_session(8, CONTACT, heard.append)
        await wires.post(0).write({"a": "b"}, KEY)
        await settled()
        assert heard == [{"a": "b"}]
        reached = {sent.endpoint for sent in wires.sent if sent.agent == MAIL}
        assert reached == {wires.endpoint(number) for number in range(5)}
        (envelope,) = {sent.data for sent in wires.sent if sent.agent == MAIL}
        wires.mails[3].hear(wrap(envelope))
        await settled()
        assert heard == [{"a": "b"}]
        wires.mails[3].close_session(8)
        await wires.post(0).write({"a": "c"}, KEY)
        await settled()
        assert heard == [{"a": "b"}]

    asyncio.run(scenario())


def test_an_envelope_given_to_one_household_comes_to_all() -> None:
    async def scenario() -> None:
        wires = Wires(8)
        heard: list[Any] = []
        wires.mails[6].open_session(8, CONTACT, heard.append)
        wires.mails[1].hear(wrap(seal_envelope({"a": 1}, KEY)))
        await settled()
        assert heard == [{"a": 1}]
        assert len([sent for sent in wires.sent if sent.agent == MAIL]) <= 8 * 3

    asyncio.run(scenario())


def test_what_goes_over_the_lines_has_one_size_whatever_it_is() -> None:
    async def scenario() -> None:
        wires = Wires(6)
        post = wires.post(2)
        await post.cover()
        await post.submit(bytes(5_000))
        await post.submit(b"")
        await post.write({}, KEY)
        await settled()
        assert len([sent for sent in wires.sent if sent.agent == RELAY]) == 8
        assert {len(sent.data) for sent in wires.sent if sent.agent == RELAY} == {PACKET_BYTES}
        assert {len(sent.data) for sent in wires.sent if sent.agent == MAIL} == {ENVELOPE_BYTES}
        assert sum(map(len, wires.submitted.values())) == 2

    asyncio.run(scenario())


def test_a_packet_goes_another_way_when_its_first_relay_is_silent() -> None:
    async def scenario() -> None:
        wires = Wires(4)
        wires.silent = {wires.endpoint(1), wires.endpoint(2)}
        post = wires.post(0)
        passed = 0
        for _ in range(20):
            try:
                await post.cover()
                passed += 1
            except NoRelay:
                pass
        assert 7 < passed < 20
        wires.silent.add(wires.endpoint(3))
        with pytest.raises(NoRelay, match="no relay took a packet in 3 attempts"):
            await post.cover()

    asyncio.run(scenario())


def test_a_relay_drops_nonsense_repeats_and_floods() -> None:
    async def scenario() -> None:
        wires = Wires(3)
        relay, relays = wires.agents[1], list(wires.relays.values())
        packet = seal_packet(Kind.SUBMIT, b"once", relays[0], relays[1])
        nonsense: list[object] = [{}, {"data": "x"}, [], None, wrap(b"short"), wrap(bytes(PACKET_BYTES)), wrap(packet)]
        for content in nonsense:
            relay.handle_message(content, {})
        assert relay.waiting == 0
        await wires.deliver(wires.endpoint(0), RELAY, wrap(packet))
        await wires.deliver(wires.endpoint(0), RELAY, wrap(packet))
        await settled()
        assert wires.submitted == {1: [b"once"]}
        for sent in list(wires.sent):
            changed = sent.data[:-1] + bytes([sent.data[-1] ^ 1])  # what fills up behind a second box
            await wires.deliver(sent.endpoint, RELAY, wrap(changed))
        await settled()
        assert wires.submitted == {1: [b"once"]}
        stranger = seal_box(relays[0].key, b"\xee" * 20 + bytes(PACKET_BYTES - 68))
        await wires.deliver(wires.endpoint(0), RELAY, wrap(stranger))
        wrong = seal_packet(Kind.DELIVER, b"too short for an envelope", relays[0], relays[1])
        await wires.deliver(wires.endpoint(0), RELAY, wrap(wrong))
        await settled()
        assert not [sent for sent in wires.sent if sent.agent == MAIL]
        for _ in range(MAX_WAITING_OF_PEER + 5):
            relay.handle_message(wrap(seal_packet(Kind.COVER, b"", relays[1], relays[2])), {"peer": "flood"})
        assert relay.waiting == MAX_WAITING_OF_PEER
        relay.handle_message(wrap(seal_packet(Kind.COVER, b"", relays[1], relays[2])), {"peer": "quiet"})
        assert relay.waiting == MAX_WAITING_OF_PEER + 1
        await settled()
        assert relay.waiting == 0

    asyncio.run(scenario())


def test_a_relay_goes_on_when_its_node_fails(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        wires = Wires(3)

        async def fail(transaction: bytes) -> None:
            raise OSError("no node")

        for agent in wires.agents:
            agent._submit = fail
        await wires.post(0).submit(b"lost")
        await settled()
        assert all(agent.waiting == 0 for agent in wires.agents)

    asyncio.run(scenario())
    assert "a packet was lost" in caplog.text


def test_envelopes_have_one_size_and_nonsense_is_none() -> None:
    for message in ({}, {"text": "x" * 900}, {"é": "ü" * 100}):
        envelope = seal_envelope(message, KEY)
        assert len(envelope) == ENVELOPE_BYTES
        assert open_envelope(envelope, CONTACT) == message
        assert open_envelope(envelope, OTHER) is None
        assert open_envelope(envelope[:-1] + bytes([envelope[-1] ^ 1]), CONTACT) is None
    with pytest.raises(MessageTooLong, match=f"expected at most {MAX_MESSAGE_BYTES}"):
        seal_envelope({"text": "x" * 1000}, KEY)
    room = ENVELOPE_BYTES - 48
    texts = (b"\x00\x02[]", b"\x00\x02{]", b"\x00\x01{", b"\x00\x02\xff\xff", b"\x00\x02{}\x01", b"")
    deep = b"\x03\xce" + b"[" * (room - 2)
    for said in (b"\xff" * room, bytes(room - 1) + b"\x01", deep, *(text.ljust(room, b"\x00") for text in texts)):
        assert open_envelope(seal_box(KEY, said), CONTACT) is None
    assert open_envelope(seal_box(KEY, b"short"), CONTACT) is None


def test_memory_is_bounded() -> None:
    seen = Seen(2)
    assert [seen.add(mark) for mark in (b"a", b"a", b"b", b"c", b"b", b"a")] == [True, False, True, True, False, True]

    async def scenario() -> None:
        wires = Wires(3)
        heard: list[Any] = []
        for window in range(MAX_SESSIONS + 1):
            wires.mails[0].open_session(window, CONTACT if window == 0 else OTHER, heard.append)
        wires.mails[0].hear(wrap(seal_envelope({}, KEY)))
        await settled()
        assert heard == []

    asyncio.run(scenario())
