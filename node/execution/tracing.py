"""Transactions run again under a tracer: the very loop of `loop.py`, with calls to the tracer where they are wanted.

The loop that every node runs knows nothing of tracing. A traced one is made from its source, so that it cannot come to
another result: one that tells of frames costs little more than the plain one, one that tells of every opcode about as
much as py-evm's own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from eth.exceptions import (
    ContractCreationCollision,
    FullStack,
    Halt,
    InsufficientStack,
    InvalidInstruction,
    InvalidJumpDestination,
    OutOfBoundsRead,
    OutOfGas,
    ReservedBytesInCode,
    Revert,
    VMError,
    WriteProtection,
)
from eth.vm.message import Message

from node.chain.transaction import Transaction
from node.execution import calls, loop
from node.execution.accounts import FlatAccounts
from node.execution.calls import ADDRESS, CALL, CALL_STIPEND, CALLCODE, DELEGATECALL, MAX_DEPTH, STATICCALL
from node.execution.computation import Gas, InlinedComputation, with_precompiles
from node.execution.governance import begin_consortium
from node.execution.machine import Machine, Outcome, apply_transaction
from node.execution.opcodes import CREATE, CREATE2, OPCODES, SELFDESTRUCT
from node.execution.overrides import NO_OVERRIDES, StateOverrides
from node.execution.results import BlockEnvironment, Loop
from node.execution.tracer import Entry, Exit, Step, Tracer
from node.execution.unsigned import check_unsigned
from node.rules import Rules
from node.state import StateReader

REVERTED = "execution reverted"
OUT_OF_GAS = "out of gas"
TOO_DEEP = "max call depth exceeded"
NO_FUNDS = "insufficient balance for transfer"
NONCE_LIMIT = "nonce uint64 overflow"
COLLISION = "contract address collision"
MAX_NONCE = (1 << 64) - 1
CREATE2_WORD_GAS = 6 + 2  # hashing the init code, and EIP-3860
CREATE_WORD_GAS = 2

_TEXTS: Mapping[type[VMError], str] = {
    Revert: REVERTED,
    InvalidJumpDestination: "invalid jump destination",
    FullStack: f"stack limit reached {loop.STACK_LIMIT} ({loop.STACK_LIMIT - 1})",
    WriteProtection: "write protection",
    OutOfBoundsRead: "return data out of bounds",
    ReservedBytesInCode: "invalid code: must not begin with 0xef",
    ContractCreationCollision: COLLISION,
}
_OUT_OF_GAS_TEXTS = (
    ("EIP170", "max code size exceeded"),
    ("EIP-3860", "max initcode size exceeded"),
    ("contract code for CREATE", "contract creation code storage out of gas"),
    ("EIP-2200", f"{OUT_OF_GAS}: not enough gas for reentrancy sentry"),
)


def error_text(error: VMError) -> str:
    """Return what stopped a frame in go-ethereum's words (`core/vm/errors.go`)."""
    text = _TEXTS.get(type(error))
    if text is not None:
        return text
    if isinstance(error, InsufficientStack) and len(error.args) == 2:
        op, height = error.args
        return f"stack underflow ({height} <=> {OPCODES[op].takes})"
    if isinstance(error, InvalidInstruction):
        op = error.args[0]
        return f"invalid opcode: {OPCODES[op].name}" if isinstance(op, int) else "invalid jump destination"
    if isinstance(error, OutOfGas):
        return next((text for part, text in _OUT_OF_GAS_TEXTS if part in str(error)), OUT_OF_GAS)
    return str(error) or type(error).__name__


# -- the loops

_FETCH = "            op = code[pc]\n"
_CALL = "gas = call(frame, op, gas)"
_UNDERFLOW = 'raise InsufficientStack("Too few stack items") from None'
_HALT = "    except Halt:\n"


@cache
def _traced_loop(steps: bool) -> Callable[[Any], None]:
    """Return `loop.run` with calls of the frame's own methods in it."""
    source = inspect.getsource(loop.run)
    told = "            height = len(stack)\n"
    if steps:
        told += "            frame.step(pc, op, gas, stack, memory)\n"
    changes = (
        (_FETCH, _FETCH + told),
        (_CALL, "gas = frame.call(op, gas)"),
        (_UNDERFLOW, "raise InsufficientStack(op, height) from None"),
        (_HALT, f"    except VMError:\n        frame.failed_with(gas)\n        raise\n{_HALT}"),
    )
    for before, after in changes:
        if source.count(before) != 1:
            raise RuntimeError(f"the loop holds {before.strip()!r} {source.count(before)} times: tracing expects once")
        source = source.replace(before, after)
    names = dict(vars(loop)) | {"VMError": VMError}
    exec(compile(source, f"<{loop.__name__}, traced>", "exec"), names)
    return names["run"]  # type: ignore[no-any-return]


