"""`eth_` methods that sign with the accounts which the operator unlocked; there are none but on a devnet.

Sources: execution-apis (`eth_sign`, `eth_signTransaction`, `eth_sendTransaction`); go-ethereum `TransactionArgs` for
what is filled in, what contradicts itself, and the messages; EIP-191 and EIP-712.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from node.chain.transaction import MAX_NONCE, MAX_TRANSACTION_BYTES, decode_transaction
from node.execution.unsigned import encode_unsigned
from node.rpc import schemas
from node.rpc.calls import CallRequest, call_request, run_estimate
from node.rpc.context import Context
from node.rpc.errors import INVALID_PARAMS, SERVER_ERROR, InvalidParams, RpcError
from node.rpc.eth import send_raw_transaction
from node.rpc.formats import Json, Tag, address, count, data, field, mapping, number, quantity, text, to_data
from node.rpc.methods import MethodTable, Parameter
from node.rpc.render import pending_transaction_json, unsigned_transaction_json

LEGACY, ACCESS_LIST, DYNAMIC_FEE = 0, 1, 2
MAX_TYPED_DATA_CHARS = 128 * 1024  # of JSON; it is encoded in a thread of the node's own process

table = MethodTable()

_SIGNATURE = schemas.fixed(65)
_SIGNED = schemas.record({"raw": schemas.BYTES, "tx": schemas.PENDING})


@dataclass(frozen=True, slots=True)
class SendRequest:
    """A transaction that a client wants signed; what is None it leaves to the node."""

    call: CallRequest
    type: int
    nonce: int | None
    chain_id: int | None
    priced: bool


@schemas.takes(schemas.TRANSACTION_REQUEST)
def send_request(value: object, where: str) -> SendRequest:
    """Return the transaction that an object describes."""
    table = mapping(value, where)
    legacy = table.get("gasPrice") is not None
    dynamic = table.get("maxFeePerGas") is not None or table.get("maxPriorityFeePerGas") is not None
    if legacy and dynamic:
        raise _conflict("both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified")
    cap = field(table, "maxFeePerGas", where, quantity, None)
    tip = field(table, "maxPriorityFeePerGas", where, quantity, None)
    if tip is not None and cap is not None and tip > cap:
        raise _conflict(f"maxFeePerGas ({cap}) < maxPriorityFeePerGas ({tip})")
    if any(table.get(name) is not None for name in ("blobVersionedHashes", "blobs", "authorizationList")):
        raise _conflict("transaction type not supported: this chain takes types 0, 1 and 2")
    if cap is None and tip is not None:
        table = {**table, "maxFeePerGas": table["maxPriorityFeePerGas"]}  # the base fee is zero
    call = call_request(table, where)
    if len(call.data) > MAX_TRANSACTION_BYTES:
        raise _conflict(f"oversized data: {len(call.data)} bytes, limit {MAX_TRANSACTION_BYTES}")
    if call.to is None and not call.data:
        raise _conflict("contract creation without any data provided")
    nonce = field(table, "nonce", where, number, None)
    if nonce is not None and nonce > MAX_NONCE:
        raise InvalidParams(f"{where}.nonce", f"at most {MAX_NONCE:#x}", nonce)
    return SendRequest(
        call,
        _type(field(table, "type", where, count, None), legacy, dynamic, table.get("accessList") is not None),
        nonce,
        field(table, "chainId", where, quantity, None),
        legacy or dynamic,
    )


def _type(asked: int | None, legacy: bool, dynamic: bool, listed: bool) -> int:
    """Return the transaction's type: the one asked for, if the other fields are of it, else what they amount to."""
    if asked is None:
        return (ACCESS_LIST if listed else LEGACY) if legacy else DYNAMIC_FEE
    if asked not in (LEGACY, ACCESS_LIST, DYNAMIC_FEE):
        raise _conflict(f"transaction type not supported: {asked}; this chain takes types 0, 1 and 2")
    if asked == DYNAMIC_FEE and legacy:
        raise _conflict("type 2 has maxFeePerGas and maxPriorityFeePerGas, not gasPrice")
    if asked != DYNAMIC_FEE and dynamic:
        raise _conflict(f"type {asked} has gasPrice, not maxFeePerGas and maxPriorityFeePerGas")
    if asked == LEGACY and listed:
        raise _conflict("type 0 has no accessList")
    return asked


def _conflict(reason: str) -> RpcError:
    return RpcError(SERVER_ERROR, reason)


def _require(context: Context, account: bytes) -> None:
    if account not in context.backend.wallet:
        raise RpcError(SERVER_ERROR, "unknown account")


def _check_chain(context: Context, request: SendRequest) -> None:
    want = context.chain_id
    if request.chain_id not in (None, want):
        raise _conflict(f"chainId does not match node's (have={request.chain_id}, want={want})")


def _sign(context: Context, request: SendRequest, nonce: int, gas: int) -> bytes:
    call = request.call
    fields: dict[str, Any] = {
        "type": request.type,
        "chainId": context.chain_id,
        "nonce": nonce,
        "gas": gas,
        "to": call.to or b"",
        "value": call.value,
        "data": call.data,
    }
    if request.type == DYNAMIC_FEE:
        fields |= {"maxFeePerGas": call.cap, "maxPriorityFeePerGas": call.tip}
    else:
        fields["gasPrice"] = call.cap
    if request.type == LEGACY:
        del fields["type"]
    else:
        fields["accessList"] = [
            {"address": account, "storageKeys": [to_data(key.to_bytes(32, "big")) for key in keys]}
            for account, keys in call.access_list
        ]
    try:
        return context.backend.wallet.sign_transaction(call.sender, fields)
    except (TypeError, ValueError) as error:
        raise RpcError(SERVER_ERROR, f"cannot be signed: {error}") from None


