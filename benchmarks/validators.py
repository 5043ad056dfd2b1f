"""Four validators as processes for a benchmark: a token on their chain, full load from prebuilt batches, what they use.

TLS on, write-ahead log and database synced, the load generator on the same machine.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import lmdb
from rich.console import Console

import contracts
from benchmarks import transfers
from benchmarks.ethereum import Node
from devnet.layout import Options, Place
from devnet.processes import running
from devnet.run import Devnet
from devnet.scenario import find_scenario, load_scenario
from node.config import DATABASE_NAME, SNAPSHOTS_NAME, WAL_NAME
from node.storage.store import MAX_READERS
from node.storage.tables import TABLES

ARTIFACT = Path(contracts.__file__).parent / "artifacts" / "TestToken.json"
GRIDPACT = str(Path(sys.executable).with_name("gridpact"))
SETTING = "four validators, TLS on, log and database synced, load generator on the same machine"


def devnet_in(root: Path, rpc_port: int) -> Devnet:
    """Return a devnet of four validators without a market, not yet started."""
    scenario = load_scenario(find_scenario("street"))
    return Devnet(Place(root, scenario, Options(rpc_port=rpc_port, market=False)), Console(file=io.StringIO()))


@contextmanager
def four_validators(rpc_port: int) -> Iterator[Devnet]:
    """Start four validators in a temporary folder of the working directory, and end them whatever happens."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        devnet = devnet_in(Path(folder) / "devnet", rpc_port)
        try:
            devnet.start()
            yield devnet
        finally:
            devnet.stop()


async def token_on(devnet: Devnet, session: aiohttp.ClientSession) -> transfers.Run:
    """Deploy the test token on a devnet; return it with all nodes, and the accounts that hold it."""
    nodes = [Node(session, f"http://{devnet.place.rpc(index)}") for index in range(devnet.place.count)]
    return await transfers.deploy(nodes, json.loads(ARTIFACT.read_text(encoding="utf-8")))


def anonymous_bytes(root: Path, index: int) -> int:
    """Return the anonymous memory (RssAnon) of a validator's process and those that it started, in bytes."""
    status = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            lines = (path / "status").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:  # it has ended
            continue
        status[int(path.name)] = dict(line.split(":", 1) for line in lines if ":" in line)
    family = {running(root)[f"node-{index}"]}
    while more := {pid for pid, fields in status.items() if int(fields["PPid"]) in family} - family:
        family |= more
    return 1024 * sum(int(status[pid].get("RssAnon", "0").split()[0]) for pid in family)


@dataclass(frozen=True, slots=True)
class Disk:
    """What a validator's data directory takes, in bytes.

    Args:
        database: the pages of the database that hold something.
        free: pages that were used once and will be used again.
        log: the write-ahead log.
        snapshots: files of states for newcomers.
        rest: keys, settings, everything else.
        tables: the database's pages by table, the largest first.
    """

    database: int
    free: int
    log: int
    snapshots: int
    rest: int
    tables: dict[str, int]

    @property
    def total(self) -> int:
        """Everything."""
        return self.database + self.free + self.log + self.snapshots + self.rest


def disk_of(data: Path) -> Disk:
    """Return what a validator's data directory takes; the node may be running."""
    path = data / DATABASE_NAME
    environment = lmdb.open(str(path), readonly=True, max_dbs=len(TABLES), max_readers=MAX_READERS)
    try:
        databases = {name: environment.open_db(name.encode(), create=False) for name in TABLES}
        with environment.begin() as transaction:
            page = environment.stat()["psize"]
            used = {name: page * _pages(transaction.stat(database)) for name, database in databases.items()}
            top = page * (environment.info()["last_pgno"] + 1)
            database = sum(used.values()) + page * _pages(environment.stat())
    finally:
        environment.close()
    log, snapshots = _bytes_below(data / WAL_NAME), _bytes_below(data / SNAPSHOTS_NAME)
    rest = _bytes_below(data) - _bytes_below(path) - log - snapshots
    return Disk(database, top - database, log, snapshots, rest, dict(sorted(used.items(), key=lambda item: -item[1])))


def _pages(stat: Mapping[str, Any]) -> int:
    return int(stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"])


def _bytes_below(path: Path) -> int:
    """Return what a file, or all files in a folder, take on the disk."""
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return sum(each.stat().st_blocks * 512 for each in files)
