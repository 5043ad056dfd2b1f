"""What strangers and faulty members may try: refused, bounded, and everyone else goes on."""

from __future__ import annotations

import asyncio
import datetime
import logging
import random
import socket
import ssl
import tracemalloc
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgpack
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from node.p2p import Channel
from node.p2p import peer as peer_module
from node.p2p.certificates import LEAF_LIFETIME, UnknownPeer, make_context, peer_key
from node.p2p.frames import (
    MAX_FRAME_BYTES,
    MAX_MESSAGES,
    MAX_PAYLOAD_BYTES,
    WIRE_MAJOR,
    Hello,
    InvalidFrame,
    Offence,
    decode_frame,
    encode_frame,
)
from node.p2p.peer import QUEUE_MESSAGES
from tests.node.samples import seed
from tests.p2p.test_network import CHAIN, GENESIS, KEYS, SEEDS, Node, closed, leaf_of, soon, started

NOWHERE = ("127.0.0.1", 1)
HELLO = Hello(WIRE_MAJOR, CHAIN, GENESIS, "test").encode()
Run = Callable[[Any], None]


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def client_context(who: int = 0) -> ssl.SSLContext:
    return make_context(leaf_of(SEEDS[who], now()), KEYS, server=False)


async def listening(*members: int, **options: Any) -> Node:
    """Start node 1, which then waits for members to come."""
    node = Node(1, **options)
    await node.network.start()
    await node.network.update_members({KEYS[i]: NOWHERE for i in members})
    return node


