"""A tracer that holds what it hears against itself."""

from __future__ import annotations

from dataclasses import dataclass

from node.execution.tracer import Entry, Exit, Paid, Step, Tracer

CREATES = ("CREATE", "CREATE2")


@dataclass(slots=True)
class Account:
    """What is heard of a frame: the gas its opcodes took, and how many there were."""

    entry: Entry
    gas: int = 0
    steps: int = 0


class Bookkeeper(Tracer):
    """Fails unless frames nest, each opcode is paid for once, and gas adds up in every frame that succeeds."""

    steps = True

    def __init__(self) -> None:
        self.open: list[Account] = []
        self.unpaid = 0

    def enter(self, entry: Entry) -> None:
        """Open an account."""
        self.open.append(Account(entry))

    def leave(self, exit: Exit) -> None:
        """Close it: a call's cost holds all the gas it gave, a creation's none of it."""
        account = self.open.pop()
        entry = account.entry
        assert 0 <= exit.gas_used <= entry.gas
        if account.steps and not exit.error and entry.kind not in CREATES:
            assert account.gas == exit.gas_used
        if self.open and entry.kind != "SELFDESTRUCT":
            self.open[-1].gas += exit.gas_used if entry.kind in CREATES else exit.gas_used - entry.gas

    def step(self, step: Step) -> Paid | None:
        """Note an opcode."""
        assert len(self.open) == step.depth
        account = self.open[-1]
        assert 0 <= step.gas <= account.entry.gas
        account.steps += 1
        self.unpaid += 1

        def paid(cost: int, error: str) -> None:
            self.unpaid -= 1
            account.gas += cost
            assert error or 0 <= cost <= step.gas

        return paid

    def finish(self, gas_used: int) -> None:
        """Check that all is closed."""
        assert (self.open, self.unpaid) == ([], 0)
