"""`eth_simulateV1`: what a client asks for, and how it is answered. Source: execution-apis, schemas/execute.yaml."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from node.chain.header import Header
from node.execution.machine import REVERTED, Outcome
from node.execution.overrides import NO_OVERRIDES, InvalidOverride, StateOverrides
from node.rpc import schemas
from node.rpc.blocks import require_height
from node.rpc.calls import CallRequest, call_request, vm_error
from node.rpc.errors import EXECUTION_REVERTED, InvalidParams, Reverted, RpcError
from node.rpc.formats import BlockRef, Json, Tag, boolean, field, mapping, sequence, to_data, to_quantity
from node.rpc.overrides import NO_BLOCK_OVERRIDES, BlockOverrides, block_overrides, refused, state_overrides
from node.rpc.reads import Reader
from node.rpc.render import BlockName, block_json, log_json, placed_transaction_json
from node.rpc.schemas import takes
from node.rpc.simulation import CLIENT_LIMIT, BlockPlan, Simulated, Simulation, placed_logs
from node.state.overlay import Overlay

MAX_BLOCKS = 256
MAX_BLOCK_CALLS, MAX_CALLS = 5_000, 10_000  # as go-ethereum
BLOCK_TIME_S = 1  # between blocks whose time is not given
NOT_RISING, TIME_NOT_RISING, VM_ERROR = -38020, -38021, -32015


@dataclass(frozen=True, slots=True)
class BlockCalls:
    """One entry of `blockStateCalls`."""

    block: BlockOverrides
    accounts: StateOverrides
    calls: Sequence[CallRequest]


@dataclass(frozen=True, slots=True)
class SimulateRequest:
    """What is to be simulated, and how it is shown."""

    blocks: Sequence[BlockCalls]
    transfers: bool
    validation: bool
    full: bool


def _too_many(what: str) -> RpcError:
    return RpcError(CLIENT_LIMIT, what)


@takes(schemas.SIMULATE_PAYLOAD)
def simulate_payload(value: object, where: str) -> Mapping[str, object]:
    """Return what a client wants simulated as it wrote it: it may be large, so the reading process parses it."""
    return mapping(value, where)


def simulate_request(value: object, where: str) -> SimulateRequest:
    """Return what a client wants simulated.

    Raises:
        InvalidParams: malformed, or nothing.
        RpcError: too many blocks or calls.
    """
    table = mapping(value, where)
    rows = table.get("blockStateCalls")
    if not isinstance(rows, list) or not rows:
        raise InvalidParams(f"{where}.blockStateCalls", "a list of blocks: empty input", rows)
    if len(rows) > MAX_BLOCKS:
        raise _too_many("too many blocks")
    calls = 0
    for row in rows:
        found = row.get("calls") if isinstance(row, dict) else None
        calls += len(found) if isinstance(found, list) else 0
        if isinstance(found, list) and len(found) > MAX_BLOCK_CALLS:
            raise _too_many(f"too many calls in block: {len(found)} > {MAX_BLOCK_CALLS}")
    if calls > MAX_CALLS:
        raise _too_many(f"too many calls: {calls} > {MAX_CALLS}")
    return SimulateRequest(
        tuple(_block_calls(row, f"{where}.blockStateCalls[{at}]") for at, row in enumerate(rows)),
        transfers=field(table, "traceTransfers", where, boolean, False),
        validation=field(table, "validation", where, boolean, False),
        full=field(table, "returnFullTransactions", where, boolean, False),
    )


def _block_calls(value: object, where: str) -> BlockCalls:
    table = mapping(value, where)
    return BlockCalls(
        field(table, "blockOverrides", where, block_overrides, NO_BLOCK_OVERRIDES),
        field(table, "stateOverrides", where, state_overrides, NO_OVERRIDES),
        field(table, "calls", where, _calls, ()),
    )


def _calls(value: object, where: str) -> Sequence[CallRequest]:
    rows = sequence(value, where, MAX_BLOCK_CALLS)
    return tuple(call_request(row, f"{where}[{at}]") for at, row in enumerate(rows))


def run_simulation(reader: Reader, payload: Mapping[str, object], ref: BlockRef, chain_time_s: int) -> list[Json]:
    """Return the blocks that a simulation made. A read function.

    Raises:
        InvalidParams: the payload is malformed.
        RpcError: there is no such block, or what is wanted cannot be.
    """
    request = simulate_request(payload, "0 (payload)")
    with reader.store.read() as view:
        height = require_height(view, ref)
        base = view.header(height)
        rules = reader.rule_book.rules_at(height + 1)
        gas_limit = max(base.gas_limit, rules.block_gas_limit)
        simulation = Simulation(
            reader.executor,
            Overlay(view.state_at(height), view.nodes_at(height), base.state_root),
            base,
            chain_id=rules.chain_id,
            ancestor_hash=lambda number: view.header(number).hash,
            strict=request.validation,
            transfers=request.transfers,
        )
        named = isinstance(ref, Tag) and ref is not Tag.EARLIEST
        first_s = max(base.timestamp + BLOCK_TIME_S, chain_time_s) if named else base.timestamp + BLOCK_TIME_S
        return made(simulation, request, base, first_s, gas_limit, rules.chain_id)


def made(
    simulation: Simulation, request: SimulateRequest, base: Header, first_s: int, gas_limit: int, chain_id: int
) -> list[Json]:
    """Return the blocks that a simulation makes.

    Args:
        simulation: upon `base`.
        request: what is wanted.
        base: the header of the block beneath.
        first_s: the time of the first block, if it is not given, in chain seconds.
        gas_limit: of the first block, if it is not given.
        chain_id: as in EIP-155.

    Raises:
        RpcError: what is wanted cannot be.
    """
    answers: list[Json] = []
    for plan in plans(request.blocks, base.number, base.timestamp, first_s):
        try:
            block = simulation.make(plan, gas_limit)
        except InvalidOverride as error:
            raise refused(error) from None
        gas_limit = block.data.header.gas_limit
        answers.append(_block_answer(block, chain_id, request.full))
    return answers


def plans(blocks: Sequence[BlockCalls], number: int, timestamp: int, next_s: int) -> list[BlockPlan]:
    """Return the blocks to make, with numbers and times; what is left out between two numbers are empty blocks.

    Args:
        blocks: as they were asked for.
        number, timestamp: of the block beneath.
        next_s: the time of the first block, if it is not given.

    Raises:
        RpcError: numbers or times do not rise, or there are too many blocks.
    """
    base, found = number, list[BlockPlan]()
    for entry in blocks:
        wanted = entry.block.get("number", number + 1)
        assert isinstance(wanted, int)
        if wanted <= number:
            raise RpcError(NOT_RISING, f"block numbers must be in order: {wanted} <= {number}")
        if wanted - base > MAX_BLOCKS:
            raise _too_many("too many blocks")
        for between in range(number + 1, wanted):
            found.append(BlockPlan(between, next_s, NO_BLOCK_OVERRIDES, NO_OVERRIDES, ()))
            timestamp, next_s = next_s, next_s + BLOCK_TIME_S
        time_s = entry.block.get("timestamp", next_s)
        assert isinstance(time_s, int)
        if time_s <= timestamp:
            raise RpcError(TIME_NOT_RISING, f"block timestamps must be in order: {time_s} <= {timestamp}")
        number, timestamp, next_s = wanted, time_s, time_s + BLOCK_TIME_S
        found.append(BlockPlan(number, timestamp, entry.block, entry.accounts, entry.calls))
    return found


def _block_answer(block: Simulated, chain_id: int, full: bool) -> Json:
    answer = block_json(block.data, chain_id, full=False)
    header = block.data.header
    if full:
        answer["transactions"] = [
            placed_transaction_json(tx, header, at) | {"v": "0x0"} for at, tx in enumerate(block.transactions)
        ]
    here = BlockName(header.number, header.hash, header.timestamp)
    rows = zip(block.transactions, block.outcomes, placed_logs(block), strict=True)
    answer["calls"] = [
        _call_answer(outcome, [log_json(here, tx.hash, at, index, log) for index, log in logs])
        for at, (tx, outcome, logs) in enumerate(rows)
    ]
    return answer


def _call_answer(outcome: Outcome, logs: list[Json]) -> Json:
    answer: dict[str, Json] = {
        "returnData": to_data(outcome.output if outcome.success else b""),  # what it reverted with is the error's
        "logs": logs,
        "gasUsed": to_quantity(outcome.gas_used),
        "maxUsedGas": to_quantity(outcome.gas_unrefunded),
        "status": to_quantity(int(outcome.success)),
    }
    if outcome.error == REVERTED:
        reverted = Reverted(outcome.output)
        answer["error"] = {"code": EXECUTION_REVERTED, "message": reverted.message, "data": reverted.data}
    elif not outcome.success:
        answer["error"] = {"code": VM_ERROR, "message": f"vm execution error: {vm_error(outcome.error)}"}
    return answer
