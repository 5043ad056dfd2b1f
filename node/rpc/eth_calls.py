"""`eth_` methods that run calls over a state and drop what they change. Source: execution-apis, eth/execute.yaml."""

from __future__ import annotations

from collections.abc import Mapping

from node.execution.overrides import NO_OVERRIDES, StateOverrides
from node.rpc import schemas
from node.rpc.calls import CallRequest, call_request, run_access_list, run_call, run_estimate
from node.rpc.context import Context
from node.rpc.formats import BlockRef, Json, Tag, block_ref, to_data, to_quantity
from node.rpc.methods import MethodTable, Parameter
from node.rpc.overrides import NO_BLOCK_OVERRIDES, BlockOverrides, block_overrides, state_overrides
from node.rpc.simulate import run_simulation, simulate_payload

table = MethodTable()

_CALL = Parameter("transaction", call_request)
_BLOCK = Parameter("block", block_ref, Tag.LATEST)
_STATE = Parameter("state overrides", state_overrides, NO_OVERRIDES)
_BLOCK_OVERRIDES = Parameter("block overrides", block_overrides, NO_BLOCK_OVERRIDES)


@table.method("eth_call", _CALL, _BLOCK, _STATE, _BLOCK_OVERRIDES, returns=schemas.BYTES)
async def call(
    context: Context, request: CallRequest, block: BlockRef, accounts: StateOverrides, blocks: BlockOverrides
) -> Json:
    """Run a call over a block's state and return its output; on the head, at the chain's time now."""
    now_s = context.backend.chain_time_s()
    return to_data(await context.reads.run(run_call, request, block, now_s, accounts, blocks))


@table.method("eth_estimateGas", _CALL, _BLOCK, _STATE, _BLOCK_OVERRIDES, returns=schemas.UINT)
async def estimate_gas(
    context: Context, request: CallRequest, block: BlockRef, accounts: StateOverrides, blocks: BlockOverrides
) -> Json:
    """Return the least gas limit with which a transaction succeeds in the next block."""
    now_s = context.backend.chain_time_s()
    return to_quantity(await context.reads.run(run_estimate, request, block, now_s, accounts, blocks))


@table.method("eth_createAccessList", _CALL, _BLOCK, _STATE, _BLOCK_OVERRIDES, returns=schemas.ACCESS_LIST_RESULT)
async def create_access_list(
    context: Context, request: CallRequest, block: BlockRef, accounts: StateOverrides, blocks: BlockOverrides
) -> Json:
    """Return the addresses and slots that a transaction touches, and the gas that it uses if it names them."""
    now_s = context.backend.chain_time_s()
    return await context.reads.run(run_access_list, request, block, now_s, accounts, blocks)


@table.method("eth_simulateV1", Parameter("payload", simulate_payload), _BLOCK, returns=schemas.SIMULATE_RESULT)
async def simulate(context: Context, payload: Mapping[str, object], block: BlockRef) -> Json:
    """Make blocks of calls upon a block and return them whole, with receipts, logs and roots; nothing is kept."""
    return await context.reads.render(run_simulation, payload, block, context.backend.chain_time_s())
