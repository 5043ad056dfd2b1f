"""What the consortium decided takes its place at the start of a block: code that is replaced, changes that waited.

The second of the two system calls (ADR 0007): the node itself calls `Consortium.beginBlock`, outside the block's gas
and without a receipt, only where something waits; in block 1 the contract learns the genesis hash that votes bind.
"""

from __future__ import annotations

from contracts import layout
from contracts.bindings import consortium_votes
from contracts.system import CONSORTIUM
from node.execution.machine import Machine, apply_system_call

SYSTEM = bytes.fromhex("fffffffffffffffffffffffffffffffffffffffe")  # as in EIP-4788
GAS = 30_000_000  # as Ethereum's system calls; taking one change from the queue needs under a hundredth


def begin_consortium(machine: Machine) -> None:
    """Replace the code that is due and let the consortium take up one change that waits."""
    accounts = machine.accounts
    if machine.block_number == 0 or not accounts.get_code(CONSORTIUM):
        return
    if machine.block_number > 1 and not layout.has_pending(accounts.get_storage):
        return
    for target, source in layout.due_upgrades(accounts.get_storage):
        accounts.set_code(target, accounts.get_code(source))
    apply_system_call(machine, sender=SYSTEM, to=CONSORTIUM, data=consortium_votes.begin_block(), gas=GAS)
