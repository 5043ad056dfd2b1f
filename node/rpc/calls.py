"""Calls and estimates: the transaction object that a client sends, run over a state and dropped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from node.chain.transaction import AccessList, InvalidTransaction, Transaction
from node.execution import CallReverted, OutOfGasEstimate
from node.rpc import schemas
from node.rpc.blocks import call_environment
from node.rpc.errors import SERVER_ERROR, InvalidParams, Reverted, RpcError
from node.rpc.formats import BlockRef, address, data, field, mapping, number, quantity, sequence, slot
from node.rpc.reads import Reader
from node.rpc.schemas import takes
from node.state import StateReader

MAX_ACCESS_ENTRIES = 1_000  # addresses, and keys of each, in an access list
NO_ACCOUNT = bytes(20)
NO_HASH = bytes(32)

_VM_ERRORS = {
    "OutOfGas": "out of gas",
    "InvalidInstruction": "invalid opcode",
    "InvalidJumpDestination": "invalid jump destination",
    "InsufficientStack": "stack underflow",
    "FullStack": "stack limit reached 1024",
    "WriteProtection": "write protection",
    "StackDepthLimit": "max call depth exceeded",
    "InsufficientFunds": "insufficient balance for transfer",
    "ContractCreationCollision": "contract address collision",
    "OutOfBoundsRead": "return data out of bounds",
}
"""What stopped a call, in the words that Ethereum clients use."""


@dataclass(frozen=True, slots=True)
class CallRequest:
    """A call as a client describes it; `gas` None means as much as a block has. Prices are wei a unit of gas."""

    sender: bytes
    to: bytes | None
    gas: int | None
    tip: int
    cap: int
    value: int
    data: bytes
    access_list: AccessList


@takes(schemas.TRANSACTION_REQUEST)
def call_request(value: object, where: str) -> CallRequest:
    """Return the call that a transaction object describes; fields that do not bear on it are ignored."""
    table = mapping(value, where)
    price = field(table, "gasPrice", where, quantity, 0)
    cap = field(table, "maxFeePerGas", where, quantity, price)
    tip = field(table, "maxPriorityFeePerGas", where, quantity, price)
    if price and ("maxFeePerGas" in table or "maxPriorityFeePerGas" in table):
        raise InvalidParams(where, "either gasPrice or maxFeePerGas and maxPriorityFeePerGas", table)
    if tip > cap:
        raise InvalidParams(where, f"maxPriorityFeePerGas of at most maxFeePerGas ({cap})", tip)
    field(table, "nonce", where, number, 0)
    field(table, "chainId", where, quantity, 0)
    field(table, "type", where, number, 0)
    return CallRequest(
        sender=field(table, "from", where, address, NO_ACCOUNT),
        to=field(table, "to", where, _optional_address, None),
        gas=field(table, "gas", where, _optional_number, None),
        tip=tip,
        cap=cap,
        value=field(table, "value", where, quantity, 0),
        data=_input(table, where),
        access_list=field(table, "accessList", where, _access_list, ()),
    )


def _optional_address(value: object, where: str) -> bytes | None:
    return None if value == "0x" else address(value, where)


def _optional_number(value: object, where: str) -> int | None:
    return number(value, where)


def _input(table: Mapping[str, object], where: str) -> bytes:
    given = [key for key in ("input", "data") if table.get(key) is not None]
    values = {data(table[key], f"{where}.{key}") for key in given}
    if len(values) > 1:
        raise InvalidParams(where, 'the same bytes in "input" and "data", or one of them alone', table)
    return values.pop() if values else b""


def _access_list(value: object, where: str) -> AccessList:
    entries = []
    for index, entry in enumerate(sequence(value, where, MAX_ACCESS_ENTRIES)):
        here = f"{where}[{index}]"
        table = mapping(entry, here)
        keys = sequence(table.get("storageKeys", []), f"{here}.storageKeys", MAX_ACCESS_ENTRIES)
        slots = tuple(slot(key, f"{here}.storageKeys[{at}]") for at, key in enumerate(keys))
        entries.append((address(table.get("address"), f"{here}.address"), slots))
    return tuple(entries)


def run_call(reader: Reader, request: CallRequest, ref: BlockRef, chain_time_s: int) -> bytes:
    """Return the output of a call. A read function.

    Raises:
        Reverted: the contract reverted it.
        RpcError: there is no such block, or something else stopped it.
    """
    with reader.store.read() as view:
        state, environment = call_environment(view, reader.rule_book, ref, chain_time_s, next_block=False)
        cap = environment.gas_limit
        try:
            result = reader.executor.call(
                state,
                environment,
                sender=request.sender,
                to=request.to,
                data=request.data,
                value=request.value,
                gas=cap if request.gas is None else min(request.gas, cap),
            )
        except ValueError as error:
            raise RpcError(SERVER_ERROR, str(error)) from None
    if result.success:
        return result.output
    if result.error == "execution reverted":
        raise Reverted(result.output)
    raise RpcError(SERVER_ERROR, _vm_error(result.error))


def run_estimate(reader: Reader, request: CallRequest, ref: BlockRef, chain_time_s: int) -> int:
    """Return the least gas with which a transaction of the next block succeeds. A read function.

    Raises:
        Reverted: it reverts however much gas it gets.
        RpcError: there is no such block, the sender cannot pay, or the gas allowed does not suffice.
    """
    with reader.store.read() as view:
        state, environment = call_environment(view, reader.rule_book, ref, chain_time_s, next_block=True)
        gas = environment.gas_limit if request.gas is None else min(request.gas, environment.gas_limit)
        transaction = _unsigned(request, environment.chain_id, _affordable(request, state, gas))
        try:
            return reader.executor.estimate_gas(state, environment, transaction)
        except CallReverted as error:
            raise Reverted(error.data) from None
        except OutOfGasEstimate as error:
            raise RpcError(SERVER_ERROR, str(error)) from None
        except InvalidTransaction as error:
            raise RpcError(SERVER_ERROR, error.reason) from None


def _affordable(request: CallRequest, state: StateReader, gas: int) -> int:
    """Return the gas that the sender can pay for at the price that the client named, at most `gas`."""
    if not request.cap:
        return gas
    account = state.account(request.sender)
    left = (0 if account is None else account.balance) - request.value
    if left < 0:
        raise RpcError(SERVER_ERROR, "insufficient funds for transfer")
    return min(gas, left // request.cap)


def _unsigned(request: CallRequest, chain_id: int, gas: int) -> Transaction:
    return Transaction(
        raw=b"",
        hash=NO_HASH,
        type=2,
        chain_id=chain_id,
        nonce=0,
        max_priority_fee_per_gas=request.tip,
        max_fee_per_gas=request.cap,
        gas_limit=gas,
        to=request.to,
        value=request.value,
        data=request.data,
        access_list=request.access_list,
        y_parity=0,
        r=0,
        s=0,
        sender=request.sender,
    )


def _vm_error(error: str) -> str:
    return _VM_ERRORS.get(error.partition(":")[0], error)
