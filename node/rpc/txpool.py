"""`txpool_` methods, as go-ethereum has them: what waits in this node's pool."""

from __future__ import annotations

from collections.abc import Callable

from node.chain.transaction import Transaction
from node.rpc import schemas
from node.rpc.context import Context
from node.rpc.errors import LimitExceeded
from node.rpc.formats import Json, to_data, to_quantity
from node.rpc.methods import MethodTable
from node.rpc.render import pending_transaction_json

MAX_CONTENT = 5_000  # transactions in an answer

table = MethodTable()


def _sorted(context: Context) -> tuple[list[Transaction], list[Transaction]]:
    """Return (executable, waiting for an earlier nonce), by sender and nonce."""
    pending: list[Transaction] = []
    queued: list[Transaction] = []
    pool = context.backend.mempool
    with context.backend.store.read() as view:
        for sender, waiting in pool.content().items():
            account = view.state.account(sender)
            following = pool.pending_nonce(sender, 0 if account is None else account.nonce)
            for nonce, transaction in waiting.items():
                (pending if nonce < following else queued).append(transaction)
    return pending, queued


def _grouped(context: Context, show: Callable[[Transaction], Json]) -> dict[str, Json]:
    if len(context.backend.mempool) > MAX_CONTENT:
        raise LimitExceeded(f"{len(context.backend.mempool)} transactions wait; at most {MAX_CONTENT} are listed")
    answer: dict[str, Json] = {}
    for name, transactions in zip(("pending", "queued"), _sorted(context), strict=True):
        senders: dict[str, dict[str, Json]] = {}
        for transaction in transactions:
            senders.setdefault(to_data(transaction.sender), {})[str(transaction.nonce)] = show(transaction)
        answer[name] = senders
    return answer


@table.method("txpool_status", returns=schemas.POOL_STATUS)
async def status(context: Context) -> Json:
    """Return how many transactions are executable and how many wait for an earlier nonce."""
    pending, queued = _sorted(context)
    return {"pending": to_quantity(len(pending)), "queued": to_quantity(len(queued))}


@table.method("txpool_content", returns=schemas.POOL_CONTENT)
async def content(context: Context) -> Json:
    """Return the waiting transactions by sender and nonce."""
    return _grouped(context, pending_transaction_json)


@table.method("txpool_inspect", returns=schemas.POOL_INSPECT)
async def inspect(context: Context) -> Json:
    """Return the waiting transactions by sender and nonce, a line each."""
    return _grouped(context, _line)


def _line(transaction: Transaction) -> str:
    to = "contract creation" if transaction.to is None else to_data(transaction.to)
    return f"{to}: {transaction.value} wei + {transaction.gas_limit} gas × {transaction.max_fee_per_gas} wei"
