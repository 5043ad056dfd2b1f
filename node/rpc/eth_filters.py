"""`eth_` methods for logs, filters and subscriptions. Source: execution-apis; go-ethereum for `eth_subscribe`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from eth_hash.auto import keccak

from node.rpc import schemas
from node.rpc.context import Context
from node.rpc.errors import METHOD_NOT_FOUND, SERVER_ERROR, RpcError, shown
from node.rpc.eth import transaction_by_hash
from node.rpc.feed import Subscriber, Topic
from node.rpc.filters import BlockFilter, LogFilter, PendingFilter
from node.rpc.formats import Json, boolean, mapping, text, to_data
from node.rpc.log_search import MAX_CHARS, MAX_RESULTS, Part, TooMuch, search
from node.rpc.logs import Criteria, LogQuery, log_criteria, log_query, query_range
from node.rpc.methods import MethodTable, Parameter
from node.rpc.protocol import Rendered
from node.rpc.reads import Reader
from node.rpc.schemas import takes

SEARCH_S = 20  # of one query, in slices; below the time that a request may take
MAX_WHOLE = 100  # transactions in one answer; the next poll continues
MAX_HASHES = 10_000  # block hashes in one answer; the next poll continues

table = MethodTable()

_FILTER = Parameter("filter", log_query)
_FILTER_ID = Parameter("filter id", text, schema=schemas.FILTER_ID)


async def _search(context: Context, criteria: Criteria, heights: range) -> Rendered:
    """Return the wanted logs in a range, a slice of time for each read, so that none lasts long.

    Raises:
        TooMuch: there are too many, or they are too far apart to be found in time.
    """
    until = asyncio.get_running_loop().time() + SEARCH_S
    parts: list[Part] = []
    start = heights.start
    while start < heights.stop:
        room = MAX_RESULTS - sum(part.count for part in parts)
        chars = MAX_CHARS - sum(len(part.text) for part in parts)
        part = await context.reads.run(search, criteria, range(start, heights.stop), heights.start, room, chars)
        start = part.next_height
        parts.append(part)
        if start < heights.stop and asyncio.get_running_loop().time() > until:
            raise TooMuch(heights.start, start - 1, f"can be found in {SEARCH_S} s")
    return Rendered(f"[{','.join(part.text for part in parts if part.count)}]")


async def _query(context: Context, query: LogQuery) -> Rendered:
    with context.backend.store.read() as view:
        heights = query_range(view, query)
    return await _search(context, query.criteria, heights)


@table.method("eth_getLogs", _FILTER, returns=schemas.array(schemas.LOG))
async def get_logs(context: Context, query: LogQuery) -> Json:
    """Return the logs that match a filter, in order: at most 10,000, from however many blocks."""
    return await _query(context, query)


# -- filters


def _next_height(context: Context) -> int:
    with context.backend.store.read() as view:
        return view.head_height + 1


@table.method("eth_newFilter", _FILTER, returns=schemas.FILTER_ID)
async def new_filter(context: Context, query: LogQuery) -> Json:
    """Install a filter for new logs and return its id; it expires when it is not polled for five minutes."""
    start = _next_height(context)
    if isinstance(query.first, int):
        start = max(start, query.first)
    return context.filters.install(LogFilter(query, start))


@table.method("eth_newBlockFilter", returns=schemas.FILTER_ID)
async def new_block_filter(context: Context) -> Json:
    """Install a filter for new blocks and return its id."""
    return context.filters.install(BlockFilter(_next_height(context)))


@table.method(
    "eth_newPendingTransactionFilter", Parameter("full transactions", boolean, False), returns=schemas.FILTER_ID
)
async def new_pending_filter(context: Context, whole: bool) -> Json:
    """Install a filter for transactions that come into this node's pool, by hash or whole, and return its id."""
    return context.filters.install(PendingFilter(whole))


@table.method("eth_uninstallFilter", _FILTER_ID, returns=schemas.BOOLEAN)
async def uninstall_filter(context: Context, identifier: str) -> Json:
    """Remove a filter; false if there was none."""
    return context.filters.uninstall(identifier)


