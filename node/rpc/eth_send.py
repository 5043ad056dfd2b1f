"""`eth_sendRawTransactionSync`: send a transaction and be answered with its receipt. Source: EIP-7966; go-ethereum."""

from __future__ import annotations

import asyncio

from node.rpc import schemas
from node.rpc.context import Context
from node.rpc.errors import NOT_MINED_YET, LimitExceeded, RpcError
from node.rpc.eth import send_raw_transaction, transaction_receipt
from node.rpc.formats import Json, count, data
from node.rpc.methods import MethodTable, Parameter

DEFAULT_MS = 5_000  # some views: a block takes a fraction of a second where nobody fails
MOST_MS = 20_000  # below what a message has

table = MethodTable()


@table.method(
    "eth_sendRawTransactionSync",
    Parameter("transaction", data),
    Parameter("timeout in milliseconds", count, DEFAULT_MS),
    returns=schemas.RECEIPT,
)
async def send_raw_transaction_sync(context: Context, raw: bytes, timeout_ms: int) -> Json:
    """Take a signed transaction into the pool, wait until it is committed, and return its receipt (EIP-7966)."""
    if context.waiting.locked():
        raise LimitExceeded("too many clients wait for receipts; send it with eth_sendRawTransaction")
    committed = asyncio.Event()
    async with context.waiting:
        end = context.backend.on_head(lambda _height: committed.set())
        try:
            sent = str(await send_raw_transaction(context, raw))
            return await _receipt(context, sent, committed, min(timeout_ms or DEFAULT_MS, MOST_MS))
        finally:
            end()


async def _receipt(context: Context, sent: str, committed: asyncio.Event, timeout_ms: int) -> Json:
    transaction_hash = bytes.fromhex(sent[2:])
    deadline = asyncio.get_running_loop().time() + timeout_ms / 1_000
    while True:
        committed.clear()
        receipt = await transaction_receipt(context, transaction_hash)
        if receipt is not None:
            return receipt
        try:
            async with asyncio.timeout_at(deadline):
                await committed.wait()
        except TimeoutError:
            message = f"The transaction was added to the transaction pool but wasn't processed in {timeout_ms} ms"
            raise RpcError(NOT_MINED_YET, message, sent) from None
