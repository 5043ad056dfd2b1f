"""What read functions read from: a module's function with plain arguments, `function(reader, *args)`.

Heavy ones run in processes of their own (`pool.py`, `worker.py`), over the same database.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVarTuple

from eth_hash.auto import keccak

from node.chain import rlp
from node.chain.header import Header
from node.chain.receipt import Receipt, decode_stored
from node.execution import Executor, Loop
from node.rpc.formats import Json
from node.rpc.protocol import Rendered, encode_json
from node.rules import RuleBook
from node.storage import Store, View

Ts = TypeVarTuple("Ts")

LENGTH_BYTES = 4  # of the length before every frame between a node and its reading processes
OUT_OF_MEMORY = 12  # the status of a reading process that had no memory left; as ENOMEM
INLINE_RECEIPT_BYTES = 32 * 1024  # of a block, as they are stored: decoding and rendering takes some 20 ms
CACHED_BLOCKS = 16  # recent ones, which everybody asks for; a block takes at most a few MB


@dataclass(frozen=True)
class BlockData:
    """A committed block as it is read: header, raw transactions with hashes and senders, receipts as they are stored.

    The receipts are decoded when they are asked for: a block's may hold tens of thousands of logs.
    """

    header: Header
    raws: tuple[bytes, ...]
    hashes: tuple[bytes, ...]
    senders: tuple[bytes, ...]
    stored_receipts: tuple[bytes, ...]

    @cached_property
    def receipts(self) -> tuple[Receipt, ...]:
        """The receipts, decoded; on the event loop of a `light` block alone."""
        return tuple(decode_stored(rlp.decode(raw)) for raw in self.stored_receipts)

    @property
    def light(self) -> bool:
        """Whether the receipts are so small that they are decoded and rendered in no time."""
        return sum(map(len, self.stored_receipts)) <= INLINE_RECEIPT_BYTES


class BlockCache:
    """The blocks last read, by height. A committed block never changes, so an entry is never wrong."""

    def __init__(self) -> None:
        self._blocks: OrderedDict[int, BlockData] = OrderedDict()

    def read(self, view: View, height: int) -> BlockData:
        """Return a committed block, from the database if it was not read lately."""
        block = self._blocks.get(height)
        if block is None:
            raws = view.transactions(height)
            hashes = tuple(keccak(raw) for raw in raws)
            stored = tuple(view.stored_receipts(height))
            block = BlockData(view.header(height), raws, hashes, view.senders(height), stored)
            self._blocks[height] = block
            if len(self._blocks) > CACHED_BLOCKS:
                self._blocks.popitem(last=False)
        else:
            self._blocks.move_to_end(height)
        return block


@dataclass(frozen=True, slots=True)
class Reader:
    """What a read function reads from."""

    store: Store
    executor: Executor
    rule_book: RuleBook
    blocks: BlockCache


def rendered(reader: Reader, function: Callable[[Reader, *Ts], Json], args: tuple[*Ts]) -> Rendered:
    """Return the result of a read function as JSON. A read function."""
    return encode_json(function(reader, *args))


@dataclass(frozen=True, slots=True)
class ReadOrder:
    """What a process needs to know before it can read.

    Args:
        database: the folder of the database.
        map_bytes: how large the database may grow, as its writer has it.
        rules: those of the genesis file.
        chain_id: as in EIP-155.
        loop: which opcode loop runs.
        max_seconds: how long a read may take.
        max_data_bytes: how much memory of its own the process may take.
    """

    database: Path
    map_bytes: int
    rules: Mapping[str, Any]
    chain_id: int
    loop: Loop
    max_seconds: float
    max_data_bytes: int
