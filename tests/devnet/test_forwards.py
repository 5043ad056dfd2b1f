"""What a node.toml says of forwards and of the clock is what the process does: it dials there, and tells that time."""

from __future__ import annotations

import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from devnet.accounts import derived_key
from devnet.layout import Options, Place, init_command, write_devnet
from devnet.processes import gridpact
from devnet.run import rpc_call
from devnet.scenario import find_scenario, load_scenario
from node.config import CONFIG_NAME, load_config
from node.keys import node_key_of
from node.parsing import ConfigError
from tests.devnet.running import free_port, until

pytestmark = pytest.mark.xdist_group("devnet")

BOUND_S = 60.0
OFFSET_MS = 3_600_000
NOW = "0x4260005260206000f3"  # TIMESTAMP, returned: what a call sees as the chain's time


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A devnet's folder in which the node is made that dials everybody: the one with the lowest key."""
    place = Place(
        tmp_path / "devnet", load_scenario(find_scenario("street")), Options(rpc_port=free_port(60), market=False)
    )
    write_devnet(place)
    subprocess.run([gridpact(), *init_command(place, lowest(place))], check=True, capture_output=True, timeout=BOUND_S)
    return place


def keys(place: Place) -> list[bytes]:
    return [node_key_of(derived_key(f"node {index}")) for index in range(place.count)]


def lowest(place: Place) -> int:
    return keys(place).index(min(keys(place)))


def config_of(place: Place) -> Path:
    return place.node(lowest(place)) / CONFIG_NAME


@contextmanager
def running(config: Path) -> Iterator[None]:
    with (config.parent / "output").open("wb") as output:
        process = subprocess.Popen(
            [gridpact(), "node", "run", "--config", str(config)], stdout=output, stderr=subprocess.STDOUT
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait()


def test_members_behind_forwards_are_dialled_there_and_the_others_where_they_say(place: Place) -> None:
    others = [index for index in range(place.count) if index != lowest(place)]
    behind, open_ = others[:-1], others[-1]
    with ExitStack() as stack:
        forwards = {index: stack.enter_context(socket.create_server(("127.0.0.1", 0))) for index in behind}
        said = [stack.enter_context(listening(place.p2p(index))) for index in others]
        rows = "\n".join(
            f'0x{keys(place)[index].hex()} = "127.0.0.1:{server.getsockname()[1]}"'
            for index, server in forwards.items()
        )
        config = config_of(place)
        config.write_text(f"{config.read_text()}\n[p2p.dial]\n{rows}\n")
        stack.enter_context(running(config))
        for server in (*forwards.values(), said[others.index(open_)]):
            server.settimeout(BOUND_S)
            server.accept()[0].close()
        for index in behind:  # by now all have been dialled, at least once
            server = said[others.index(index)]
            server.setblocking(False)
            with pytest.raises(BlockingIOError):
                server.accept()


@contextmanager
def listening(endpoint: str) -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", int(endpoint.rpartition(":")[2]))) as server:
        yield server


def test_a_clock_that_is_an_hour_fast_is_an_hour_fast(place: Place) -> None:
    config = config_of(place)
    config.write_text(config.read_text().replace("[node]\n", f"[node]\nclock_offset_ms = {OFFSET_MS}\n", 1))
    with running(config):
        answer: Any = until(
            "the chain's time", lambda: rpc_call(place.rpc(lowest(place)), "eth_call", {"data": NOW}, "latest"), BOUND_S
        )
    assert abs(int(answer, 16) - time.time() - OFFSET_MS / 1000) < BOUND_S


@pytest.mark.parametrize(
    ("row", "key"),
    [
        ('0xabcd = "127.0.0.1:9000"', "p2p.dial.0xabcd"),
        (f'0x{"zz" * 32} = "127.0.0.1:9000"', f"p2p.dial.0x{'zz' * 32}"),
        (f'0x{"ab" * 32} = "nowhere"', f"p2p.dial.0x{'ab' * 32}"),
    ],
)
def test_a_forward_that_makes_no_sense_is_refused(place: Place, row: str, key: str) -> None:
    config = config_of(place)
    config.write_text(f"{config.read_text()}\n[p2p.dial]\n{row}\n")
    with pytest.raises(ConfigError, match=re.escape(key)) as caught:
        load_config(config)
    assert caught.value.path == config
