"""One message call or contract creation on py-evm's opcodes, by the stock loop or by the inlined one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from eth.exceptions import InvalidInstruction, OutOfGas
from eth.vm.forks.prague.computation import PragueComputation
from eth.vm.forks.prague.opcodes import PRAGUE_OPCODES
from eth.vm.memory import Memory
from eth.vm.message import Message
from eth.vm.opcode_values import SELFDESTRUCT
from eth.vm.stack import Stack

from node.chain.header import NO_COINBASE
from node.execution.code import LinearCode
from node.execution.loop import run
from node.execution.precompiles import SETS
from node.execution.proofs import Precompile
from node.execution.results import Loop


class Computation(PragueComputation):
    """py-evm's computation, with our code stream, and without its warning of SELFDESTRUCT: what a block does must not
    depend on Python's warning flags."""

    opcodes = {**PRAGUE_OPCODES, SELFDESTRUCT: PRAGUE_OPCODES[SELFDESTRUCT].__wrapped__}  # noqa: RUF012 - py-evm's form

    def __init__(self, state: Any, message: Message, transaction_context: Any) -> None:
        super().__init__(state, message, transaction_context)
        self.code = LinearCode(message.code)

    @classmethod
    def consume_initcode_gas_cost(cls, computation: Any) -> None:
        """EIP-3860: of a transaction's own; CREATE has paid already, even where its frame's sender is the origin."""
        if computation.msg.depth == 0:
            super().consume_initcode_gas_cost(computation)

    @classmethod
    def validate_create_message(cls, message: Any) -> None:
        """EIP-3860 bounds what a transaction brings; genesis gives a constructor a hundred members' arguments."""
        if message.depth > 0 or message.sender != NO_COINBASE:
            super().validate_create_message(message)


class InlinedComputation(Computation):
    """Runs `loop.run`; py-evm's functions do the rest."""

    def __init__(self, state: Any, message: Message, transaction_context: Any) -> None:
        # As py-evm's, without a code stream, which only its loop reads, and a gas meter that logs.
        self.state, self.msg, self.transaction_context = state, message, transaction_context
        self._gas_meter, self._stack, self._memory = Gas(message.gas), Stack(), Memory()
        self.children: list[Any] = []
        self.accounts_to_delete: list[bytes] = []
        self.beneficiaries: list[bytes] = []
        self._log_entries: list[Any] = []

    @classmethod
    def apply_computation(
        cls, state: Any, message: Message, transaction_context: Any, parent_computation: Any = None
    ) -> Any:
        """Run a transaction's or a creation's precompiled contract or code, after py-evm's method of this name."""
        state.mark_address_warm(state.coinbase)  # EIP-3651
        with cls(state, message, transaction_context) as frame:
            if parent_computation is not None:
                frame.contracts_created = parent_computation.contracts_created
            else:
                frame.contracts_created = []
                if message.is_create:
                    cls.consume_initcode_gas_cost(frame)
            if message.is_create:
                frame.contracts_created.append(message.storage_address)
            precompile = cls._precompiles.get(message.code_address)
            if precompile is None:
                frame.run()
            elif not message.is_delegation:
                precompile(frame)
        return frame

    def child(self, message: Message) -> Any:
        """Return the frame of a call from this one."""
        frame = self.__class__(self.state, message, self.transaction_context)
        frame.contracts_created = self.contracts_created
        return frame

    def run(self) -> None:
        """Run the code.

        Raises:
            VMError: it fails or reverts.
        """
        run(self)

    def run_stock(self, op: int) -> None:
        """Run one of py-evm's own opcode functions.

        Raises:
            Halt: it ends the frame.
            VMError: it fails.
        """
        function = self.opcodes.get(op)
        if function is None:
            raise InvalidInstruction(f"Invalid opcode 0x{op:x}")
        function(self)


class Gas:
    """py-evm's gas meter, without its checks and its log. Refunds may be negative until the end (EIP-2200)."""

    __slots__ = ("gas_refunded", "gas_remaining", "start_gas")

    def __init__(self, start_gas: int) -> None:
        self.start_gas = self.gas_remaining = start_gas
        self.gas_refunded = 0

    def consume_gas(self, amount: int, reason: str) -> None:
        """Take gas.

        Raises:
            OutOfGas: there is too little.
        """
        if amount > self.gas_remaining:
            raise OutOfGas(f"Out of gas: Needed {amount} - Remaining {self.gas_remaining} - Reason: {reason}")
        self.gas_remaining -= amount

    def return_gas(self, amount: int) -> None:
        """Give back gas that a child frame did not use."""
        self.gas_remaining += amount

    def refund_gas(self, amount: int) -> None:
        """Count a refund for the end of the transaction."""
        self.gas_refunded += amount


LOOPS = {Loop.INLINED: InlinedComputation, Loop.STOCK: Computation}


@cache
def computation_class(fork: str, loop: Loop) -> type[Any]:
    """Return the class of the computations that use a fork's precompiles and a loop."""
    return with_precompiles(LOOPS[loop], SETS[fork])


def with_precompiles(base: type[Any], precompiles: Mapping[bytes, Precompile]) -> type[Any]:
    """Return a class of computations like `base` with these precompiled contracts."""
    return type(base.__name__, (base,), {"_precompiles": precompiles})