async def _pending(context: Context, entry: PendingFilter) -> Json:
    if entry.whole:
        taken = [entry.hashes.popleft() for _ in range(min(MAX_WHOLE, len(entry.hashes)))]
        found = [await transaction_by_hash(context, each) for each in taken]
        return [transaction for transaction in found if transaction is not None]
    hashes = [to_data(each) for each in entry.hashes]
    entry.hashes.clear()
    return hashes


def read_hashes(reader: Reader, heights: range) -> list[str]:
    """Return the hashes of committed blocks. A read function."""
    with reader.store.read() as view:
        return [to_data(keccak(view.raw_header(height))) for height in heights]


@table.method(
    "eth_getFilterChanges",
    _FILTER_ID,
    returns=schemas.either(
        schemas.array(schemas.HASH32),
        schemas.array(schemas.LOG),
        schemas.array(schemas.PENDING),
        schemas.array(schemas.MINED),
    ),
)
async def filter_changes(context: Context, identifier: str) -> Json:
    """Return what is new for a filter since it was polled last."""
    entry = context.filters.find(identifier)
    if isinstance(entry, PendingFilter):
        return await _pending(context, entry)
    async with entry.turn:  # of two polls at once, the second goes on where the first has ended
        return await _news(context, entry)


async def _news(context: Context, entry: LogFilter | BlockFilter) -> Json:
    stop = _next_height(context)
    start = entry.next_height
    if isinstance(entry, BlockFilter):
        stop = min(stop, start + MAX_HASHES)
        hashes = await context.reads.run(read_hashes, range(start, stop))
        entry.next_height = max(start, stop)
        return hashes
    last = entry.query.last
    wanted = range(start, min(stop, last + 1 if isinstance(last, int) else stop))
    try:
        logs = await _search(context, entry.query.criteria, wanted)
    except TooMuch as error:  # nothing is lost: the next poll goes on behind what this one gets
        if error.last < start:
            raise
        wanted = range(start, error.last + 1)
        logs = await _search(context, entry.query.criteria, wanted)
    entry.next_height = max(start, wanted.stop)
    return logs


@table.method("eth_getFilterLogs", _FILTER_ID, returns=schemas.array(schemas.LOG))
async def filter_logs(context: Context, identifier: str) -> Json:
    """Return all logs that a log filter's query matches."""
    entry = context.filters.find(identifier)
    if not isinstance(entry, LogFilter):
        raise RpcError(SERVER_ERROR, "filter not found: it is no log filter")
    return await _query(context, entry.query)


# -- subscriptions


@dataclass(frozen=True, slots=True)
class _Options:
    criteria: Criteria | None
    whole: bool


@takes(schemas.either(schemas.BOOLEAN, schemas.CRITERIA))
def _options(value: object, where: str) -> _Options:
    if isinstance(value, bool):
        return _Options(None, boolean(value, where))
    return _Options(log_criteria(mapping(value, where), where), False)


def _subscriber(context: Context) -> Subscriber:
    if context.subscriber is None:
        raise RpcError(METHOD_NOT_FOUND, "notifications not supported: subscribe over a WebSocket")
    return context.subscriber


@table.method(
    "eth_subscribe",
    Parameter("subscription", text, schema=schemas.constant(*Topic)),
    Parameter("options", _options, _Options(None, False)),
    returns=schemas.FILTER_ID,
)
async def subscribe(context: Context, name: str, options: _Options) -> Json:
    """Subscribe this WebSocket to newHeads, logs (with a filter), newPendingTransactions or syncing; return its id."""
    subscriber = _subscriber(context)
    if name not in tuple(Topic):
        known = ", ".join(Topic)
        raise RpcError(METHOD_NOT_FOUND, f"no {shown(name)} subscription in eth namespace; there are {known}")
    topic = Topic(name)
    identifier = context.feed.subscribe(subscriber, topic, options.criteria, whole=options.whole)
    context.started.append(identifier)
    return identifier


@table.method("eth_unsubscribe", Parameter("subscription id", text, schema=schemas.FILTER_ID), returns=schemas.BOOLEAN)
async def unsubscribe(context: Context, identifier: str) -> Json:
    """End a subscription of this WebSocket; false if it has none with this id."""
    return context.feed.unsubscribe(_subscriber(context), identifier)
