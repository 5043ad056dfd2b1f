from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mango import Agent

from agents.messaging import (
    MAX_MESSAGE_BYTES,
    AddressInUse,
    AgentContainer,
    CarefulAgent,
    InvalidEndpoint,
    endpoint_text,
    parse_endpoint,
    read_message,
)


class Listener(Agent):
    """Keeps what it hears."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: asyncio.Queue[Any] = asyncio.Queue()

    def handle_message(self, content: Any, meta: dict[str, Any]) -> None:
        self.heard.put_nowait((content, meta))


def framed(payload: bytes) -> bytes:
    return len(payload).to_bytes(4, "big") + payload


def wrapped(content: object, receiver: object = "seller") -> bytes:
    return json.dumps({"__type__": [1, {"content": content, "meta": {"receiver_id": receiver, "reply": 1}}]}).encode()


async def _listening() -> tuple[AgentContainer, Listener]:
    container = AgentContainer(("127.0.0.1", 0))
    listener = container.register(Listener(), "seller")
    await container.start()
    return container, listener


def test_endpoints() -> None:
    assert parse_endpoint(endpoint_text(("127.0.0.1", 9001))) == ("127.0.0.1", 9001)
    for text in ("", "127.0.0.1:9001", "tcp://127.0.0.1", "tcp://:1", "tcp://h:0", "tcp://h:65536", "tcp://h:x"):
        with pytest.raises(InvalidEndpoint, match="expected tcp://HOST:PORT"):
            parse_endpoint(text)


def test_a_message_reaches_the_addressed_agent_with_nothing_but_its_content() -> None:
    async def scenario() -> None:
        here, listener = await _listening()
        there = AgentContainer(("127.0.0.1", 0))
        await there.start()
        try:
            assert await there.deliver(endpoint_text(here.addr), "seller", {"a": 1})
            content, meta = await asyncio.wait_for(listener.heard.get(), 5)
            assert content == {"a": 1}
            assert meta["sender_id"] is None
            assert await there.deliver(endpoint_text(here.addr), "nobody", {"a": 2})
            assert await there.deliver(endpoint_text(here.addr), "seller", {"a": 3})
            assert (await asyncio.wait_for(listener.heard.get(), 5))[0] == {"a": 3}
            assert not await there.deliver("tcp://127.0.0.1:1", "seller", {})
            assert not await there.deliver("nonsense", "seller", {})
        finally:
            await there.shutdown()
            await here.shutdown()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff" * 100,
        (MAX_MESSAGE_BYTES + 1).to_bytes(4, "big"),
        framed(b"not json"),
        framed(wrapped("no table")),
        framed(wrapped({}, receiver=["seller"])),
        framed(b'{"__type__": [1, {"content": {}, "meta": null}]}'),
        framed(b"[" * 16_000),
    ],
)
def test_garbage_closes_the_connection_and_the_agent_goes_on(garbage: bytes) -> None:
    async def scenario() -> None:
        here, listener = await _listening()
        try:
            reader, writer = await asyncio.open_connection(*here.addr)
            writer.write(garbage)
            assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()
            _, writer = await asyncio.open_connection(*here.addr)
            writer.write(framed(wrapped({"still": "here"})))
            assert (await asyncio.wait_for(listener.heard.get(), 5))[0] == {"still": "here"}
            writer.close()
        finally:
            await here.shutdown()

    asyncio.run(scenario())


class Clumsy(CarefulAgent):
    """Fails at the first message."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: asyncio.Queue[Any] = asyncio.Queue()

    def hear(self, content: Any) -> None:
        if "number" not in content:
            raise KeyError("number")
        self.heard.put_nowait(content)


def test_an_agent_goes_on_hearing_after_a_message_that_it_failed_at(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        here = AgentContainer(("127.0.0.1", 0))
        clumsy = here.register(Clumsy(), "seller")
        await here.start()
        try:
            _, writer = await asyncio.open_connection(*here.addr)
            writer.write(framed(wrapped({"word": 1})) + framed(wrapped({"number": 2})))
            assert await asyncio.wait_for(clumsy.heard.get(), 5) == {"number": 2}
            writer.close()
        finally:
            await here.shutdown()

    asyncio.run(scenario())
    assert "message left unanswered by seller" in caplog.text


def test_an_address_in_use_is_named() -> None:
    async def scenario() -> None:
        here, _ = await _listening()
        try:
            with pytest.raises(AddressInUse, match=f"listen 127.0.0.1:{here.addr[1]}"):
                await AgentContainer(here.addr).start()
        finally:
            await here.shutdown()

    asyncio.run(scenario())


@given(st.binary(max_size=200))
def test_bytes_are_a_message_or_nothing(payload: bytes) -> None:
    assert read_message(payload) is None


def test_no_object_comes_out_of_json() -> None:
    tricky = {"__type__": [1, {"content": {"__type__": [7, "x"]}, "meta": {"receiver_id": "seller"}}]}
    assert read_message(json.dumps(tricky).encode()) == ("seller", {"__type__": [7, "x"]})
