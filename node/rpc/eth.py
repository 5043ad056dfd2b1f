"""`eth_` methods that read blocks and transactions, and send. Source: execution-apis, eth/{block,submit}.yaml."""

from __future__ import annotations

from node.chain.transaction import InvalidTransaction
from node.rpc import schemas
from node.rpc.blocks import find_height
from node.rpc.context import Context
from node.rpc.errors import SERVER_ERROR, RpcError
from node.rpc.formats import (
    BlockRef,
    Json,
    block_number,
    block_ref,
    boolean,
    data,
    hash32,
    number,
    to_data,
    to_quantity,
)
from node.rpc.methods import MethodTable, Parameter
from node.rpc.reads import Reader
from node.rpc.render import (
    block_json,
    header_json,
    mined_transaction_json,
    pending_transaction_json,
    receipt_json,
)

table = MethodTable()

_BLOCK_NUMBER = Parameter("block", block_number)
_BLOCK_HASH = Parameter("block hash", hash32)
_TRANSACTION_HASH = Parameter("transaction hash", hash32)
_INDEX = Parameter("index", number)
_FULL = Parameter("full transactions", boolean, False)


# -- the chain


@table.method("eth_chainId", returns=schemas.UINT)
async def chain_id(context: Context) -> Json:
    """Return the chain id."""
    return to_quantity(context.chain_id)


@table.method("eth_blockNumber", returns=schemas.UINT)
async def head_number(context: Context) -> Json:
    """Return the height of the newest block."""
    with context.backend.store.read() as view:
        return to_quantity(view.head_height)


@table.method("eth_syncing", returns=schemas.SYNCING)
async def syncing(context: Context) -> Json:
    """Return false, or how far this node has caught up with the others."""
    progress = context.feed.progress
    return False if progress is None else progress.json()


@table.method("eth_mining", returns=schemas.BOOLEAN)
async def mining(_context: Context) -> Json:
    """Return false: blocks are agreed on, not mined."""
    return False


@table.method("eth_hashrate", returns=schemas.UINT)
async def hashrate(_context: Context) -> Json:
    """Return zero: blocks are agreed on, not mined."""
    return "0x0"


@table.method("eth_coinbase", returns=schemas.ADDRESS)
async def coinbase(_context: Context) -> Json:
    """Return the zero address, the coinbase of every block."""
    return to_data(bytes(20))


# -- blocks


def render_block(reader: Reader, ref: BlockRef) -> Json:
    """Return a block with whole transactions, null if there is none. A read function."""
    with reader.store.read() as view:
        height = find_height(view, ref)
        if height is None:
            return None
        return block_json(reader.blocks.read(view, height), reader.rule_book.rules_at(height).chain_id, full=True)


async def _block(context: Context, ref: BlockRef, full: bool) -> Json:
    if full:
        return await context.reads.render(render_block, ref)
    found = await context.block(ref)
    return None if found is None else block_json(found, context.chain_id, full=False)


@table.method("eth_getBlockByNumber", _BLOCK_NUMBER, _FULL, returns=schemas.nullable(schemas.BLOCK))
async def block_by_number(context: Context, ref: BlockRef, full: bool) -> Json:
    """Return a block by height or tag, null if there is none."""
    return await _block(context, ref, full)


@table.method("eth_getBlockByHash", _BLOCK_HASH, _FULL, returns=schemas.nullable(schemas.BLOCK))
async def block_by_hash(context: Context, ref: BlockRef, full: bool) -> Json:
    """Return a block by hash, null if there is none."""
    return await _block(context, ref, full)


async def _header(context: Context, ref: BlockRef) -> Json:
    with context.backend.store.read() as view:
        height = find_height(view, ref)
        return None if height is None else header_json(view.header(height))


@table.method("eth_getHeaderByNumber", _BLOCK_NUMBER, returns=schemas.nullable(schemas.HEADER))
async def header_by_number(context: Context, ref: BlockRef) -> Json:
    """Return a header by height or tag, null if there is none (as go-ethereum has it)."""
    return await _header(context, ref)


@table.method("eth_getHeaderByHash", _BLOCK_HASH, returns=schemas.nullable(schemas.HEADER))
async def header_by_hash(context: Context, ref: BlockRef) -> Json:
    """Return a header by its block's hash, null if there is none (as go-ethereum has it)."""
    return await _header(context, ref)


async def _transactions_in(context: Context, ref: BlockRef) -> Json:
    found = await context.block(ref)
    return None if found is None else to_quantity(len(found.raws))


@table.method("eth_getBlockTransactionCountByNumber", _BLOCK_NUMBER, returns=schemas.nullable(schemas.UINT))
async def block_transaction_count_by_number(context: Context, ref: BlockRef) -> Json:
    """Return the number of transactions in a block, null if there is none."""
    return await _transactions_in(context, ref)


@table.method("eth_getBlockTransactionCountByHash", _BLOCK_HASH, returns=schemas.nullable(schemas.UINT))
async def block_transaction_count_by_hash(context: Context, ref: BlockRef) -> Json:
    """Return the number of transactions in a block, null if there is none."""
    return await _transactions_in(context, ref)


async def _uncles_in(context: Context, ref: BlockRef) -> Json:
    with context.backend.store.read() as view:
        return None if find_height(view, ref) is None else "0x0"


@table.method("eth_getUncleCountByBlockNumber", _BLOCK_NUMBER, returns=schemas.nullable(schemas.UINT))
async def uncle_count_by_number(context: Context, ref: BlockRef) -> Json:
    """Return zero for every block: there are no uncles."""
    return await _uncles_in(context, ref)


