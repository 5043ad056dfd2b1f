"""`debug_` methods: traces by running transactions again, and blocks, transactions and receipts in RLP.

Sources: go-ethereum, `eth/tracers/api.go`; execution-apis, debug/getters.yaml.
"""

from __future__ import annotations

from node.rpc import schemas
from node.rpc.blocks import require_height
from node.rpc.calls import CallRequest, call_request
from node.rpc.context import Context
from node.rpc.formats import BlockRef, Json, Tag, block_number, block_ref, data, hash32, to_data
from node.rpc.methods import MethodTable, Parameter
from node.rpc.reads import Reader
from node.rpc.render import raw_block
from node.rpc.tracing import (
    CallTraceConfig,
    TraceConfig,
    call_trace_config,
    trace_block,
    trace_call,
    trace_config,
    trace_raw_block,
    trace_transaction,
)

table = MethodTable()

_CONFIG = Parameter("trace config", trace_config, TraceConfig())
_BLOCK = Parameter("block", block_ref)
_HASH = Parameter("transaction hash", hash32)


@table.method("debug_traceTransaction", _HASH, _CONFIG, returns=schemas.TRACE)
async def trace_one(context: Context, transaction_hash: bytes, config: TraceConfig) -> Json:
    """Run a committed transaction again and return its trace."""
    return await context.reads.run(trace_transaction, transaction_hash, config)


@table.method(
    "debug_traceCall",
    Parameter("transaction", call_request),
    Parameter("block", block_ref, Tag.LATEST),
    Parameter("trace call config", call_trace_config, CallTraceConfig()),
    returns=schemas.TRACE,
)
async def trace_a_call(context: Context, request: CallRequest, block: BlockRef, config: CallTraceConfig) -> Json:
    """Run a call over a block's state and return its trace; on the head, at the chain's time now."""
    return await context.reads.run(trace_call, request, block, context.backend.chain_time_s(), config)


@table.method("debug_traceBlockByNumber", Parameter("block", block_number), _CONFIG, returns=schemas.BLOCK_TRACE)
async def trace_by_number(context: Context, block: BlockRef, config: TraceConfig) -> Json:
    """Run the transactions of a block again and return their traces."""
    return await context.reads.run(trace_block, block, config)


@table.method("debug_traceBlockByHash", Parameter("block hash", hash32), _CONFIG, returns=schemas.BLOCK_TRACE)
async def trace_by_hash(context: Context, block: BlockRef, config: TraceConfig) -> Json:
    """Run the transactions of a block again and return their traces."""
    return await context.reads.run(trace_block, block, config)


@table.method("debug_traceBlock", Parameter("raw block", data), _CONFIG, returns=schemas.BLOCK_TRACE)
async def trace_rlp(context: Context, raw: bytes, config: TraceConfig) -> Json:
    """Return the traces of a block that is given in RLP and is one of this chain."""
    return await context.reads.run(trace_raw_block, raw, config)


# -- raw


def _raw_header(reader: Reader, ref: BlockRef) -> Json:
    """Return a header's RLP. A read function."""
    with reader.store.read() as view:
        return to_data(view.header(require_height(view, ref)).encode())


def _raw_block(reader: Reader, ref: BlockRef) -> Json:
    """Return a block's RLP. A read function."""
    with reader.store.read() as view:
        return to_data(raw_block(reader.blocks.read(view, require_height(view, ref))))


def _raw_receipts(reader: Reader, ref: BlockRef) -> Json:
    """Return a block's receipts as they enter their trie. A read function."""
    with reader.store.read() as view:
        receipts = reader.blocks.read(view, require_height(view, ref)).receipts
    return [to_data(receipt.encode()) for receipt in receipts]


@table.method("debug_getRawHeader", _BLOCK, returns=schemas.BYTES)
async def get_raw_header(context: Context, block: BlockRef) -> Json:
    """Return a block's header in RLP."""
    return await context.reads.render(_raw_header, block)


@table.method("debug_getRawBlock", _BLOCK, returns=schemas.BYTES)
async def get_raw_block(context: Context, block: BlockRef) -> Json:
    """Return a block in RLP, as Ethereum has it: header, transactions, no uncles, no withdrawals."""
    return await context.reads.render(_raw_block, block)


@table.method("debug_getRawReceipts", _BLOCK, returns=schemas.array(schemas.BYTES))
async def get_raw_receipts(context: Context, block: BlockRef) -> Json:
    """Return a block's receipts as EIP-2718 encodes them."""
    return await context.reads.render(_raw_receipts, block)


@table.method("debug_getRawTransaction", _HASH, returns=schemas.BYTES)
async def get_raw_transaction(context: Context, transaction_hash: bytes) -> Json:
    """Return a transaction's bytes as they were signed, committed or waiting here; no bytes if it is not known."""
    with context.backend.store.read() as view:
        place = view.locate(transaction_hash)
    if place is None:
        waiting = context.backend.mempool.get(transaction_hash)
        return to_data(b"" if waiting is None else waiting.raw)
    block = await context.block(place[0])
    return to_data(b"" if block is None else block.raws[place[1]])


@table.method("debug_getBadBlocks", returns=schemas.array({"type": "object"}))
async def get_bad_blocks(_context: Context) -> Json:
    """Return no blocks: one that is not valid gets no votes, and is not kept."""
    return []
