"""One message call or contract creation on py-evm's opcodes, by the stock loop or by the inlined one."""

from __future__ import annotations

from functools import cache
from typing import Any

from eth.vm.forks.prague.computation import PragueComputation
from eth.vm.forks.prague.opcodes import PRAGUE_OPCODES
from eth.vm.message import Message
from eth.vm.opcode_values import SELFDESTRUCT

from node.chain.header import NO_COINBASE
from node.execution.code import LinearCode
from node.execution.loop import run
from node.execution.precompiles import SETS
from node.execution.results import Loop


class Computation(PragueComputation):
    """py-evm's computation, with our code stream, and without its warning of SELFDESTRUCT: what a block does must not
    depend on Python's warning flags."""

    opcodes = {**PRAGUE_OPCODES, SELFDESTRUCT: PRAGUE_OPCODES[SELFDESTRUCT].__wrapped__}  # noqa: RUF012 - py-evm's form

    def __init__(self, state: Any, message: Message, transaction_context: Any) -> None:
        super().__init__(state, message, transaction_context)
        self.code = LinearCode(message.code)

    @classmethod
    def validate_create_message(cls, message: Any) -> None:
        """EIP-3860 bounds what a transaction brings; genesis gives a constructor a hundred members' arguments."""
        if message.depth > 0 or message.sender != NO_COINBASE:
            super().validate_create_message(message)


class InlinedComputation(Computation):
    """Runs `loop.run`; py-evm's functions do the rest."""

    @classmethod
    def apply_computation(
        cls, state: Any, message: Message, transaction_context: Any, parent_computation: Any = None
    ) -> Any:
        """Run a message's precompiled contract or code, after py-evm's method of this name."""
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
                run(frame)
            elif not message.is_delegation:
                precompile(frame)
        return frame

    def run_stock(self, op: int) -> None:
        """Run one of py-evm's own opcode functions.

        Raises:
            Halt: it ends the frame.
            VMError: it fails.
        """
        self.get_opcode_fn(op)(self)


LOOPS = {Loop.INLINED: InlinedComputation, Loop.STOCK: Computation}


@cache
def computation_class(precompiles: str, loop: Loop) -> type[Any]:
    """Return the class of the computations that use a set of precompiles and a loop."""
    name = f"{precompiles.capitalize()}Computation"
    return type(name, (LOOPS[loop],), {"_precompiles": SETS[precompiles]})
