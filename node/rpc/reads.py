"""Heavy reads behind one seam: today a few threads with a bounded queue, later worker processes over the same database.

What is run is a module's function with plain arguments, so that it can be sent to another process.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from eth_hash.auto import keccak

from node.chain.header import Header
from node.chain.receipt import Receipt
from node.execution import Executor
from node.rpc.errors import LimitExceeded
from node.rules import RuleBook
from node.storage import Store, View

T = TypeVar("T")
P = ParamSpec("P")

READERS = 2  # threads share the interpreter lock: more of them would only take more of it from the votes
MAX_WAITING = 64  # reads in the queue; a caller beyond them hears at once that the node is busy
CACHED_BLOCKS = 16  # recent ones, which everybody asks for; a block takes at most a few MB


@dataclass(frozen=True, slots=True)
class BlockData:
    """A committed block as it is read: header, raw transactions with hashes and senders, receipts."""

    header: Header
    raws: tuple[bytes, ...]
    hashes: tuple[bytes, ...]
    senders: tuple[bytes, ...]
    receipts: tuple[Receipt, ...]


class BlockCache:
    """The blocks last read, by height. A committed block never changes, so an entry is never wrong."""

    def __init__(self) -> None:
        self._blocks: OrderedDict[int, BlockData] = OrderedDict()
        self._lock = threading.Lock()

    def peek(self, height: int) -> BlockData | None:
        """Return a block if it was read lately."""
        with self._lock:
            found = self._blocks.get(height)
            if found is not None:
                self._blocks.move_to_end(height)
            return found

    def keep(self, block: BlockData) -> None:
        """Remember a block in place of the one used longest ago."""
        with self._lock:
            self._blocks[block.header.number] = block
            while len(self._blocks) > CACHED_BLOCKS:
                self._blocks.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Reader:
    """What a read function reads from."""

    store: Store
    executor: Executor
    rule_book: RuleBook
    blocks: BlockCache

    def block(self, view: View, height: int) -> BlockData:
        """Return a committed block."""
        block = self.blocks.peek(height)
        if block is None:
            raws = view.transactions(height)
            hashes = tuple(keccak(raw) for raw in raws)
            block = BlockData(view.header(height), raws, hashes, view.senders(height), view.receipts(height))
            self.blocks.keep(block)
        return block


class ReadPool(Protocol):
    """Runs read functions off the event loop."""

    async def run(self, function: Callable[Concatenate[Reader, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return `function(reader, *args)`.

        Raises:
            LimitExceeded: too many reads are waiting.
        """

    def close(self) -> None:
        """End the readers; what is running ends first."""


class ThreadReadPool:
    """A few threads and a bounded queue.

    Args:
        reader: what the functions read from.
    """

    def __init__(self, reader: Reader, readers: int = READERS, max_waiting: int = MAX_WAITING) -> None:
        self._reader = reader
        self._threads = ThreadPoolExecutor(readers, thread_name_prefix="rpc-read")
        self._bound = readers + max_waiting
        self._jobs = 0
        self._lock = threading.Lock()

    async def run(self, function: Callable[Concatenate[Reader, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return `function(reader, *args)`, run in one of the threads.

        Raises:
            LimitExceeded: too many reads are waiting.
        """
        with self._lock:
            if self._jobs >= self._bound:
                raise LimitExceeded(f"this node is busy with {self._jobs} reads; try again")
            self._jobs += 1
        job = self._threads.submit(function, self._reader, *args, **kwargs)
        job.add_done_callback(self._done)
        return await asyncio.wrap_future(job)

    def _done(self, _job: Future[T]) -> None:
        with self._lock:
            self._jobs -= 1

    def close(self) -> None:
        """Drop what waits and end the threads once what is running has ended."""
        self._threads.shutdown(wait=True, cancel_futures=True)
