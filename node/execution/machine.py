"""Prague's state and transaction execution on py-evm's opcodes, without its databases, re-validation and logging.

Source of the order of steps: yellow paper §6.2; EIP-1559 (fees), EIP-2930 (access lists), EIP-3529 (refunds),
EIP-3651 (warm coinbase), EIP-6780 (selfdestruct), EIP-7623 (calldata floor).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eth.abc import ComputationAPI
from eth.constants import CREATE_CONTRACT_ADDRESS
from eth.exceptions import ContractCreationCollision, VMError
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.cancun.transaction_context import CancunTransactionContext
from eth.vm.forks.prague.constants import HISTORY_SERVE_WINDOW, HISTORY_STORAGE_ADDRESS, HISTORY_STORAGE_CONTRACT_CODE
from eth.vm.forks.prague.state import PragueState
from eth.vm.message import Message
from eth_hash.auto import keccak

from node.admission import calldata_floor, intrinsic_gas
from node.chain import rlp
from node.chain.header import NO_COINBASE
from node.chain.receipt import Log
from node.chain.transaction import Transaction
from node.execution.accounts import FlatAccounts
from node.execution.computation import computation_class, with_precompiles
from node.execution.overrides import NO_OVERRIDES, StateOverrides, apply_overrides, beneath, override_precompiles
from node.execution.precompiles import SETS
from node.execution.proofs import Precompile
from node.execution.results import ANCESTORS, BlockEnvironment, Loop
from node.rules import Rules
from node.state import StateReader

MAX_REFUND_QUOTIENT = 5  # EIP-3529
REVERTED = "execution reverted"
INITCODE_WORD_GAS = 2  # EIP-3860: py-evm takes it inside the computation
HISTORY_ADDRESS: bytes = HISTORY_STORAGE_ADDRESS
HISTORY_CODE: bytes = HISTORY_STORAGE_CONTRACT_CODE


class Machine(PragueState):
    """py-evm's state over flat accounts; one a block.

    Args:
        state: the parent state.
        environment: the block.
        rules: of the block's height.
        loop: which opcode loop runs.
        overrides: what stands over the parent state.
        keep: the accounts' class.

    Raises:
        InvalidOverride: a precompiled contract is moved from or to where that cannot be.
    """

    def __init__(
        self,
        state: StateReader,
        environment: BlockEnvironment,
        rules: Rules,
        loop: Loop = Loop.INLINED,
        overrides: StateOverrides = NO_OVERRIDES,
        keep: type[FlatAccounts] = FlatAccounts,
    ) -> None:
        self.accounts = keep(beneath(state, overrides))
        self._account_db = self.accounts
        self.rules = rules
        self.computation_class = computation_class(rules.fork, loop)
        self._moved: list[bytes] = []
        if overrides:
            apply_overrides(self.accounts, overrides)
            precompiles = override_precompiles(SETS[rules.fork], overrides)
            if precompiles is not SETS[rules.fork]:
                self.computation_class = with_precompiles(self.computation_class, precompiles)
                self._moved = sorted(SETS[rules.fork].keys() - precompiles.keys())
        self._ancestor_hash = environment.ancestor_hash
        self._ancestor_hashes: dict[int, bytes] = {}
        self._environment = environment
        base_fee = rules.base_fee if environment.base_fee is None else environment.base_fee
        self.execution_context = ExecutionContext(
            coinbase=environment.coinbase,
            timestamp=environment.timestamp,
            block_number=environment.number,
            difficulty=0,
            mix_hash=environment.mix_hash,
            gas_limit=environment.gas_limit,
            prev_hashes=(),
            chain_id=environment.chain_id,
            base_fee_per_gas=base_fee,
            excess_blob_gas=environment.excess_blob_gas,
        )
        self.base_fee_per_gas = base_fee

    @property
    def precompiles(self) -> Mapping[bytes, Precompile]:
        """Return the precompiled contracts by address."""
        found: Mapping[bytes, Precompile] = self.computation_class._precompiles
        return found

    def warm_up(self) -> None:
        """Mark the addresses warm from which a precompiled contract was moved: they cost as little as before."""
        for address in self._moved:
            self.accounts.mark_address_warm(address)

    # -- what py-evm's opcodes call

    def snapshot(self) -> int:
        """Return a checkpoint."""
        return self.accounts.record()

    def revert(self, snapshot: int) -> None:
        """Take back everything since a checkpoint."""
        self.accounts.discard(snapshot)

    def commit(self, snapshot: int) -> None:
        """Keep everything since a checkpoint."""

    def get_transient_storage(self, address: bytes, slot: int) -> bytes:
        """Return a transient slot's value."""
        return self.accounts.get_transient(address, slot)

    def set_transient_storage(self, address: bytes, slot: int, value: bytes) -> None:
        """Set a transient slot's value."""
        self.accounts.set_transient(address, slot, value)

    def get_ancestor_hash(self, block_number: int) -> bytes:
        """Return the hash that BLOCKHASH gives: empty (zero) beyond the last 256 blocks."""
        if not 0 < self._environment.number - block_number <= ANCESTORS:
            return b""
        found = self._ancestor_hashes.get(block_number)
        if found is None:
            found = self._ancestor_hashes[block_number] = self._ancestor_hash(block_number) or b""
        return found

    @property
    def blob_base_fee(self) -> int:
        """Return what BLOBBASEFEE gives, in wei a unit."""
        overridden = self._environment.blob_base_fee
        return int(super().blob_base_fee) if overridden is None else overridden

    # -- the block

    def begin_block(self) -> None:
        """Write the parent's hash into EIP-2935's contract, the first of the two system calls (ADR 0007)."""
        number = self._environment.number
        if number > 0 and self.accounts.get_code(HISTORY_ADDRESS) == HISTORY_CODE:
            value = int.from_bytes(self._environment.parent_hash, "big")
            self.accounts.set_storage(HISTORY_ADDRESS, (number - 1) % HISTORY_SERVE_WINDOW, value)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a transaction or call did; `gas_unrefunded` is what it used before refunds."""

    success: bool
    output: bytes
    gas_used: int
    logs: tuple[Log, ...]
    error: str
    gas_unrefunded: int


def apply_transaction(machine: Machine, tx: Transaction, blobs: Sequence[bytes] = ()) -> Outcome:
    """Apply a transaction that was found applicable (`node.admission`), and return what it did.

    Args:
        machine: the block's.
        tx: decoded, its sender recovered.
        blobs: versioned hashes that it carries; this chain has no blobs, Ethereum's tests have.
    """
    accounts = machine.accounts
    accounts.begin_transaction()
    price = min(tx.max_priority_fee_per_gas + machine.base_fee_per_gas, tx.max_fee_per_gas)
    if price:
        accounts.set_balance(tx.sender, accounts.get_balance(tx.sender) - tx.gas_limit * price)
    nonce = accounts.get_nonce(tx.sender)
    accounts.set_nonce(tx.sender, nonce + 1)
    gas = tx.gas_limit - intrinsic_gas(tx)
    if tx.to is None:
        words = (len(tx.data) + 31) // 32
        message = _create_message(tx.sender, nonce, gas + INITCODE_WORD_GAS * words, tx.value, tx.data)
    else:
        message = Message(gas, tx.to, tx.sender, tx.value, tx.data, accounts.get_code(tx.to))
    for address, slots in tx.access_list:
        accounts.mark_address_warm(address)
        for slot in slots:
            accounts.mark_storage_warm(address, slot)
    computation = _compute(machine, message, price, blobs)
    remaining = computation.get_gas_remaining()
    used = tx.gas_limit - remaining
    floor = calldata_floor(tx.data, machine.rules)
    unrefunded = max(used, floor)
    used -= min(computation.get_gas_refund(), used // MAX_REFUND_QUOTIENT)
    used = max(used, floor)
    if price:
        accounts.set_balance(tx.sender, accounts.get_balance(tx.sender) + (tx.gas_limit - used) * price)
        tip = used * (price - machine.base_fee_per_gas)
        accounts.set_balance(machine.coinbase, accounts.get_balance(machine.coinbase) + tip)
    for address in sorted(computation.get_accounts_for_deletion()):
        accounts.delete_account(address)
    return _outcome(computation, used, unrefunded)


def apply_call(machine: Machine, *, sender: bytes, to: bytes | None, value: int, data: bytes, gas: int) -> Outcome:
    """Run a message as a transaction would, without its nonce, its fees and its intrinsic gas.

    Raises:
        ValueError: the sender does not have `value`.
    """
    accounts = machine.accounts
    accounts.begin_transaction()
    if accounts.get_balance(sender) < value:
        raise ValueError("insufficient funds for transfer")
    if to is None:
        message = _create_message(sender, accounts.get_nonce(sender), gas, value, data)
    else:
        message = Message(gas, to, sender, value, data, accounts.get_code(to))
    computation = _compute(machine, message, 0)
    used = gas - computation.get_gas_remaining()
    return _outcome(computation, used, used)


def apply_system_call(machine: Machine, *, sender: bytes, to: bytes, data: bytes, gas: int) -> None:
    """Run a message of the node itself, which has no nonce, pays nothing and leaves no receipt (as in EIP-4788)."""
    machine.accounts.begin_transaction()
    computation = _compute(machine, Message(gas, to, sender, 0, data, machine.accounts.get_code(to)), 0)
    for address in sorted(computation.get_accounts_for_deletion()):
        machine.accounts.delete_account(address)


def create_at(machine: Machine, address: bytes, init_code: bytes, gas: int) -> Outcome:
    """Run a constructor at a given address, as genesis does."""
    machine.accounts.begin_transaction()
    message = Message(gas, CREATE_CONTRACT_ADDRESS, NO_COINBASE, 0, b"", init_code, create_address=address)
    computation = _compute(machine, message, 0)
    used = gas - computation.get_gas_remaining()
    return _outcome(computation, used, used)


def contract_address(sender: bytes, nonce: int) -> bytes:
    """Return the address of the contract that `sender` creates with `nonce` (yellow paper §7)."""
    return keccak(rlp.encode([sender, nonce]))[12:]


def _create_message(sender: bytes, nonce: int, gas: int, value: int, code: bytes) -> Message:
    address = contract_address(sender, nonce)
    return Message(gas, CREATE_CONTRACT_ADDRESS, sender, value, b"", code, create_address=address)


def _compute(machine: Machine, message: Message, price: int, blobs: Sequence[bytes] = ()) -> ComputationAPI:
    accounts = machine.accounts
    context = CancunTransactionContext(gas_price=price, origin=message.sender, blob_versioned_hashes=blobs)
    machine.warm_up()
    accounts.mark_address_warm(message.sender)
    accounts.mark_address_warm(message.storage_address)
    if not message.is_create:
        return machine.computation_class.apply_message(machine, message, context)
    if accounts.account_has_code_or_nonce(message.storage_address):
        computation = machine.computation_class(machine, message, context)
        computation.error = ContractCreationCollision("an account with code or nonce is at the new address")
        computation.consume_gas(message.gas, reason="collision")
        return computation
    try:
        return machine.computation_class.apply_create_message(machine, message, context)
    except VMError as error:  # an oversized init code is raised before there is a computation
        computation = machine.computation_class(machine, message, context)
        computation.error = error
        computation.consume_gas(message.gas, reason="init code")
        return computation


def _outcome(computation: Any, gas_used: int, gas_unrefunded: int) -> Outcome:
    if computation.is_error:
        error = computation.error
        reverted = not error.burns_gas
        text = REVERTED if reverted else f"{type(error).__name__}: {error}"
        return Outcome(False, bytes(computation.output) if reverted else b"", gas_used, (), text, gas_unrefunded)
    logs = tuple(
        Log(address, tuple(topic.to_bytes(32, "big") for topic in topics), bytes(data))
        for address, topics, data in computation.get_log_entries()
    )
    return Outcome(True, bytes(computation.output), gas_used, logs, "", gas_unrefunded)
