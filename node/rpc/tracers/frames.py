"""Tracers of frames: the tree of calls, the same as Parity lists it, the selectors called, and nothing at all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from node.chain.transaction import Transaction
from node.execution.tracer import Entry, Exit, StateBefore, Tracer
from node.rpc.errors import revert_reason
from node.rpc.formats import Json, to_data, to_quantity
from node.rpc.tracers.budget import TraceBudget

FRAME_CHARACTERS = 260  # of one without input and output
LOG_CHARACTERS = 200
REVERTED = "execution reverted"
CREATES = ("CREATE", "CREATE2")
CALLS = ("CALL", "CALLCODE", "DELEGATECALL", "STATICCALL")


@dataclass(slots=True)
class Frame:
    """A frame with those that it began, in order; each log with how many of them had begun before it."""

    entry: Entry
    exit: Exit = field(default_factory=lambda: Exit(b"", 0))
    frames: list[Frame] = field(default_factory=list)
    logs: list[dict[str, Json]] = field(default_factory=list)
    first_log: int = 0


class FrameTracer(Tracer):
    """Keeps the tree of frames.

    Args:
        budget: for what it keeps.
        only_top: whether only the transaction's own frame is kept.
        logs: whether logs are kept.
        first_log: how many logs the block had before the transaction.
    """

    def __init__(self, budget: TraceBudget, *, only_top: bool = False, logs: bool = False, first_log: int = 0) -> None:
        self._budget = budget
        self._only_top = only_top
        self._with_logs = logs
        self._log_index = first_log
        self._open: list[Frame] = []
        self._depth = 0
        self.top: Frame | None = None

    def start(self, accounts: StateBefore, tx: Transaction, coinbase: bytes) -> None:
        """Begin with a frame for the case that the transaction fails before its own begins."""
        kind = "CREATE" if tx.to is None else "CALL"
        self.top = Frame(Entry(kind, tx.sender, tx.to or bytes(20), tx.data, tx.gas_limit, tx.value, 0))
        self._gas_limit = tx.gas_limit

    def enter(self, entry: Entry) -> None:
        """Keep a frame."""
        self._depth += 1
        if self._only_top and self._depth > 1:
            return
        self._budget.spend(FRAME_CHARACTERS + 2 * len(entry.input))
        frame = Frame(entry, first_log=self._log_index)
        if self._open:
            self._open[-1].frames.append(frame)
        else:
            self.top = frame
        self._open.append(frame)

    def leave(self, exit: Exit) -> None:
        """Note how it ended."""
        self._depth -= 1
        if self._only_top and self._depth:
            return
        self._budget.spend(2 * len(exit.output))
        frame = self._open.pop()
        frame.exit = exit
        if exit.error:
            self._log_index = frame.first_log

    def log(self, address: bytes, topics: Sequence[int], data: bytes) -> None:
        """Keep a log."""
        if self._with_logs and not (self._only_top and self._depth > 1):
            self._budget.spend(LOG_CHARACTERS + 2 * len(data) + 70 * len(topics))
            self._open[-1].logs.append(
                {
                    "address": to_data(address),
                    "topics": [f"0x{topic:064x}" for topic in topics],
                    "data": to_data(data),
                    "index": to_quantity(self._log_index),
                    "position": to_quantity(len(self._open[-1].frames)),
                }
            )
        self._log_index += 1

    def finish(self, gas_used: int) -> None:
        """Give the transaction's own frame the gas of the whole."""
        assert self.top is not None
        top, ended = self.top.entry, self.top.exit
        self.top.entry = Entry(top.kind, top.sender, top.to, top.input, self._gas_limit, top.value, 0)
        self.top.exit = Exit(ended.output, gas_used, ended.error)


class CallTracer(FrameTracer):
    """`callTracer`: the tree of calls."""

    def result(self) -> str:
        """Return the tree as JSON."""
        assert self.top is not None
        return json.dumps(_tree(self.top, failed=False), separators=(",", ":"))


def _tree(frame: Frame, *, failed: bool) -> dict[str, Json]:
    """Return a frame and those below it; what is logged under a frame that failed does not count."""
    entry, exit = frame.entry, frame.exit
    failed = failed or bool(exit.error)
    table: dict[str, Json] = {
        "from": to_data(entry.sender),
        "gas": to_quantity(entry.gas),
        "gasUsed": to_quantity(exit.gas_used),
    }
    if not (exit.error and entry.kind in CREATES):
        table["to"] = to_data(entry.to)
    table["input"] = to_data(entry.input)
    if exit.output and exit.error in ("", REVERTED):
        table["output"] = to_data(exit.output)
    if exit.error:
        table["error"] = exit.error
        reason = revert_reason(exit.output) if exit.error == REVERTED else None
        if reason is not None:
            table["revertReason"] = reason
    if frame.frames:
        table["calls"] = [_tree(child, failed=failed) for child in frame.frames]
    if frame.logs and not failed:
        table["logs"] = frame.logs
    if entry.value is not None:
        table["value"] = to_quantity(entry.value)
    table["type"] = entry.kind
    return table


