"""Blocks that are made of calls upon a committed one, and dropped: their headers, receipts and state are real ones.

Source: execution-apis, eth_simulateV1 and its notes; go-ethereum, internal/ethapi/simulate.go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from eth_hash.auto import keccak

from node.chain.header import EMPTY_LIST_ROOT, NONCE, OMMERS_HASH, REQUESTS_HASH, ZERO_HASH, Header
from node.chain.receipt import EMPTY_BLOOM, Log, blooms_union, make_receipt
from node.chain.transaction import InvalidTransaction, Transaction
from node.execution import BlockEnvironment, Executor
from node.execution.governance import begin_consortium
from node.execution.machine import Machine, Outcome
from node.execution.overrides import StateOverrides
from node.execution.transfers import NativeCurrency, log_transfers
from node.execution.unsigned import encode_unsigned, run_unsigned
from node.rpc.calls import CallRequest
from node.rpc.errors import SERVER_ERROR, RpcError
from node.rpc.overrides import BlockOverrides, overridden
from node.rpc.reads import BlockData
from node.state.overlay import Overlay
from node.state.trie import list_root

GAS_BUDGET = 50_000_000  # of all calls of a simulation, as go-ethereum's --rpc.gascap
GAS_REACHED, CLIENT_LIMIT = -38015, -38026
_CODES = (
    ("nonce too low", -38010),
    ("nonce too high", -38011),
    ("nonce has max value", -38011),
    ("max priority fee per gas higher than max fee per gas", -32602),
    ("max fee per gas less than block base fee", -38012),
    ("intrinsic gas too low", -38013),
    ("insufficient gas for floor data gas cost", -38013),
    ("insufficient funds", -38014),
    ("max initcode size exceeded", -38025),
)
"""execution-apis' code for why a call cannot stand in a block, by how the reason begins."""


@dataclass(frozen=True, slots=True)
class BlockPlan:
    """A block that is wanted: its number and chain time in seconds, what is overridden, and its calls."""

    number: int
    timestamp: int
    block: BlockOverrides
    accounts: StateOverrides
    calls: Sequence[CallRequest]


@dataclass(frozen=True, slots=True)
class Simulated:
    """A block that was made: as it is read, with its transactions and what each did, transfers among the logs."""

    data: BlockData
    transactions: tuple[Transaction, ...]
    outcomes: tuple[Outcome, ...]


