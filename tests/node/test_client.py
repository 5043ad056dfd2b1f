"""The client of commands: what it makes of answers that are none, and where it sends a token."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from node.client import NodeClient, NodeRefused, NodeUnanswered, client
from node.client.credential import read_token
from node.client.target import client_of
from node.commands import app as node_app
from node.config import CONFIG_NAME, load_config, render_config
from node.parsing import ConfigError
from node.rpc.settings import OPEN_NAMESPACES
from node.tx_commands import app as tx_app
from tests.rpc.harness import RunningNode

TOKEN = "5f" * 32
GUARD = '\n[[rpc.token]]\nfile = "token"\nnamespaces = ["grid", "txpool"]\n'


class Saying:
    """A server on loopback that says the same to everybody, and keeps the headers it was sent."""

    def __init__(self) -> None:
        saying = self
        self.status, self.body, self.headers = 200, b"", list[tuple[str, str]]()
        self.heard: list[dict[str, str]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                saying.heard.append(dict(self.headers.items()))
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(saying.status)
                for header in saying.headers:
                    self.send_header(*header)
                self.end_headers()
                self.wfile.write(saying.body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def saying() -> Iterator[Saying]:
    server = Saying()
    yield server
    server.close()


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (200, b"<html>", "to eth_chainId it says b'<html>'"),
        (200, b"[" * 100_000, "to eth_chainId it says"),
        (200, b"{}", "to eth_chainId it says {}"),
        (200, b'{"error":{"message":"no code"}}', "to eth_chainId it says"),
        (502, b"", "HTTP status 502 to eth_chainId"),
        (502, b"Bad Gateway", "to eth_chainId it says b'Bad Gateway'"),
    ],
)
def test_what_is_no_answer_is_said_so(saying: Saying, status: int, body: bytes, reason: str) -> None:
    saying.status, saying.body = status, body
    with pytest.raises(NodeUnanswered) as raised:
        NodeClient(saying.url).ask("eth_chainId")
    assert raised.value.reason.startswith(reason)
    with pytest.raises(NodeUnanswered):
        NodeClient(saying.url).ask_all([("eth_chainId", []), ("eth_blockNumber", [])])


def test_an_answer_is_bounded(saying: Saying, monkeypatch: pytest.MonkeyPatch) -> None:
    saying.body = json.dumps({"result": "x" * 100}).encode()
    monkeypatch.setattr(client, "MAX_ANSWER_BYTES", len(saying.body))
    assert NodeClient(saying.url).ask("eth_chainId") == "x" * 100
    monkeypatch.setattr(client, "MAX_ANSWER_BYTES", len(saying.body) - 1)
    with pytest.raises(NodeUnanswered, match="more than"):
        NodeClient(saying.url).ask("eth_chainId")


def test_an_answer_that_drips_is_cut_off(saying: Saying, monkeypatch: pytest.MonkeyPatch) -> None:
    saying.body = b'{"result":1}'
    times = iter((0.0, 31.0))
    monkeypatch.setattr(time, "monotonic", lambda: next(times))
    with pytest.raises(NodeUnanswered, match="timed out"):
        NodeClient(saying.url).ask("eth_chainId")


def test_a_token_goes_to_nobody_but_the_node_that_was_named(saying: Saying) -> None:
    saying.status, saying.headers = 302, [("Location", saying.url)]
    with pytest.raises(NodeUnanswered, match="HTTP status 302"):
        NodeClient(saying.url, token=TOKEN).ask("eth_chainId")
    assert [headers["Authorization"] for headers in saying.heard] == [f"Bearer {TOKEN}"]


def test_a_batch_is_in_the_order_of_the_questions(saying: Saying) -> None:
    saying.body = json.dumps([{"id": 1, "result": "b"}, {"id": 0, "result": "a"}]).encode()
    assert NodeClient(saying.url).ask_all([("m", []), ("m", [])]) == ["a", "b"]
    saying.body = json.dumps([{"id": 0, "result": "a"}]).encode()
    with pytest.raises(NodeUnanswered):
        NodeClient(saying.url).ask_all([("m", []), ("m", [])])
    saying.body = json.dumps(
        [{"id": 0, "result": "a"}, {"id": 1, "error": {"code": -32005, "message": "too"}}]
    ).encode()
    with pytest.raises(NodeRefused, match="m: too"):
        NodeClient(saying.url).ask_all([("m", []), ("m", [])])
    saying.body = json.dumps({"id": None, "error": {"code": -32600, "message": "batch too large"}}).encode()
    with pytest.raises(NodeRefused, match="batch too large"):
        NodeClient(saying.url).ask_all([("m", []), ("m", [])])


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[tuple[RunningNode, Path]]:
    """A node that guards grid and txpool, and its node.toml."""
    (tmp_path / "token").write_text(TOKEN + "\n")
    (tmp_path / "token").chmod(0o600)
    path = tmp_path / CONFIG_NAME

    def write(port: int) -> None:
        text = render_config(
            genesis="g", key="k", passphrase_file="", p2p_listen="127.0.0.1:0", rpc_listen=f"127.0.0.1:{port}"
        )
        path.write_text(text.replace(f"open = {json.dumps(list(OPEN_NAMESPACES))}", 'open = ["eth", "web3"]') + GUARD)

    write(0)
    running = RunningNode(tmp_path / "chain", load_config(path).rpc)
    write(running.port)
    yield running, path
    running.close()


def test_the_token_is_the_files_or_that_of_the_nodes_own_configuration(
    guarded: tuple[RunningNode, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, path = guarded
    with pytest.raises(NodeRefused, match="--token-file"):
        client_of(running.url).ask("grid_status")
    with pytest.raises(NodeRefused, match="--token-file"):
        client_of(running.url).ask_all([("eth_chainId", []), ("grid_status", [])])
    (tmp_path / "other").write_text("a5" * 32)
    with pytest.raises(NodeRefused, match="not known here"):
        client_of(running.url, None, tmp_path / "other").ask("eth_chainId")
    assert client_of(running.url, None, tmp_path / "token").ask("grid_status")["height"] == "0x0"
    assert client_of(None, path, None, "grid", "eth").ask("txpool_status")["pending"] == "0x0"
    monkeypatch.chdir(tmp_path)
    assert client_of(None, None, None, "grid").ask("grid_status")["height"] == "0x0"
    with pytest.raises(NodeRefused):  # the token of the configuration here is not sent to an address that is given
        client_of(running.url, None, None, "grid").ask("grid_status")
    with pytest.raises(ConfigError, match="'admin'"):
        client_of(None, path, None, "grid", "admin")


def test_a_token_file_holds_one_word(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--token-file.*readable"):
        read_token(tmp_path / "none", "--token-file")
    for text in ("", "two words", "a\nb"):
        (tmp_path / "token").write_text(text)
        with pytest.raises(ConfigError, match="one token"):
            read_token(tmp_path / "token", "--token-file")


def test_commands_take_a_token(guarded: tuple[RunningNode, Path], tmp_path: Path) -> None:
    running, path = guarded
    running.mine()
    out = str(tmp_path / "blocks")
    for app, *words in (
        (node_app, "status"),
        (node_app, "peers"),
        (node_app, "export", "--out", out),
        (tx_app, "list"),
        (tx_app, "why", "0x" + "00" * 20),
    ):
        refused = CliRunner().invoke(app, [*words, "--rpc", running.url])
        assert "--token-file" in str(refused.exception), words
        taken = CliRunner().invoke(app, [*words, "--rpc", running.url, "--token-file", str(tmp_path / "token")])
        assert "--token-file" not in str(taken.exception), words
    assert CliRunner().invoke(tx_app, ["list", "--config", str(path)]).exit_code == 0