@asynccontextmanager
async def websocket(node: Node, who: int = 0) -> Any:
    """Connect to a node as a member that says whatever the test wants."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(
            f"https://127.0.0.1:{node.network.port}/",
            ssl=client_context(who),
            server_hostname="gridpact",
            compress=0,
            autoclose=False,
        ) as connection,
    ):
        yield connection


async def request(
    port: int, context: ssl.SSLContext, *, sni: str | None = "gridpact", session: ssl.SSLSession | None = None
) -> tuple[bytes, ssl.SSLSession | None]:
    """Send a plain request over TLS; return the answer (nothing, if the connection was cut) and the TLS session."""

    def blocking() -> tuple[bytes, ssl.SSLSession | None]:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
            try:
                with context.wrap_socket(raw, server_hostname=sni, session=session) as secure:
                    secure.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                    return secure.recv(4096), secure.session
            except (ssl.SSLError, ConnectionError):
                return b"", None

    return await asyncio.get_running_loop().run_in_executor(None, blocking)


GARBAGE = {
    "nothing": b"",
    "a newline": b"\n",
    "plain HTTP": b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
    "random": random.Random(1).randbytes(20_000),
    "a TLS record longer than allowed": b"\x16\x03\x01\xff\xff" + bytes(600),
    "half a client hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40),
    "an alert": b"\x15\x03\x03\x00\x02\x02\x28",
    "application data first": b"\x17\x03\x03\x00\x10" + bytes(16),
}


def test_garbage_of_every_shape_is_cut_off_and_members_go_on(run: Run) -> None:
    async def scenario() -> None:
        low, high = Node(0), Node(1)
        await started(low, high, members=2)
        await soon(high.ups.get())
        for name, garbage in GARBAGE.items():
            reader, writer = await asyncio.open_connection("127.0.0.1", high.network.port)
            writer.write(garbage)
            writer.write_eof()
            answer = await soon(reader.read())
            assert len(answer) < 100, name  # an alert at most
            writer.close()
        _, resetting = await asyncio.open_connection("127.0.0.1", high.network.port)
        resetting.write(GARBAGE["half a client hello"])
        resetting.transport.abort()
        low.network.send(KEYS[1], Channel.CONSENSUS, b"still here")
        assert (await soon(high.inbox.get()))[2] == b"still here"
        await closed(low, high)

    run(scenario())


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (b"\xc1", "no msgpack"),
        (b"", "no msgpack"),
        (bytes(2_000), "2000 bytes, at most 1024"),
        (msgpack.packb([1, CHAIN, GENESIS]), "expected a hello"),
        (msgpack.packb([True, CHAIN, GENESIS, "x"]), "expected a hello"),
        (Hello(2, CHAIN, GENESIS, "x").encode(), "it speaks wire version 2.0 (x), this node 1.0"),
        ("text", "BINARY"),
    ],
)
def test_a_wrong_hello_is_refused_with_the_reason(run: Run, frame: bytes | str, said: str) -> None:
    async def scenario() -> None:
        node = await listening(0)
        async with websocket(node) as connection:
            await connection.receive_bytes()
            await (connection.send_str(frame) if isinstance(frame, str) else connection.send_bytes(frame))
            closing = await soon(connection.receive())
            assert closing.type is aiohttp.WSMsgType.CLOSE
            assert closing.data == aiohttp.WSCloseCode.POLICY_VIOLATION
            assert said in closing.extra
        assert said in await soon(node.complaints.get())
        assert node.network.connected() == []
        await node.network.close()

    run(scenario())


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (msgpack.packb([[9, b"x"]]), "expected channel 1 or 2, found 9"),
        (msgpack.packb([[2, bytes(MAX_PAYLOAD_BYTES[Channel.TRANSACTIONS] + 1)]]), "on channel TRANSACTIONS"),
        (msgpack.packb([]), "expected a list of 1 to"),
        (b"\xc1\xc1", "no msgpack"),
        (bytes(MAX_FRAME_BYTES + 1), ""),  # cut off by the length in its header, before it is read
    ],
    ids=["channel", "payload", "empty", "no msgpack", "oversize"],
)
def test_a_wrong_frame_ends_the_connection_and_nothing_is_handed_on(run: Run, frame: bytes, said: str) -> None:
    async def scenario() -> None:
        node = await listening(0)
        async with websocket(node) as connection:
            await connection.send_bytes(HELLO)
            await soon(node.ups.get())
            await connection.receive_bytes()
            try:
                await connection.send_bytes(frame)
                message = await soon(connection.receive())
            except ConnectionError:  # cut while the oversize frame was still being sent
                message = aiohttp.WSMessage(aiohttp.WSMsgType.CLOSED, None, None)
            assert message.type is not aiohttp.WSMsgType.BINARY
            assert said in (message.extra or "") or message.type is not aiohttp.WSMsgType.CLOSE
        assert node.inbox.empty()
        await node.network.close()

    run(scenario())


def test_who_sends_too_many_messages_is_cut_off(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_module, "RATE_MESSAGES", 2 * MAX_MESSAGES)

    async def scenario() -> None:
        node = await listening(0)
        async with websocket(node) as connection:
            await connection.send_bytes(HELLO)
            await soon(node.ups.get())
            await connection.receive_bytes()
            frame = encode_frame([(Channel.CONSENSUS, b"")] * MAX_MESSAGES)
            for _ in range(6):
                await connection.send_bytes(frame)
            closing = await soon(connection.receive())
            assert closing.extra == "too much a second"
        assert node.inbox.qsize() < 6 * MAX_MESSAGES
        await node.network.close()

    run(scenario())


def test_a_new_connection_of_a_member_replaces_the_one_before(run: Run) -> None:
    async def scenario() -> None:
        node = await listening(0, 2)
        async with websocket(node) as first, websocket(node, 2) as other, websocket(node) as second:
            for connection in (first, other, second):
                await connection.send_bytes(HELLO)
                await soon(node.ups.get())
                await connection.receive_bytes()
            assert (await soon(first.receive())).type is not aiohttp.WSMsgType.BINARY
            assert [info.node_key for info in node.network.connected()] == [KEYS[0], KEYS[2]]
            node.network.broadcast(Channel.CONSENSUS, b"once")
            for connection in (second, other):
                assert decode_frame(await soon(connection.receive_bytes())) == [(Channel.CONSENSUS, b"once")]
        await node.network.close()

    run(scenario())


def test_a_removed_member_is_refused_with_and_without_a_server_name_or_a_ticket(run: Run) -> None:
    async def scenario() -> None:
        node = await listening(0, 2)
        context = client_context()
        answer, ticket = await request(node.network.port, context)
        assert answer.startswith(b"HTTP/1.1 400")  # known, but that was no WebSocket
        await node.network.update_members({KEYS[2]: NOWHERE})
        for name in ("gridpact", None):
            assert (await request(node.network.port, context, sni=name))[0] == b""
        answer, _ = await request(node.network.port, context, session=ticket)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 403")
        await node.network.close()

    run(scenario())


def test_a_leaf_is_renewed_for_new_connections_and_live_ones_go_on(run: Run) -> None:
    async def scenario() -> None:
        clock = [now() - LEAF_LIFETIME / 2]
        node = await listening(0, 2, now=lambda: clock[0])

        def leaf_of(connection: Any) -> bytes:
            return bytes(connection.get_extra_info("ssl_object").getpeercert(True))

        async with websocket(node) as before, websocket(node, 2) as same:
            await before.send_bytes(HELLO)
            await soon(node.ups.get())
            assert leaf_of(before) == leaf_of(same)
            clock[0] += LEAF_LIFETIME / 2
            async with websocket(node, 2) as after:
                assert leaf_of(after) != leaf_of(before)
                assert peer_key(leaf_of(after), KEYS) == peer_key(leaf_of(before), KEYS) == KEYS[1]
            await before.send_bytes(encode_frame([(Channel.CONSENSUS, b"over the old leaf")]))
            assert (await soon(node.inbox.get()))[2] == b"over the old leaf"
        await node.network.close()

    run(scenario())


def test_a_taken_port_is_an_error_and_closing_leaves_nothing_running(run: Run) -> None:
    async def scenario() -> None:
        first, second = Node(0), Node(1)
        await first.network.start()
        second.network._listen = ("127.0.0.1", first.network.port)
        with pytest.raises(OSError, match=r"in use|address"):
            await second.network.start()
        await closed(first, second)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(scenario())


def leaf(issuer: bytes, signer: Ed25519PrivateKey) -> bytes:
    """Return a leaf (DER) that says it was issued by `issuer`."""
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in ("leaf", issuer.hex())]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(names[0])
        .issuer_name(names[1])
        .public_key(ec.generate_private_key(ec.SECP256R1()).public_key())
        .serial_number(7)
        .not_valid_before(now() - datetime.timedelta(hours=1))
        .not_valid_after(now() + datetime.timedelta(hours=1))
        .sign(signer, None)
    )
    return certificate.public_bytes(Encoding.DER)


def test_a_leaf_counts_only_with_the_signature_of_the_member_it_names() -> None:
    member = Ed25519PrivateKey.from_private_bytes(SEEDS[0])
    assert peer_key(leaf(KEYS[0], member), KEYS) == KEYS[0]
    zeros = Ed25519PrivateKey.from_private_bytes(bytes(32))  # signs the anchors, which everyone can make
    for issuer, signer in ((KEYS[1], member), (KEYS[0], zeros), (zeros.public_key().public_bytes_raw(), zeros)):
        with pytest.raises(UnknownPeer):
            peer_key(leaf(issuer, signer), KEYS)
    with pytest.raises(UnknownPeer):
        peer_key(None, KEYS)


MESSAGES = st.lists(st.tuples(st.sampled_from(Channel), st.binary(max_size=60)), min_size=1, max_size=8)


@given(MESSAGES)
def test_frames_round_trip(messages: list[tuple[Channel, bytes]]) -> None:
    assert decode_frame(encode_frame(messages)) == messages


@given(MESSAGES, st.data())
def test_altered_frames_are_refused_or_are_frames(messages: list[tuple[Channel, bytes]], data: st.DataObject) -> None:
    raw = bytearray(encode_frame(messages))
    place = data.draw(st.integers(0, len(raw) - 1))
    for altered in (raw[:place], raw + b"\0", raw[:place] + bytes([data.draw(st.integers(0, 255))]) + raw[place + 1 :]):
        try:
            assert all(len(p) <= MAX_PAYLOAD_BYTES[c] for c, p in decode_frame(bytes(altered)))
        except InvalidFrame:
            continue


# -- known faults: each says what should hold, and turns red when it does


def test_a_frame_takes_little_more_memory_than_its_bytes() -> None:
    row = b"\xdc\x07\xd0" + b"\x90" * 2_000  # a row of 2,000 empty lists
    raw = b"\xdc\x00\xfa" + row * 250
    tracemalloc.start()
    try:
        with pytest.raises(InvalidFrame):
            decode_frame(raw)
        assert tracemalloc.get_traced_memory()[1] < 4 * len(raw)
    finally:
        tracemalloc.stop()


def test_a_flood_of_transactions_leaves_room_for_votes(run: Run) -> None:
    async def scenario() -> None:
        node = await listening(0)
        try:
            async with websocket(node) as connection:
                await connection.send_bytes(HELLO)
                await soon(node.ups.get())
                for _ in range(QUEUE_MESSAGES):
                    node.network.send(KEYS[0], Channel.TRANSACTIONS, b"t")
                assert node.network.send(KEYS[0], Channel.CONSENSUS, b"vote")
        finally:
            await node.network.close()

    run(scenario())


def test_a_member_removed_during_its_hello_stays_out(run: Run) -> None:
    async def scenario() -> None:
        node = await listening(0)
        try:
            async with websocket(node) as connection:
                await connection.receive_bytes()
                await node.network.update_members({})
                await connection.send_bytes(HELLO)
                waiting = {asyncio.ensure_future(connection.receive()), asyncio.ensure_future(node.ups.get())}
                _, pending = await asyncio.wait(waiting, timeout=5, return_when=asyncio.FIRST_COMPLETED)
                for task in pending:
                    task.cancel()
                assert node.network.connected() == []
        finally:
            await node.network.close()

    run(scenario())


def test_an_offence_ends_the_connection_and_what_came_with_it(run: Run) -> None:
    async def scenario() -> None:
        node = await listening(0)
        seen: list[bytes] = []

        def handle(_: bytes, channel: Channel, payload: bytes) -> None:
            seen.append(payload)
            if payload == b"wrong":
                raise Offence("a proof that does not hold")

        node.network._on_message = handle
        try:
            async with websocket(node) as connection:
                await connection.send_bytes(HELLO)
                await soon(node.ups.get())
                messages = [(Channel.TRANSACTIONS, payload) for payload in (b"right", b"wrong", b"later")]
                await connection.send_bytes(encode_frame(messages))
                await soon(connection.receive_bytes())  # the node's hello
                ended = await soon(connection.receive())
                assert (ended.type, ended.data) == (aiohttp.WSMsgType.CLOSE, aiohttp.WSCloseCode.POLICY_VIOLATION)
                assert ended.extra == "a proof that does not hold"
            assert seen == [b"right", b"wrong"]
        finally:
            await node.network.close()

    run(scenario())


@pytest.mark.parametrize("which", ["_on_message", "_on_connect"])
def test_an_error_in_a_callback_does_not_end_dialling(run: Run, which: str) -> None:
    async def scenario() -> None:
        low, high = Node(0), Node(1)

        def fails(*_: object) -> None:
            raise ZeroDivisionError

        setattr(low.network, which, fails)
        try:
            await started(low, high, members=2)
            await soon(high.ups.get())
            high.network.send(KEYS[0], Channel.CONSENSUS, b"x")
            done, _ = await asyncio.wait(low.network._dialling.values(), timeout=1)
            assert not done
        finally:
            await closed(low, high)

    run(scenario())


def test_a_stranger_is_logged(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        node = await listening(0)
        del node.network.complain  # the real one again
        stranger = make_context(leaf_of(seed("stranger"), now()), KEYS, server=False)
        with caplog.at_level(logging.DEBUG, logger="p2p"):
            for _ in range(3):
                assert (await request(node.network.port, stranger))[0] == b""
        await node.network.close()
        assert len([record for record in caplog.records if getattr(record, "remote", "") == "a stranger"]) == 1

    run(scenario())
