"""The door: HTTP and WebSocket, who may come in, and every kind of malformed request over the wire."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from node.rpc.dispatch import Dispatcher
from node.rpc.limits import MAX_TRACKED, RateLimits, TokenBucket
from node.rpc.methods import MethodTable
from node.rpc.server import RpcConfig, RpcListenError, RpcServer
from tests.rpc.harness import RunningNode

HEAD = b'{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"}'


def _error(answer: bytes) -> tuple[int, str]:
    error = json.loads(answer)["error"]
    return error["code"], error["message"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"hello", -32700),
        (b'{"jsonrpc":"2.0","id":1,', -32700),
        (b"\xff\x00\xfe", -32700),
        (b'{"jsonrpc":"2.0","id":NaN,"method":"eth_blockNumber"}', -32700),
        (b"[" * 200_000, -32700),
        (b"[]", -32600),
        (b"42", -32600),
        (json.dumps([1] * 1_001).encode(), -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_nonsense"}', -32601),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_getBalance"}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[1]}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":{"a":1}}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":[7,"latest"]}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}', -32601),
    ],
)
def test_malformed_requests_get_an_error_and_leave_the_server_well(node: RunningNode, body: bytes, code: int) -> None:
    status, answer = node.post(body)
    assert status == 200
    assert _error(answer)[0] == code
    assert node.result("eth_blockNumber").startswith("0x")


def test_messages_say_which_parameter(node: RunningNode) -> None:
    assert node.error("eth_getBalance")["message"] == "missing value for required argument 0 (address)"
    assert node.error("eth_chainId", 1)["message"] == "too many arguments, want at most 0, found 1"
    assert node.error("eth_getBalance", "0x12")["message"] == (
        "invalid argument 0 (address): expected an address as 0x and 40 hexadecimal digits, found '0x12'"
    )
    assert node.error("no_such")["message"] == "the method no_such does not exist/is not available"
    assert node.error("eth_getBalance", "0x" + "00" * 20, "0xffff")["message"].startswith("header not found: no block")


def test_batches_and_notifications(node: RunningNode) -> None:
    mixed = [
        {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"},
        {"jsonrpc": "2.0", "method": "eth_chainId"},
        7,
        {"jsonrpc": "2.0", "id": "b", "method": "nope"},
    ]
    status, answer = node.post(json.dumps(mixed).encode())
    found = json.loads(answer)
    assert status == 200
    assert [entry["id"] for entry in found] == [1, None, "b"]
    assert found[0]["result"] == "0x7e0"
    assert [found[1]["error"]["code"], found[2]["error"]["code"]] == [-32600, -32601]
    assert node.post(b'{"jsonrpc":"2.0","method":"eth_chainId"}') == (204, b"")
    assert node.post(b'[{"jsonrpc":"2.0","method":"eth_chainId"}]') == (204, b"")


def test_oversized_bodies_are_refused(node: RunningNode) -> None:
    status, answer = node.post(b'"' + b"x" * (5 * 1024 * 1024) + b'"')
    assert status == 413
    assert _error(answer) == (-32600, "request too large: expected at most 5242880 bytes")


def test_foreign_hosts_origins_and_content_types_stay_outside(node: RunningNode) -> None:
    status, answer = node.post(HEAD, Host="evil.example")
    assert status == 403
    assert "invalid host specified: 'evil.example'" in _error(answer)[1]
    for host in (f"localhost:{node.port}", "LOCALHOST", "[::1]:8545", "[::1]", "127.0.0.1"):
        assert node.post(HEAD, Host=host)[0] == 200
    assert node.post(HEAD, Host="")[0] in (400, 403)
    assert node.post(HEAD, Content_Type="text/plain")[0] == 415
    assert node.post(HEAD, Content_Encoding="br")[0] == 415
    assert node.post(HEAD, Origin="https://evil.example")[0] == 200  # without the header that lets a page read it

    async def job() -> None:
        async with aiohttp.ClientSession(node.url) as session:
            async with session.post(
                "/", data=HEAD, headers={"Content-Type": "application/json", "Origin": "http://a"}
            ) as r:
                assert "Access-Control-Allow-Origin" not in r.headers
            async with session.options("/", headers={"Origin": "http://a"}) as r:
                assert r.status == 403
            async with session.get("/") as r:
                assert r.status == 426
            async with session.put("/", data=b"x") as r:
                assert r.status == 405
                assert r.headers["Allow"] == "GET,HEAD,OPTIONS,POST"
            async with session.get("/elsewhere") as r:
                assert r.status == 404
                assert (await r.json())["error"]["code"] == -32600
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await session.ws_connect("/", origin="http://evil.example")

    asyncio.run(job())


def test_configured_origins_are_let_in(tmp_path: Path) -> None:
    config = RpcConfig(port=0, cors_origins=("http://wallet.example",), hosts=("*",))
    running = RunningNode(tmp_path / "chain", config)

    async def job() -> None:
        origin = {"Origin": "http://wallet.example", "Host": "any.example", "Content-Type": "application/json"}
        async with aiohttp.ClientSession(running.url) as session:
            async with session.options("/", headers=origin) as r:
                assert r.status == 204
                assert r.headers["Access-Control-Allow-Origin"] == "http://wallet.example"
            async with session.post("/", data=HEAD, headers=origin) as r:
                assert r.headers["Access-Control-Allow-Origin"] == "http://wallet.example"
            opened = await session.ws_connect("/", origin="http://wallet.example")
            await opened.close()

    asyncio.run(job())
    running.close()


def test_a_port_in_use_is_named(node: RunningNode, tmp_path: Path) -> None:
    second = RpcServer(node.backend, RpcConfig(port=node.port))
    with pytest.raises(RpcListenError, match=f"127.0.0.1:{node.port}.*expected a free port"):
        node.run(second.start())
    node.run(second.close())
    node.run(RpcServer(node.backend, RpcConfig(port=0)).close())


def test_garbage_on_the_port_is_answered_and_forgotten(node: RunningNode, caplog: pytest.LogCaptureFixture) -> None:
    for garbage in (
        b"\x16\x03\x01\x00\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nX: " + b"a" * 10_000 + b"\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", node.port), timeout=5) as connection:
            connection.sendall(garbage + b"\r\n\r\n")
            assert connection.recv(4_096).startswith(b"HTTP/1.")
    assert node.result("eth_blockNumber").startswith("0x")
    assert not [record for record in caplog.records if record.exc_info]  # a log that everybody can fill


# -- limits


def test_rate_limits_count_requests_of_a_connection() -> None:
    now = [0.0]
    bucket = TokenBucket(10, 20, lambda: now[0])
    assert bucket.take(20)
    assert not bucket.take(1)
    now[0] = 0.5
    assert not bucket.take(6)
    assert bucket.take(5)
    limits = RateLimits(1, 1, lambda: now[0])
    assert limits.of("a") is limits.of("a")
    first = limits.of("a")
    for index in range(MAX_TRACKED):
        limits.of(index)
    assert limits.of("a") is not first


def test_limits_are_errors(tmp_path: Path) -> None:
    config = RpcConfig(
        port=0, rate_per_s=0.001, burst=5, max_response_bytes=300, max_body_bytes=4_096, max_websockets=1
    )
    running = RunningNode(tmp_path / "chain", config)

    async def job() -> None:
        async with aiohttp.ClientSession(running.url) as session:
            first = await session.ws_connect("/")
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await session.ws_connect("/")
            assert caught.value.status == 503
            batch = [{"jsonrpc": "2.0", "id": i, "method": "web3_sha3", "params": ["0x"]} for i in range(4)]
            await first.send_str(json.dumps(batch))
            codes = [entry.get("error", {}).get("code") for entry in await first.receive_json()]
            assert codes == [None, None, -32003, -32003]
            await first.send_str(json.dumps(batch))
            assert (await first.receive_json())["error"]["code"] == -32005
            await first.send_str(HEAD.decode())
            assert "result" in await first.receive_json()
            await first.send_str("x" * 5_000)
            closed = await first.receive()
            assert closed.type is aiohttp.WSMsgType.CLOSE
            assert closed.data == aiohttp.WSCloseCode.MESSAGE_TOO_BIG

    asyncio.run(job())
    running.close()


def test_a_request_that_takes_too_long_is_answered(tmp_path: Path) -> None:
    running = RunningNode(tmp_path / "chain", RpcConfig(port=0, timeout_s=0.001))
    assert running.error("eth_call", {"data": "0x5b5f56", "gas": "0xf4240"}) == {
        "code": -32002,
        "message": "request timed out after 0.001 s",
    }
    running.close()


def test_a_batch_that_takes_too_long_is_answered_in_part() -> None:
    calls = []
    table = MethodTable()

    @table.method("eth_slow")
    async def slow(_context: Any) -> Any:
        """Answer at once the first time, then never."""
        calls.append(1)
        return await asyncio.Event().wait() if len(calls) > 1 else "0x1"

    async def job() -> Any:
        batch = [{"jsonrpc": "2.0", "id": index, "method": "eth_slow"} for index in range(100)]
        context: Any = SimpleNamespace(namespaces=frozenset({"eth"}))
        dispatcher = Dispatcher(table, 1_000, 1 << 20, timeout_s=0.05)
        return json.loads(await dispatcher.answer(json.dumps(batch), context, lambda _: True) or "")

    answers = asyncio.run(job())
    assert [answer["id"] for answer in answers] == list(range(100))
    assert answers[0]["result"] == "0x1"
    assert {answer["error"]["message"] for answer in answers[1:]} == {"request timed out after 0.05 s"}
    assert len(calls) == 2  # what is late is not begun


def test_a_call_that_never_ends_runs_out_of_gas(node: RunningNode) -> None:
    assert node.error("eth_call", {"data": "0x5b5f56", "gas": "0x30d40"}) == {"code": -32000, "message": "out of gas"}


# -- WebSocket


def test_a_websocket_takes_text_and_binary_and_answers_in_any_order(node: RunningNode) -> None:
    async def job() -> None:
        async with aiohttp.ClientSession(node.url) as session, session.ws_connect("/") as opened:
            await opened.send_str(HEAD.decode())
            assert (await opened.receive_json())["result"].startswith("0x")
            await opened.send_bytes(HEAD)
            assert (await opened.receive_json())["result"].startswith("0x")
            await opened.send_bytes(b"\xff")
            assert (await opened.receive_json())["error"]["code"] == -32700
            await opened.send_str('{"jsonrpc":"2.0","method":"eth_chainId"}')
            for number in range(100):
                await opened.send_json({"jsonrpc": "2.0", "id": number, "method": "eth_chainId"})
            assert {(await opened.receive_json())["id"] for _ in range(100)} == set(range(100))

    asyncio.run(job())


def test_a_server_that_closes_says_so(tmp_path: Path) -> None:
    running = RunningNode(tmp_path / "chain")

    async def job() -> Any:
        async with aiohttp.ClientSession(running.url) as session:
            opened = [await session.ws_connect("/") for _ in range(3)]
            closing = asyncio.to_thread(running.close)
            return (await asyncio.gather(closing, *(one.receive() for one in opened)))[1:]

    for message in asyncio.run(asyncio.wait_for(job(), 20)):
        assert (message.data, message.extra) == (aiohttp.WSCloseCode.GOING_AWAY, "the node is shutting down")


def test_subscriptions_have_bounds_and_errors(node: RunningNode) -> None:
    async def job() -> None:
        async with aiohttp.ClientSession(node.url) as session, session.ws_connect("/") as opened:

            async def ask(method: str, *params: Any) -> Any:
                await opened.send_json({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
                return await opened.receive_json()

            assert (await ask("eth_subscribe", "nonsense"))["error"]["code"] == -32601
            assert (await ask("eth_subscribe", "logs", {"address": 1}))["error"]["code"] == -32602
            assert (await ask("eth_subscribe", "logs", 7))["error"]["code"] == -32602
            assert (await ask("eth_subscribe"))["error"]["code"] == -32602
            assert (await ask("eth_unsubscribe", "0x00"))["result"] is False
            ids = [(await ask("eth_subscribe", "newHeads"))["result"] for _ in range(64)]
            assert all(len(identifier) == 34 for identifier in ids)
            assert (await ask("eth_subscribe", "newHeads"))["error"]["code"] == -32005
            assert (await ask("eth_unsubscribe", ids[0]))["result"] is True
            assert (await ask("eth_unsubscribe", ids[0]))["result"] is False

    asyncio.run(job())


def test_the_id_of_a_subscription_arrives_before_what_it_tells(own_node: RunningNode) -> None:
    async def job() -> list[Any]:
        async with aiohttp.ClientSession(own_node.url) as session, session.ws_connect("/") as opened:
            batch = [
                {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]},
                *({"jsonrpc": "2.0", "id": i, "method": "eth_getLogs", "params": [{}]} for i in range(2, 20)),
            ]
            await opened.send_json(batch)
            await asyncio.to_thread(own_node.mine)
            first = await opened.receive_json()
            await asyncio.to_thread(own_node.mine)
            second = await opened.receive_json()
            return [first, second]

    first, second = asyncio.run(asyncio.wait_for(job(), 20))
    assert first[0]["id"] == 1
    assert second["params"]["subscription"] == first[0]["result"]


def test_a_slow_subscriber_is_dropped_with_a_reason(tmp_path: Path) -> None:
    running = RunningNode(tmp_path / "chain", RpcConfig(port=0, max_queued_bytes=20_000))

    async def job() -> Any:
        async with aiohttp.ClientSession(running.url) as session:
            slow = await session.ws_connect("/", max_msg_size=0)
            for _ in range(64):
                await slow.send_json({"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]})
                await slow.receive_json()
            await asyncio.to_thread(running.mine)  # 64 heads of 1,700 bytes at once: more than may wait
            while True:
                message = await slow.receive()
                if message.type is not aiohttp.WSMsgType.TEXT:
                    return message

    message = asyncio.run(asyncio.wait_for(job(), 20))
    assert message.type is aiohttp.WSMsgType.CLOSE
    assert message.data == aiohttp.WSCloseCode.POLICY_VIOLATION
    assert message.extra == "too slow: more than 20000 bytes wait for this connection"
    assert running.result("eth_blockNumber") == "0x1"
    running.close()


def test_a_subscriber_that_does_not_read_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.rpc.session.CLOSE_TIMEOUT_S", 0.1)
    running = RunningNode(tmp_path / "chain", RpcConfig(port=0, max_queued_bytes=1_000_000))
    with socket.create_connection(("127.0.0.1", running.port), timeout=5) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.sendall(HANDSHAKE.format(port=running.port).encode())
        assert connection.recv(4_096).startswith(b"HTTP/1.1 101")
        for _ in range(64):
            connection.sendall(_frame(b'{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}'))
        running.run(_subscribed(running, 64))
        for _ in range(60):  # four thousand heads: more than the sockets' buffers and the queue hold
            running.mine()
        running.run(_none_open(running))
        assert running.result("eth_blockNumber") == hex(60)
    running.close()


HANDSHAKE = (
    "GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def _frame(payload: bytes) -> bytes:
    """Return a text frame of a client (masked with zeros)."""
    return bytes((0x81, 0x80 | len(payload))) + bytes(4) + payload


async def _subscribed(running: RunningNode, number: int) -> None:
    while len(running.server._context.feed) < number:  # type: ignore[union-attr]
        await asyncio.sleep(0)


async def _none_open(running: RunningNode) -> None:
    while running.server._sockets:
        await asyncio.sleep(0.01)
