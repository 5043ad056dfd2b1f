"""`eth_getLogs` over a chain of 100,000 heights: processor time of the search in a reading process.

The blocks are made up (their headers, blooms, receipts and bodies are as the node stores them, nothing was executed):
in each three transactions with two logs each; one contract logs in every tenth block, another in twenty blocks of all.
Beside it, in the same run, what every header decoded one by one takes for its bloom.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from eth_hash.auto import keccak

from devnet.layout import Options, Place, genesis_content
from devnet.scenario import find_scenario, load_scenario
from node.application import make_genesis
from node.chain.assembly import SealedBlock
from node.chain.receipt import Log, Receipt, bloom_bits, blooms_union, make_receipt
from node.execution import Executor
from node.genesis import Genesis, parse_genesis
from node.rpc.log_search import MAX_CHARS, MAX_RESULTS, search
from node.rpc.logs import Criteria
from node.rpc.reads import BlockCache, Reader
from node.rules import RuleBook
from node.state import StateDelta
from node.storage import Store

BATCH = 5_000
ROUNDS = 3
TRANSACTIONS, LOGS = 3, 2
TENTH, RARE, NOBODY = (keccak(b"contract %d" % i)[:20] for i in (100, 101, 102))
CONTRACTS = [keccak(b"contract %d" % i)[:20] for i in range(20)]
PEOPLE = [bytes(12) + keccak(b"person %d" % i)[:20] for i in range(500)]
EVENT = keccak(b"Transfer(address,address,uint256)")


def make_chain(path: Path, genesis: Genesis, sealed: SealedBlock, delta: StateDelta, heights: int) -> Store:
    """Make a database with so many heights."""
    source = random.Random(4)
    rare = set(source.sample(range(1, heights + 1), 20))
    store = Store.create(path, chain_id=genesis.chain_id, genesis_hash=sealed.header.hash, sealed=sealed, delta=delta)
    nothing = StateDelta(sealed.header.state_root, {}, {}, {}, {}, {}, {})
    for start in range(1, heights + 1, BATCH):
        with store.batch() as batch:
            for height in range(start, min(start + BATCH, heights + 1)):
                sealed = _child(sealed, _receipts(source, height, rare), source)
                batch.commit(sealed, nothing, b"certificate", [bytes(20)] * len(sealed.transactions))
    return store


def _receipts(source: random.Random, height: int, rare: set[int]) -> list[Receipt]:
    made = []
    for index in range(TRANSACTIONS):
        addresses = source.choices(CONTRACTS, k=LOGS)
        if index == 0:
            addresses[0] = RARE if height in rare else TENTH if height % 10 == 0 else addresses[0]
        logs = [Log(address, (EVENT, *source.choices(PEOPLE, k=2)), bytes(32)) for address in addresses]
        made.append(make_receipt(2, 1, 50_000 * (index + 1), logs))
    return made


def _child(parent: SealedBlock, receipts: list[Receipt], source: random.Random) -> SealedBlock:
    header = replace(
        parent.header,
        parent_hash=parent.header.hash,
        number=parent.header.number + 1,
        timestamp=parent.header.timestamp + 1,
        bloom=blooms_union(receipt.bloom for receipt in receipts),
    )
    raws = tuple(b"\xf8" + source.randbytes(170) for _ in receipts)
    return replace(
        parent,
        header=header,
        transactions=raws,
        receipts=tuple(receipts),
        chain_blocks=(),
        members=(),
        history_nodes={},
    )


def by_decoding(reader: Reader, criteria: Criteria, heights: range) -> int:
    """Return how many blocks may hold what is wanted, every header decoded for its bloom."""
    groups = [[bloom_bits(value) for value in group] for group in (criteria.addresses, *criteria.topics) if group]
    found = 0
    with reader.store.read() as view:
        for height in heights:
            bits = int.from_bytes(view.header(height).bloom, "big")
            found += all(any(bits & want == want for want in group) for group in groups)
    return found


def by_search(reader: Reader, criteria: Criteria, heights: range) -> int:
    """Return how many logs the node's search finds."""
    found, start = 0, heights.start
    while start < heights.stop:
        part = search(reader, criteria, range(start, heights.stop), heights.start, MAX_RESULTS - found, MAX_CHARS)
        found, start = found + part.count, part.next_height
    return found


def measure(what: Callable[..., int], *args: Any) -> tuple[float, int]:
    """Return the median processor time in milliseconds, and the result."""
    times, found = [], 0
    for _ in range(ROUNDS):
        begin = time.thread_time()
        found = what(*args)
        times.append(1_000 * (time.thread_time() - begin))
    return statistics.median(times), found


def main() -> None:
    """Print the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--heights", type=int, default=100_000)
    heights = parser.parse_args().heights
    place = Place(Path(), load_scenario(find_scenario("street")), Options(market=False))
    genesis = parse_genesis(genesis_content(place))
    rule_book = RuleBook(genesis.content["rules"], genesis.chain_id)
    sealed, delta = make_genesis(genesis, rule_book.rules_at(0))
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        store = make_chain(Path(folder) / "chain", genesis, sealed, delta, heights)
        print(f"{heights} heights made in {time.perf_counter() - begin:.0f} s")
        reader = Reader(store, Executor(rule_book), rule_book, BlockCache())
        whole = range(1, heights + 1)
        wanted = {
            "no match (an address that never logged)": (Criteria(frozenset((NOBODY,)), ()), whole),
            "sparse (20 logs)": (Criteria(frozenset((RARE,)), ()), whole),
            "one person, as sender": (Criteria(frozenset(), (frozenset((EVENT,)), frozenset(PEOPLE[:1]))), whole),
            "200 addresses that never logged": (
                Criteria(frozenset(keccak(b"%d" % i)[:20] for i in range(200)), ()),
                whole,
            ),
            "dense (a tenth of the blocks)": (Criteria(frozenset((TENTH,)), ()), whole),
            "everything in 1,600 blocks": (Criteria(frozenset(), ()), range(1, 1_601)),
        }
        for name, (criteria, part) in wanted.items():
            before, _ = measure(by_decoding, reader, criteria, part)
            after, found = measure(by_search, reader, criteria, part)
            print(
                f"{name:42} {len(part):>7} blocks {found:>6} logs: {after:6.0f} ms; headers decoded: {before:6.0f} ms"
            )
        store.close()


if __name__ == "__main__":
    main()
