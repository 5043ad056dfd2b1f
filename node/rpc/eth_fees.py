"""`eth_` methods about what gas costs: nothing, but who wants may pay. Source: execution-apis, eth/fee_market.yaml."""

from __future__ import annotations

from node.rpc import schemas
from node.rpc.blocks import find_height
from node.rpc.context import Context
from node.rpc.errors import SERVER_ERROR, RpcError
from node.rpc.formats import BlockRef, Json, block_number, count, sequence, to_quantity
from node.rpc.methods import MethodTable, Parameter
from node.rpc.reads import BlockData, Reader
from node.rpc.render import transaction_tip

MAX_FEE_HISTORY = 1_024  # blocks; what Ethereum clients give
MAX_REWARD_BLOCKS = 256  # of them where rewards are asked for: their transactions are decoded
MAX_PERCENTILES = 100
BLOB_BASE_FEE = 1  # EIP-4844's least, which is what BLOBBASEFEE says in a chain without blobs

table = MethodTable()


@table.method("eth_gasPrice", returns=schemas.UINT)
async def gas_price(_context: Context) -> Json:
    """Return the suggested gas price: zero."""
    return "0x0"


@table.method("eth_maxPriorityFeePerGas", returns=schemas.UINT)
async def max_priority_fee(_context: Context) -> Json:
    """Return the suggested priority fee: zero."""
    return "0x0"


@table.method("eth_baseFee", returns=schemas.UINT)
async def base_fee(context: Context) -> Json:
    """Return the base fee of the next block: zero."""
    with context.backend.store.read() as view:
        return to_quantity(context.backend.rule_book.rules_at(view.head_height + 1).base_fee)


@table.method("eth_blobBaseFee", returns=schemas.UINT)
async def blob_base_fee(_context: Context) -> Json:
    """Return the least base fee of blob gas, which a contract sees; there are no blobs to pay for."""
    return to_quantity(BLOB_BASE_FEE)


@schemas.takes(schemas.array({"type": "number", "minimum": 0, "maximum": 100}, MAX_PERCENTILES))
def _percentiles(value: object, where: str) -> tuple[float, ...]:
    found: list[float] = []
    for index, row in enumerate(sequence(value, where, MAX_PERCENTILES)):
        if isinstance(row, bool) or not isinstance(row, int | float) or not 0 <= row <= 100:
            raise RpcError(SERVER_ERROR, f"invalid reward percentile: {row!r:.40} is no number from 0 to 100")
        if found and row <= found[-1]:
            raise RpcError(SERVER_ERROR, f"invalid reward percentile: #{index - 1}:{found[-1]} >= #{index}:{row}")
        found.append(row)
    return tuple(found)


def read_fee_history(reader: Reader, blocks: int, newest: BlockRef, percentiles: tuple[float, ...]) -> Json:
    """Return fees and the share of gas used of recent blocks. A read function.

    Raises:
        RpcError: there is no such newest block yet.
    """
    with reader.store.read() as view:
        last = find_height(view, newest)
        if last is None:
            raise RpcError(SERVER_ERROR, f"request beyond head block: requested {newest!r}, head {view.head_height}")
        if blocks == 0:
            return {"oldestBlock": "0x0", "baseFeePerGas": [], "gasUsedRatio": []}
        most = MAX_REWARD_BLOCKS if percentiles else MAX_FEE_HISTORY
        first = max(view.first_height, last + 1 - min(blocks, most), 0)
        headers = [view.header(height) for height in range(first, last + 1)]
        rewards = []
        for header in headers if percentiles else ():
            if header.gas_used:
                found = _rewards(reader.blocks.read(view, header.number), percentiles)
            else:
                found = [0] * len(percentiles)
            rewards.append([to_quantity(tip) for tip in found])
    following = reader.rule_book.rules_at(last + 1).base_fee
    answer: dict[str, Json] = {
        "oldestBlock": to_quantity(first),
        "baseFeePerGas": [*(to_quantity(header.base_fee_per_gas) for header in headers), to_quantity(following)],
        "gasUsedRatio": [header.gas_used / header.gas_limit for header in headers],
        "baseFeePerBlobGas": [to_quantity(BLOB_BASE_FEE)] * (len(headers) + 1),
        "blobGasUsedRatio": [0] * len(headers),
    }
    return answer | {"reward": rewards} if percentiles else answer


def _rewards(block: BlockData, percentiles: tuple[float, ...]) -> list[int]:
    """Return the tips, in wei a unit of gas, below which those shares of a block's gas paid."""
    paid, before = [], 0
    for raw, receipt in zip(block.raws, block.receipts, strict=True):
        paid.append((transaction_tip(raw, block.header.base_fee_per_gas), receipt.cumulative_gas_used - before))
        before = receipt.cumulative_gas_used
    paid.sort()
    found, at = [], 0
    used = paid[0][1]
    for share in percentiles:
        while used < int(block.header.gas_used * share / 100) and at < len(paid) - 1:
            at += 1
            used += paid[at][1]
        found.append(paid[at][0])
    return found


@table.method(
    "eth_feeHistory",
    Parameter("block count", count),
    Parameter("newest block", block_number),
    Parameter("reward percentiles", _percentiles, ()),
    returns=schemas.FEE_HISTORY,
)
async def fee_history(context: Context, blocks: int, newest: BlockRef, percentiles: tuple[float, ...]) -> Json:
    """Return base fees, gas used and, by percentile of gas, the tips paid in recent blocks."""
    return await context.reads.run(read_fee_history, blocks, newest, percentiles)
