"""Stock py-evm as the oracle: the same block over the same accounts, on its own database and executor."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from eth.constants import BLANK_ROOT_HASH
from eth.db.atomic import AtomicDB
from eth.db.backends.memory import MemoryDB
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.prague.state import PragueState
from eth.vm.forks.prague.transactions import PragueTransactionBuilder
from eth_hash.auto import keccak

from node.audit.state import OwnState
from node.chain.header import MIX_HASH, NO_COINBASE
from node.chain.receipt import Receipt
from node.chain.transaction import decode_transaction
from node.execution import VOID, BlockEnvironment, Executor
from node.rules import RuleBook
from node.state import EMPTY_CODE_HASH, EMPTY_ROOT, AccountChange, StateChanges, make_delta
from node.state.trie import NO_NODES

CHAIN_ID = 2016
GAS_LIMIT = 30_000_000
NUMBER, TIMESTAMP = 300, 1_466_460_000
PARENT_HASH = b"\x07" * 32


@dataclass
class World:
    """Accounts before the block: balance in wei, code, storage, by address."""

    balances: dict[bytes, int] = field(default_factory=dict)
    codes: dict[bytes, bytes] = field(default_factory=dict)
    storage: dict[bytes, dict[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """State root, and (success, logs, gas used) of every transaction."""

    root: bytes
    receipts: tuple[tuple[bool, tuple[Any, ...], int], ...]


def ours(world: World, raws: list[bytes]) -> Result:
    """Execute through our seams, with Ethereum's precompiles."""
    rule_book = RuleBook({"version": 1, "block_gas_limit": GAS_LIMIT}, CHAIN_ID)
    object.__setattr__(rule_book.rules_at(0), "precompiles", "ethereum")
    changes = StateChanges(
        accounts={
            address: AccountChange(
                1 if address in world.codes else 0,
                world.balances.get(address, 0),
                keccak(world.codes[address]) if address in world.codes else EMPTY_CODE_HASH,
            )
            for address in sorted({*world.balances, *world.codes})
        },
        storage=world.storage,
        codes={keccak(code): code for code in world.codes.values()},
    )
    state = OwnState()
    first = make_delta(VOID, NO_NODES, changes, EMPTY_ROOT)
    state.apply(first, 0)
    environment = BlockEnvironment(NUMBER, TIMESTAMP, GAS_LIMIT, PARENT_HASH, CHAIN_ID, _ancestor)
    transactions = [decode_transaction(raw, CHAIN_ID) for raw in raws]
    result = Executor(rule_book).execute(state, environment, transactions)
    root = make_delta(state, state, result.changes, first.state_root).state_root
    rows, before = [], 0
    for receipt in result.receipts:
        rows.append((bool(receipt.status), _logs(receipt), receipt.cumulative_gas_used - before))
        before = receipt.cumulative_gas_used
    return Result(root, tuple(rows))


def _ancestor(number: int) -> bytes | None:
    return keccak(b"%d" % number) if NUMBER - 256 <= number < NUMBER else None


def _logs(receipt: Receipt) -> tuple[Any, ...]:
    return tuple((log.address, tuple(int.from_bytes(t, "big") for t in log.topics), log.data) for log in receipt.logs)


def stock(world: World, raws: list[bytes]) -> Result:
    """Execute with py-evm as it comes."""
    context = ExecutionContext(
        coinbase=NO_COINBASE,
        timestamp=TIMESTAMP,
        block_number=NUMBER,
        difficulty=0,
        mix_hash=MIX_HASH,
        gas_limit=GAS_LIMIT,
        prev_hashes=[keccak(b"%d" % n) for n in range(NUMBER - 1, NUMBER - 257, -1)],
        chain_id=CHAIN_ID,
        base_fee_per_gas=0,
        excess_blob_gas=0,
    )
    state = PlainState(AtomicDB(MemoryDB()), context, BLANK_ROOT_HASH)
    for address in sorted({*world.balances, *world.codes}):
        state.set_balance(address, world.balances.get(address, 0))
        if address in world.codes:
            state.set_nonce(address, 1)
            state.set_code(address, world.codes[address])
        for slot, value in world.storage.get(address, {}).items():
            state.set_storage(address, slot, value)
    state.lock_changes()
    rows = []
    for raw in raws:
        tx = PragueTransactionBuilder.decode(raw)
        computation = state.apply_transaction(tx)
        state.lock_changes()
        used = tx.gas - computation.get_gas_remaining()
        used -= min(computation.get_gas_refund(), used // 5)
        used += computation.data_floor_gas
        rows.append((computation.is_success, tuple(computation.get_log_entries()), used))
    state.persist()
    return Result(state.make_state_root(), tuple(rows))


class PlainState(PragueState):
    """Without the system contracts that py-evm puts into every state."""

    def set_system_contracts(self) -> None:
        """Do nothing."""
