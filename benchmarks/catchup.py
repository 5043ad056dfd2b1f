"""How fast a validator that is far behind is back, while the other three go on under load.

A chain of so many heights is made first, each with a few transfers and three signatures. Three validators start with
it, the fourth with block 0, all as processes with TLS, log and database synced; a load generator sends transfers to the
three. Measured is the time from the start of the fourth until it has the height that the others have at that moment.

    python -m benchmarks.catchup --heights 10000
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from coincurve import PrivateKey
from eth_hash.auto import keccak

from benchmarks import machine
from benchmarks.ethereum import Node, accounts
from consensus.certificates import assemble
from consensus.codec import encode_certificate
from consensus.types import Domain, Height, Phase, View, Vote
from devnet.accounts import derived_key
from devnet.layout import Options, Place, init_command, write_devnet
from devnet.processes import Processes, gridpact
from devnet.scenario import find_scenario, load_scenario
from node.application import Application, make_genesis
from node.chain import rlp
from node.chain.transaction import Transaction, decode_transaction
from node.clock import ChainClock
from node.config import CONFIG_NAME, DATABASE_NAME
from node.driver.signer import LocalSigner
from node.genesis import load_genesis
from node.rules import RuleBook
from node.storage import Store

RPC_PORT = 20645
CERTIFIERS = 3
SENDERS = 10
TRANSFERS = 4  # of a block
DEADLINE_S = 600.0
POLL_S = 0.05
TARGET = b"\x11" * 20


class Sender:
    """An account of the devnet's mnemonic that sends plain transfers, signed as fast as can be."""

    def __init__(self, chain_id: int, key: bytes) -> None:
        self._chain_id = chain_id
        self._key = PrivateKey(key)
        self.nonce = 0

    def next_transfer(self) -> bytes:
        """Return the next raw transfer of 1 wei."""
        fields: list[object] = [self._chain_id, self.nonce, 0, 0, 21_000, TARGET, 1, b"", []]
        self.nonce += 1
        signed = self._key.sign_recoverable(keccak(b"\2" + rlp.encode(fields)), hasher=None)
        r, s = (int.from_bytes(signed[at : at + 32], "big") for at in (0, 32))
        return b"\2" + rlp.encode([*fields, signed[64], r, s])


@dataclass(frozen=True, slots=True)
class Result:
    """What one run measured."""

    heights: int
    seconds: float
    committed: int
    load_per_s: float


def make_history(place: Place, heights: int, senders: list[Sender]) -> None:
    """Make the first node's database hold so many certified heights."""
    genesis = load_genesis(place.genesis)
    rule_book = RuleBook(genesis.content["rules"], genesis.chain_id)
    sealed, _ = make_genesis(genesis, rule_book.rules_at(0))
    domain = Domain(genesis.chain_id, sealed.header.hash)
    store = Store.open(place.node(0) / DATABASE_NAME, chain_id=genesis.chain_id, genesis_hash=domain.genesis_hash)
    application = Application(store, rule_book, ChainClock(genesis))
    signers = [LocalSigner(derived_key(f"node {index}"), domain) for index in range(CERTIFIERS)]
    for height, transactions in _blocks(heights, senders, genesis.chain_id):
        built = application.build(height, transactions)
        epoch = application.validators().epoch
        vote = Vote(epoch, Height(height), View(0), Phase.COMMIT, built.sealed.header.hash)
        application.commit(built.body, encode_certificate(assemble([signer.sign(vote) for signer in signers])))
    store.close()


def _blocks(heights: int, senders: list[Sender], chain_id: int) -> Iterator[tuple[int, list[Transaction]]]:
    for height in range(1, heights + 1):
        chosen = [senders[(height * TRANSFERS + place) % SENDERS] for place in range(TRANSFERS)]
        yield height, [decode_transaction(sender.next_transfer(), chain_id) for sender in chosen]


