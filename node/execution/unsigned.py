"""Transactions that nobody signed, over a state and dropped: what calls, estimates and simulations run.

Source of the order of checks and of their words: go-ethereum, core/state_transition.go (`preCheck`, `buyGas`).
"""

from __future__ import annotations

from node.admission import MAX_INITCODE_BYTES, calldata_floor, highest_cost, intrinsic_gas
from node.chain import rlp
from node.chain.address import checksummed
from node.chain.transaction import MAX_NONCE, AccessList, InvalidTransaction, Transaction
from node.execution.machine import Machine, Outcome, apply_transaction
from node.rules import OWN_FORK

NO_HASH = bytes(32)


def unsigned(
    *,
    sender: bytes,
    to: bytes | None,
    gas: int,
    tip: int = 0,
    cap: int = 0,
    value: int = 0,
    data: bytes = b"",
    access_list: AccessList = (),
    chain_id: int,
    nonce: int = 0,
    kind: int = 2,
) -> Transaction:
    """Return a transaction without a signature, and without bytes of its own.

    Args:
        sender, to: addresses (20 bytes); `to` None creates a contract.
        gas: limit.
        tip, cap: wei a unit of gas, as in EIP-1559.
        value: wei.
        data, access_list, chain_id, nonce: as in a transaction.
        kind: its type.
    """
    return Transaction(
        b"", NO_HASH, kind, chain_id, nonce, tip, cap, gas, to, value, data, access_list, 0, 0, 0, sender
    )


def encode_unsigned(tx: Transaction) -> bytes:
    """Return the encoding of a transaction with zeros for its signature, as go-ethereum shows them."""
    to = b"" if tx.to is None else tx.to
    tail = [tx.gas_limit, to, tx.value, tx.data]
    if tx.type == 0:
        return rlp.encode([tx.nonce, tx.max_fee_per_gas, *tail, 0, 0, 0])
    listed = [(address, [slot.to_bytes(32, "big") for slot in slots]) for address, slots in tx.access_list]
    if tx.type == 1:
        return b"\1" + rlp.encode([tx.chain_id, tx.nonce, tx.max_fee_per_gas, *tail, listed, 0, 0, 0])
    fees = [tx.max_priority_fee_per_gas, tx.max_fee_per_gas]
    return b"\2" + rlp.encode([tx.chain_id, tx.nonce, *fees, *tail, listed, 0, 0, 0])


def run_unsigned(machine: Machine, tx: Transaction, *, strict: bool = False) -> Outcome:
    """Apply a transaction that nobody signed, its sender's nonce whatever it is.

    Args:
        machine: of the block.
        tx: what to run.
        strict: whether its nonce has to be the next and its price at least the base fee, as in a block.

    Raises:
        InvalidTransaction: it cannot be applied; the state is as before.
    """
    check_unsigned(machine, tx, strict=strict)
    return apply_transaction(machine, tx)


def check_unsigned(machine: Machine, tx: Transaction, *, strict: bool) -> None:
    """Check that a transaction that nobody signed can be applied.

    Raises:
        InvalidTransaction: it cannot.
    """
    who = checksummed(tx.sender)
    nonce = machine.accounts.get_nonce(tx.sender)
    if strict and tx.nonce != nonce:
        kind = "low" if tx.nonce < nonce else "high"
        raise InvalidTransaction(f"nonce too {kind}: address {who}, tx: {tx.nonce} state: {nonce}")
    if nonce > MAX_NONCE:
        raise InvalidTransaction(f"nonce has max value: address {who}, nonce: {nonce}")
    tip, cap, base_fee = tx.max_priority_fee_per_gas, tx.max_fee_per_gas, machine.base_fee_per_gas
    if tip > cap:
        what = "max priority fee per gas higher than max fee per gas"
        raise InvalidTransaction(f"{what}: address {who}, maxPriorityFeePerGas: {tip}, maxFeePerGas: {cap}")
    if (cap or strict) and cap < base_fee:
        what = "max fee per gas less than block base fee"
        raise InvalidTransaction(f"{what}: address {who}, maxFeePerGas: {cap}, baseFee: {base_fee}")
    if tx.to is None and len(tx.data) > MAX_INITCODE_BYTES:
        raise InvalidTransaction(f"max initcode size exceeded: code size {len(tx.data)} limit {MAX_INITCODE_BYTES}")
    have, want = machine.accounts.get_balance(tx.sender), highest_cost(tx)
    if have < want:
        raise InvalidTransaction(f"insufficient funds for gas * price + value: address {who} have {have} want {want}")
    if tx.to is None and tx.value and machine.rules.fork == OWN_FORK:
        raise InvalidTransaction(f"a contract creation carries no value on this chain: found {tx.value} wei")
    due = intrinsic_gas(tx)
    if tx.gas_limit < due:
        raise InvalidTransaction(f"intrinsic gas too low: have {tx.gas_limit}, want {due}")
    floor = calldata_floor(tx.data, machine.rules)
    if tx.gas_limit < floor:
        raise InvalidTransaction(f"insufficient gas for floor data gas cost: have {tx.gas_limit}, want {floor}")