class FourByteTracer(Tracer):
    """`4byteTracer`: how often each selector was called, with how much data behind it.

    Args:
        budget: for what it keeps.
        precompiles: whose calls do not count.
    """

    def __init__(self, budget: TraceBudget, precompiles: frozenset[bytes]) -> None:
        self._budget = budget
        self._precompiles = precompiles
        self._counts: dict[str, int] = {}

    def enter(self, entry: Entry) -> None:
        """Count a call."""
        if len(entry.input) < 4 or entry.kind not in CALLS or entry.to in self._precompiles:
            return
        key = f"0x{entry.input[:4].hex()}-{len(entry.input) - 4}"
        if key not in self._counts:
            self._budget.spend(2 * len(key))
        self._counts[key] = self._counts.get(key, 0) + 1

    def result(self) -> str:
        """Return the counts as JSON."""
        return json.dumps(dict(sorted(self._counts.items())), separators=(",", ":"))


class NoopTracer(Tracer):
    """`noopTracer`: looks at nothing."""

    def result(self) -> str:
        """Return an empty object."""
        return "{}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a traced transaction stands: block hash and height, its index and hash; a call stands nowhere."""

    block_hash: bytes
    height: int
    index: int
    transaction_hash: bytes


_PARITY_ERRORS = {
    "contract creation code storage out of gas": "Out of gas",
    "out of gas": "Out of gas",
    "gas uint64 overflow": "Out of gas",
    "max code size exceeded": "Out of gas",
    "invalid jump destination": "Bad jump destination",
    "execution reverted": "Reverted",
    "return data out of bounds": "Out of bounds",
    "stack limit reached 1024 (1023)": "Out of stack",
    "precompiled failed": "Built-in failed",
    "invalid input length": "Built-in failed",
    "invalid opcode:": "Bad instruction",
    "stack underflow": "Stack underflow",
}
"""By how go-ethereum's words begin."""


class FlatCallTracer(FrameTracer):
    """`flatCallTracer`: the calls as a list, in the form of Parity's `trace_transaction`.

    Args:
        budget: for what it keeps.
        place: of the transaction.
        precompiles: calls of which are left out, unless `precompiles_too`.
        parity_errors: whether errors are named as Parity names them.
    """

    def __init__(
        self,
        budget: TraceBudget,
        place: Place | None,
        precompiles: frozenset[bytes],
        *,
        precompiles_too: bool = False,
        parity_errors: bool = False,
    ) -> None:
        super().__init__(budget)
        self._place = place
        self._left_out = frozenset[bytes]() if precompiles_too else precompiles
        self._parity_errors = parity_errors

    def result(self) -> str:
        """Return the list as JSON."""
        assert self.top is not None
        return json.dumps(list(self._flat(self.top)), separators=(",", ":"))

    def _flat(self, top: Frame) -> Iterator[dict[str, Json]]:
        waiting: list[tuple[Frame, list[int]]] = [(top, [])]
        while waiting:
            frame, address = waiting.pop()
            children = [child for child in frame.frames if not self._left_out_of_list(child.entry)]
            self._budget.spend(FRAME_CHARACTERS + 5 * len(address))
            yield self._row(frame, address, len(children))
            waiting.extend((child, [*address, at]) for at, child in reversed(list(enumerate(children))))

    def _left_out_of_list(self, entry: Entry) -> bool:
        return entry.kind in ("CALL", "STATICCALL") and entry.to in self._left_out

    def _row(self, frame: Frame, address: list[int], children: int) -> dict[str, Json]:
        entry, exit, place = frame.entry, frame.exit, self._place
        row: dict[str, Json] = {"action": _action(entry)}
        row["blockHash"] = None if place is None else to_data(place.block_hash)
        row["blockNumber"] = 0 if place is None else place.height
        if exit.error:
            row["error"] = _parity_error(exit.error) if self._parity_errors else exit.error
        if entry.kind != "SELFDESTRUCT" and exit.error in ("", REVERTED):
            row["result"] = _outcome(entry, exit)
        row |= {"subtraces": children, "traceAddress": address}
        row["transactionHash"] = None if place is None else to_data(place.transaction_hash)
        row["transactionPosition"] = 0 if place is None else place.index
        kind = "suicide" if entry.kind == "SELFDESTRUCT" else "create" if entry.kind in CREATES else "call"
        return row | {"type": kind}


def _action(entry: Entry) -> dict[str, Json]:
    sender, value = to_data(entry.sender), to_quantity(entry.value or 0)
    if entry.kind == "SELFDESTRUCT":
        return {"address": sender, "balance": value, "refundAddress": to_data(entry.to)}
    action = {"from": sender, "gas": to_quantity(entry.gas), "value": value}
    if entry.kind in CREATES:
        return action | {"creationMethod": entry.kind.lower(), "init": to_data(entry.input)}
    return action | {"callType": entry.kind.lower(), "input": to_data(entry.input), "to": to_data(entry.to)}


def _outcome(entry: Entry, exit: Exit) -> dict[str, Json]:
    used = {"gasUsed": to_quantity(exit.gas_used)}
    if entry.kind not in CREATES:
        return used | {"output": to_data(exit.output)}
    return used | ({} if exit.error else {"address": to_data(entry.to)}) | {"code": to_data(exit.output)}


def _parity_error(error: str) -> str:
    for begins, parity in _PARITY_ERRORS.items():
        if error.startswith(begins):
            return parity
    return error
