"""Which transactions a valid block may contain: one predicate for the pool and for blocks, judged on the parent state.

An account may send if a member of the consortium vouches for it, or as a session of the private market: a rule of
validity, not a courtesy of the pool. Who has no account needs a proof (`node.anonymity`).
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple

from contracts.layout import vouching_member
from contracts.private_window import session_until
from node.anonymity import check_private
from node.chain.header import Header
from node.chain.private import SignedCall, SignedTransfer
from node.chain.transaction import InvalidTransaction, Transaction
from node.rules import OWN_FORK, Rules
from node.state import EMPTY_CODE_HASH, StateReader
from privacy.gas import call_gas, transfer_gas

GAS_TRANSACTION = 21_000
GAS_CREATE = 32_000
GAS_ZERO_BYTE = 4
GAS_BYTE = 16  # EIP-2028
GAS_ACCESS_ADDRESS = 2_400  # EIP-2930
GAS_ACCESS_SLOT = 1_900
GAS_INITCODE_WORD = 2  # EIP-3860
MAX_INITCODE_BYTES = 49_152
GAS_FLOOR_TOKEN = 10  # EIP-7623


class Kind(IntEnum):
    """Who answers for a transaction."""

    OPEN = 0  # nobody: devnets whose rules admit every account
    MEMBER = 1
    SESSION = 2
    ANONYMOUS = 3
    SHIELDED = 4


class Sponsor(NamedTuple):
    """Who answers for a transaction, in whose room of the pool it waits: a member, a session (20 bytes), or a kind."""

    kind: Kind
    account: bytes = b""


def intrinsic_gas(tx: Transaction) -> int:
    """Return the gas that a transaction and its proofs use before it runs (yellow paper §6.2; EIP-2028, 2930, 3860)."""
    zeros = tx.data.count(0)
    gas = GAS_TRANSACTION + GAS_ZERO_BYTE * zeros + GAS_BYTE * (len(tx.data) - zeros)
    if tx.to is None:
        gas += GAS_CREATE + GAS_INITCODE_WORD * ((len(tx.data) + 31) // 32)
    for _, slots in tx.access_list:
        gas += GAS_ACCESS_ADDRESS + GAS_ACCESS_SLOT * len(slots)
    if isinstance(tx.private, SignedCall):
        gas += call_gas(tx.private.members)
    elif isinstance(tx.private, SignedTransfer):
        gas += transfer_gas(tx.private.outputs)
    return gas


def calldata_floor(data: bytes, rules: Rules) -> int:
    """Return the least gas that a transaction with this data is charged (EIP-7623, since Prague)."""
    if rules.fork == "cancun":
        return 0
    zeros = data.count(0)
    return GAS_TRANSACTION + GAS_FLOOR_TOKEN * (zeros + 4 * (len(data) - zeros))


def check_form(tx: Transaction, rules: Rules) -> None:
    """Check what does not depend on the state.

    Raises:
        InvalidTransaction: too large, a creation with value or too much init code, gas beyond the block's limit or
            below what is due, a price below the base fee; looked for in go-ethereum's order.
    """
    if len(tx.raw) > rules.max_transaction_bytes:
        raise InvalidTransaction(f"oversized data: transaction size {len(tx.raw)}, limit {rules.max_transaction_bytes}")
    if tx.to is None:
        if tx.value and rules.fork == OWN_FORK:
            raise InvalidTransaction(f"a contract creation carries no value on this chain: found {tx.value} wei")
        if len(tx.data) > MAX_INITCODE_BYTES:
            size = len(tx.data)
            raise InvalidTransaction(f"max initcode size exceeded: code size {size} limit {MAX_INITCODE_BYTES}")
    if tx.gas_limit > rules.block_gas_limit:
        raise InvalidTransaction(f"exceeds block gas limit: {tx.gas_limit}, at most {rules.block_gas_limit}")
    due, floor = intrinsic_gas(tx), calldata_floor(tx.data, rules)
    if tx.gas_limit < due:
        raise InvalidTransaction(f"intrinsic gas too low: gas {tx.gas_limit}, minimum needed {due}")
    if tx.gas_limit < floor:
        raise InvalidTransaction(
            f"insufficient gas for floor data gas cost: gas {tx.gas_limit}, minimum needed {floor}"
        )
    if tx.max_fee_per_gas < rules.base_fee:
        raise InvalidTransaction(f"max fee per gas less than block base fee: {tx.max_fee_per_gas} < {rules.base_fee}")


def check_admissible(tx: Transaction, state: StateReader, rules: Rules, parent: Header) -> Sponsor:
    """Check that a valid block over `state` may contain `tx`, as far as one transaction alone decides it.

    Args:
        tx: decoded, its sender known.
        state: of the parent block.
        rules: of the next height.
        parent: the parent block's header.

    Returns:
        Who answers for it.

    Raises:
        InvalidTransaction: with the reason.
    """
    check_form(tx, rules)
    if tx.private is not None:
        check_private(tx, state, parent)
        sponsor = Sponsor(Kind.ANONYMOUS if isinstance(tx.private, SignedCall) else Kind.SHIELDED)
    else:
        found = sponsor_of(tx.sender, state, parent, open_accounts=rules.open_accounts)
        if found is None:
            raise InvalidTransaction(
                f"sender not admitted: no member of the consortium vouches for 0x{tx.sender.hex()}"
            )
        sponsor = found
    account = state.account(tx.sender)
    if account is not None and account.code_hash != EMPTY_CODE_HASH:
        raise InvalidTransaction(f"sender not an eoa: 0x{tx.sender.hex()} has code")
    return sponsor


def sponsor_of(account: bytes, state: StateReader, parent: Header, *, open_accounts: bool) -> Sponsor | None:
    """Return who answers for an account over `state`; None if nobody does, so that it may not send."""
    member = vouching_member(state.storage, account)
    if member is not None:
        return Sponsor(Kind.MEMBER, member)
    if session_until(state.storage, account) > parent.timestamp:
        return Sponsor(Kind.SESSION, account)
    return Sponsor(Kind.OPEN) if open_accounts else None


def check_load(transactions: Iterable[Transaction], rules: Rules) -> None:
    """Check that a block's gas can pay for its transactions before they run, refunds (a fifth at most) given back.

    Without that, a block that is refused anyway could have everybody check its proofs for long.

    Raises:
        InvalidTransaction: it cannot.
    """
    due = sum(map(intrinsic_gas, transactions))
    if 4 * due > 5 * rules.block_gas_limit:
        raise InvalidTransaction(f"gas limit reached: {due} before anything runs, of {rules.block_gas_limit}")


def highest_cost(tx: Transaction) -> int:
    """Return the most that a transaction can cost its sender, in wei."""
    return tx.gas_limit * tx.max_fee_per_gas + tx.value


def check_payable(tx: Transaction, balance: int) -> None:
    """Check that the sender can pay for gas and value.

    Raises:
        InvalidTransaction: it cannot.
    """
    cost = highest_cost(tx)
    if balance < cost:
        raise InvalidTransaction(f"insufficient funds for gas * price + value: have {balance} want {cost}")


def check_nonce(tx: Transaction, nonce: int) -> None:
    """Check that `tx` is the sender's next.

    Raises:
        InvalidTransaction: its nonce is not `nonce`.
    """
    if tx.nonce != nonce:
        kind = "low" if tx.nonce < nonce else "high"
        raise InvalidTransaction(f"nonce too {kind}: next nonce {nonce}, tx nonce {tx.nonce}")