@table.method("eth_getUncleCountByBlockHash", _BLOCK_HASH, returns=schemas.nullable(schemas.UINT))
async def uncle_count_by_hash(context: Context, ref: BlockRef) -> Json:
    """Return zero for every block: there are no uncles."""
    return await _uncles_in(context, ref)


@table.method("eth_getUncleByBlockNumberAndIndex", _BLOCK_NUMBER, _INDEX, returns=schemas.NULL)
async def uncle_by_number(_context: Context, _ref: BlockRef, _index: int) -> Json:
    """Return null: there are no uncles."""
    return None


@table.method("eth_getUncleByBlockHashAndIndex", _BLOCK_HASH, _INDEX, returns=schemas.NULL)
async def uncle_by_hash(_context: Context, _ref: BlockRef, _index: int) -> Json:
    """Return null: there are no uncles."""
    return None


# -- transactions


def render_receipts(reader: Reader, ref: BlockRef) -> Json:
    """Return the receipts of a block, null if there is none. A read function."""
    with reader.store.read() as view:
        height = find_height(view, ref)
        if height is None:
            return None
        block = reader.blocks.read(view, height)
    return [receipt_json(block, index) for index in range(len(block.raws))]


@table.method(
    "eth_getBlockReceipts", Parameter("block", block_ref), returns=schemas.nullable(schemas.array(schemas.RECEIPT))
)
async def block_receipts(context: Context, ref: BlockRef) -> Json:
    """Return the receipts of all transactions in a block, null if there is none."""
    return await context.reads.render(render_receipts, ref)


@table.method("eth_getTransactionReceipt", _TRANSACTION_HASH, returns=schemas.nullable(schemas.RECEIPT))
async def transaction_receipt(context: Context, transaction_hash: bytes) -> Json:
    """Return a committed transaction's receipt, null as long as there is none."""
    with context.backend.store.read() as view:
        place = view.locate(transaction_hash)
    if place is None:
        return None
    block = context.recent(place[0])
    if block is not None and block.light:
        return receipt_json(block, place[1])
    return await context.reads.render(render_receipt, *place)


def render_receipt(reader: Reader, height: int, index: int) -> Json:
    """Return a committed transaction's receipt. A read function."""
    with reader.store.read() as view:
        return receipt_json(reader.blocks.read(view, height), index)


@table.method(
    "eth_getTransactionByHash", _TRANSACTION_HASH, returns=schemas.either(schemas.MINED, schemas.PENDING, schemas.NULL)
)
async def transaction_by_hash(context: Context, transaction_hash: bytes) -> Json:
    """Return a transaction, committed or waiting in this node's pool; null if it is neither."""
    with context.backend.store.read() as view:
        place = view.locate(transaction_hash)
    if place is None:
        waiting = context.backend.mempool.get(transaction_hash)
        return None if waiting is None else pending_transaction_json(waiting)
    return await _transaction_at(context, *place)


@table.method("eth_getRawTransactionByHash", _TRANSACTION_HASH, returns=schemas.nullable(schemas.BYTES))
async def raw_transaction_by_hash(context: Context, transaction_hash: bytes) -> Json:
    """Return a transaction's bytes as they were signed, null if it is not known."""
    with context.backend.store.read() as view:
        place = view.locate(transaction_hash)
    if place is None:
        waiting = context.backend.mempool.get(transaction_hash)
        return None if waiting is None else to_data(waiting.raw)
    block = await context.block(place[0])
    return None if block is None else to_data(block.raws[place[1]])


async def _transaction_at(context: Context, ref: BlockRef, index: int) -> Json:
    block = await context.block(ref)
    if block is None or index >= len(block.raws):
        return None
    return mined_transaction_json(block, index, context.chain_id)


@table.method("eth_getTransactionByBlockNumberAndIndex", _BLOCK_NUMBER, _INDEX, returns=schemas.nullable(schemas.MINED))
async def transaction_by_number_and_index(context: Context, ref: BlockRef, index: int) -> Json:
    """Return the transaction at an index in a block, null if there is none."""
    return await _transaction_at(context, ref, index)


@table.method("eth_getTransactionByBlockHashAndIndex", _BLOCK_HASH, _INDEX, returns=schemas.nullable(schemas.MINED))
async def transaction_by_hash_and_index(context: Context, ref: BlockRef, index: int) -> Json:
    """Return the transaction at an index in a block, null if there is none."""
    return await _transaction_at(context, ref, index)


async def _raw_transaction_at(context: Context, ref: BlockRef, index: int) -> Json:
    block = await context.block(ref)
    return None if block is None or index >= len(block.raws) else to_data(block.raws[index])


@table.method(
    "eth_getRawTransactionByBlockNumberAndIndex", _BLOCK_NUMBER, _INDEX, returns=schemas.nullable(schemas.BYTES)
)
async def raw_transaction_by_number_and_index(context: Context, ref: BlockRef, index: int) -> Json:
    """Return the bytes of the transaction at an index in a block, null if there is none."""
    return await _raw_transaction_at(context, ref, index)


@table.method("eth_getRawTransactionByBlockHashAndIndex", _BLOCK_HASH, _INDEX, returns=schemas.nullable(schemas.BYTES))
async def raw_transaction_by_hash_and_index(context: Context, ref: BlockRef, index: int) -> Json:
    """Return the bytes of the transaction at an index in a block, null if there is none."""
    return await _raw_transaction_at(context, ref, index)


@table.method("eth_sendRawTransaction", Parameter("transaction", data), returns=schemas.HASH32)
async def send_raw_transaction(context: Context, raw: bytes) -> Json:
    """Take a signed transaction into the pool and return its hash."""
    try:
        return to_data(await context.backend.submit(raw))
    except InvalidTransaction as error:
        raise RpcError(SERVER_ERROR, error.reason) from None
