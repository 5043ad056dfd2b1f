"""What a tracer is told of a transaction, in our own terms: the seam between the EVM and the shapes of traces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from node.chain.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Entry:
    """A message call, a creation or a self-destruction that begins.

    Args:
        kind: the opcode's name; CALL or CREATE for the transaction itself.
        sender, to: addresses; for delegated calls those of the code that calls and of the code that is called.
        input: call data or init code.
        gas: given to it.
        value: in wei; None for a STATICCALL, which has none.
        depth: 0 for the transaction itself.
    """

    kind: str
    sender: bytes
    to: bytes
    input: bytes
    gas: int
    value: int | None
    depth: int


@dataclass(frozen=True, slots=True)
class Exit:
    """How it ended: output (or revert data), gas used, and what stopped it in go-ethereum's words, empty on success."""

    output: bytes
    gas_used: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One opcode that is about to run. `stack` and `memory` are the EVM's own: copy what is to be kept.

    Args:
        pc, op: where it stands, its number.
        gas: left before it.
        depth: of the frame, 1 for the transaction's own.
        stack: the last item is the top.
        address: whose storage it sees.
        refund: what the transaction has earned so far.
    """

    pc: int
    op: int
    gas: int
    depth: int
    stack: Sequence[int]
    memory: bytearray
    return_data: bytes
    address: bytes
    refund: int


class StateBefore(Protocol):
    """What a tracer reads of the accounts, as they are at that moment."""

    def get_balance(self, address: bytes) -> int:
        """Return the balance in wei."""

    def get_nonce(self, address: bytes) -> int:
        """Return the nonce."""

    def get_code(self, address: bytes) -> bytes:
        """Return the code."""

    def get_storage(self, address: bytes, slot: int) -> int:
        """Return a slot's value."""


Paid = Callable[[int, str], None]
"""Called once an opcode has run, with its gas cost and what stopped it before it ran (empty if nothing did)."""


class Tracer:
    """Sees one transaction run; each method does nothing unless a tracer wants to know.

    A method may raise what is no VMError of py-evm's: the run ends with it.
    """

    steps = False
    """Whether `step` is called, for every opcode."""

    def start(self, accounts: StateBefore, tx: Transaction, coinbase: bytes) -> None:
        """See the transaction before it changes anything."""

    def enter(self, entry: Entry) -> None:
        """See a frame begin."""

    def leave(self, exit: Exit) -> None:
        """See the frame that began last end."""

    def log(self, address: bytes, topics: Sequence[int], data: bytes) -> None:
        """See a log, which counts only if its frame and all around it succeed."""

    def step(self, step: Step) -> Paid | None:
        """See an opcode before it runs; what is returned hears what it cost."""

    def touch(self, address: bytes, slot: int | None = None) -> None:
        """See an account, or a slot of its storage, before code reads or changes it."""

    def finish(self, gas_used: int) -> None:
        """See the end: the accounts are as the transaction leaves them."""
