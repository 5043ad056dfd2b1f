"""`gridpact node ready`: the newest block under the node's key, and what it refuses to sign."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from nacl.signing import VerifyKey
from typer.testing import CliRunner

from contracts.bindings.consortium_votes import ready_bytes
from contracts.readiness import InvalidToken, Readiness, parse_token
from node.client import NodeUnanswered
from node.commands import app
from node.config import CONFIG_NAME, load_config, render_config
from node.keys import SCRYPT_LIGHT, node_key_of, save_key
from node.readiness import OtherChain, show_readiness
from tests.node.samples import sample_genesis, seed
from tests.rpc.harness import RunningNode

NOBODY = "http://127.0.0.1:9"  # discard: nothing listens there


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningNode]:
    node = RunningNode(tmp_path / "chain")
    yield node
    node.close()


def candidate(folder: Path, url: str, **rules: int) -> Path:
    """Write a candidate's data directory and return its node.toml."""
    folder.mkdir()
    save_key(folder / "node-key.json", seed("candidate"), "a phrase", scrypt=SCRYPT_LIGHT)
    (folder / "passphrase").write_text("a phrase\n")
    (folder / "genesis.json").write_text(json.dumps(sample_genesis(**rules)))
    text = render_config(
        genesis="genesis.json",
        key="node-key.json",
        passphrase_file="passphrase",
        p2p_listen="127.0.0.1:0",
        rpc_listen=url.removeprefix("http://"),
    )
    (folder / CONFIG_NAME).write_text(text)
    return folder / CONFIG_NAME


def test_the_newest_block_is_signed_for_this_chain_alone(running: RunningNode, tmp_path: Path) -> None:
    for _ in range(3):
        running.mine()
    shown = CliRunner().invoke(app, ["ready", "--config", str(candidate(tmp_path / "node", running.url))])
    assert shown.exit_code == 0, shown.output
    ready = parse_token(shown.stdout)
    assert ready.height == 3
    assert "good until height 259" in shown.stderr
    genesis, newest = (
        bytes.fromhex(running.result("eth_getBlockByNumber", n, False)["hash"][2:]) for n in ("0x0", "0x3")
    )
    message = ready_bytes(2016, genesis, 3, newest)
    assert len(message) == 97
    VerifyKey(node_key_of(seed("candidate"))).verify(message, ready.signature)


def test_a_new_key_may_sign(running: RunningNode, tmp_path: Path) -> None:
    config = candidate(tmp_path / "node", running.url)
    save_key(tmp_path / "new.json", seed("new"), "another phrase", scrypt=SCRYPT_LIGHT)
    (tmp_path / "secret").write_text("another phrase\n")
    words = ("--key", str(tmp_path / "new.json"), "--passphrase-file", str(tmp_path / "secret"))
    shown = CliRunner().invoke(app, ["ready", "--config", str(config), *words])
    assert shown.exit_code == 0, shown.output
    genesis = bytes.fromhex(running.result("eth_getBlockByNumber", "0x0", False)["hash"][2:])
    message = ready_bytes(2016, genesis, 0, genesis)
    VerifyKey(node_key_of(seed("new"))).verify(message, parse_token(shown.stdout).signature)


def test_another_node_may_be_asked(running: RunningNode, tmp_path: Path) -> None:
    config = load_config(candidate(tmp_path / "node", NOBODY))
    assert show_readiness(config, running.url).height == 0
    with pytest.raises(NodeUnanswered, match="no answer"):
        show_readiness(config)
    with pytest.raises(NodeUnanswered, match="does not begin with http"):
        show_readiness(config, "file:///etc/hostname")


def test_another_chain_is_not_signed(running: RunningNode, tmp_path: Path) -> None:
    config = load_config(candidate(tmp_path / "node", running.url, view_timeout_ms=5_000))
    with pytest.raises(OtherChain, match="another chain"):
        show_readiness(config)


def test_a_token_reads_back_and_nothing_else_does() -> None:
    ready = Readiness(77, bytes(range(64)))
    assert parse_token(ready.token + "\n") == ready
    for text in (
        "",
        "77",
        "77:0x",
        "-1:0x" + "00" * 64,
        "77:0x" + "0g" * 64,
        "77:0x" + "00" * 65,
        "9" * 20 + ":0x" + "00" * 64,
    ):
        with pytest.raises(InvalidToken, match="gridpact node ready"):
            parse_token(text)
