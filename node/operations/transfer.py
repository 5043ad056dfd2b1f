"""A chain from one place to another: out of a data directory or a running node, into a file or a new data directory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from node.client import NodeClient, NodeUnanswered
from node.config import CONFIG_NAME, DATABASE_NAME, WAL_NAME, load_config
from node.execution import Loop
from node.genesis import load_genesis
from node.operations.blocks import Block, remote_blocks, stored_blocks
from node.operations.database import open_database
from node.operations.importing import Imported, import_blocks
from node.operations.progress import Advance, unheard
from node.operations.stream import StreamError, StreamHead, open_stream, write_stream
from node.parsing import ConfigError
from node.restore import mark

GIB = 1 << 30
HASH_BYTES = 32
LIMIT = 2**64  # of the numbers in the head of a file


def _heights(first: int | None, last: int | None, lowest: int, head: int, where: str) -> tuple[int, int]:
    """Return the first and last height of an export."""
    start, end = lowest if first is None else first, head if last is None else last
    if not lowest <= start <= end <= head:
        raise ConfigError(where, "--from and --to", f"heights from {lowest} to {head}, found {start} to {end}")
    return start, end


def export_directory(
    data: Path,
    out: Path,
    *,
    first: int | None = None,
    last: int | None = None,
    compressed: bool = False,
    advance: Advance = unheard,
) -> tuple[StreamHead, int]:
    """Write certified blocks of a data directory, whose node may run, to a file; return what it holds, and its size.

    Raises:
        GridpactError: the database cannot be read, does not keep these heights, or the file cannot be written.
    """
    genesis = load_genesis(load_config(data / CONFIG_NAME).genesis)
    store, domain = open_database(data / DATABASE_NAME, genesis, readonly=True)
    try:
        with store.read() as view:
            start, end = _heights(first, last, max(1, view.first_height), view.head_height, str(data))
        head = StreamHead(genesis.chain_id, domain.genesis_hash, start, end)
        blocks = _counted(stored_blocks(store, start, end), head, advance)
        return head, write_stream(out, head, blocks, compressed=compressed)
    finally:
        store.close()


def export_remote(
    client: NodeClient,
    out: Path,
    *,
    first: int | None = None,
    last: int | None = None,
    compressed: bool = False,
    advance: Advance = unheard,
) -> tuple[StreamHead, int]:
    """Write certified blocks that a node's RPC gives to a file, as `export_directory`; nothing of them is verified."""
    start, end = _heights(first, last, 1, client.quantity("eth_blockNumber"), client.url)
    block_0 = client.ask("eth_getBlockByNumber", "0x0", False)
    try:
        genesis_hash = bytes.fromhex(block_0["hash"].removeprefix("0x"))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise NodeUnanswered(client.url, "it gives no block 0") from None
    head = StreamHead(client.quantity("eth_chainId"), genesis_hash, start, end)
    if len(genesis_hash) != HASH_BYTES or not 0 <= head.chain_id < LIMIT or end >= LIMIT:
        raise NodeUnanswered(client.url, "its chain id, its height or the hash of its block 0 is none")
    blocks = _counted(remote_blocks(client, start, end), head, advance)
    return head, write_stream(out, head, blocks, compressed=compressed)


def _counted(blocks: Iterable[Block], head: StreamHead, advance: Advance) -> Iterator[Block]:
    for block in blocks:
        yield block
        advance(block.height - head.first + 1, head.last - head.first + 1)


def import_file(file: Path, data: Path, *, advance: Advance = unheard) -> Imported:
    """Add the blocks of a file to a data directory, whose node does not run, verifying and executing every one.

    A directory without a write-ahead log is marked as restored: its key may have voted on these heights elsewhere.

    Raises:
        StreamError: no file of blocks, of another chain, or beginning above the directory's head.
        GridpactError: the data directory cannot be used.
    """
    config = load_config(data / CONFIG_NAME)
    genesis = load_genesis(config.genesis)
    with open_stream(file) as stream:
        store, domain = open_database(
            data / DATABASE_NAME, genesis, readonly=False, map_bytes=config.map_size_gib * GIB
        )
        try:
            head = stream.head
            if (head.chain_id, head.genesis_hash) != (genesis.chain_id, domain.genesis_hash):
                found = f"chain {head.chain_id}, genesis block 0x{head.genesis_hash.hex()}"
                expected = f"chain {genesis.chain_id}, genesis block 0x{domain.genesis_hash.hex()}"
                raise StreamError(file, found, expected)
            with store.read() as view:
                height = view.head_height
            if head.first > height + 1:
                raise StreamError(file, f"it begins with height {head.first}", f"height {height + 1} or a lower one")
            if not (data / WAL_NAME).exists():
                mark(data)
            return import_blocks(
                store,
                genesis,
                domain,
                stream.blocks(),
                loop=Loop(config.loop),
                reached=lambda done: advance(done - height, max(0, head.last - height)),
            )
        finally:
            store.close()
