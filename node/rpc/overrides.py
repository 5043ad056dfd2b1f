"""Overrides of state and block as clients write them, for everything that runs a call.

Source: go-ethereum, internal/ethapi/override; execution-apis, schemas/execute.yaml.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from node.chain.address import checksummed
from node.execution import BlockEnvironment
from node.execution.overrides import AccountOverride, InvalidOverride, StateOverrides, check_overrides
from node.rpc import schemas
from node.rpc.errors import SERVER_ERROR, InvalidParams, LimitExceeded, RpcError
from node.rpc.formats import Parser, address, data, field, hash32, mapping, number, quantity, slot
from node.rpc.schemas import takes

MAX_ACCOUNTS = 1_024  # overridden by one request, as it is parsed on the event loop
MAX_SLOTS = 16_384  # in all of them together

BlockOverrides = Mapping[str, int | bytes]
"""By the name of a field of `BlockEnvironment`."""
NO_BLOCK_OVERRIDES: BlockOverrides = {}


def _word(value: object, where: str) -> bytes:
    return slot(value, where).to_bytes(32, "big")


def _ignored(value: object, where: str) -> None:
    quantity(value, where)


_BLOCK_FIELDS: Mapping[str, tuple[str, Parser[int | bytes | None]]] = {
    "number": ("number", number),
    "time": ("timestamp", number),
    "timestamp": ("timestamp", number),
    "gasLimit": ("gas_limit", number),
    "feeRecipient": ("coinbase", address),
    "coinbase": ("coinbase", address),
    "prevRandao": ("mix_hash", _word),
    "random": ("mix_hash", _word),
    "baseFeePerGas": ("base_fee", quantity),
    "baseFee": ("base_fee", quantity),
    "blobBaseFee": ("blob_base_fee", quantity),
    "difficulty": ("", _ignored),
}
"""Both names where go-ethereum's methods differ; difficulty has no effect since the merge, nor here."""


@takes(schemas.BLOCK_OVERRIDES)
def block_overrides(value: object, where: str) -> BlockOverrides:
    """Return what a client wants different about the block."""
    found: dict[str, int | bytes] = {}
    for key, entry in mapping(value, where).items():
        if key in ("beaconRoot", "withdrawals"):
            raise InvalidParams(f"{where}.{key}", "nothing: block override is not supported for this RPC method", entry)
        if key not in _BLOCK_FIELDS:
            raise InvalidParams(where, f"only {', '.join(_BLOCK_FIELDS)}", key)
        if entry is None:
            continue
        name, parse = _BLOCK_FIELDS[key]
        if name in found:
            raise InvalidParams(f"{where}.{key}", "each value under one name only", entry)
        parsed = parse(entry, f"{where}.{key}")
        if parsed is not None:
            found[name] = parsed
    return found


def overridden(environment: BlockEnvironment, overrides: BlockOverrides) -> BlockEnvironment:
    """Return the block that a call sees."""
    return replace(environment, **overrides) if overrides else environment  # type: ignore[arg-type]


_ACCOUNT_FIELDS = ("balance", "nonce", "code", "state", "stateDiff", "movePrecompileToAddress")


@takes(schemas.STATE_OVERRIDES)
def state_overrides(value: object, where: str) -> StateOverrides:
    """Return what a client wants different about accounts.

    Raises:
        InvalidParams: malformed.
        LimitExceeded: too many.
        RpcError: both `state` and `stateDiff` of one account.
    """
    table = mapping(value, where)
    if len(table) > MAX_ACCOUNTS:
        raise LimitExceeded(f"at most {MAX_ACCOUNTS} accounts are overridden, found {len(table)}")
    slots = 0
    found: dict[bytes, AccountOverride] = {}
    for key, entry in table.items():
        here = f"{where}.{key[:42]}"
        account = address(key, here)
        if account in found:
            raise InvalidParams(here, "each account once", key)
        found[account] = override = _account_override(entry, here)
        slots += len(override.state or ()) + len(override.state_diff or ())
        if slots > MAX_SLOTS:
            raise LimitExceeded(f"at most {MAX_SLOTS} storage slots are overridden")
    try:
        check_overrides(found)
    except InvalidOverride as error:
        raise refused(error) from None
    return found


def _account_override(value: object, where: str) -> AccountOverride:
    table = mapping(value, where)
    for key in table:
        if key not in _ACCOUNT_FIELDS:
            raise InvalidParams(where, f"only {', '.join(_ACCOUNT_FIELDS)}", key)
    return AccountOverride(
        balance=field(table, "balance", where, quantity, None),
        nonce=field(table, "nonce", where, number, None),
        code=field(table, "code", where, data, None),
        state=field(table, "state", where, _storage, None),
        state_diff=field(table, "stateDiff", where, _storage, None),
        move_precompile_to=field(table, "movePrecompileToAddress", where, address, None),
    )


def _storage(value: object, where: str) -> Mapping[int, int]:
    table = mapping(value, where)
    if len(table) > MAX_SLOTS:
        raise LimitExceeded(f"at most {MAX_SLOTS} storage slots are overridden, found {len(table)}")
    return {
        int.from_bytes(hash32(key, f"{where} (slot)"), "big"): int.from_bytes(hash32(entry, f"{where}.{key}"), "big")
        for key, entry in table.items()
    }


def refused(error: InvalidOverride) -> RpcError:
    """Return what a client gets for overrides that contradict each other."""
    reason = error.reason.format(address=checksummed(error.address))
    return RpcError(SERVER_ERROR if error.code is None else error.code, reason)
