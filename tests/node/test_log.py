"""Levels of the log by component, at start, by SIGHUP and by RPC; and that no secret is ever in it."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import re
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from node.cli import app
from node.client.credential import credential
from node.config import CONFIG_NAME, DATABASE_NAME, load_config, render_config
from node.creation import create_database
from node.genesis import parse_genesis
from node.keys import SCRYPT_LIGHT, save_key
from node.log import COMPONENTS, configure, effective_levels
from node.parsing import ConfigError
from node.rpc.access import Access
from node.rpc.settings import OPEN_NAMESPACES, RpcConfig
from node.service import reload_levels, serve
from tests.node.samples import sample_genesis, seed
from tests.rpc.harness import RunningNode

ROOT = Path(__file__).parents[2]
BOUND_S = 20.0
PASSPHRASE = "a passphrase that nobody shall read in a log"
TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def logging_kept() -> Iterator[None]:
    """Put handlers and levels back: they are the process's."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for component in COMPONENTS:
        logging.getLogger(component).setLevel(logging.NOTSET)


def written(directory: Path, port: int = 0, log: str = "", rpc: str = "") -> Path:
    """Write a node.toml and return where it is."""
    text = render_config(
        genesis="genesis.json",
        key="key.json",
        passphrase_file="passphrase",
        p2p_listen="127.0.0.1:0",
        rpc_listen=f"127.0.0.1:{port}",
    )
    text = text.replace('level = "info"\n', log or 'level = "info"\n').replace("[rpc]\n", f"[rpc]\n{rpc}")
    (directory / CONFIG_NAME).write_text(text)
    return directory / CONFIG_NAME


def test_every_component_of_the_code_has_a_level_to_set() -> None:
    found = {
        name
        for path in (ROOT / "node").rglob("*.py")
        for name in re.findall(r'^log = logging\.getLogger\("(\w+)"\)', path.read_text(), re.MULTILINE)
    }
    assert found == set(COMPONENTS)


def test_levels_by_component_are_read_and_read_again(tmp_path: Path) -> None:
    path = written(tmp_path, log='level = "warning"\nlevels = { consensus = "debug" }\n')
    config = load_config(path)
    configure(level=config.log_level, form=config.log_format, levels=config.log_levels)
    assert effective_levels() == dict.fromkeys(COMPONENTS, "warning") | {"consensus": "debug"}
    written(tmp_path, log='level = "error"\nlevels = { rpc = "info" }\n')
    reload_levels(path)
    assert effective_levels() == dict.fromkeys(COMPONENTS, "error") | {"rpc": "info"}
    path.write_text("[log")
    reload_levels(path)
    assert effective_levels() == dict.fromkeys(COMPONENTS, "error") | {"rpc": "info"}


def test_an_unknown_component_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"log\.levels\.consent.*consensus"):
        load_config(written(tmp_path, log='level = "info"\nlevels = { consent = "debug" }\n'))


def test_levels_by_rpc(tmp_path: Path) -> None:
    configure(level="info", form="json")
    running = RunningNode(tmp_path / "chain", RpcConfig(port=0, open=(*OPEN_NAMESPACES, "admin")))
    try:
        assert running.result("admin_changeLogLevel", "DEBUG", ["consensus", "p2p"]) == "Success"
        changed = dict.fromkeys(COMPONENTS, "info") | {"consensus": "debug", "p2p": "debug"}
        assert running.result("admin_logLevels") == effective_levels() == changed
        for wrong in (["loud"], ["debug", ["consent"]], [1], ["debug", "consensus"]):
            assert running.error("admin_changeLogLevel", *wrong)["code"] == -32602
        assert running.result("admin_changeLogLevel", "WARN") == "Success"
        assert running.result("admin_logLevels") == dict.fromkeys(COMPONENTS, "warning")
        info = running.result("admin_nodeInfo")
        assert info["protocols"]["gridpact"]["genesis"] == running.result("eth_getBlockByNumber", "0x0", False)["hash"]
        assert {peer["name"] for peer in running.result("admin_peers")} == {"house-1", "house-2", "house-3"}
    finally:
        running.close()


def test_the_command_uses_the_token_that_the_configuration_names(tmp_path: Path) -> None:
    configure(level="info", form="json")
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "token").chmod(0o600)
    guard = '\n[[rpc.token]]\nfile = "token"\nnamespaces = ["admin"]\n'
    path = written(tmp_path)
    path.write_text(path.read_text() + guard)
    running = RunningNode(tmp_path / "chain", replace(load_config(path).rpc, port=0))
    try:
        assert running.post(b'{"jsonrpc":"2.0","id":1,"method":"admin_logLevels"}')[0] == 401
        written(tmp_path, running.port)
        path.write_text(path.read_text() + guard)
        words = ["node", "log-level", "consensus", "debug", "--json", "--config", str(path)]
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, repr((done.output, done.exception))
        assert (
            json.loads(done.output) == effective_levels() == dict.fromkeys(COMPONENTS, "info") | {"consensus": "debug"}
        )
    finally:
        running.close()


class Heard(logging.Handler):
    """Hands on what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records: asyncio.Queue[logging.LogRecord] = asyncio.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        self.records.put_nowait(record)


def test_a_secret_makes_a_token_and_without_either_the_command_says_what_is_missing(tmp_path: Path) -> None:
    path = written(tmp_path)
    with pytest.raises(ConfigError, match=r"rpc\.token.*admin"):
        credential(load_config(path), "admin")
    (tmp_path / "secret").write_text("0x" + "2a" * 32)
    (tmp_path / "secret").chmod(0o600)
    config = load_config(written(tmp_path, rpc='jwt_secret = "secret"\n'))
    token = credential(config, "admin")
    assert "admin" in Access(config.rpc, time.time).namespaces(f"Bearer {token}")
    assert credential(config, "eth") is None


async def _run(path: Path) -> None:
    """Run a node until it has read its levels again."""
    heard = Heard()
    logging.getLogger().addHandler(heard)
    serving = asyncio.create_task(serve(load_config(path)))
    async with asyncio.timeout(BOUND_S):
        for signalled, words in ((signal.SIGHUP, "validator runs"), (signal.SIGTERM, "levels of the log")):
            while (await heard.records.get()).getMessage() != words:
                pass
            os.kill(os.getpid(), signalled)
        await serving


def test_no_key_or_passphrase_is_logged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = sample_genesis(1)
    (tmp_path / "genesis.json").write_text(json.dumps(content))
    genesis = parse_genesis(content)
    create_database(tmp_path / DATABASE_NAME, genesis)
    save_key(tmp_path / "key.json", seed("node 0"), PASSPHRASE, scrypt=SCRYPT_LIGHT)
    (tmp_path / "passphrase").write_text(PASSPHRASE)
    path = written(tmp_path, log='level = "debug"\n')
    configure(level="debug", form="json")
    asyncio.run(_run(path))
    output = capsys.readouterr().err
    lines = [json.loads(line) for line in output.splitlines()]
    assert all({"time", "level", "component", "message"} <= line.keys() for line in lines)
    assert {"node", "rpc"} <= {line["component"] for line in lines}
    for secret in (PASSPHRASE, seed("node 0").hex(), base64.b64encode(seed("node 0")).decode()):
        assert secret.lower() not in output.lower()
