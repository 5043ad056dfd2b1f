"""Traces: what a client wants of one, and the read functions that make it by running transactions again.

A transaction in the middle of a block is run over the state before the block, after those before it. Source of the
methods and their options: go-ethereum, `eth/tracers/api.go`.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from eth_hash.auto import keccak

from node.chain import rlp
from node.chain.header import Header
from node.chain.transaction import InvalidTransaction, decode_transaction
from node.execution import BlockEnvironment
from node.execution.executor import priced
from node.execution.overrides import NO_OVERRIDES, InvalidOverride, StateOverrides
from node.execution.tracing import TracedBlock
from node.rpc import schemas
from node.rpc.blocks import call_environment, require_height
from node.rpc.calls import CallRequest, capped
from node.rpc.errors import SERVER_ERROR, TIMEOUT, InvalidParams, RpcError
from node.rpc.formats import BlockRef, boolean, count, mapping, text, to_data
from node.rpc.formats import field as option
from node.rpc.overrides import NO_BLOCK_OVERRIDES, BlockOverrides, block_overrides, overridden, refused, state_overrides
from node.rpc.protocol import Rendered
from node.rpc.reads import BlockData, Reader
from node.rpc.render import raw_block
from node.rpc.schemas import takes
from node.rpc.tracers.budget import TraceBudget
from node.rpc.tracers.frames import CallTracer, FlatCallTracer, FourByteTracer, NoopTracer, Place
from node.rpc.tracers.prestate import PrestateOptions, PrestateTracer
from node.rpc.tracers.steps import StepOptions, StructLogger
from node.storage import View

STRUCT_LOGGER = ""
ALL_STEPS = StepOptions()
TRACERS = ("callTracer", "flatCallTracer", "prestateTracer", "4byteTracer", "noopTracer")
DEFAULT_TIMEOUT_S = 5.0  # as go-ethereum's, where nothing else bounds a read
MARGIN = 0.75  # of what a read may take: the rest is for reading before, and for writing the answer
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|us|µs|ns|s|m|h))+\Z")
_UNITS = {"h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


@dataclass(frozen=True, slots=True)
class TraceConfig:
    """What a client wants of a trace.

    Args:
        tracer: its name; STRUCT_LOGGER for none.
        steps: for the struct logger.
        flags: of `tracerConfig`, those that are set.
        timeout_s: how long it may take; None for as long as a read may.
    """

    tracer: str = STRUCT_LOGGER
    steps: StepOptions = ALL_STEPS
    flags: frozenset[str] = frozenset()
    timeout_s: float | None = None


EVERYTHING = TraceConfig()


@dataclass(frozen=True, slots=True)
class CallTraceConfig:
    """The same for a call, with what it sees otherwise; `index`: before which transaction of the block it runs."""

    trace: TraceConfig = EVERYTHING
    accounts: StateOverrides = field(default_factory=dict)
    block: BlockOverrides = field(default_factory=dict)
    index: int | None = None


_FLAGS: Mapping[str, tuple[str, ...]] = {
    "callTracer": ("onlyTopCall", "withLog"),
    "flatCallTracer": ("convertParityErrors", "includePrecompiles"),
    "prestateTracer": ("diffMode", "disableCode", "disableStorage", "includeEmpty"),
}


def _name(value: object, where: str) -> str:
    name = text(value, where)
    if name not in (STRUCT_LOGGER, *TRACERS):
        raise InvalidParams(where, f"{', '.join(TRACERS)}, or none for the struct logger; no JavaScript", value)
    return name


def _duration(value: object, where: str) -> float:
    """Return the seconds that a duration as Go writes it stands for."""
    written = text(value, where)
    if len(written) > 40 or not _DURATION.match(written):
        raise InvalidParams(where, 'a duration such as "5s", "300ms" or "1m30s"', value)
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|s|m|h)", written)
    return sum(float(amount) * _UNITS[unit] for amount, unit in parts)


@takes(schemas.TRACE_CONFIG)
def trace_config(value: object, where: str) -> TraceConfig:
    """Return what a client wants of a trace; options that do not bear on its tracer are ignored."""
    table = mapping(value, where)
    tracer = option(table, "tracer", where, _name, STRUCT_LOGGER)
    options = option(table, "tracerConfig", where, mapping, {})
    here = f"{where}.tracerConfig"
    flags = frozenset(flag for flag in _FLAGS.get(tracer, ()) if option(options, flag, here, boolean, False))
    if {"diffMode", "includeEmpty"} <= flags:
        raise InvalidParams(here, "either diffMode or includeEmpty", options)
    return TraceConfig(
        tracer=tracer,
        steps=StepOptions(
            stack=not option(table, "disableStack", where, boolean, False),
            storage=not option(table, "disableStorage", where, boolean, False),
            memory=option(table, "enableMemory", where, boolean, False),
            return_data=option(table, "enableReturnData", where, boolean, False),
            limit=option(table, "limit", where, count, 0),
        ),
        flags=flags,
        timeout_s=option(table, "timeout", where, _duration, None),
    )


@takes(schemas.CALL_TRACE_CONFIG)
def call_trace_config(value: object, where: str) -> CallTraceConfig:
    """Return what a client wants of the trace of a call."""
    table = mapping(value, where)
    config = CallTraceConfig(
        trace_config(value, where),
        option(table, "stateOverrides", where, state_overrides, NO_OVERRIDES),
        option(table, "blockOverrides", where, block_overrides, NO_BLOCK_OVERRIDES),
        option(table, "txIndex", where, count, None),
    )
    if config.index is not None and (config.accounts or config.block):
        raise InvalidParams(f"{where}.txIndex", "no stateOverrides and no blockOverrides beside it", table)
    return config


# -- making them


class _Result(Protocol):
    def result(self) -> str: ...


def _tracer(config: TraceConfig, block: TracedBlock, budget: TraceBudget, place: Place | None, first_log: int) -> Any:
    """Return the tracer that the client named."""
    flags = config.flags
    make: Mapping[str, Callable[[], _Result]] = {
        STRUCT_LOGGER: lambda: StructLogger(config.steps, budget),
        "callTracer": lambda: CallTracer(
            budget, only_top="onlyTopCall" in flags, logs="withLog" in flags, first_log=first_log
        ),
        "flatCallTracer": lambda: FlatCallTracer(
            budget,
            place,
            frozenset(block.precompiles),
            precompiles_too="includePrecompiles" in flags,
            parity_errors="convertParityErrors" in flags,
        ),
        "prestateTracer": lambda: PrestateTracer(
            PrestateOptions(
                diff="diffMode" in flags,
                code="disableCode" not in flags,
                storage="disableStorage" not in flags,
                empty="includeEmpty" in flags,
            ),
            budget,
        ),
        "4byteTracer": lambda: FourByteTracer(budget, frozenset(block.precompiles)),
        "noopTracer": NoopTracer,
    }
    return make[config.tracer]()


@contextmanager
def _limited(config: TraceConfig) -> Iterator[None]:
    """Bound the processor time of a trace, below what ends the reading process.

    Raises:
        RpcError: it took longer.
    """
    most = signal.getitimer(signal.ITIMER_REAL)[0] * MARGIN or DEFAULT_TIMEOUT_S
    allowed = most if config.timeout_s is None else min(config.timeout_s, most)

    def expired(_signal: int, _frame: object) -> None:
        raise RpcError(
            TIMEOUT,
            f"execution timeout: the trace takes more than {allowed:.3g} s of this node's time; ask for one "
            "transaction of the block, or for a lighter tracer (callTracer)",
        )

    before = signal.signal(signal.SIGPROF, expired)
    signal.setitimer(signal.ITIMER_PROF, max(allowed, 1e-3))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@dataclass(frozen=True, slots=True)
class _Replay:
    """A committed block that is run again."""

    block: TracedBlock
    data: BlockData
    chain_id: int

    def run(self, index: int, config: TraceConfig | None, budget: TraceBudget, first_log: int) -> tuple[int, str]:
        """Apply a transaction; return how many logs it left, and its trace if one is wanted."""
        tx = decode_transaction(self.data.raws[index], self.chain_id)
        if config is None:
            return len(self.block.apply(tx).logs), ""
        header = self.data.header
        place = Place(header.hash, header.number, index, tx.hash)
        tracer = _tracer(config, self.block, budget, place, first_log)
        logs = len(self.block.apply(tx, tracer).logs)
        return logs, tracer.result()


def _replay(reader: Reader, view: View, height: int) -> _Replay:
    if height == 0:
        raise RpcError(SERVER_ERROR, "genesis is not traceable")
    data = reader.blocks.read(view, height)
    rules = reader.rule_book.rules_at(height)
    block = TracedBlock(view.state_at(height - 1), committed_environment(view, data.header, rules.chain_id), rules)
    block.begin()
    return _Replay(block, data, rules.chain_id)


def committed_environment(view: View, header: Header, chain_id: int) -> BlockEnvironment:
    """Return what the EVM saw of a committed block."""
    return BlockEnvironment(
        number=header.number,
        timestamp=header.timestamp,
        gas_limit=header.gas_limit,
        parent_hash=header.parent_hash,
        chain_id=chain_id,
        ancestor_hash=lambda asked: view.header(asked).hash,
    )


def trace_transaction(reader: Reader, transaction_hash: bytes, config: TraceConfig) -> Rendered:
    """Return the trace of a committed transaction. A read function.

    Raises:
        StateNotKept: its block is older than the states that this node keeps.
        RpcError: there is none, or it takes too long or too much.
    """
    with reader.store.read() as view, _limited(config):
        place = view.locate(transaction_hash)
        if place is None:
            raise RpcError(SERVER_ERROR, "transaction not found")
        height, index = place
        replay = _replay(reader, view, height)
        budget, logs = TraceBudget(), 0
        for before in range(index):
            logs += replay.run(before, None, budget, logs)[0]
        return Rendered(replay.run(index, config, budget, logs)[1])


def trace_block(reader: Reader, ref: BlockRef, config: TraceConfig) -> Rendered:
    """Return the traces of all transactions of a block. A read function.

    Raises:
        StateNotKept: it is older than the states that this node keeps.
        RpcError: there is none, or it takes too long or too much.
    """
    with reader.store.read() as view, _limited(config):
        replay = _replay(reader, view, require_height(view, ref))
        budget, logs, traces = TraceBudget(), 0, []
        for index, transaction_hash in enumerate(replay.data.hashes):
            more, trace = replay.run(index, config, budget, logs)
            logs += more
            traces.append(f'{{"txHash":"{to_data(transaction_hash)}","result":{trace}}}')
        return Rendered(f"[{','.join(traces)}]")


def trace_raw_block(reader: Reader, raw: bytes, config: TraceConfig) -> Rendered:
    """Return the traces of a block that is given as RLP; it must be a committed one. A read function.

    Raises:
        RpcError: it is no block of this chain.
    """
    try:
        header = rlp.split(raw)[0]
    except (rlp.InvalidRlp, IndexError):
        raise InvalidParams("0 (block)", "a block in RLP, as debug_getRawBlock gives it", to_data(raw)) from None
    with reader.store.read() as view:
        block_hash = keccak(header)
        height = view.height_of(block_hash)
        if height is None:
            raise RpcError(SERVER_ERROR, f"block {to_data(block_hash)} is not of this chain")
        if raw_block(reader.blocks.read(view, height)) != raw:
            raise RpcError(SERVER_ERROR, f"the body is not that of block {to_data(block_hash)}")
    return trace_block(reader, height, config)


def trace_call(
    reader: Reader, request: CallRequest, ref: BlockRef, chain_time_s: int, config: CallTraceConfig
) -> Rendered:
    """Return the trace of a call over a block's state. A read function.

    Raises:
        StateNotKept: the block is older than the states that this node keeps.
        RpcError: there is no such block, the call cannot be run, or it takes too long or too much.
    """
    with reader.store.read() as view, _limited(config.trace):
        if config.index is not None:
            block, environment = _before(reader, view, ref, config.index)
        else:
            state, environment = call_environment(view, reader.rule_book, ref, chain_time_s, next_block=False)
            environment = overridden(environment, config.block)
        tx = request.transaction(environment.chain_id, capped(request, environment.gas_limit))
        try:
            if config.index is None:
                environment = priced(environment, tx)
                rules = reader.rule_book.rules_at(environment.number)
                block = TracedBlock(state, environment, rules, config.accounts)
            tracer = _tracer(config.trace, block, TraceBudget(), None, 0)
            block.apply_unsigned(tx, tracer)
        except InvalidTransaction as error:
            raise RpcError(SERVER_ERROR, f"tracing failed: {error.reason}") from None
        except InvalidOverride as error:
            raise refused(error) from None
        return Rendered(tracer.result())


def _before(reader: Reader, view: View, ref: BlockRef, index: int) -> tuple[TracedBlock, BlockEnvironment]:
    """Return a block as it is before one of its transactions."""
    replay = _replay(reader, view, require_height(view, ref))
    if index >= len(replay.data.raws):
        held = len(replay.data.raws)
        raise RpcError(SERVER_ERROR, f"transaction index {index} out of range for block with {held} transactions")
    budget = TraceBudget()
    for before in range(index):
        replay.run(before, None, budget, 0)
    return replay.block, replay.block.environment
