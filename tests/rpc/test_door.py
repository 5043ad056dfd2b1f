"""The door: credentials by namespace, gzip, origins and hosts, and clients that are slow, idle or many."""

from __future__ import annotations

import asyncio
import gzip
import json
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest

from node.parsing import ConfigError, Table
from node.rpc.access import Access, Unauthorized
from node.rpc.browsers import Browsers
from node.rpc.gate import FILES_BESIDE, file_room
from node.rpc.packing import takes_gzip
from node.rpc.settings import OPEN_NAMESPACES, RpcConfig, TokenFile, read_settings
from tests.rpc.harness import RunningNode

HEAD = b'{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"}'
GUARDED = b'{"jsonrpc":"2.0","id":1,"method":"txpool_status"}'
SECRET = bytes(range(32))
STATIC = "0123456789abcdef0123456789abcdef"
NOW_S = 1_800_000_000.0


def _private(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def _token(key: bytes | None = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    return "Bearer " + jwt.encode({"iat": NOW_S, "namespaces": ["admin"], **claims}, key, algorithm)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> RpcConfig:
    folder = tmp_path_factory.mktemp("door")
    return RpcConfig(
        port=0,
        open=("eth", "rpc"),
        tokens=(TokenFile(_private(folder / "token", STATIC + "\n"), ("txpool",)),),
        jwt_secret=_private(folder / "secret", "0x" + SECRET.hex() + "\n"),
        cors_origins=("https://*.example", "http://wallet.test"),
        hosts=("node.home",),
        max_batch=10,
    )


@pytest.fixture(scope="module")
def guarded(config: RpcConfig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    running = RunningNode(tmp_path_factory.mktemp("guarded") / "chain", config)
    yield running
    running.close()


# -- credentials


def test_a_token_opens_its_namespaces(config: RpcConfig) -> None:
    access = Access(config, lambda: NOW_S)
    assert access.namespaces(None) == {"eth", "rpc"}
    assert access.namespaces(f"Bearer {STATIC}") == {"eth", "rpc", "txpool"}
    assert access.namespaces(f"bearer  {STATIC} ") == {"eth", "rpc", "txpool"}
    assert access.namespaces(_token()) == {"eth", "rpc", "admin"}
    assert access.namespaces(_token(iat=NOW_S - 59)) == access.namespaces(_token(iat=NOW_S + 59))
    assert "*" in access.namespaces(_token(namespaces=["*"], iat=NOW_S - 86_400, exp=NOW_S + 1))


HS512 = "Bearer " + jwt.encode({"iat": NOW_S, "namespaces": ["admin"]}, SECRET + SECRET, "HS512")


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic " + STATIC,
        "Bearer " + STATIC[:-1],
        "Bearer " + STATIC + "0",
        "Bearer \udcff",
        "Bearer a.b.c",
        "Bearer " + "x" * 5_000,
        _token(key=bytes(32)),
        HS512,
        _token(algorithm="none", key=None),
        _token(iat=NOW_S - 61),
        _token(iat=NOW_S + 61),
        _token(iat=NOW_S - 100, exp=NOW_S - 1),
        _token(nbf=NOW_S + 100),
        _token(iat=None),
        _token(iat="soon"),
        _token(iat=True),
        _token(exp="never"),
        _token(namespaces="admin"),
        _token(namespaces=[1]),
        _token(namespaces=None),
    ],
)
def test_other_credentials_are_refused(config: RpcConfig, authorization: str) -> None:
    with pytest.raises(Unauthorized, match=r"^unauthorized: "):
        Access(config, lambda: NOW_S).namespaces(authorization)


def test_files_must_be_private_and_well_formed(tmp_path: Path) -> None:
    def expect(reason: str, **options: Any) -> None:
        with pytest.raises(ConfigError, match=reason):
            Access(RpcConfig(**options), lambda: NOW_S)

    shared = _private(tmp_path / "shared", STATIC)
    shared.chmod(0o640)
    expect("nobody else can read", tokens=(TokenFile(shared, ("admin",)),))
    expect("nobody else can read", jwt_secret=shared)
    expect("a readable file", jwt_secret=tmp_path / "absent")
    expect("64 hexadecimal digits", jwt_secret=_private(tmp_path / "short", "00" * 31))
    expect("64 hexadecimal digits", jwt_secret=_private(tmp_path / "words", "secret"))
    expect("32 or more", tokens=(TokenFile(_private(tmp_path / "brief", "x" * 31), ("admin",)),))
    expect("no spaces", tokens=(TokenFile(_private(tmp_path / "two", "x" * 31 + " y"), ("admin",)),))
    expect("ASCII", tokens=(TokenFile(_private(tmp_path / "unicode", "ä" * 32), ("admin",)),))


def _post(node: RunningNode, body: bytes, **headers: str) -> tuple[int, Any]:
    status, answer = node.post(body, Host="node.home", **headers)
    return status, json.loads(answer)


def test_a_guarded_namespace_over_http(guarded: RunningNode) -> None:
    assert _post(guarded, HEAD)[0] == 200
    status, answer = _post(guarded, GUARDED)
    assert status == 401
    assert answer["error"]["code"] == -32001
    assert answer["error"]["message"].startswith("unauthorized: txpool_status needs a token")
    assert answer["id"] == 1
    assert _post(guarded, GUARDED, Authorization=f"Bearer {STATIC}")[0] == 200
    status, answer = _post(guarded, HEAD, Authorization="Bearer wrong")
    assert (status, answer["error"]["code"], answer["id"]) == (401, -32001, None)
    fresh = _token(iat=int(time.time()), namespaces=["txpool", "net"])
    status, answer = _post(guarded, b"[" + GUARDED + b"," + HEAD + b"]", Authorization=fresh)
    assert status == 200
    assert all("result" in entry for entry in answer)
    status, answer = _post(guarded, b"[" + GUARDED + b"," + HEAD + b"]")
    assert status == 200
    assert ["error" in entry for entry in answer] == [True, False]
    assert guarded.post(b'{"jsonrpc":"2.0","method":"txpool_status"}', Host="node.home")[0] == 204


def test_a_guarded_namespace_over_a_websocket(guarded: RunningNode) -> None:
    async def job() -> None:
        async with aiohttp.ClientSession(guarded.url) as session:
            for headers, served in (({}, False), ({"Authorization": f"Bearer {STATIC}"}, True)):
                async with session.ws_connect("/", headers=headers) as opened:
                    await opened.send_str(GUARDED.decode())
                    assert ("result" in await opened.receive_json()) == served
                    await opened.send_str(HEAD.decode())
                    assert "result" in await opened.receive_json()
            with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
                await session.ws_connect("/", headers={"Authorization": "Bearer wrong"})
            assert refusal.value.status == 401
            async with session.post("/", data=GUARDED, headers={"Content-Type": "application/json"}) as response:
                assert response.headers["WWW-Authenticate"] == 'Bearer realm="gridpact"'

    asyncio.run(job())


def test_admin_is_not_open_unless_somebody_says_so() -> None:
    assert "admin" not in OPEN_NAMESPACES
    assert RpcConfig().open == OPEN_NAMESPACES


# -- settings


def test_settings_are_read_strictly(tmp_path: Path) -> None:
    def read(**content: Any) -> RpcConfig:
        table = Table("node.toml", "rpc", {"listen": "127.0.0.1:8545", **content})
        found = read_settings(table, tmp_path)
        table.close()
        return found

    assert read() == RpcConfig()
    found = read(
        open=["eth"],
        cors_origins=["*"],
        token=[{"file": "t", "namespaces": ["admin"]}],
        jwt_secret="s",
        max_batch=5,
        max_websockets=7,
        rate_per_s=9,
    )
    assert found.tokens == (TokenFile(tmp_path / "t", ("admin",)),)
    assert found.jwt_secret == tmp_path / "s"
    assert (found.max_batch, found.max_websockets, found.rate_per_s) == (5, 7, 9)
    for wrong in (
        {"max_batch": 0},
        {"max_batch": "many"},
        {"open": "eth"},
        {"cors_origins": ["https://*.*"]},
        {"token": [{"file": "t"}]},
        {"token": [{"file": "t", "namespaces": [], "name": "x"}]},
        {"max_batches": 1},
    ):
        with pytest.raises(ConfigError, match=r"node.toml: rpc\.\w+"):
            read(**wrong)


# -- hosts and origins


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("node.home", True),
        ("NODE.home:8545", True),
        ("192.168.7.9", True),
        ("192.168.7.9:8545", True),
        ("[fe80::1]:8545", True),
        ("::1", False),
        ("localhost", False),
        ("evil.example", False),
        ("evil.example:127.0.0.1", False),
        ("127.0.0.1.evil.example", False),
        ("127.0.0.1@evil.example", False),
        ("", False),
        (":8545", False),
    ],
)
def test_a_name_that_is_not_this_nodes_is_refused(host: str, known: bool) -> None:
    assert Browsers(("node.home",), ()).known_host(host) == known
    assert Browsers(("*",), ()).known_host(host)