class _Logs(list[Any]):
    """A frame's logs, of which the tracer hears as they are written, not as a caller adopts them."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__()
        self._tracer = tracer

    def append(self, entry: Any) -> None:
        super().append(entry)
        _, address, topics, data = entry
        self._tracer.log(address, topics, data)


class _TracedGas(Gas):
    """A gas meter that remembers what was asked of it last."""

    __slots__ = ("asked",)

    def __init__(self, start_gas: int) -> None:
        super().__init__(start_gas)
        self.asked = 0

    def consume_gas(self, amount: int, reason: str) -> None:
        self.asked = amount
        super().consume_gas(amount, reason)


class TracedComputation(InlinedComputation):
    """Runs a traced loop, and tells the machine's tracer of frames, logs and opcodes."""

    def __init__(self, state: Any, message: Message, transaction_context: Any) -> None:
        super().__init__(state, message, transaction_context)
        self._gas_meter = _TracedGas(message.gas)
        self._tracer: Tracer = state.tracer
        self._log_entries = _Logs(self._tracer)
        self._entered: Any = None  # the frame that the running opcode began
        self._kind = "CREATE"  # which opcode creates
        self._call: Entry | None = None  # what the running call would begin
        self._paid: Any = None  # of the running opcode
        self._gas_before = self._child_gas = 0
        self._op = 0
        self._failed_with: int | None = None
        self._refund_before = 0
        self.failure: VMError | None = None

    # -- the transaction's own frame, and creations

    @classmethod
    def apply_message(
        cls, state: Any, message: Message, transaction_context: Any, parent_computation: Any = None
    ) -> Any:
        """Run a transaction's call, telling of it; a creation is told of by `apply_create_message`."""
        if message.is_create:
            return super().apply_message(state, message, transaction_context, parent_computation)
        data = bytes(message.data)
        state.tracer.enter(Entry("CALL", message.sender, message.to, data, message.gas, message.value, message.depth))
        frame: Any = super().apply_message(state, message, transaction_context, parent_computation)
        state.tracer.leave(_exit(frame, message))
        return frame

    @classmethod
    def apply_create_message(
        cls, state: Any, message: Message, transaction_context: Any, parent_computation: Any = None
    ) -> Any:
        """Run a creation, telling of it."""
        kind = "CREATE" if parent_computation is None else parent_computation._kind
        address, code = message.storage_address, message.code
        state.tracer.enter(Entry(kind, message.sender, address, code, message.gas, message.value, message.depth))
        try:
            frame: Any = super().apply_create_message(state, message, transaction_context, parent_computation)
        except VMError as error:  # init code that is too long is refused before there is a frame
            state.tracer.leave(Exit(b"", message.gas, error_text(error)))
            raise
        if parent_computation is not None:
            parent_computation._entered = frame
        state.tracer.leave(_exit(frame, message))
        return frame

    # -- running

    def run(self) -> None:
        """Run the code, as `InlinedComputation` does.

        Raises:
            VMError: it fails or reverts.
        """
        if not self.msg.code:
            return
        try:
            _traced_loop(self._tracer.steps)(self)
        except VMError as error:
            self.failure = error
            self._close_failed(error)
            raise
        self._close(self._gas_meter.gas_remaining)

    def child(self, message: Message) -> Any:
        """Return the frame of a call from this one, and tell of it."""
        frame = self._entered = super().child(message)
        frame._refund_before = self._refund()
        entry = self._call
        assert entry is not None
        self._tracer.enter(replace(entry, input=bytes(message.data), gas=message.gas))
        return frame

    def call(self, op: int, gas: int) -> int:
        """Run a call as `calls.call` does, and tell of it, also where it never begins."""
        stack, message, opcode = self._stack.values, self.msg, OPCODES[op]
        if len(stack) < opcode.takes:
            raise InsufficientStack(op, len(stack))
        requested, target = stack[-1], (stack[-2] & ADDRESS).to_bytes(20, "big")
        brings = op in (CALL, CALLCODE)
        value = stack[-3] if brings else 0
        at, size = (stack[-4], stack[-5]) if brings else (stack[-3], stack[-4])
        own, told = message.storage_address, value
        if op in (STATICCALL, DELEGATECALL):
            told = None if op == STATICCALL else message.value
        self._tracer.touch(target)
        self._entered, self._call = None, Entry(opcode.name, own, target, b"", 0, told, message.depth + 1)
        left: int = calls.call(self, op, gas)
        succeeded, child = stack[-1], self._entered
        if child is not None:
            failure = child.failure
            unused = child._gas_meter.gas_remaining if failure is None or not failure.burns_gas else 0
            error = "" if failure is None else error_text(failure)
            self._tracer.leave(Exit(child._output, child.msg.gas - unused, error))
            self._child_gas = unused
            return left
        available = left - (CALL_STIPEND if value else 0)
        given = min(requested, available - available // 64) + left - available
        data = bytes(self._memory._bytes[at : at + size]) if size else b""
        self._tracer.enter(Entry(opcode.name, own, target, data, given, told, message.depth + 1))
        error = "" if succeeded else TOO_DEEP if message.depth >= MAX_DEPTH else NO_FUNDS
        self._tracer.leave(Exit(b"", 0, error))
        self._child_gas = given
        return left

    def run_stock(self, op: int) -> None:
        """Run one of py-evm's own opcode functions, and tell of what it begins."""
        stack, function = self._stack.values, self.opcodes.get(op)
        if function is None or op == 0xFE:
            raise InvalidInstruction(op)
        if len(stack) < OPCODES[op].takes:
            raise InsufficientStack(op, len(stack))
        if op in (CREATE, CREATE2):
            self._create(op, function)
        elif op == SELFDESTRUCT:
            self._destroy(function)
        else:
            function(self)

    def _create(self, op: int, function: Callable[[Any], None]) -> None:
        value, at, size = reversed(self._stack.values[-3:])
        meter, accounts, message, own = self._gas_meter, self.state.accounts, self.msg, self.msg.storage_address
        gas, words = meter.gas_remaining, len(self._memory._bytes) >> 5
        self._entered, self._kind = None, OPCODES[op].name
        function(self)
        if self._entered is not None:
            self._child_gas = -(self._entered.msg.gas - self._entered.get_gas_remaining())
            return
        memory = self._memory._bytes
        price = CREATE2_WORD_GAS if op == CREATE2 else CREATE_WORD_GAS
        cost = OPCODES[op].gas + price * ((size + 31) // 32) + _memory_gas(len(memory) >> 5) - _memory_gas(words)
        given = gas - cost - (gas - cost) // 64
        burnt = gas - cost - meter.gas_remaining  # by an address that is taken
        error = COLLISION
        if not burnt:
            error = NO_FUNDS if accounts.get_balance(own) < value else NONCE_LIMIT
            error = TOO_DEEP if message.depth >= MAX_DEPTH else error
        code = bytes(memory[at : at + size]) if size else b""
        self._tracer.enter(Entry(self._kind, own, bytes(20), code, given, value, message.depth + 1))
        self._tracer.leave(Exit(b"", burnt, error))
        self._child_gas = -burnt

    def _destroy(self, function: Callable[[Any], None]) -> None:
        own, to = self.msg.storage_address, (self._stack.values[-1] & ADDRESS).to_bytes(20, "big")
        balance = self.state.accounts.get_balance(own)
        try:
            function(self)
        except Halt:
            self._tracer.enter(Entry("SELFDESTRUCT", own, to, b"", 0, balance, self.msg.depth + 1))
            self._tracer.leave(Exit(b"", 0))
            raise

    # -- opcodes

    def step(self, pc: int, op: int, gas: int, stack: list[int], memory: bytearray) -> None:
        """Hear of an opcode that is about to run."""
        self._close(gas)
        message = self.msg
        refund = self._refund()
        step = Step(
            pc, op, gas, message.depth + 1, stack, memory, self.return_data, message.storage_address, max(refund, 0)
        )
        self._paid, self._gas_before, self._op = self._tracer.step(step), gas, op

    def failed_with(self, gas: int) -> None:
        """Hear of the gas that was left, or less than none, when an opcode failed."""
        self._failed_with = gas

    def _close(self, gas: int) -> None:
        if self._paid is not None:
            self._paid(self._gas_before - gas + self._child_gas, "")
        self._paid, self._child_gas = None, 0

    def _close_failed(self, error: VMError) -> None:
        """Tell what the opcode cost that failed: if too much, what it would have cost, as far as that was found."""
        if self._paid is None:
            return
        constant = OPCODES[self._op].gas
        cost = constant
        if isinstance(error, Revert):
            cost = self._gas_before - self._gas_meter.gas_remaining
        elif isinstance(error, OutOfGas) and constant <= self._gas_before:
            meter: Any = self._gas_meter
            left = meter.gas_remaining if self._failed_with is None else min(self._failed_with, meter.gas_remaining)
            cost = self._gas_before - left + (meter.asked if left >= 0 and OPCODES[self._op].name in _STOCK else 0)
        early = isinstance(error, OutOfGas | InsufficientStack | FullStack)
        cost = max(cost, constant)
        self._paid(cost if early else min(cost, self._gas_before), error_text(error) if early else "")
        self._paid = None

    def _refund(self) -> int:
        earned = self._refund_before + self._gas_meter.gas_refunded
        return earned + sum(child.get_gas_refund() for child in self.children) if self.children else earned


_STOCK = ("BALANCE", "EXTCODESIZE", "EXTCODECOPY", "EXTCODEHASH", "CREATE", "CREATE2", "SELFDESTRUCT")
"""Opcodes that py-evm runs, which take gas from the meter."""


def _memory_gas(words: int) -> int:
    return 3 * words + words * words // 512


def _exit(frame: Any, message: Message) -> Exit:
    used = message.gas - frame.get_gas_remaining()
    return Exit(bytes(frame.output), used, error_text(frame.error) if frame.is_error else "")


def _telling(precompile: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a precompile that leaves on its frame what stopped it."""

    def told(frame: Any) -> Any:
        try:
            return precompile(frame)
        except VMError as error:
            frame.failure = error
            raise

    return told


# -- accounts and blocks


class TracedAccounts(FlatAccounts):
    """Accounts that tell of what code touches, before it does."""

    def __init__(self, state: StateReader) -> None:
        super().__init__(state)
        self.tracer: Tracer | None = None

    def is_address_warm(self, address: bytes) -> bool:
        if self.tracer is not None:
            self.tracer.touch(address)
        return super().is_address_warm(address)

    def mark_address_warm(self, address: bytes) -> None:
        if self.tracer is not None:
            self.tracer.touch(address)
        super().mark_address_warm(address)

    def access_account(self, address: bytes) -> bool:
        if self.tracer is not None:
            self.tracer.touch(address)
        return super().access_account(address)

    def access_storage(self, address: bytes, slot: int) -> bool:
        if self.tracer is not None:
            self.tracer.touch(address, slot)
        return super().access_storage(address, slot)


class TracedBlock(Machine):
    """A block that is run again, transaction by transaction, under a tracer where one is wanted.

    Args:
        state: the parent state.
        environment: the block.
        rules: of the block's height.
        overrides: what stands over the parent state.

    Raises:
        InvalidOverride: the overrides contradict each other.
    """

    accounts: TracedAccounts

    def __init__(
        self,
        state: StateReader,
        environment: BlockEnvironment,
        rules: Rules,
        overrides: StateOverrides = NO_OVERRIDES,
    ) -> None:
        super().__init__(state, environment, rules, Loop.INLINED, overrides, TracedAccounts)
        self.tracer = Tracer()
        self._plain = self.computation_class
        told = {address: _telling(precompile) for address, precompile in self._plain._precompiles.items()}
        self._traced = with_precompiles(TracedComputation, told)

    @property
    def environment(self) -> BlockEnvironment:
        """The block, as it was given."""
        return self._environment

    def begin(self) -> None:
        """Make the block's two system calls."""
        self.begin_block()
        begin_consortium(self)

    def apply(self, tx: Transaction, tracer: Tracer | None = None, blobs: Sequence[bytes] = ()) -> Outcome:
        """Apply a transaction, which must be applicable; `blobs` as in `apply_transaction`."""
        if tracer is None:
            return apply_transaction(self, tx, blobs)
        self.computation_class, self.tracer, self.accounts.tracer = self._traced, tracer, tracer
        try:
            tracer.start(self.accounts, tx, self.coinbase)
            outcome = apply_transaction(self, tx, blobs)
            tracer.finish(outcome.gas_used)
        finally:
            self.computation_class, self.accounts.tracer = self._plain, None
        return outcome

    def apply_unsigned(self, tx: Transaction, tracer: Tracer) -> Outcome:
        """Apply a call under a tracer.

        Raises:
            InvalidTransaction: it cannot be applied.
        """
        check_unsigned(self, tx, strict=False)
        return self.apply(tx, tracer)