async def _load(nodes: list[Node], senders: list[Sender], per_s: float) -> None:
    """Send transfers to the nodes in turn until cancelled."""
    count = 0
    while True:
        sender, node = senders[count % len(senders)], nodes[count % len(nodes)]
        await node.call("eth_sendRawTransaction", "0x" + sender.next_transfer().hex())
        count += 1
        await asyncio.sleep(1 / per_s)


async def _height(node: Node) -> int:
    try:
        return int(await node.call("eth_blockNumber"), 16)
    except (aiohttp.ClientError, OSError):
        return -1


async def _until(node: Node, height: int, load: asyncio.Task[None] | None = None) -> None:
    deadline = time.perf_counter() + DEADLINE_S
    while await _height(node) < height:
        if load is not None and load.done():
            load.result()
        if time.perf_counter() > deadline:
            raise TimeoutError(f"{node.url}: not at height {height} within {DEADLINE_S:.0f} s")
        await asyncio.sleep(POLL_S)


async def measure(place: Place, processes: Processes, heights: int, senders: list[Sender], per_s: float) -> Result:
    """Start the fourth node beside three that go on, and time it."""
    async with aiohttp.ClientSession() as session:
        nodes = [Node(session, f"http://{place.rpc(index)}") for index in range(place.count)]
        for index in range(CERTIFIERS):
            processes.start(f"node-{index}", ["node", "run", "--config", str(place.node(index) / CONFIG_NAME)])
        for node in nodes[:CERTIFIERS]:
            await _until(node, heights)
        load = asyncio.create_task(_load(nodes[:CERTIFIERS], senders, per_s))
        await _until(nodes[0], heights + 3, load)
        started, before = time.perf_counter(), await _height(nodes[0])
        late = place.count - 1
        processes.start(f"node-{late}", ["node", "run", "--config", str(place.node(late) / CONFIG_NAME)])
        while await _height(nodes[late]) < await _height(nodes[0]):
            if time.perf_counter() - started > DEADLINE_S:
                raise TimeoutError(f"at height {await _height(nodes[late])} after {DEADLINE_S:.0f} s")
            await asyncio.sleep(POLL_S)
        seconds = time.perf_counter() - started
        committed = await _height(nodes[0]) - before
        if load.done():
            load.result()
        load.cancel()
    return Result(heights, seconds, committed, per_s)


def main() -> None:
    """Parse the command line, make the chain, measure, and end all processes whatever happens."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--heights", type=int, default=10_000)
    parser.add_argument("--load", type=float, default=20.0, help="transfers a second meanwhile")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        place = Place(
            Path(folder) / "devnet", load_scenario(find_scenario("street")), Options(rpc_port=RPC_PORT, market=False)
        )
        write_devnet(place)
        for index in range(place.count):
            subprocess.run([gridpact(), *init_command(place, index)], check=True, capture_output=True)
        chain_id = load_genesis(place.genesis).chain_id
        senders = [Sender(chain_id, bytes(account.key)) for account in accounts(SENDERS)]
        began = time.perf_counter()
        make_history(place, options.heights, senders)
        print(f"{options.heights} heights of {TRANSFERS} transfers made in {time.perf_counter() - began:.0f} s")
        for index in range(1, CERTIFIERS):
            shutil.rmtree(place.node(index) / DATABASE_NAME)
            shutil.copytree(place.node(0) / DATABASE_NAME, place.node(index) / DATABASE_NAME)
        processes = Processes(place.root)
        try:
            result = asyncio.run(measure(place, processes, options.heights, senders, options.load))
        finally:
            processes.stop()
        print(
            f"{result.heights} heights behind, {result.load_per_s:.0f} transfers/s meanwhile: back in "
            f"{result.seconds:.1f} s ({result.heights / result.seconds:.0f} heights/s); "
            f"the others committed {result.committed} heights in that time"
        )
        print(machine.describe(Path(folder)))


if __name__ == "__main__":
    main()
