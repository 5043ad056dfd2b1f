"""Real sockets on loopback: members talk, everyone else is refused, and nothing that arrives does harm."""

from __future__ import annotations

import asyncio
import datetime
import random
import socket
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import msgpack
import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from node.keys import node_key_of
from node.p2p import Channel, NetworkIdentity, PeerNetwork
from node.p2p.certificates import make_context, make_leaf, sign_leaf
from node.p2p.frames import Hello, InvalidFrame, decode_frame, decode_hello, encode_frame
from tests.node.samples import seed

CHAIN, GENESIS = 2016, bytes(32)
PATIENCE_S = 10.0
SEEDS = sorted((seed(f"p2p {i}") for i in range(4)), key=node_key_of)  # the first dials all others
KEYS = [node_key_of(s) for s in SEEDS]
LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


def leaf_of(secret: bytes, now: datetime.datetime) -> bytes:
    """Return a leaf of the node key with this seed."""
    return make_leaf(partial(sign_leaf, secret), now)


class Node:
    """A network with an inbox, and events to wait for instead of sleeping."""

    def __init__(self, index: int, *, chain: int = CHAIN, genesis: bytes = GENESIS, now: Any = None) -> None:
        self.inbox: asyncio.Queue[tuple[bytes, Channel, bytes]] = asyncio.Queue()
        self.ups: asyncio.Queue[bytes] = asyncio.Queue()
        self.complaints: asyncio.Queue[str] = asyncio.Queue()
        options = {} if now is None else {"now": now}
        self.network = PeerNetwork(
            NetworkIdentity(KEYS[index], partial(sign_leaf, SEEDS[index]), chain, genesis),
            {},
            ("127.0.0.1", 0),
            lambda key, channel, payload: self.inbox.put_nowait((key, channel, payload)),
            on_connect=self.ups.put_nowait,
            jitter=random.Random(index),
            **options,
        )
        self.network.complain = lambda remote, reason: self.complaints.put_nowait(reason)  # type: ignore[method-assign]


async def started(*nodes: Node, members: int = 4) -> None:
    """Start the nodes and tell each where the others listen."""
    await asyncio.gather(*(node.network.start() for node in nodes))
    ports = {node.network.node_key: ("127.0.0.1", node.network.port) for node in nodes}
    everyone = {key: ports.get(key, ("127.0.0.1", 1)) for key in KEYS[:members]}
    for node in nodes:
        await node.network.update_members(everyone)


async def closed(*nodes: Node) -> None:
    await asyncio.gather(*(node.network.close() for node in nodes))


async def soon(awaitable: Awaitable[Any]) -> Any:
    return await asyncio.wait_for(awaitable, PATIENCE_S)


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Any], None]:
    def runner(coroutine: Any) -> None:
        with asyncio.Runner(loop_factory=request.param, debug=True) as loop:
            loop.run(coroutine)

    return runner


def test_four_members_exchange_in_order(run: Callable[[Any], None]) -> None:
    async def scenario() -> None:
        nodes = [Node(i) for i in range(4)]
        await started(*nodes)
        for node in nodes:
            for _ in range(3):
                await soon(node.ups.get())
        big = bytes(300_000)
        for node in nodes:
            node.network.broadcast(Channel.CONSENSUS, b"first")
            node.network.broadcast(Channel.TRANSACTIONS, b"second")
            node.network.broadcast(Channel.CONSENSUS, big)
        for node in nodes:
            got = [await soon(node.inbox.get()) for _ in range(9)]
            for key in KEYS:
                if key != node.network.node_key:
                    mine = [(channel, payload) for sender, channel, payload in got if sender == key]
                    assert [payload for channel, payload in mine if channel is Channel.CONSENSUS] == [b"first", big]
                    assert (Channel.TRANSACTIONS, b"second") in mine
            assert [info.node_key for info in node.network.connected()] == sorted(set(KEYS) - {node.network.node_key})
        await closed(*nodes)

    run(scenario())


def test_a_member_that_restarts_is_connected_again(run: Callable[[Any], None]) -> None:
    async def scenario() -> None:
        low, high = Node(0), Node(1)
        await started(low, high, members=2)
        await soon(low.ups.get())
        port = high.network.port
        await high.network.close()
        again = Node(1)
        again.network._listen = ("127.0.0.1", port)
        await again.network.start()
        await again.network.update_members({KEYS[0]: ("127.0.0.1", low.network.port)})
        await soon(low.ups.get())
        await soon(again.ups.get())
        low.network.send(KEYS[1], Channel.CONSENSUS, b"welcome back")
        assert await soon(again.inbox.get()) == (KEYS[0], Channel.CONSENSUS, b"welcome back")
        await closed(low, again)

    run(scenario())


def of_version(node: Node, major: int, minor: int) -> Node:
    """Let a node say that it runs the software of another wire version."""
    node.network._hello = Hello(major, CHAIN, GENESIS, f"gridpact/{major}.{minor}", minor)
    return node


def test_another_major_version_is_refused_by_both_who_say_why(run: Callable[[Any], None]) -> None:
    async def scenario() -> None:
        ours, newer = of_version(Node(0), 1, 3), of_version(Node(1), 2, 0)
        await started(ours, newer, members=2)
        here, there = await soon(ours.complaints.get()), await soon(newer.complaints.get())
        assert "it speaks wire version 2.0 (gridpact/2.0), this node 1.3" in here
        assert "upgrade this node" in here
        assert "it speaks wire version 1.3 (gridpact/1.3), this node 2.0" in there
        assert "upgrade the other one" in there
        assert ours.network.connected() == newer.network.connected() == []
        await closed(ours, newer)

    run(scenario())


