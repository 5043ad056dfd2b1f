"""Every transfer of wei as a log, beside the contracts' own, for who simulates.

Source: execution-apis, eth_simulateV1 (`traceTransfers`): logs of ERC-20's Transfer from ERC-7528's address. They are
no part of a receipt.
"""

from __future__ import annotations

from typing import Any

from eth.vm.message import Message
from eth.vm.opcode_values import SELFDESTRUCT
from eth_hash.auto import keccak

from node.execution.computation import Computation, with_precompiles
from node.execution.machine import Machine

TRANSFER = int.from_bytes(keccak(b"Transfer(address,address,uint256)"), "big")


class NativeCurrency(bytes):
    """The address that logs a transfer of wei: of another type than a contract's there could ever be."""


NATIVE = NativeCurrency(b"\xee" * 20)


class TransferComputation(Computation):
    """py-evm's computation that logs what is transferred; a frame that fails takes its logs back."""

    opcodes = {**Computation.opcodes}  # noqa: RUF012 - py-evm's form

    def __init__(self, state: Any, message: Message, transaction_context: Any) -> None:
        super().__init__(state, message, transaction_context)
        by_callcode = message.sender == message.storage_address != message.code_address
        if message.value and message.should_transfer_value and not by_callcode:
            self.note_transfer(message.sender, message.storage_address, message.value)

    def note_transfer(self, sender: bytes, recipient: bytes, value: int) -> None:
        """Log a transfer."""
        topics = (TRANSFER, int.from_bytes(sender, "big"), int.from_bytes(recipient, "big"))
        entry = (self.transaction_context.get_next_log_counter(), NATIVE, topics, value.to_bytes(32, "big"))
        self._log_entries.append(entry)


def _selfdestruct(computation: Any) -> None:
    own = computation.msg.storage_address
    beneficiary = computation.stack_pop1_int()
    computation.stack_push_int(beneficiary)
    value = computation.state.get_balance(own)
    if value:
        computation.note_transfer(own, (beneficiary % (1 << 160)).to_bytes(20, "big"), value)
    Computation.opcodes[SELFDESTRUCT](computation)


TransferComputation.opcodes[SELFDESTRUCT] = _selfdestruct


def log_transfers(machine: Machine) -> None:
    """Have a machine log transfers from now on."""
    machine.computation_class = with_precompiles(TransferComputation, machine.precompiles)