def test_origins_may_have_one_star() -> None:
    browsers = Browsers((), ("https://*.street.example", "chrome-extension://abc", "http://localhost:*"))
    for origin in ("https://a.street.example", "CHROME-EXTENSION://abc", "http://localhost:3000"):
        assert browsers.known_origin(origin)
    for origin in ("https://street.example", "http://a.street.example", "https://a.street.example.evil", "null", ""):
        assert not browsers.known_origin(origin)
    assert Browsers((), ("*",)).known_origin("null")


def test_a_preflight_allows_the_headers_that_clients_send() -> None:
    browsers = Browsers((), ("*",))
    wanted = "content-type, authorization, x-requested-with, cookie, x-evil\r\nSet-Cookie, X-, accept"
    answer = browsers.preflight({"Access-Control-Request-Headers": wanted})
    assert answer["Access-Control-Allow-Headers"] == "content-type, authorization, x-requested-with, accept"
    assert "POST" in answer["Access-Control-Allow-Methods"]
    private = browsers.preflight({"Access-Control-Request-Private-Network": "true"})
    assert private["Access-Control-Allow-Private-Network"] == "true"


# -- gzip


def _big() -> bytes:
    call = {"jsonrpc": "2.0", "id": 1, "method": "rpc.discover"}
    return json.dumps(call).encode()


