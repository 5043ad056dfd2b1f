"""Status and peers of a running node, as its RPC tells them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from node.cli import app
from node.client import NodeClient, NodeUnanswered
from node.client.target import client_of
from node.config import render_config
from tests.rpc.harness import RunningNode


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    running = RunningNode(tmp_path_factory.mktemp("look") / "chain")
    running.mine()
    yield running
    running.close()


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["node", *words])
    return result.exit_code, result.output


def test_status_shows_heads_peers_pool_and_versions(node: RunningNode) -> None:
    code, output = run("status", "--rpc", node.url)
    assert code == 0
    lines = output.splitlines()
    assert lines[0].startswith("gridpact/v")
    assert "+wire.1." in lines[0]
    assert lines[1].startswith("chain      2016, one of 4 validators, node key 0x")
    assert lines[2].startswith("head       1 0x")
    assert lines[5] == "peers      3 of 3 connected"
    content = json.loads(run("status", "--rpc", node.url, "--json")[1])
    assert (content["height"], content["validators"], content["target"]) == (1, 4, None)
    node.backend.target_height = 9
    assert "catching up to 9" in run("status", "--rpc", node.url)[1]
    node.backend.target_height = None


def test_peers_shows_who_is_how_far_behind(node: RunningNode) -> None:
    code, output = run("peers", "--rpc", node.url)
    assert code == 0
    assert output.count("connected     height 0, 1 behind") == 3
    rows = json.loads(run("peers", "--rpc", node.url, "--json")[1])["peers"]
    assert [row["behind"] for row in rows] == [1, 1, 1]
    assert rows[0]["node_key"].startswith("0x")


def test_who_does_not_answer_or_is_no_node_is_an_error(node: RunningNode, monkeypatch: pytest.MonkeyPatch) -> None:
    code, output = run("status", "--rpc", "http://127.0.0.1:9")
    assert code == 2
    assert "no answer to grid_status" in output
    monkeypatch.setattr(NodeClient, "ask", lambda self, method, *params: {"height": 7})
    assert run("peers", "--rpc", node.url)[0] == 2
    monkeypatch.setattr(NodeClient, "quantity", lambda self, method, *params: 1)
    assert "its status cannot be read (KeyError: 'nodeKey')" in run("status", "--rpc", node.url)[1]


def test_the_address_is_that_of_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert client_of(None).url == "http://127.0.0.1:8545"
    text = render_config(
        genesis="genesis.json", key="k", passphrase_file="", p2p_listen="127.0.0.1:0", rpc_listen="0.0.0.0:9545"
    )
    (tmp_path / "node.toml").write_text(text)
    assert client_of(None).url == "http://127.0.0.1:9545"
    assert client_of("http://there:1/").url == "http://there:1"
    with pytest.raises(NodeUnanswered, match="http://"):
        client_of("there:1")
