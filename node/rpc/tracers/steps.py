"""The struct logger: every opcode with program counter, gas, stack, and the storage that it touches."""

from __future__ import annotations

from dataclasses import dataclass

from node.chain.transaction import Transaction
from node.execution.opcodes import OPCODES, SLOAD, SSTORE
from node.execution.tracer import Exit, Paid, StateBefore, Step, Tracer
from node.rpc.tracers.budget import TraceBudget

REVERTED = "execution reverted"


@dataclass(frozen=True, slots=True)
class StepOptions:
    """What the log of an opcode holds; `limit` is how many bytes of logs are written, 0 for as many as there are."""

    stack: bool = True
    storage: bool = True
    memory: bool = False
    return_data: bool = False
    limit: int = 0


class StructLogger(Tracer):
    """Logs each opcode as JSON."""

    steps = True

    def __init__(self, options: StepOptions, budget: TraceBudget) -> None:
        self._options = options
        self._budget = budget
        self._logs: list[str] = []
        self._size = 0
        self._storage: dict[bytes, dict[str, str]] = {}  # by address: what was read and written so far
        self._accounts: StateBefore | None = None
        self._top = Exit(b"", 0)
        self._gas_used = 0

    def start(self, accounts: StateBefore, tx: Transaction, coinbase: bytes) -> None:
        """Remember where storage is read."""
        self._accounts = accounts

    def step(self, step: Step) -> Paid | None:
        """Log an opcode; its cost is filled in when it is known."""
        if self._options.limit and self._size > self._options.limit:
            return None
        before = f'{{"pc":{step.pc},"op":"{OPCODES[step.op].name}","gas":{step.gas},"gasCost":'
        self._budget.spend(len(before) + 30)
        after = self._details(step)
        self._size += len(before) + len(after) + 6
        place = len(self._logs)
        self._logs.append("")

        def paid(cost: int, error: str) -> None:
            told = f',"error":"{error}"' if error else ""
            self._logs[place] = f'{before}{cost},"depth":{step.depth}{told}{after}}}'

        return paid

    def _details(self, step: Step) -> str:
        options = self._options
        if options.memory:
            self._budget.spend(len(step.memory) * 69 // 32)
        if options.return_data:
            self._budget.spend(2 * len(step.return_data))
        parts = []
        if options.stack:
            stack = ",".join([f'"{item:#x}"' for item in step.stack])
            self._budget.spend(len(stack))
            parts.append(f',"stack":[{stack}]')
        if options.return_data and step.return_data:
            parts.append(f',"returnData":"0x{step.return_data.hex()}"')
        if options.memory and step.memory:
            memory = bytes(step.memory)
            words = [f'"0x{memory[at : at + 32].hex()}"' for at in range(0, len(memory), 32)]
            parts.append(',"memory":[' + ",".join(words) + "]")
        if options.storage and step.op in (SLOAD, SSTORE):
            parts.append(self._seen(step))
        if step.refund:
            parts.append(f',"refund":{step.refund}')
        return "".join(parts)

    def _seen(self, step: Step) -> str:
        takes = OPCODES[step.op].takes
        if len(step.stack) < takes:
            return ""
        slots = self._storage.setdefault(step.address, {})
        slot = step.stack[-1]
        assert self._accounts is not None
        value = self._accounts.get_storage(step.address, slot) if step.op == SLOAD else step.stack[-2]
        slots[_word(slot)] = _word(value)
        self._budget.spend(138 * len(slots))
        return ',"storage":{' + ",".join([f'"{key}":"{slots[key]}"' for key in sorted(slots)]) + "}"

    def leave(self, exit: Exit) -> None:
        """Remember how a frame ended: the last is the transaction's own."""
        self._top = exit

    def finish(self, gas_used: int) -> None:
        """Note the gas used."""
        self._gas_used = gas_used

    def result(self) -> str:
        """Return the trace as JSON."""
        failed = bool(self._top.error)
        output = b"" if failed and self._top.error != REVERTED else self._top.output
        return (
            f'{{"gas":{self._gas_used},"failed":{"true" if failed else "false"},"returnValue":"0x{output.hex()}",'
            f'"structLogs":[{",".join(self._logs)}]}}'
        )


def _word(value: int) -> str:
    return f"0x{value:064x}"