def test_answers_are_packed_when_the_client_takes_it_and_it_is_worth_it(guarded: RunningNode) -> None:
    async def job() -> None:
        headers = {"Content-Type": "application/json"}
        async with aiohttp.ClientSession(guarded.url, auto_decompress=False) as session:
            async with session.post("/", data=_big(), headers={**headers, "Accept-Encoding": "gzip"}) as packed:
                assert packed.headers["Content-Encoding"] == "gzip"
                assert packed.headers["Vary"] == "Accept-Encoding"
                content = await packed.read()
            async with session.post("/", data=_big(), headers={**headers, "Accept-Encoding": "identity"}) as plain:
                assert "Content-Encoding" not in plain.headers
                whole = await plain.read()
            assert gzip.decompress(content) == whole
            assert len(content) < len(whole) // 4
            async with session.post("/", data=HEAD, headers={**headers, "Accept-Encoding": "gzip"}) as small:
                assert "Content-Encoding" not in small.headers

    asyncio.run(job())


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        ("gzip", True),
        ("deflate, gzip;q=1.0, *;q=0.5", True),
        ("br, GZIP ; q=0.001", True),
        ("", False),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("gzipped", False),
        ("identity", False),
    ],
)
def test_accept_encoding(header: str, taken: bool) -> None:
    assert takes_gzip(header) == taken


def test_packed_requests_are_unpacked_within_bounds(node: RunningNode) -> None:
    def send(body: bytes) -> tuple[int, Any]:
        status, answer = node.post(body, Content_Encoding="gzip")
        return status, json.loads(answer)

    assert send(gzip.compress(HEAD))[0] == 200
    bomb = gzip.compress(b" " * (64 * 1024 * 1024))
    assert len(bomb) < 100_000
    started = time.monotonic()
    assert send(bomb)[0] == 413
    assert time.monotonic() - started < 2
    whole = gzip.compress(HEAD)
    for wrong in (b"", HEAD, whole[:-1], whole + b"x", whole + whole):
        status, answer = send(wrong)
        assert (status, answer["error"]["code"]) == (400, -32600)


