"""What goes into the EVM and what comes out, in our own terms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from node.chain.header import MIX_HASH, NO_COINBASE
from node.chain.receipt import Log, Receipt
from node.chain.transaction import Transaction
from node.state import StateChanges


class Loop(StrEnum):
    """Who runs the opcodes: one loop with the hot ones inlined, or py-evm's own, its oracle. Same results."""

    INLINED = "inlined"
    STOCK = "stock"


ANCESTORS = 256  # BLOCKHASH reaches this far back


@dataclass(frozen=True, slots=True)
class BlockEnvironment:
    """What the EVM sees of the block: coinbase, PREVRANDAO and base fee are fixed by rule.

    Args:
        number, timestamp (chain seconds), gas_limit: of the block.
        parent_hash: of the block before it (32 bytes), for EIP-2935.
        chain_id: as in EIP-155.
        ancestor_hash: the hash of one of the last `ANCESTORS` blocks; it is asked for no others.
        coinbase, mix_hash, excess_blob_gas: fixed on this chain; Ethereum's tests and overridden blocks have others.
        base_fee, blob_base_fee: wei a unit of gas, where a call overrides them; None for what the rules say.
    """

    number: int
    timestamp: int
    gas_limit: int
    parent_hash: bytes
    chain_id: int
    ancestor_hash: Callable[[int], bytes | None]
    coinbase: bytes = NO_COINBASE
    mix_hash: bytes = MIX_HASH
    excess_blob_gas: int = 0
    base_fee: int | None = None
    blob_base_fee: int | None = None


@dataclass(frozen=True, slots=True)
class BlockResult:
    """What a list of transactions did, in order.

    Args:
        changes: of the state, over the parent's.
        receipts: one a transaction.
        gas_used: by all.
        included: the transactions that were applied.
        left_out: those that could not be applied, with the reason (only when building).
    """

    changes: StateChanges
    receipts: tuple[Receipt, ...]
    gas_used: int
    included: tuple[Transaction, ...]
    left_out: tuple[tuple[Transaction, str], ...] = ()


@dataclass(frozen=True, slots=True)
class CallResult:
    """What a message call did: whether it succeeded, its output (revert data if it reverted), gas used, logs.

    `error` is empty on success, "execution reverted", or what stopped it.
    """

    success: bool
    output: bytes
    gas_used: int
    logs: tuple[Log, ...]
    error: str = ""


class InvalidBlock(Exception):
    """A transaction of a block cannot be applied, so the block is not valid."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(f"transaction {index}: {reason}")
        self.index = index
        self.reason = reason


class CallReverted(Exception):
    """A call reverts whatever gas it gets; `data` is what it reverted with."""

    def __init__(self, data: bytes) -> None:
        super().__init__("execution reverted")
        self.data = data


class CallFailed(Exception):
    """A call fails for a reason that more gas does not help."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


class OutOfGasEstimate(Exception):
    """A call does not succeed with the gas that it may use at most."""

    def __init__(self, gas_cap: int) -> None:
        super().__init__(f"gas required exceeds allowance ({gas_cap})")
        self.gas_cap = gas_cap
