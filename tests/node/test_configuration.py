"""What a person writes wrongly is answered with file, key and expectation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from node.clock import ChainClock
from node.config import LOOPS, load_config, render_config
from node.execution import Loop
from node.genesis import load_genesis, parse_genesis
from node.parsing import ConfigError
from tests.node.samples import sample_genesis


def write_config(folder: Path, **changes: str) -> Path:
    values: dict[str, Any] = {
        "genesis": "genesis.json",
        "key": "node-key.json",
        "passphrase_file": "passphrase",
        "p2p_listen": "127.0.0.1:30300",
        "rpc_listen": "127.0.0.1:8545",
    }
    path = folder / "node.toml"
    path.write_text(render_config(**(values | changes)))
    return path


def test_rendered_config_reads_back(tmp_path: Path) -> None:
    config = load_config(write_config(tmp_path))
    assert config.rpc_listen == ("127.0.0.1", 8545)
    assert config.genesis == tmp_path.resolve() / "genesis.json"
    assert config.log_format == "json"
    assert config.loop == Loop.INLINED
    assert set(LOOPS) == set(Loop)


@pytest.mark.parametrize(
    ("replace", "by", "key", "expected"),
    [
        ("[p2p]", "[p3p]", "p2p", "missing"),
        ('listen = "127.0.0.1:8545"', "listen = 8545", "rpc.listen", "a string, found 8545"),
        ('listen = "127.0.0.1:8545"', 'listen = "127.0.0.1:99999"', "rpc.listen", "port from 0 to 65535"),
        ('level = "info"', 'level = "loud"', "log.level", "one of debug, info, warning, error"),
        ('level = "info"', 'levle = "info"', "log.levle", "no such key; known here: format, level"),
        ('loop = "inlined"', 'loop = "fast"', "execution.loop", "one of inlined, stock, found 'fast'"),
        ('journal = "pool.journal"', 'journal = "../pool"', "pool.journal", "a file name in the data directory"),
        ('journal = "pool.journal"', 'locals = ["0x12"]', "pool.locals", "0x and 40 hexadecimal digits"),
        ('journal = "pool.journal"', "price_bump = 0", "pool.price_bump", "a whole number from 1 to 1000, found 0"),
        (
            'journal = "pool.journal"',
            "slots = 5",
            "pool.slots",
            "no such key; known here: account_queue",
        ),
        ("[node]", "[node", "", "TOML in UTF-8"),
    ],
)
def test_wrong_toml_names_file_key_and_expectation(
    tmp_path: Path, replace: str, by: str, key: str, expected: str
) -> None:
    path = write_config(tmp_path)
    path.write_text(path.read_text().replace(replace, by))
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert caught.value.path == path
    assert caught.value.key == key
    assert expected in caught.value.expected


def test_an_idle_chain_has_no_heartbeat_unless_it_is_asked_for(tmp_path: Path) -> None:
    path = write_config(tmp_path)
    assert load_config(path).heartbeat_ms == 0
    path.write_text(path.read_text() + "\n[consensus]\nheartbeat_ms = 2000\n")
    assert load_config(path).heartbeat_ms == 2_000
    path.write_text(path.read_text().replace("2000", "-1"))
    with pytest.raises(ConfigError, match=r"consensus\.heartbeat_ms"):
        load_config(path)


def test_accounts_to_unlock_are_found_beside_the_file(tmp_path: Path) -> None:
    path = write_config(tmp_path)
    assert load_config(path).keystores == ()
    section = '\n[accounts]\nkeystores = ["one.json", "/else/two.json"]\npassphrase_file = "secret"\n'
    path.write_text(path.read_text() + section)
    config = load_config(path)
    assert config.keystores == (tmp_path.resolve() / "one.json", Path("/else/two.json"))
    assert config.keystores_passphrase_file == tmp_path.resolve() / "secret"
    path.write_text(path.read_text().replace('["one.json", "/else/two.json"]', '"one.json"'))
    with pytest.raises(ConfigError, match=r"accounts\.keystores: expected a list of strings"):
        load_config(path)


def test_missing_config_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a readable file"):
        load_config(tmp_path / "node.toml")


def test_genesis_reads_and_its_hash_does_not_depend_on_layout(tmp_path: Path) -> None:
    content = sample_genesis()
    path = tmp_path / "genesis.json"
    path.write_text(json.dumps(content, indent=4))
    again = dict(reversed(content.items()))
    assert load_genesis(path).file_hash == parse_genesis(again).file_hash
    content["chain_id"] += 1
    assert parse_genesis(content).file_hash != load_genesis(path).file_hash


def _set(content: dict[str, Any], dotted: str, value: object) -> None:
    *parents, last = dotted.split(".")
    for parent in parents:
        content = content[int(parent)] if isinstance(content, list) else content[parent]
    if value is None:
        del content[last]
    else:
        content[last] = value


@pytest.mark.parametrize(
    ("dotted", "value", "key"),
    [
        ("format", "gridpact-genesis/9", "format"),
        ("chain_id", "2016", "chain_id"),
        ("chain_id", True, "chain_id"),
        ("chain_id", None, "chain_id"),
        ("clock.steps", [], "clock.steps"),
        ("clock.steps", [[0, 600], [0, 700]], "clock.steps"),
        ("clock.steps", [[0, 0]], "clock.steps"),
        ("members", [], "members"),
        ("members.0.node_key", "0x12", "members[0].node_key"),
        ("members.0.p2p", "nowhere", "members[0].p2p"),
        ("members.0.surname", "Doe", "members[0].surname"),
        ("operator", "0xzz", "operator"),
        ("accounts", {"0x00": "1"}, "accounts.0x00"),
        ("surprise", 1, "surprise"),
    ],
)
def test_wrong_genesis_names_the_key(dotted: str, value: object, key: str) -> None:
    content = sample_genesis()
    _set(content, dotted, value)
    with pytest.raises(ConfigError) as caught:
        parse_genesis(content, "genesis.json")
    assert caught.value.key == key


def test_two_members_with_one_key_are_refused() -> None:
    content = sample_genesis()
    content["members"][1]["node_key"] = content["members"][0]["node_key"]
    with pytest.raises(ConfigError, match="a different node_key for every member"):
        parse_genesis(content)


def test_genesis_that_is_no_json(tmp_path: Path) -> None:
    path = tmp_path / "genesis.json"
    path.write_text("[" * 100_000)
    with pytest.raises(ConfigError, match="JSON in UTF-8"):
        load_genesis(path)


def test_chain_clock_follows_its_steps() -> None:
    content = sample_genesis()
    content["clock"] = {"wall_start_ms": 1_000_000, "steps": [[0, 3600], [6, 600]]}
    genesis = parse_genesis(content)
    wall = 0
    clock = ChainClock(genesis, lambda: wall)
    start = genesis.genesis_time_s
    assert clock.now_s() == start  # before the start it stands
    wall = 1_000_000 + 1_500
    assert clock.now_s() == start + 5_400
    wall = 1_000_000 + 6_000
    assert clock.now_s() == start + 6 * 3_600
    wall += 1_000
    assert clock.now_s() == start + 6 * 3_600 + 600
    assert clock.latest_acceptable_s(2_000) == clock.now_s() + 1_201
