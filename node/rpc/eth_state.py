"""`eth_` methods that read accounts and storage. Source: execution-apis, eth/state.yaml."""

from __future__ import annotations

from collections.abc import Mapping

from node.rpc import schemas
from node.rpc.blocks import require_height
from node.rpc.context import Context
from node.rpc.errors import INVALID_PARAMS, RpcError
from node.rpc.formats import (
    BlockRef,
    Json,
    Tag,
    address,
    block_ref,
    mapping,
    sequence,
    slot,
    to_data,
    to_quantity,
)
from node.rpc.methods import MethodTable, Parameter
from node.rpc.proofs import MAX_PROVED_SLOTS, ProvedSlot, account_proof
from node.rpc.reads import Reader
from node.rpc.schemas import takes

MAX_STORAGE_VALUES = 1_024  # slots in one request, as go-ethereum
CLIENT_LIMIT = -38026
WORD_DIGITS = 66  # 0x and 64 digits

table = MethodTable()

_ADDRESS = Parameter("address", address)
_BLOCK = Parameter("block", block_ref, Tag.LATEST)


@table.method("eth_getBalance", _ADDRESS, _BLOCK, returns=schemas.UINT)
async def balance(context: Context, account: bytes, block: BlockRef) -> Json:
    """Return an account's balance in wei."""
    with context.backend.store.read() as view:
        found = view.state_at(require_height(view, block)).account(account)
    return to_quantity(0 if found is None else found.balance)


@table.method("eth_getTransactionCount", _ADDRESS, _BLOCK, returns=schemas.UINT)
async def transaction_count(context: Context, account: bytes, block: BlockRef) -> Json:
    """Return an account's next nonce; `pending` counts what waits in this node's pool."""
    with context.backend.store.read() as view:
        found = view.state_at(require_height(view, block)).account(account)
    nonce = 0 if found is None else found.nonce
    return to_quantity(context.backend.mempool.pending_nonce(account, nonce) if block is Tag.PENDING else nonce)


@table.method("eth_getCode", _ADDRESS, _BLOCK, returns=schemas.BYTES)
async def code(context: Context, account: bytes, block: BlockRef) -> Json:
    """Return the code at an address."""
    with context.backend.store.read() as view:
        state = view.state_at(require_height(view, block))
        found = state.account(account)
        return to_data(b"" if found is None else state.code(found.code_hash))


@table.method("eth_getStorageAt", _ADDRESS, Parameter("slot", slot), _BLOCK, returns=schemas.HASH32)
async def storage_at(context: Context, account: bytes, position: int, block: BlockRef) -> Json:
    """Return the 32 bytes in a storage slot."""
    with context.backend.store.read() as view:
        value = view.state_at(require_height(view, block)).storage(account, position)
    return to_data(value.to_bytes(32, "big"))


@takes(schemas.map_of(schemas.array(schemas.SLOT), schemas.ADDRESS_PATTERN))
def _wanted_values(value: object, where: str) -> Mapping[bytes, tuple[int, ...]]:
    table = mapping(value, where)
    rows = {key: sequence(keys, f"{where}.{key[:42]}", MAX_STORAGE_VALUES) for key, keys in table.items()}
    total = sum(map(len, rows.values()))
    if total > MAX_STORAGE_VALUES:
        raise RpcError(CLIENT_LIMIT, f"too many slots (max {MAX_STORAGE_VALUES})")
    if not total:
        raise RpcError(INVALID_PARAMS, "empty request")
    return {
        address(key, f"{where}.{key[:42]}"): tuple(slot(row, f"{where}.{key}[{at}]") for at, row in enumerate(keys))
        for key, keys in rows.items()
    }


@table.method(
    "eth_getStorageValues",
    Parameter("requests", _wanted_values),
    _BLOCK,
    returns=schemas.map_of(schemas.array(schemas.HASH32), schemas.ADDRESS_PATTERN),
)
async def storage_values(context: Context, wanted: Mapping[bytes, tuple[int, ...]], block: BlockRef) -> Json:
    """Return the 32 bytes in each of several storage slots of several accounts."""
    return await context.reads.run(read_storage_values, wanted, block)


def read_storage_values(reader: Reader, wanted: Mapping[bytes, tuple[int, ...]], block: BlockRef) -> Json:
    """Return storage slots by account. A read function.

    Raises:
        BlockNotFound: there is no such block.
    """
    with reader.store.read() as view:
        state = view.state_at(require_height(view, block))
        return {
            to_data(account): [to_data(state.storage(account, at).to_bytes(32, "big")) for at in slots]
            for account, slots in wanted.items()
        }


@takes(schemas.array(schemas.SLOT, MAX_PROVED_SLOTS))
def _slots(value: object, where: str) -> tuple[ProvedSlot, ...]:
    rows = sequence(value, where, MAX_PROVED_SLOTS)
    return tuple(_proved_slot(row, f"{where}[{index}]") for index, row in enumerate(rows))


def _proved_slot(value: object, where: str) -> ProvedSlot:
    """Return a slot, and its name in the answer: whole words come back whole, as go-ethereum has it."""
    found = slot(value, where)
    whole = isinstance(value, str) and len(value) == WORD_DIGITS
    return ProvedSlot(found, to_data(found.to_bytes(32, "big")) if whole else to_quantity(found))


@table.method("eth_getProof", _ADDRESS, Parameter("slots", _slots), _BLOCK, returns=schemas.ACCOUNT_PROOF)
async def get_proof(context: Context, account: bytes, slots: tuple[ProvedSlot, ...], block: BlockRef) -> Json:
    """Return an account and storage slots with Merkle proofs under a block's state root: one of the last 128."""
    return await context.reads.render(account_proof, account, slots, block)
