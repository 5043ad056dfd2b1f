"""Four validators as processes for a benchmark: a token on their chain, full load from prebuilt batches, what they use.

TLS on, write-ahead log and database synced, the load generator on the same machine.
"""

from __future__ import annotations

import asyncio
import io
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lmdb
from rich.console import Console

import contracts
from benchmarks import transfers
from benchmarks.ethereum import Node
from benchmarks.presigned import TokenSenders, batch_body
from devnet.layout import Options, Place
from devnet.processes import running
from devnet.run import Devnet
from devnet.scenario import find_scenario, load_scenario
from node.config import DATABASE_NAME, SNAPSHOTS_NAME, WAL_NAME
from node.storage.store import MAX_READERS
from node.storage.tables import TABLES

ARTIFACT = Path(contracts.__file__).parent / "artifacts" / "TestToken.json"
SETTING = "four validators, TLS on, log and database synced, load generator on the same machine"
STALLED_S = 60.0  # without a new block under load


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


async def token_senders(nodes: list[Node]) -> TokenSenders:
    """Deploy the test token, and return the accounts that hold it."""
    run = await transfers.deploy(nodes, json.loads(ARTIFACT.read_text(encoding="utf-8")))
    keys = [bytes(sender.key) for sender in run.senders]
    nonces = [run.nonces[sender.address] for sender in run.senders]
    return TokenSenders(run.chain_id, bytes.fromhex(run.token[2:]), keys, nonces)


async def send_slice(nodes: list[Node], senders: TokenSenders, count: int) -> transfers.Throughput:
    """Sign `count` transfers, then submit them over all nodes, and time them from the first until all are committed.

    Raises:
        RuntimeError: a node does not take one.
        TimeoutError: the chain stands.
    """
    signed = senders.next_transfers(count)
    size = transfers.BATCH
    bodies = [batch_body(signed[first : first + size]) for first in range(0, count, size)]
    counter = transfers.CommitCounter(nodes[0], int(await nodes[0].call("eth_blockNumber"), 16))
    started = time.perf_counter()

    async def until(wanted: int) -> None:
        height, since = counter.height, time.perf_counter()
        while await counter.poll() < wanted:
            if counter.height > height:
                height, since = counter.height, time.perf_counter()
            elif time.perf_counter() - since > STALLED_S:
                raise TimeoutError(f"no block after height {height} within {STALLED_S:.0f} s")
            await asyncio.sleep(transfers.POLL_S)

    for number, body in enumerate(bodies):
        await until(number * size - transfers.IN_FLIGHT)
        await _post(nodes[number % len(nodes)], body)
    await until(count)
    return transfers.Throughput(count, time.perf_counter() - started, counter.blocks)


async def _post(node: Node, body: bytes) -> None:
    async with node.session.post(node.url, data=body, headers={"Content-Type": "application/json"}) as answer:
        text = await answer.text()
    if '"error"' in text:
        raise RuntimeError(f"{node.url}: {text[:1000]}")


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
