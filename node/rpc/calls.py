"""Calls and estimates: the transaction object that a client sends, run over a state and dropped."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from node.chain.transaction import AccessList, InvalidTransaction, Transaction
from node.execution import CallFailed, CallReverted, OutOfGasEstimate
from node.execution.machine import REVERTED
from node.execution.overrides import InvalidOverride, StateOverrides
from node.execution.unsigned import unsigned
from node.rpc import schemas
from node.rpc.blocks import call_environment
from node.rpc.errors import SERVER_ERROR, InvalidParams, LimitExceeded, Reverted, RpcError
from node.rpc.formats import (
    BlockRef,
    Json,
    address,
    count,
    data,
    field,
    mapping,
    number,
    quantity,
    sequence,
    slot,
    to_quantity,
)
from node.rpc.overrides import BlockOverrides, overridden, refused
from node.rpc.reads import Reader
from node.rpc.render import access_list_json
from node.rpc.schemas import takes

MAX_ACCESS_ENTRIES = 1_000  # addresses, and keys of each, in an access list
MAX_ACCESS_KEYS = 16_384  # in all of it: 30 million gas
NO_ACCOUNT = bytes(20)

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
    "ReservedBytesInCode": "invalid code: must not begin with 0xef",
}
"""What stopped a call, in the words that Ethereum clients use."""


@dataclass(frozen=True, slots=True)
class CallRequest:
    """A call as a client describes it. Prices are wei a unit of gas.

    `gas` None means as much as a block has, `nonce` None the sender's next; `kind` is the type of a transaction.
    """

    sender: bytes
    to: bytes | None
    gas: int | None
    tip: int
    cap: int
    value: int
    data: bytes
    access_list: AccessList
    nonce: int | None
    chain_id: int | None
    kind: int

    def transaction(self, chain_id: int, gas: int, nonce: int = 0) -> Transaction:
        """Return the transaction that it stands for.

        Args:
            chain_id: this chain's.
            gas: limit.
            nonce: what stands for one that was not given.

        Raises:
            RpcError: it names another chain.
        """
        if self.chain_id not in (None, chain_id):
            raise RpcError(SERVER_ERROR, f"chainId does not match node's (have={self.chain_id}, want={chain_id})")
        return unsigned(
            sender=self.sender,
            to=self.to,
            gas=gas,
            tip=self.tip,
            cap=self.cap,
            value=self.value,
            data=self.data,
            access_list=self.access_list,
            chain_id=chain_id,
            nonce=nonce if self.nonce is None else self.nonce,
            kind=self.kind,
        )


@takes(schemas.TRANSACTION_REQUEST)
def call_request(value: object, where: str) -> CallRequest:
    """Return the call that a transaction object describes; fields that do not bear on it are ignored."""
    table = mapping(value, where)
    legacy = table.get("gasPrice") is not None
    if any(table.get(key) for key in ("blobVersionedHashes", "blobs", "authorizationList")):
        raise RpcError(SERVER_ERROR, "transaction type not supported: this chain takes types 0, 1 and 2")
    if legacy and (table.get("maxFeePerGas") is not None or table.get("maxPriorityFeePerGas") is not None):
        what = "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified"
        raise RpcError(SERVER_ERROR, what)
    price = field(table, "gasPrice", where, quantity, 0)
    kind = field(table, "type", where, count, 0 if legacy else 2)
    if kind > 2:
        raise RpcError(SERVER_ERROR, f"transaction type not supported: {kind}")
    return CallRequest(
        nonce=field(table, "nonce", where, number, None),
        chain_id=field(table, "chainId", where, quantity, None),
        kind=0 if legacy else kind,
        tip=field(table, "maxPriorityFeePerGas", where, quantity, price),
        cap=field(table, "maxFeePerGas", where, quantity, price),
        sender=field(table, "from", where, address, NO_ACCOUNT),
        to=field(table, "to", where, _optional_address, None),
        gas=field(table, "gas", where, number, None),
        value=field(table, "value", where, quantity, 0),
        data=_input(table, where),
        access_list=field(table, "accessList", where, _access_list, ()),
    )


def _optional_address(value: object, where: str) -> bytes | None:
    return None if value == "0x" else address(value, where)


def _input(table: Mapping[str, object], where: str) -> bytes:
    given = [key for key in ("input", "data") if table.get(key) is not None]
    values = {data(table[key], f"{where}.{key}") for key in given}
    if len(values) > 1:
        raise InvalidParams(where, 'the same bytes in "input" and "data", or one of them alone', table)
    return values.pop() if values else b""


def _access_list(value: object, where: str) -> AccessList:
    entries = []
    listed = 0
    for index, entry in enumerate(sequence(value, where, MAX_ACCESS_ENTRIES)):
        here = f"{where}[{index}]"
        table = mapping(entry, here)
        keys = sequence(table.get("storageKeys", []), f"{here}.storageKeys", MAX_ACCESS_ENTRIES)
        listed += len(keys)
        if listed > MAX_ACCESS_KEYS:
            raise LimitExceeded(f"at most {MAX_ACCESS_KEYS} storage keys stand in an access list")
        slots = tuple(slot(key, f"{here}.storageKeys[{at}]") for at, key in enumerate(keys))
        entries.append((address(table.get("address"), f"{here}.address"), slots))
    return tuple(entries)


def run_call(
    reader: Reader,
    request: CallRequest,
    ref: BlockRef,
    chain_time_s: int,
    state_overrides: StateOverrides,
    block_overrides: BlockOverrides,
) -> bytes:
    """Return the output of a call. A read function.

    Raises:
        Reverted: the contract reverted it.
        RpcError: there is no such block, it cannot be run, or something else stopped it.
    """
    with reader.store.read() as view:
        state, environment = call_environment(view, reader.rule_book, ref, chain_time_s, next_block=False)
        gas = capped(request, environment.gas_limit)
        tx = request.transaction(environment.chain_id, gas)
        try:
            outcome = reader.executor.run(state, overridden(environment, block_overrides), tx, state_overrides)
        except InvalidTransaction as error:
            raise RpcError(SERVER_ERROR, f"err: {error.reason} (supplied gas {gas})") from None
        except InvalidOverride as error:
            raise refused(error) from None
    if outcome.success:
        return outcome.output
    if outcome.error == REVERTED:
        raise Reverted(outcome.output)
    raise RpcError(SERVER_ERROR, vm_error(outcome.error))


def run_estimate(
    reader: Reader,
    request: CallRequest,
    ref: BlockRef,
    chain_time_s: int,
    state_overrides: StateOverrides,
    block_overrides: BlockOverrides,
) -> int:
    """Return the least gas with which a transaction of the next block succeeds. A read function.

    Raises:
        Reverted: it reverts however much gas it gets.
        RpcError: there is no such block, it cannot be run, or the gas allowed does not suffice.
    """
    with reader.store.read() as view:
        state, environment = call_environment(view, reader.rule_book, ref, chain_time_s, next_block=True)
        most = environment.gas_limit
        environment = overridden(environment, block_overrides)
        gas = min(capped(request, most), environment.gas_limit)
        tx = request.transaction(environment.chain_id, gas)
        try:
            return reader.executor.estimate_gas(state, environment, tx, state_overrides)
        except CallReverted as error:
            raise Reverted(error.data) from None
        except CallFailed as error:
            raise RpcError(SERVER_ERROR, vm_error(error.error)) from None
        except OutOfGasEstimate as error:
            raise RpcError(SERVER_ERROR, str(error)) from None
        except InvalidTransaction as error:
            raise RpcError(SERVER_ERROR, f"failed with {gas} gas: {error.reason}") from None
        except InvalidOverride as error:
            raise refused(error) from None


def run_access_list(
    reader: Reader,
    request: CallRequest,
    ref: BlockRef,
    chain_time_s: int,
    state_overrides: StateOverrides,
    block_overrides: BlockOverrides,
) -> Json:
    """Return what a transaction of the next block touches, and the gas that it uses with that list. A read function.

    Raises:
        RpcError: there is no such block, or it cannot be run.
    """
    with reader.store.read() as view:
        state, environment = call_environment(view, reader.rule_book, ref, chain_time_s, next_block=True)
        gas = capped(request, environment.gas_limit)
        tx = request.transaction(environment.chain_id, gas)
        environment = overridden(environment, block_overrides)
        try:
            listed, outcome = reader.executor.access_list(state, environment, tx, state_overrides)
        except InvalidTransaction as error:
            raise RpcError(SERVER_ERROR, f"failed to apply transaction: err: {error.reason}") from None
        except InvalidOverride as error:
            raise refused(error) from None
    answer = {"accessList": access_list_json(listed), "gasUsed": to_quantity(outcome.gas_used)}
    return answer if outcome.success else answer | {"error": vm_error(outcome.error)}


def capped(request: CallRequest, most: int) -> int:
    """Return the gas that a call gets: what it asks for, at most `most`."""
    return most if request.gas is None else min(request.gas, most)


def vm_error(error: str) -> str:
    """Return what stopped a call in go-ethereum's words."""
    kind, _, detail = error.partition(":")
    opcode = re.search(r"0x([0-9a-f]{1,2})\b", detail) if kind == "InvalidInstruction" else None
    if opcode is not None:
        number = int(opcode.group(1), 16)
        return f"invalid opcode: {'INVALID' if number == 0xFE else f'opcode {number:#x} not defined'}"
    return _VM_ERRORS.get(kind, error)
