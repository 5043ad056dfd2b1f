"""Log queries: what a client asks for, which blocks may hold it (by their blooms), and which logs match."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from node.chain.receipt import Log, bloom_bits
from node.rpc import schemas
from node.rpc.blocks import find_height
from node.rpc.errors import INVALID_PARAMS, SERVER_ERROR, LimitExceeded, RpcError
from node.rpc.formats import Json, Tag, address, block_number, field, hash32, mapping, sequence
from node.rpc.reads import BlockData, Reader
from node.rpc.render import logs_json
from node.rpc.schemas import takes
from node.storage import View

MAX_TOPICS = 4
MAX_ALTERNATIVES = 1_000  # addresses, and values of one topic
MAX_RANGE = 100_000  # blocks in a query; their headers' blooms are read in about a second per 20,000
MAX_RESULTS = 10_000  # logs in an answer
CHUNK = 1_000  # blocks that one read looks at: no read transaction lasts


@dataclass(frozen=True, slots=True)
class Criteria:
    """Which logs are wanted.

    Args:
        addresses: of the contracts; empty for any.
        topics: by position, the values of which one must stand there; empty for any. A log must have as many topics.
    """

    addresses: frozenset[bytes]
    topics: tuple[frozenset[bytes], ...]

    def match(self, entry: Log) -> bool:
        """Return whether a log is wanted."""
        if self.addresses and entry.address not in self.addresses:
            return False
        if len(self.topics) > len(entry.topics):
            return False
        pairs = zip(self.topics, entry.topics, strict=False)
        return all(not wanted or found in wanted for wanted, found in pairs)

    def may_match(self, bloom: bytes) -> bool:
        """Return whether a block with this bloom can hold a log that is wanted."""
        bits = int.from_bytes(bloom, "big")
        groups = [self.addresses, *self.topics]
        return all(not group or any(bits & (want := bloom_bits(v)) == want for v in group) for group in groups)

    def select(self, block: BlockData) -> list[dict[str, Json]]:
        """Return the JSON objects of a block's logs that are wanted."""
        if not self.may_match(block.header.bloom):
            return []
        return [table for entry, table in logs_json(block) if self.match(entry)]


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Criteria, and the blocks to look in: one by its hash, or from `first` to `last`."""

    criteria: Criteria
    block_hash: bytes | None
    first: Tag | int
    last: Tag | int


@takes(schemas.FILTER)
def log_query(value: object, where: str) -> LogQuery:
    """Return the query that a filter object describes."""
    table = mapping(value, where)
    block_hash = table.get("blockHash")
    if block_hash is not None and (table.get("fromBlock") is not None or table.get("toBlock") is not None):
        reason = "cannot specify both BlockHash and FromBlock/ToBlock, choose one or the other"
        raise RpcError(INVALID_PARAMS, f"invalid argument {where}: {reason}")
    return LogQuery(
        criteria=log_criteria(table, where),
        block_hash=None if block_hash is None else hash32(block_hash, f"{where}.blockHash"),
        first=_bound(table, "fromBlock", where),
        last=_bound(table, "toBlock", where),
    )


def _bound(table: Mapping[str, object], key: str, where: str) -> Tag | int:
    default: Tag | int = Tag.LATEST
    return field(table, key, where, block_number, default)


@takes(schemas.CRITERIA)
def log_criteria(value: object, where: str) -> Criteria:
    """Return the criteria of a filter object; its blocks are not read."""
    table = mapping(value, where)
    addresses = table.get("address")
    topics = table.get("topics")
    rows = [] if topics is None else sequence(topics, f"{where}.topics", MAX_TOPICS)
    return Criteria(
        addresses=frozenset() if addresses is None else _addresses(addresses, f"{where}.address"),
        topics=tuple(_alternatives(row, f"{where}.topics[{index}]") for index, row in enumerate(rows)),
    )


def _addresses(value: object, where: str) -> frozenset[bytes]:
    if not isinstance(value, list):
        return frozenset((address(value, where),))
    rows = sequence(value, where, MAX_ALTERNATIVES)
    return frozenset(address(row, f"{where}[{index}]") for index, row in enumerate(rows))


def _alternatives(value: object, where: str) -> frozenset[bytes]:
    if value is None:
        return frozenset()
    if not isinstance(value, list):
        return frozenset((hash32(value, where),))
    rows = sequence(value, where, MAX_ALTERNATIVES)
    if None in rows:
        return frozenset()
    return frozenset(hash32(row, f"{where}[{index}]") for index, row in enumerate(rows))


def query_range(view: View, query: LogQuery) -> range:
    """Return the heights that a query looks at, clipped to what is committed.

    Raises:
        RpcError: an unknown block hash, a range backwards, or one too long.
    """
    if query.block_hash is not None:
        height = view.height_of(query.block_hash)
        if height is None:
            raise RpcError(SERVER_ERROR, "unknown block")
        return range(height, height + 1)
    first, last = _height(view, query.first), _height(view, query.last)
    if first > last and isinstance(query.last, int):
        raise RpcError(INVALID_PARAMS, f"invalid block range params: from {first} to {last}")
    heights = range(first, min(last, view.head_height) + 1)
    if len(heights) > MAX_RANGE:
        raise LimitExceeded(f"block range too large: expected at most {MAX_RANGE} blocks, found {len(heights)}")
    return heights


def _height(view: View, ref: Tag | int) -> int:
    if isinstance(ref, int):
        return ref
    height = find_height(view, ref)
    return view.head_height if height is None else height


def scan(reader: Reader, criteria: Criteria, heights: range, room: int) -> list[dict[str, Json]]:
    """Return the wanted logs of a few blocks, in order. A read function.

    Raises:
        LimitExceeded: more than `room` logs match.
    """
    found: list[dict[str, Json]] = []
    with reader.store.read() as view:
        for height in heights:
            if not criteria.may_match(view.header(height).bloom):
                continue
            found += criteria.select(reader.blocks.read(view, height))
            if len(found) > room:
                raise LimitExceeded(
                    f"query returned more than {MAX_RESULTS} results; narrow the range (reached block {height})"
                )
    return found
