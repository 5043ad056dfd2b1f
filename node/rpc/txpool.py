"""`txpool_` methods, as go-ethereum has them: what waits in this node's pool."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from node.chain.address import checksummed
from node.chain.transaction import Transaction, decode_transaction
from node.mempool.account import AccountQueue
from node.rpc import schemas
from node.rpc.context import Context
from node.rpc.errors import LimitExceeded
from node.rpc.formats import Json, address, to_quantity
from node.rpc.methods import MethodTable, Parameter
from node.rpc.protocol import Rendered
from node.rpc.reads import Reader
from node.rpc.render import pending_transaction_json

MAX_CONTENT = 5_000  # transactions in an answer
MAX_CONTENT_BYTES = 8 * 1024 * 1024  # of them as they were signed: some three times as many in JSON

table = MethodTable()

Part = tuple[list[bytes], list[bytes]]
"""Raw transactions: those that can be executed, and those that are queued behind a gap or a low balance."""


def _listed(accounts: Iterable[AccountQueue]) -> Part:
    """Return what waits of some accounts, each one's by nonce.

    Raises:
        LimitExceeded: it is too much for one answer.
    """
    pending: list[bytes] = []
    queued: list[bytes] = []
    size = 0
    for account in accounts:
        for nonce, entry in sorted(account.entries.items()):
            (pending if nonce < account.next_nonce else queued).append(entry.tx.raw)
            size += len(entry.tx.raw)
        if len(pending) + len(queued) > MAX_CONTENT or size > MAX_CONTENT_BYTES:
            raise LimitExceeded(
                f"more than {MAX_CONTENT} transactions or {MAX_CONTENT_BYTES} bytes wait; ask for one account "
                "(txpool_contentFrom), or for their number (txpool_status)"
            )
    return pending, queued


def _all(context: Context) -> Part:
    accounts = context.backend.mempool.accounts()
    return _listed(accounts[sender] for sender in sorted(accounts))


def _by_sender(reader: Reader, raws: list[bytes], show: Callable[[Transaction], Json]) -> dict[str, dict[str, Json]]:
    chain_id = reader.rule_book.rules_at(0).chain_id
    senders: dict[str, dict[str, Json]] = {}
    for raw in raws:
        tx = decode_transaction(raw, chain_id)
        senders.setdefault(checksummed(tx.sender), {})[str(tx.nonce)] = show(tx)
    return senders


def render_content(reader: Reader, part: Part) -> Json:
    """Return transactions by sender and nonce. A read function, since there may be thousands of them."""
    pending, queued = (_by_sender(reader, raws, pending_transaction_json) for raws in part)
    return {"pending": pending, "queued": queued}


def render_lines(reader: Reader, part: Part) -> Json:
    """Return a line for each transaction by sender and nonce. A read function."""
    pending, queued = (_by_sender(reader, raws, _line) for raws in part)
    return {"pending": pending, "queued": queued}


def render_account(reader: Reader, part: Part) -> Json:
    """Return one sender's transactions by nonce. A read function."""
    pending, queued = (next(iter(_by_sender(reader, raws, pending_transaction_json).values()), {}) for raws in part)
    return {"pending": pending, "queued": queued}


@table.method("txpool_status", returns=schemas.POOL_STATUS)
async def status(context: Context) -> Json:
    """Return how many transactions are executable and how many are queued behind a gap or a low balance."""
    pool = context.backend.mempool
    return {"pending": to_quantity(pool.pending), "queued": to_quantity(pool.queued)}


@table.method("txpool_content", returns=schemas.POOL_CONTENT)
async def content(context: Context) -> Rendered:
    """Return the waiting transactions by sender and nonce."""
    return await context.reads.render(render_content, _all(context))


@table.method("txpool_contentFrom", Parameter("address", address), returns=schemas.POOL_CONTENT_FROM)
async def content_from(context: Context, sender: bytes) -> Rendered:
    """Return one account's waiting transactions by nonce."""
    account = context.backend.mempool.account(sender)
    return await context.reads.render(render_account, _listed([] if account is None else [account]))


@table.method("txpool_inspect", returns=schemas.POOL_INSPECT)
async def inspect(context: Context) -> Rendered:
    """Return the waiting transactions by sender and nonce, a line each."""
    return await context.reads.render(render_lines, _all(context))


def _line(transaction: Transaction) -> str:
    to = "contract creation" if transaction.to is None else checksummed(transaction.to)
    return f"{to}: {transaction.value} wei + {transaction.gas_limit} gas × {transaction.max_fee_per_gas} wei"
