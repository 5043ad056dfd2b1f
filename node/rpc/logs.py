"""Log queries: what a client asks for, which blocks it means, and which logs match (`log_search.py` finds them)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from node.chain.receipt import Log
from node.rpc import schemas
from node.rpc.blocks import find_height
from node.rpc.errors import INVALID_PARAMS, SERVER_ERROR, RpcError
from node.rpc.formats import Tag, address, block_number, field, hash32, mapping, sequence
from node.rpc.schemas import takes
from node.storage import View

MAX_TOPICS = 4
MAX_ALTERNATIVES = 1_000  # addresses, and values of one topic
MAX_KEPT = 250_000  # addresses and values of all filters together, and of all subscriptions: some 30 MB each


@dataclass(frozen=True, slots=True)
class Criteria:
    """Which logs are wanted.

    Args:
        addresses: of the contracts; empty for any.
        topics: by position, the values of which one must stand there; empty for any. A log must have as many topics.
    """

    addresses: frozenset[bytes]
    topics: tuple[frozenset[bytes], ...]

    @property
    def size(self) -> int:
        """How many addresses and values there are."""
        return len(self.addresses) + sum(map(len, self.topics))

    def match(self, entry: Log) -> bool:
        """Return whether a log is wanted."""
        if self.addresses and entry.address not in self.addresses:
            return False
        if len(self.topics) > len(entry.topics):
            return False
        pairs = zip(self.topics, entry.topics, strict=False)
        return all(not wanted or found in wanted for wanted, found in pairs)


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
        RpcError: an unknown block hash, or a range backwards.
    """
    if query.block_hash is not None:
        height = view.height_of(query.block_hash)
        if height is None:
            raise RpcError(SERVER_ERROR, "unknown block")
        return range(height, height + 1)
    first, last = _height(view, query.first), _height(view, query.last)
    if first > last and isinstance(query.last, int):
        raise RpcError(INVALID_PARAMS, f"invalid block range params: from {first} to {last}")
    return range(first, min(last, view.head_height) + 1)


def _height(view: View, ref: Tag | int) -> int:
    if isinstance(ref, int):
        return ref
    height = find_height(view, ref)
    return view.head_height if height is None else height
