"""The oracle: py-evm's own Prague state, on its own account database and its own transactions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from eth.db.atomic import AtomicDB
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.prague import PragueVM
from eth.vm.forks.prague.state import PragueState
from eth.vm.forks.prague.transactions import PragueTransactionBuilder
from eth_hash.auto import keccak
from trie.hexary import HexaryTrie

from node.chain.header import MIX_HASH, NO_COINBASE
from node.chain.receipt import Receipt
from node.chain.transaction import Transaction, decode_transaction
from node.execution import BlockEnvironment, BlockResult, Executor
from node.rules import RuleBook, Rules
from tests.execution.states import DictState, Holding

CHAIN_ID = 2016
NUMBER, TIMESTAMP, GAS_LIMIT = 300, 1_466_460_000, 10_000_000
BLANK_ROOT = HexaryTrie({}).root_hash


class FixedRules(RuleBook):
    """The same rules at every height."""

    def __init__(self, rules: Rules) -> None:
        self._genesis = rules


ETHEREUM = Rules(version=1, chain_id=CHAIN_ID, fork="prague", open_accounts=True)
GRIDPACT = Rules(version=1, chain_id=CHAIN_ID, open_accounts=True)


def ancestor(number: int) -> bytes | None:
    """Return a made-up hash of one of the last 256 blocks."""
    return keccak(b"block %d" % number) if max(0, NUMBER - 256) <= number < NUMBER else None


ENVIRONMENT = BlockEnvironment(NUMBER, TIMESTAMP, GAS_LIMIT, keccak(b"block 299"), CHAIN_ID, ancestor)


def executor(rules: Rules = ETHEREUM) -> Executor:
    """Return our executor under fixed rules."""
    return Executor(FixedRules(rules))


@dataclass(frozen=True, slots=True)
class StockResult:
    """What stock py-evm says of a block: receipts in their encoding, gas used, state root."""

    receipts: tuple[bytes, ...]
    gas_used: int
    state_root: bytes


def stock_execute(holdings: Mapping[bytes, Holding], raws: Sequence[bytes]) -> StockResult:
    """Apply raw transactions in order with stock py-evm."""
    context = ExecutionContext(
        coinbase=NO_COINBASE,
        timestamp=TIMESTAMP,
        block_number=NUMBER,
        difficulty=0,
        mix_hash=MIX_HASH,
        gas_limit=GAS_LIMIT,
        prev_hashes=tuple(ancestor(NUMBER - 1 - back) for back in range(256)),
        chain_id=CHAIN_ID,
        base_fee_per_gas=0,
        excess_blob_gas=0,
    )
    state: Any = PragueState(AtomicDB(), context, BLANK_ROOT)
    for address, held in holdings.items():
        state.set_balance(address, held.balance)
        state.set_nonce(address, held.nonce)
        if held.code:
            state.set_code(address, held.code)
        for slot, value in held.storage.items():
            state.set_storage(address, slot, value)
    state.lock_changes()
    state.persist()
    gas_used, receipts = 0, []
    for raw in raws:
        tx = PragueTransactionBuilder().decode(raw)
        computation = state.apply_transaction(tx)
        receipt = PragueVM.make_receipt(SimpleNamespace(gas_used=gas_used), tx, computation, state)
        state.lock_changes()
        gas_used = receipt.gas_used
        receipts.append(receipt.encode())
    state.persist()
    return StockResult(tuple(receipts), gas_used, state.state_root)


def ours(
    holdings: Mapping[bytes, Holding], raws: Sequence[bytes], rules: Rules = ETHEREUM
) -> tuple[BlockResult, StockResult]:
    """Apply the same with our executor, and return its result both ways."""
    state = DictState(holdings)
    transactions: list[Transaction] = [decode_transaction(raw, CHAIN_ID) for raw in raws]
    result = executor(rules).execute(state, ENVIRONMENT, transactions)
    encoded = tuple(receipt.encode() for receipt in result.receipts)
    return result, StockResult(encoded, result.gas_used, state.after(result.changes).root())


def assert_same(holdings: Mapping[bytes, Holding], raws: Sequence[bytes]) -> tuple[Receipt, ...]:
    """Hold our executor against stock py-evm: receipts (status, gas, logs, bloom), gas, state root.

    Returns:
        The receipts.
    """
    result, found = ours(holdings, raws)
    expected = stock_execute(holdings, raws)
    assert found.receipts == expected.receipts
    assert found.gas_used == expected.gas_used
    assert found.state_root == expected.state_root
    return result.receipts