class Simulation:
    """Makes blocks, one upon the other.

    Args:
        executor: by the rules of each height.
        overlay: the state of the block beneath.
        base: that block's header.
        chain_id: as in EIP-155.
        ancestor_hash: the hash of a committed block up to `base`.
        strict: whether nonces and prices are judged as in a block.
        transfers: whether transfers of wei appear among the logs.
    """

    def __init__(
        self,
        executor: Executor,
        overlay: Overlay,
        base: Header,
        *,
        chain_id: int,
        ancestor_hash: Callable[[int], bytes | None],
        strict: bool,
        transfers: bool,
    ) -> None:
        self._executor = executor
        self._overlay = overlay
        self._base = base
        self._chain_id = chain_id
        self._committed_hash = ancestor_hash
        self._strict = strict
        self._transfers = transfers
        self._budget = GAS_BUDGET
        self._headers: list[Header] = []

    def make(self, plan: BlockPlan, gas_limit: int) -> Simulated:
        """Make the next block.

        Args:
            plan: what is wanted.
            gas_limit: of a block, where that is not overridden.

        Raises:
            RpcError: a call cannot stand in it.
            InvalidOverride: the overrides contradict each other.
        """
        parent = self._headers[-1] if self._headers else self._base
        environment = overridden(
            BlockEnvironment(
                number=plan.number,
                timestamp=plan.timestamp,
                gas_limit=gas_limit,
                parent_hash=parent.hash,
                chain_id=self._chain_id,
                ancestor_hash=self._ancestor_hash,
                coinbase=parent.coinbase,
                mix_hash=ZERO_HASH,
                base_fee=None if self._strict else 0,
            ),
            plan.block,
        )
        self._overlay.empty_storage(key for key, account in plan.accounts.items() if account.state is not None)
        machine = self._executor.machine(self._overlay, environment, plan.accounts)
        machine.begin_block()
        begin_consortium(machine)
        if self._transfers:
            log_transfers(machine)
        return self._fill(machine, environment, plan.calls)

    def _fill(self, machine: Machine, environment: BlockEnvironment, calls: Sequence[CallRequest]) -> Simulated:
        transactions, outcomes, receipts = [], [], []
        used = 0
        for request in calls:
            tx = self._transaction(machine, request, environment.gas_limit - used)
            outcome = self._run(machine, tx)
            used += outcome.gas_used
            logs = [log for log in outcome.logs if not isinstance(log.address, NativeCurrency)]
            transactions.append(tx)
            outcomes.append(outcome)
            receipts.append(make_receipt(tx.type, int(outcome.success), used, logs))
        self._overlay.take(machine.accounts.changes())
        header = Header(
            parent_hash=environment.parent_hash,
            ommers_hash=OMMERS_HASH,
            coinbase=environment.coinbase,
            state_root=self._overlay.root,
            transactions_root=list_root([tx.raw for tx in transactions]),
            receipts_root=list_root([receipt.encode() for receipt in receipts]),
            bloom=blooms_union(receipt.bloom for receipt in receipts) if receipts else EMPTY_BLOOM,
            difficulty=0,
            number=environment.number,
            gas_limit=environment.gas_limit,
            gas_used=used,
            timestamp=environment.timestamp,
            extra_data=b"",
            mix_hash=environment.mix_hash,
            nonce=NONCE,
            base_fee_per_gas=machine.base_fee_per_gas,
            withdrawals_root=EMPTY_LIST_ROOT,
            blob_gas_used=0,
            excess_blob_gas=0,
            parent_beacon_root=ZERO_HASH,
            requests_hash=REQUESTS_HASH,
        )
        self._headers.append(header)
        data = BlockData(
            header,
            tuple(tx.raw for tx in transactions),
            tuple(tx.hash for tx in transactions),
            tuple(tx.sender for tx in transactions),
            tuple(receipt.encode_stored() for receipt in receipts),
        )
        return Simulated(data, tuple(transactions), tuple(outcomes))

    def _transaction(self, machine: Machine, request: CallRequest, room: int) -> Transaction:
        asked = room if request.gas is None else request.gas
        if asked > room:
            raise RpcError(GAS_REACHED, f"block gas limit reached: remaining: {room}, required: {asked}")
        if not self._budget:
            raise RpcError(CLIENT_LIMIT, f"RPC gas cap exhausted: a simulation uses at most {GAS_BUDGET}")
        nonce = machine.accounts.get_nonce(request.sender)
        tx = request.transaction(self._chain_id, min(asked, self._budget), nonce)
        tx = replace(tx, type=min(tx.type, 1) * 2)  # one with an access list is sent as the type that has fees too
        raw = encode_unsigned(tx)
        return replace(tx, raw=raw, hash=keccak(raw))

    def _run(self, machine: Machine, tx: Transaction) -> Outcome:
        try:
            outcome = run_unsigned(machine, tx, strict=self._strict)
        except InvalidTransaction as error:
            code = next((code for start, code in _CODES if error.reason.startswith(start)), SERVER_ERROR)
            raise RpcError(code, f"err: {error.reason} (supplied gas {tx.gas_limit})") from None
        self._budget -= outcome.gas_used
        return outcome

    def _ancestor_hash(self, number: int) -> bytes | None:
        if number <= self._base.number:
            return self._committed_hash(number)
        return self._headers[number - self._base.number - 1].hash


def placed_logs(block: Simulated) -> list[list[tuple[int, Log]]]:
    """Return the logs of each transaction with their index in the block, transfers among them."""
    rows, index = [], 0
    for outcome in block.outcomes:
        rows.append([(index + at, log) for at, log in enumerate(outcome.logs)])
        index += len(outcome.logs)
    return rows
