"""Filters that clients install and poll (`eth_newFilter` and kin): bounded, and gone when nobody polls them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from node.rpc.errors import SERVER_ERROR, LimitExceeded, RpcError
from node.rpc.formats import random_id
from node.rpc.logs import MAX_KEPT, LogQuery

MAX_FILTERS = 1_000  # of all clients together
LIFETIME_S = 300  # without a poll; what Ethereum clients wait
MAX_PENDING = 10_000  # hashes kept for a filter between two polls; older ones are lost


@dataclass(slots=True)
class LogFilter:
    """Logs of a query; `next_height` is the first one that was not looked at; one poll at a time has the `turn`."""

    query: LogQuery
    next_height: int
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True)
class BlockFilter:
    """Hashes of new blocks from `next_height` on."""

    next_height: int
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True)
class PendingFilter:
    """Hashes of the transactions that came into the pool since the last poll; `whole` asks for them themselves."""

    whole: bool = False
    hashes: deque[bytes] = field(default_factory=lambda: deque(maxlen=MAX_PENDING))


Filter = LogFilter | BlockFilter | PendingFilter


class FilterTable:
    """The installed filters.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._filters: dict[str, tuple[Filter, float]] = {}

    def install(self, entry: Filter) -> str:
        """Add a filter and return its id.

        Raises:
            LimitExceeded: there are too many, and all are in use.
        """
        self._expire()
        if len(self._filters) >= MAX_FILTERS:
            raise LimitExceeded(f"{MAX_FILTERS} filters are installed; uninstall those that are not needed")
        if isinstance(entry, LogFilter):
            held = sum(each.query.criteria.size for each, _ in self._filters.values() if isinstance(each, LogFilter))
            if held + entry.query.criteria.size > MAX_KEPT:
                raise LimitExceeded(f"the filters hold {held} addresses and topics; at most {MAX_KEPT} are kept")
        identifier = random_id()
        self._filters[identifier] = (entry, self._clock() + LIFETIME_S)
        return identifier

    def find(self, identifier: str) -> Filter:
        """Return a filter and let it live on.

        Raises:
            RpcError: there is none with this id (it may have expired).
        """
        self._expire()
        found = self._filters.get(identifier)
        if found is None:
            raise RpcError(SERVER_ERROR, "filter not found")
        self._filters[identifier] = (found[0], self._clock() + LIFETIME_S)
        return found[0]

    def uninstall(self, identifier: str) -> bool:
        """Remove a filter; False if there is none with this id."""
        return self._filters.pop(identifier, None) is not None

    def add_pending(self, transaction_hash: bytes) -> None:
        """Tell the filters of a new transaction in the pool."""
        for entry, _ in self._filters.values():
            if isinstance(entry, PendingFilter):
                entry.hashes.append(transaction_hash)

    def _expire(self) -> None:
        now = self._clock()
        for identifier in [key for key, (_, until) in self._filters.items() if until < now]:
            del self._filters[identifier]