def test_a_newer_minor_version_is_welcome(run: Callable[[Any], None]) -> None:
    async def scenario() -> None:
        ours, newer = Node(0), of_version(Node(1), 1, 7)
        await started(ours, newer, members=2)
        await soon(ours.ups.get())
        await soon(newer.ups.get())
        newer.network.send(KEYS[0], Channel.CONSENSUS, b"as before")
        assert await soon(ours.inbox.get()) == (KEYS[1], Channel.CONSENSUS, b"as before")
        await closed(ours, newer)

    run(scenario())


def test_a_hello_is_read_whichever_minor_version_wrote_it() -> None:
    first = msgpack.packb([1, CHAIN, GENESIS, "old"])
    assert Hello(1, CHAIN, GENESIS, "old", 0).encode() == first  # what the first software takes
    assert decode_hello(first) == Hello(1, CHAIN, GENESIS, "old", 0)
    later = Hello(1, CHAIN, GENESIS, "new", 7)
    assert decode_hello(later.encode()) == later
    assert decode_hello(msgpack.packb([1, CHAIN, GENESIS, "newer", 8, ["what", 8, "adds"]])).minor == 8
    for wrong in (-1, True, "1", None):
        with pytest.raises(InvalidFrame):
            decode_hello(msgpack.packb([1, CHAIN, GENESIS, "new", wrong]))


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"chain": 1}, "chain_id: expected 2016, found 1"), ({"genesis": b"\1" * 32}, "genesis_hash: expected 0000")],
)
def test_a_member_of_another_chain_is_refused_with_the_reason(
    run: Callable[[Any], None], options: dict[str, Any], reason: str
) -> None:
    async def scenario() -> None:
        low, high = Node(0, **options), Node(1)
        await started(low, high, members=2)
        assert reason in await soon(high.complaints.get())
        assert high.network.connected() == []
        await closed(low, high)

    run(scenario())


def test_a_removed_member_loses_its_connection(run: Callable[[Any], None]) -> None:
    async def scenario() -> None:
        low, high = Node(0), Node(1)
        await started(low, high, members=2)
        await soon(high.ups.get())
        await high.network.update_members({})
        assert high.network.connected() == [] or await soon(low.complaints.get())
        await closed(low, high)

    run(scenario())


def test_strangers_and_garbage_are_refused_and_members_go_on(run: Callable[[Any], None]) -> None:
    async def scenario() -> None:
        low, high = Node(0), Node(1)
        await started(low, high, members=2)
        await soon(high.ups.get())
        port = high.network.port
        for garbage in (
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            bytes(range(256)) * 20,
            b"\x16\x03\x01\xff\xff" + bytes(600),
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(garbage)
            writer.write_eof()
            await soon(reader.read())
            writer.close()
        stranger = make_context(leaf_of(seed("stranger"), datetime.datetime.now(datetime.UTC)), KEYS, server=False)
        anonymous = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anonymous.check_hostname, anonymous.verify_mode = False, ssl.CERT_NONE
        for context in (stranger, anonymous):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await talk(port, context)
        low.network.send(KEYS[1], Channel.CONSENSUS, b"still here")
        assert (await soon(high.inbox.get()))[2] == b"still here"
        await closed(low, high)

    run(scenario())


async def talk(port: int, context: ssl.SSLContext) -> bytes:
    """Open TLS to a node and read what it says to a plain request."""
    loop = asyncio.get_running_loop()

    def blocking() -> bytes:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as raw,
            context.wrap_socket(raw, server_hostname="gridpact") as secure,
        ):
            secure.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = secure.recv(4096)
            if not answer:
                raise ConnectionError("closed")
            return answer

    return await loop.run_in_executor(None, blocking)


def test_an_expired_leaf_is_refused_and_a_renewed_one_accepted(run: Callable[[Any], None]) -> None:
    async def scenario() -> None:
        moment = datetime.datetime.now(datetime.UTC)
        clock = [moment - datetime.timedelta(days=9)]
        low, high = Node(0, now=lambda: clock[0]), Node(1)
        await started(low, high, members=2)
        assert "SSL" in await soon(low.complaints.get()) or high.network.connected() == []
        clock[0] = moment
        await soon(high.ups.get())
        await closed(low, high)

    run(scenario())


def test_a_full_queue_drops_instead_of_growing(run: Callable[[Any], None]) -> None:
    async def scenario() -> None:
        low, high = Node(0), Node(1)
        await started(low, high, members=2)
        await soon(low.ups.get())
        sent = [low.network.send(KEYS[1], Channel.TRANSACTIONS, bytes(400_000)) for _ in range(100)]
        assert sent[0] is True
        assert sent[-1] is False
        assert low.network.connected()[0].dropped_messages == sent.count(False)
        assert low.network.send(KEYS[1], Channel.CONSENSUS, b"votes go on")
        await closed(low, high)

    run(scenario())


def test_frames_read_back() -> None:
    messages = [(Channel.CONSENSUS, b"a"), (Channel.TRANSACTIONS, b"")]
    assert decode_frame(encode_frame(messages)) == messages


@given(st.binary(max_size=80))
def test_decoders_refuse_or_return_whatever_arrives(raw: bytes) -> None:
    for decode in (decode_frame, decode_hello):
        try:
            decode(raw)
        except InvalidFrame:
            continue


@pytest.mark.parametrize(
    "content", [[], [[3, b""]], [[1]], [[1, "text"]], {}, 5, [[1, bytes(7_000_000)]], [[True, b""]]]
)
def test_what_is_no_frame_is_refused(content: object) -> None:
    with pytest.raises(InvalidFrame):
        decode_frame(msgpack.packb(content))
