"""Blocks, calls, estimates and genesis on the EVM. Pure, but for the leader's time budget, whose clock is given."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from node.admission import calldata_floor, check_nonce, check_payable, intrinsic_gas
from node.chain.receipt import Receipt, make_receipt
from node.chain.transaction import AccessList, InvalidTransaction, Transaction
from node.errors import GridpactError
from node.execution.access import RecordingAccounts, find_access_list
from node.execution.accounts import FlatAccounts
from node.execution.governance import begin_consortium
from node.execution.machine import (
    HISTORY_ADDRESS,
    HISTORY_CODE,
    REVERTED,
    Machine,
    Outcome,
    apply_call,
    apply_transaction,
    contract_address,
    create_at,
)
from node.execution.overrides import NO_OVERRIDES, StateOverrides, check_overrides
from node.execution.results import (
    BlockEnvironment,
    BlockResult,
    CallFailed,
    CallResult,
    CallReverted,
    InvalidBlock,
    Loop,
    OutOfGasEstimate,
)
from node.execution.unsigned import run_unsigned
from node.rules import RuleBook, Rules
from node.state import StateChanges, StateReader

GENESIS_GAS = 1 << 40  # constructors run once, by agreement; a hundred members' take 45 million
OUT_OF_GAS = "OutOfGas"  # how the error of a transaction that needed more gas begins
HEADER_BYTES = 1024  # room for the header in the bound of a block's bytes


class Executor:
    """Executes over any state by the rules of a height, with either opcode loop."""

    def __init__(self, rule_book: RuleBook, loop: Loop = Loop.INLINED) -> None:
        self._rule_book = rule_book
        self._loop = loop

    def execute(
        self, state: StateReader, environment: BlockEnvironment, transactions: Sequence[Transaction]
    ) -> BlockResult:
        """Apply all transactions in order.

        Raises:
            InvalidBlock: one cannot be applied, or the block's gas does not suffice.
        """
        block = self._begin(state, environment)
        for index, tx in enumerate(transactions):
            try:
                block.apply(tx)
            except InvalidTransaction as error:
                raise InvalidBlock(index, error.reason) from None
        return block.result(())

    def build(
        self,
        state: StateReader,
        environment: BlockEnvironment,
        candidates: Iterable[Transaction],
        *,
        time_budget_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> BlockResult:
        """Apply what can be applied of the candidates, in their order, within gas, bytes and time."""
        rules = self._rule_book.rules_at(environment.number)
        block = self._begin(state, environment)
        left_out: list[tuple[Transaction, str]] = []
        deadline = clock() + time_budget_s
        room = rules.max_block_bytes - HEADER_BYTES
        for tx in candidates:
            if clock() > deadline or block.gas_left < 21_000:
                break
            if len(tx.raw) > room or tx.gas_limit > block.gas_left:
                continue  # there may be room in the next block
            try:
                block.apply(tx)
                room -= len(tx.raw) + 4
            except InvalidTransaction as error:
                left_out.append((tx, error.reason))
        return block.result(tuple(left_out))

    def call(
        self,
        state: StateReader,
        environment: BlockEnvironment,
        *,
        sender: bytes,
        to: bytes | None,
        data: bytes = b"",
        value: int = 0,
        gas: int,
    ) -> CallResult:
        """Run a message over `state` and drop what it changes.

        Raises:
            ValueError: the sender does not have `value`.
        """
        machine = self.machine(state, environment)
        outcome = apply_call(machine, sender=sender, to=to, value=value, data=data, gas=gas)
        return CallResult(outcome.success, outcome.output, outcome.gas_used, outcome.logs, outcome.error)

    def run(
        self,
        state: StateReader,
        environment: BlockEnvironment,
        tx: Transaction,
        overrides: StateOverrides = NO_OVERRIDES,
    ) -> Outcome:
        """Run a transaction that nobody signed and drop what it changes; one without a price sees a base fee of zero.

        Raises:
            InvalidTransaction: it cannot be applied.
            InvalidOverride: the overrides contradict each other.
        """
        return run_unsigned(self.machine(state, priced(environment, tx), overrides), tx)

    def estimate_gas(
        self,
        state: StateReader,
        environment: BlockEnvironment,
        tx: Transaction,
        overrides: StateOverrides = NO_OVERRIDES,
    ) -> int:
        """Return the least gas limit with which `tx` succeeds; its own gas limit is the cap, its nonce does not matter.

        Raises:
            CallReverted: it reverts with the cap.
            OutOfGasEstimate: the cap does not suffice.
            CallFailed: it fails otherwise with the cap.
            InvalidTransaction: it cannot be applied, whatever gas it gets.
            InvalidOverride: the overrides contradict each other.
        """
        environment = priced(environment, tx)
        rules = self._rule_book.rules_at(environment.number)
        low = max(intrinsic_gas(tx), calldata_floor(tx.data, rules)) - 1
        cap = high = self._affordable(state, environment, tx, overrides)

        def attempt(gas: int) -> Outcome:
            machine = self.machine(state, environment, overrides)
            return run_unsigned(machine, replace(tx, gas_limit=gas))

        if high <= low:
            raise OutOfGasEstimate(cap)
        first = attempt(high)
        if not first.success:
            if first.error == REVERTED:
                raise CallReverted(first.output)
            if first.error.startswith(OUT_OF_GAS):
                raise OutOfGasEstimate(cap)
            raise CallFailed(first.error)
        likely = first.gas_used + first.gas_used // 16 + 5_000  # refunds, and the 64th that a call keeps back
        if low < likely < high and attempt(likely).success:
            high = likely
        while low + 1 < high:
            guess = (low + high) // 2
            if attempt(guess).success:
                high = guess
            else:
                low = guess
        return high

    def access_list(
        self,
        state: StateReader,
        environment: BlockEnvironment,
        tx: Transaction,
        overrides: StateOverrides = NO_OVERRIDES,
    ) -> tuple[AccessList, Outcome]:
        """Return what a transaction touches beside sender, destination and precompiled contracts, and what it does.

        Raises:
            InvalidTransaction: it cannot be applied.
            InvalidOverride: the overrides contradict each other.
        """
        environment = priced(environment, tx)
        to = tx.to

        def attempt(listed: AccessList) -> tuple[Outcome, set[bytes]]:
            machine = self.machine(state, environment, overrides, RecordingAccounts)
            outcome = run_unsigned(machine, replace(tx, access_list=listed))
            assert isinstance(machine.accounts, RecordingAccounts)
            return outcome, machine.accounts.asked

        machine = self.machine(state, environment, overrides)
        if to is None:
            to = contract_address(tx.sender, machine.accounts.get_nonce(tx.sender))
        without = {tx.sender, to, *machine.precompiles}
        return find_access_list(attempt, tx.access_list, without)

    def _affordable(
        self, state: StateReader, environment: BlockEnvironment, tx: Transaction, overrides: StateOverrides
    ) -> int:
        """Return the gas that the sender can pay for at the price that it names, at most the transaction's own limit.

        Raises:
            InvalidTransaction: nothing is left beside the value.
        """
        if not tx.max_fee_per_gas:
            return tx.gas_limit
        left = self.machine(state, environment, overrides).accounts.get_balance(tx.sender) - tx.value
        if left < 0:
            raise InvalidTransaction("insufficient funds for transfer")
        return min(tx.gas_limit, left // tx.max_fee_per_gas)

    def machine(
        self,
        state: StateReader,
        environment: BlockEnvironment,
        overrides: StateOverrides = NO_OVERRIDES,
        keep: type[FlatAccounts] = FlatAccounts,
    ) -> Machine:
        """Return the EVM of a block over a state.

        Raises:
            InvalidOverride: the overrides contradict each other.
        """
        check_overrides(overrides)
        rules = self._rule_book.rules_at(environment.number)
        return Machine(state, environment, rules, self._loop, overrides, keep)

    def _begin(self, state: StateReader, environment: BlockEnvironment) -> _Block:
        return _Block(self.machine(state, environment), environment)


def priced(environment: BlockEnvironment, tx: Transaction) -> BlockEnvironment:
    """Return the block that a transaction without a signature sees: without a price of its own, no base fee."""
    if not environment.base_fee or tx.max_fee_per_gas or tx.max_priority_fee_per_gas:
        return environment
    return replace(environment, base_fee=0)


class _Block:
    """A block that is being executed."""

    def __init__(self, machine: Machine, environment: BlockEnvironment) -> None:
        self._machine = machine
        self._receipts: list[Receipt] = []
        self._included: list[Transaction] = []
        self._gas_used = 0
        self.gas_left = environment.gas_limit
        self._machine.begin_block()
        begin_consortium(self._machine)

    def apply(self, tx: Transaction) -> None:
        """Apply a transaction, or raise InvalidTransaction and change nothing."""
        accounts = self._machine.accounts
        check_nonce(tx, accounts.get_nonce(tx.sender))
        check_payable(tx, accounts.get_balance(tx.sender))
        if tx.gas_limit > self.gas_left:
            raise InvalidTransaction(f"gas limit reached: {tx.gas_limit} of {self.gas_left} left in the block")
        try:
            outcome = apply_transaction(self._machine, tx)
        except (GridpactError, MemoryError):  # a damaged database, a full machine: not the transaction's fault
            raise
        except Exception as error:  # a fault of the EVM itself: the same on every node, and no reason to stop
            accounts.discard(0)
            raise InvalidTransaction(f"cannot be executed: {type(error).__name__}") from error
        self._gas_used += outcome.gas_used
        self.gas_left -= outcome.gas_used
        self._receipts.append(make_receipt(tx.type, int(outcome.success), self._gas_used, outcome.logs))
        self._included.append(tx)

    def result(self, left_out: tuple[tuple[Transaction, str], ...]) -> BlockResult:
        """Return what the block did."""
        changes = self._machine.accounts.changes()
        return BlockResult(changes, tuple(self._receipts), self._gas_used, tuple(self._included), left_out)


class GenesisError(Exception):
    """A system contract's constructor failed at genesis."""

    def __init__(self, address: bytes, error: str, output: bytes) -> None:
        super().__init__(f"constructor of 0x{address.hex()}: {error}")
        self.address = address
        self.error = error
        self.output = output


