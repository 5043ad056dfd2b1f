"""Devnets of real processes for tests: free ports, bounded waiting, what the nodes say of their chain."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from devnet.layout import Options, Place
from devnet.run import Devnet, height_of, rpc_call
from devnet.scenario import Scenario

FIRST_PORT = 10_000  # p2p and agents listen 10,000 and 20,000 above: below the ports that systems hand out themselves
PORTS_PER_WORKER = 100
POLL_S = 0.1

T = TypeVar("T")


def free_port(offset: int) -> int:
    """Return the first RPC port of a devnet: another one for every test worker and every `offset` below 100."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    return FIRST_PORT + PORTS_PER_WORKER * int(worker) + offset


def until(what: str, ask: Callable[[], T | None], bound_s: float) -> T:
    """Ask again and again until the answer is true; fail after `bound_s` wall seconds, saying what did not come."""
    deadline = time.monotonic() + bound_s
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"{what}: not within {bound_s:.0f} s"
        time.sleep(POLL_S)
    return answer


@contextmanager
def launched(root: Path, scenario: Scenario, options: Options) -> Iterator[Devnet]:
    """Start a devnet and end all its processes afterwards, whatever happens."""
    devnet = Devnet(Place(root, scenario, options), Console(file=io.StringIO(), width=200))
    try:
        devnet.start()
        yield devnet
    finally:
        devnet.stop()


def endpoints(devnet: Devnet) -> list[str]:
    """Return the RPC end points of all nodes."""
    return [devnet.place.rpc(index) for index in range(devnet.place.count)]


def heights(devnet: Devnet, *, without: int | None = None) -> list[int]:
    """Return the heights of the nodes that answer, one node left out if wanted."""
    asked = (height_of(endpoint) for index, endpoint in enumerate(endpoints(devnet)) if index != without)
    return [height for height in asked if height is not None]


def block_hash(endpoint: str, height: int) -> str | None:
    """Return a node's block hash at a height; None if it does not answer or has no such block."""
    block: Any = rpc_call(endpoint, "eth_getBlockByNumber", hex(height), False)
    return None if block is None else str(block["hash"])


def hashes(endpoint: str) -> dict[int, str]:
    """Return a node's block hashes of all heights up to its head."""
    head = height_of(endpoint)
    found = {height: block_hash(endpoint, height) for height in range((-1 if head is None else head) + 1)}
    return {height: value for height, value in found.items() if value is not None}