@table.method("eth_accounts", returns=schemas.array(schemas.ADDRESS))
async def accounts(context: Context) -> Json:
    """Return the accounts that the operator unlocked: none but on a devnet."""
    return [to_data(account) for account in context.backend.wallet.addresses]


@table.method("eth_sendTransaction", Parameter("transaction", send_request), returns=schemas.HASH32)
async def send_transaction(context: Context, request: SendRequest) -> Json:
    """Fill in, sign with an unlocked account, and take a transaction into the pool; return its hash."""
    sender = request.call.sender
    _require(context, sender)
    _check_chain(context, request)
    gas = request.call.gas
    if gas is None:
        gas = await context.reads.run(run_estimate, request.call, Tag.PENDING, context.backend.chain_time_s(), {}, {})
    async with context.backend.wallet.turn(sender):
        nonce = request.nonce
        if nonce is None:
            nonce = _next_nonce(context, sender)
        return await send_raw_transaction(context, _sign(context, request, nonce, gas))


def _next_nonce(context: Context, sender: bytes) -> int:
    with context.backend.store.read() as view:
        found = view.state.account(sender)
    return context.backend.mempool.pending_nonce(sender, 0 if found is None else found.nonce)


@table.method("eth_signTransaction", Parameter("transaction", send_request), returns=_SIGNED)
async def sign_transaction(context: Context, request: SendRequest) -> Json:
    """Sign a transaction that is complete with an unlocked account; return it as bytes and as an object."""
    _require(context, request.call.sender)
    if request.call.gas is None:
        raise RpcError(SERVER_ERROR, "gas not specified")
    if not request.priced:
        raise RpcError(SERVER_ERROR, "missing gasPrice or maxFeePerGas/maxPriorityFeePerGas")
    if request.nonce is None:
        raise RpcError(SERVER_ERROR, "nonce not specified")
    _check_chain(context, request)
    raw = _sign(context, request, request.nonce, request.call.gas)
    return {"raw": to_data(raw), "tx": pending_transaction_json(decode_transaction(raw, context.chain_id))}


@table.method("eth_fillTransaction", Parameter("transaction", send_request), returns=schemas.FILLED)
async def fill_transaction(context: Context, request: SendRequest) -> Json:
    """Return a transaction with gas, nonce and prices filled in, for its sender to sign; nobody's key is needed."""
    _check_chain(context, request)
    call, gas = request.call, request.call.gas
    if gas is None:
        gas = await context.reads.run(run_estimate, call, Tag.PENDING, context.backend.chain_time_s(), {}, {})
    nonce = _next_nonce(context, call.sender) if request.nonce is None else request.nonce
    filled = replace(call.transaction(context.chain_id, gas, nonce), type=request.type)
    return {"raw": to_data(encode_unsigned(filled)), "tx": unsigned_transaction_json(filled)}


@table.method("eth_sign", Parameter("address", address), Parameter("message", data), returns=_SIGNATURE)
async def sign(context: Context, account: bytes, message: bytes) -> Json:
    """Sign a message, with Ethereum's prefix before it, with an unlocked account."""
    _require(context, account)
    return to_data(await asyncio.to_thread(context.backend.wallet.sign_message, account, message))


@table.method(
    "personal_sign",
    Parameter("message", data),
    Parameter("address", address),
    Parameter("passphrase", text, ""),
    returns=_SIGNATURE,
)
async def personal_sign(context: Context, message: bytes, account: bytes, _passphrase: str) -> Json:
    """Do as eth_sign, with the arguments as wallets send them; the passphrase is not used."""
    return await sign(context, account, message)


@schemas.takes(schemas.either({"type": "object"}, schemas.TEXT))
def _typed_data(value: object, where: str) -> Mapping[str, object]:
    """Return typed data, given as an object or as its JSON."""
    try:
        size = len(value) if isinstance(value, str) else len(json.dumps(value))
        if size > MAX_TYPED_DATA_CHARS:
            raise InvalidParams(where, f"typed data of at most {MAX_TYPED_DATA_CHARS} characters of JSON", value)
        return mapping(json.loads(value) if isinstance(value, str) else value, where)
    except (ValueError, RecursionError):
        raise InvalidParams(where, "typed data (EIP-712) as an object, or its JSON", value) from None


@table.method(
    "eth_signTypedData_v4", Parameter("address", address), Parameter("typed data", _typed_data), returns=_SIGNATURE
)
async def sign_typed_data(context: Context, account: bytes, content: Mapping[str, object]) -> Json:
    """Sign typed data (EIP-712) with an unlocked account."""
    _require(context, account)
    try:
        return to_data(await asyncio.to_thread(context.backend.wallet.sign_typed_data, account, content))
    except ValueError as error:
        raise RpcError(INVALID_PARAMS, f"invalid argument 1 (typed data): {str(error)[:200]}") from None


@table.method(
    "eth_signTypedData", Parameter("address", address), Parameter("typed data", _typed_data), returns=_SIGNATURE
)
async def sign_typed_data_unversioned(context: Context, account: bytes, content: Mapping[str, object]) -> Json:
    """Do as eth_signTypedData_v4, by the name that web3.py calls."""
    return await sign_typed_data(context, account, content)