def genesis_changes(
    rules: Rules,
    *,
    timestamp: int,
    balances: Mapping[bytes, int],
    deployments: Sequence[tuple[bytes, bytes]],
) -> StateChanges:
    """Return the state of block 0: balances, EIP-2935's contract, and what the constructors leave at their addresses.

    Raises:
        GenesisError: a constructor failed.
    """
    environment = BlockEnvironment(0, timestamp, GENESIS_GAS, bytes(32), rules.chain_id, lambda _: None)
    machine = Machine(VOID, environment, rules)
    for address, balance in sorted(balances.items()):
        machine.accounts.set_balance(address, balance)
    machine.accounts.set_nonce(HISTORY_ADDRESS, 1)
    machine.accounts.set_code(HISTORY_ADDRESS, HISTORY_CODE)
    for address, init_code in deployments:
        outcome = create_at(machine, address, init_code, GENESIS_GAS)
        if not outcome.success:
            raise GenesisError(address, outcome.error, outcome.output)
    return machine.accounts.changes()


class _Void:
    """The state before genesis."""

    def account(self, address: bytes) -> None:
        return None

    def storage(self, address: bytes, slot: int) -> int:
        return 0

    def code(self, code_hash: bytes) -> bytes:
        return b""

    def beginnings(self, code_hash: bytes) -> None:
        return None


VOID: StateReader = _Void()