# -- many and slow clients


def _post_head(length: int, connection: str = "keep-alive") -> bytes:
    return (
        f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: {connection}\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


def _read_all(connection: socket.socket) -> bytes:
    found = b""
    while part := connection.recv(65_536):
        found += part
    return found


def test_connections_are_bounded(tmp_path: Path) -> None:
    running = RunningNode(tmp_path / "chain", RpcConfig(port=0, max_connections=3))
    idle = [socket.create_connection(("127.0.0.1", running.port), timeout=5) for _ in range(3)]
    with socket.create_connection(("127.0.0.1", running.port), timeout=5) as one_too_many:
        answer = _read_all(one_too_many)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"limit exceeded: 3 connections are open" in answer
    for connection in idle:
        connection.close()
    for _ in range(100):
        try:
            assert running.result("eth_blockNumber") == "0x0"
            break
        except AssertionError:
            continue
    else:
        pytest.fail("closed connections still count")
    running.close()


def test_a_client_that_takes_no_answer_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.rpc.gate.UNREAD_S", 0.2)
    running = RunningNode(tmp_path / "chain")
    body = b"[" + b",".join([_big()] * 100) + b"]"
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.sendall(_post_head(len(body)) + body)
        running.run(_gone(running))
    running.close()


async def _gone(running: RunningNode) -> None:
    (gate,) = running.server.gates
    while not gate.open:
        await asyncio.sleep(0)
    while gate.open:
        await asyncio.sleep(0.01)


def test_headers_and_bodies_that_trickle_are_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.rpc.server.KEEPALIVE_S", 0.3)
    monkeypatch.setattr("node.rpc.server.BODY_TIMEOUT_S", 0.3)
    running = RunningNode(tmp_path / "chain")
    with socket.create_connection(("127.0.0.1", running.port), timeout=5) as silent:
        assert _read_all(silent) == b""
    with socket.create_connection(("127.0.0.1", running.port), timeout=5) as headers:
        headers.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nX-")
        assert _read_all(headers) == b""
    with socket.create_connection(("127.0.0.1", running.port), timeout=5) as slow:
        slow.sendall(
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
        )
        assert slow.recv(4_096).startswith(b"HTTP/1.1 408 ")
    running.close()


def test_requests_in_a_pipeline_are_answered_in_order(node: RunningNode) -> None:
    with socket.create_connection(("127.0.0.1", node.port), timeout=10) as connection:
        for number in range(200):
            body = json.dumps({"jsonrpc": "2.0", "id": number, "method": "eth_chainId"}).encode()
            head = (
                f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
            )
            last = b"\r\nConnection: close" if number == 199 else b""
            connection.sendall(head.encode() + last + b"\r\n\r\n" + body)
        answers = _read_all(connection)
    assert [int(part.split(b",")[0]) for part in answers.split(b'"id":')[1:]] == list(range(200))


def test_files_are_left_for_the_rest_of_the_node() -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert file_room() >= soft - FILES_BESIDE


def test_a_thousand_idle_connections_and_dripping_headers_slow_nobody(own_node: RunningNode) -> None:
    if file_room() < 3_000:
        pytest.skip("this machine lets a process open too few files")
    drip = b"POST / HTTP/1.1\r\nHost: localhost\r\nX-"
    idle = [socket.create_connection(("127.0.0.1", own_node.port), timeout=5) for _ in range(1_000)]
    for connection in idle[:200]:
        connection.sendall(drip)
    own_node.run(_entered(own_node, 1_000))
    took = []
    for _ in range(30):
        for connection in idle[:200]:
            connection.sendall(b"x")
        started = time.monotonic()
        own_node.mine()
        assert own_node.result("eth_blockNumber").startswith("0x")
        took.append(time.monotonic() - started)
    assert sorted(took)[15] < 0.5  # about 10 ms on a machine that is idle
    assert own_node.result("eth_blockNumber") == hex(30)
    for connection in idle:
        connection.close()


async def _entered(running: RunningNode, number: int) -> None:
    (gate,) = running.server.gates
    while gate.open < number:
        await asyncio.sleep(0.01)
