"""`gridpact node run` as a process: what a person has to put right is one line on stderr and exit status 2."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from devnet.layout import Options, Place, genesis_content, init_command, write_devnet
from devnet.processes import gridpact
from devnet.scenario import find_scenario, load_scenario
from node.config import CONFIG_NAME
from tests.devnet.running import free_port

pytestmark = pytest.mark.xdist_group("devnet")

BOUND_S = 60.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    status: int
    output: str
    error: str


def run(*words: str) -> Ended:
    done = subprocess.run([gridpact(), *words], capture_output=True, text=True, timeout=BOUND_S, check=False)
    return Ended(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A devnet's folder as written, its first data directory made."""
    options = Options(rpc_port=free_port(10), market=False)
    place = Place(tmp_path_factory.mktemp("written") / "devnet", load_scenario(find_scenario("street")), options)
    write_devnet(place)
    made = run(*init_command(place, 0))
    assert made.status == 0, made.error
    return place


@pytest.fixture
def place(written: Place, tmp_path: Path) -> Place:
    """A copy of it, to be spoilt."""
    copied = replace(written, root=tmp_path / "devnet")
    shutil.copytree(written.root, copied.root)
    config = copied.node(0) / CONFIG_NAME
    config.write_text(config.read_text().replace(str(written.root), str(copied.root)))
    return copied


def refused(place: Place) -> str:
    """Run node 0, which must not come up; return its one line of complaint."""
    ended = run("node", "run", "--config", str(place.node(0) / CONFIG_NAME))
    assert ended.status == 2, ended
    (line,) = ended.error.strip().splitlines()[-1:]
    assert line.startswith("gridpact: ")
    assert "Traceback" not in ended.error
    return line


def change(place: Place, pattern: str, by: str) -> None:
    config = place.node(0) / CONFIG_NAME
    text, count = re.subn(pattern, by, config.read_text(), flags=re.MULTILINE)
    assert count == 1
    config.write_text(text)


@contextmanager
def listening(endpoint: str) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", int(endpoint.rpartition(":")[2]))):
        yield


def test_rpc_port_in_use(place: Place) -> None:
    with listening(place.rpc(0)):
        assert place.rpc(0) in refused(place)


def test_p2p_port_in_use(place: Place) -> None:
    with listening(place.p2p(0)):
        line = refused(place)
    assert "p2p.listen" in line
    assert place.p2p(0) in line


def test_wrong_passphrase(place: Place) -> None:
    place.passphrase.write_text("another\n")
    line = refused(place)
    assert "passphrase" in line
    assert "another" not in line


def test_missing_key(place: Place) -> None:
    (place.root / "keys" / "node-0.json").unlink()
    assert "keys/node-0.json" in refused(place)


def test_missing_passphrase_file(place: Place) -> None:
    place.passphrase.unlink()
    assert str(place.passphrase) in refused(place)


def test_data_directory_of_another_chain(place: Place) -> None:
    content = genesis_content(place)
    content["chain_id"] += 1
    (place.node(0) / "genesis.json").write_text(json.dumps(content))
    line = refused(place)
    assert str(place.node(0)) in line
    assert str(content["chain_id"]) in line


def test_data_directory_of_another_genesis(place: Place) -> None:
    content = genesis_content(place)
    content["genesis_time_s"] += 1
    (place.node(0) / "genesis.json").write_text(json.dumps(content))
    line = refused(place)
    assert str(place.node(0)) in line
    assert "genesis" in line


def test_wrong_configuration_names_file_key_and_expectation(place: Place) -> None:
    change(place, "^level = .*", 'level = "loud"')
    line = refused(place)
    assert str(place.node(0) / CONFIG_NAME) in line
    assert "log.level" in line
    assert "debug, info, warning, error" in line


def test_missing_configuration(place: Place) -> None:
    (place.node(0) / CONFIG_NAME).unlink()
    assert CONFIG_NAME in refused(place)


def test_missing_database(place: Place) -> None:
    (place.node(0) / "chain").rename(place.node(0) / "elsewhere")
    assert str(place.node(0)) in refused(place)


def test_init_leaves_an_initialised_folder_alone(place: Place) -> None:
    before = (place.node(0) / CONFIG_NAME).read_bytes()
    ended = run(*init_command(place, 0))
    assert ended.status == 2
    assert "has been initialised" in ended.error
    assert (place.node(0) / CONFIG_NAME).read_bytes() == before


def test_init_with_a_wrong_genesis_writes_nothing(place: Place) -> None:
    place.genesis.write_text("{}")
    ended = run(*init_command(place, 1))
    assert ended.status == 2
    assert "format" in ended.error
    assert not place.node(1).exists()


def test_two_nodes_in_one_data_directory(place: Place) -> None:
    """The second one is refused before it can sign anything with the same write-ahead log."""
    command = [gridpact(), "node", "run", "--config", str(place.node(0) / CONFIG_NAME)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as first:
        try:
            assert first.stdout is not None
            assert any("validator runs" in line for line in first.stdout)
            change(place, f'^listen = "{place.rpc(0)}"', f'listen = "{place.rpc(1)}"')
            change(place, f'^listen = "{place.p2p(0)}"', f'listen = "{place.p2p(1)}"')
            assert str(place.node(0)) in refused(place)
        finally:
            first.kill()
