"""JSON Schemas of what clients send and get; `rpc.discover` and docs/json-rpc.md are made from them.

A parser carries the schema of what it takes (`@takes`), so a parameter need not repeat it; a method names the schema of
its result (`returns=`). Names of components are those of execution-apis (src/schemas) where it has them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

P = TypeVar("P", bound=Callable[..., Any])
Schema = Mapping[str, Any]
"""A JSON Schema, as OpenRPC describes parameters and results."""
ANY: Schema = {}

COMPONENTS: dict[str, Schema] = {}
"""The schemas that others refer to by name."""
_TAKEN: dict[Callable[..., Any], Schema] = {}


def takes(schema: Schema) -> Callable[[P], P]:
    """Attach to the decorated parser the schema of the values that it takes."""

    def mark(parse: P) -> P:
        _TAKEN[parse] = schema
        return parse

    return mark


def schema_of(parse: Callable[..., Any]) -> Schema:
    """Return the schema of what a parser takes; ANY if nobody attached one."""
    return _TAKEN.get(parse, ANY)


# -- building blocks


def named(name: str, title: str, schema: Schema) -> Schema:
    """Register a schema under a name and return a reference to it."""
    if name in COMPONENTS:
        raise ValueError(f"schema {name}: registered twice")
    COMPONENTS[name] = {"title": title, **schema}
    return {"$ref": f"#/components/schemas/{name}"}


def array(of: Schema, most: int | None = None) -> Schema:
    """Return the schema of a list of at most `most` values."""
    return {"type": "array", "items": of} | ({} if most is None else {"maxItems": most})


def nullable(of: Schema) -> Schema:
    """Return the schema of a value that may be null."""
    return {"oneOf": [of, NULL]}


def either(*schemas: Schema) -> Schema:
    """Return the schema of a value that fits one of several schemas, or more."""
    return {"anyOf": list(schemas)}


def constant(*values: object) -> Schema:
    """Return the schema of a value that is one of those listed."""
    return {"enum": list(values)}


def map_of(of: Schema, keys: str = "") -> Schema:
    """Return the schema of an object whose values are alike; its keys match the pattern `keys`."""
    return {"type": "object", "additionalProperties": of} | ({"propertyNames": {"pattern": keys}} if keys else {})


def record(fields: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """Return the schema of an object with these fields and no others, some of which may be absent."""
    return {
        "type": "object",
        "required": list(fields),
        "properties": {**fields, **(optional or {})},
        "additionalProperties": False,
    }


def request(fields: Mapping[str, Schema], required: tuple[str, ...] = ()) -> Schema:
    """Return the schema of an object that a client sends: any field may be null or absent, unknown ones are ignored."""
    properties = {key: value if key in required else nullable(value) for key, value in fields.items()}
    return {"type": "object", "properties": properties} | ({"required": list(required)} if required else {})


# -- values

NULL: Schema = {"type": "null"}
BOOLEAN: Schema = {"type": "boolean"}
TEXT: Schema = {"type": "string"}
UINT = named("uint", "an unsigned integer as a hexadecimal quantity", {
    "type": "string", "pattern": "^0x(0|[1-9a-fA-F][0-9a-fA-F]{0,63})$",
})  # fmt: skip
UINT64 = named("uint64", "an unsigned integer of 64 bits as a hexadecimal quantity", {
    "type": "string", "pattern": "^0x(0|[1-9a-fA-F][0-9a-fA-F]{0,15})$",
})  # fmt: skip
COUNT = either(UINT64, {"type": "integer", "minimum": 0, "maximum": 2**64 - 1})
BYTES = named("bytes", "bytes as hexadecimal data", {"type": "string", "pattern": "^0x([0-9a-fA-F]{2})*$"})


def fixed(length: int) -> Schema:
    """Return the schema of `length` bytes."""
    return {"type": "string", "pattern": f"^0x[0-9a-fA-F]{{{2 * length}}}$"}


HEX32 = "^0x[0-9a-fA-F]{64}$"
ADDRESS_PATTERN = "^0x[0-9a-fA-F]{40}$"
ADDRESS = named("address", "an address", fixed(20))
HASH32 = named("hash32", "32 bytes", fixed(32))
BLOOM = named("bytes256", "a bloom filter: 256 bytes", fixed(256))
SLOT = named("slot", "a storage slot, up to 32 bytes", {"type": "string", "pattern": "^0x[0-9a-fA-F]{1,64}$"})
TAG = named("BlockTag", "a block by name: final at once, so safe and finalized are latest", constant(
    "latest", "safe", "finalized", "pending", "earliest"
))  # fmt: skip
BLOCK_NUMBER = named("BlockNumberOrTag", "a block by height or by name", either(UINT64, TAG))
BLOCK_REF = named(
    "BlockNumberOrTagOrHash",
    "a block by height, by name or by hash (EIP-1898)",
    either(
        UINT64,
        TAG,
        HASH32,
        {"type": "object", "required": ["blockHash"], "properties": {"blockHash": HASH32, "requireCanonical": BOOLEAN}},
        {"type": "object", "required": ["blockNumber"], "properties": {"blockNumber": BLOCK_NUMBER}},
    ),
)
ACCESS_LIST = named(
    "AccessList", "an access list (EIP-2930)", array(record({"address": ADDRESS, "storageKeys": array(HASH32)}))
)

# -- logs, receipts

LOG = named("Log", "a log", record({
    "address": ADDRESS, "topics": array(HASH32, 4), "data": BYTES,
    "blockNumber": UINT, "blockHash": HASH32, "blockTimestamp": UINT,
    "transactionHash": HASH32, "transactionIndex": UINT, "logIndex": UINT, "removed": BOOLEAN,
}))  # fmt: skip
RECEIPT = named("ReceiptInfo", "a receipt", record({
    "transactionHash": HASH32, "transactionIndex": UINT, "blockHash": HASH32, "blockNumber": UINT,
    "from": ADDRESS, "to": nullable(ADDRESS), "contractAddress": nullable(ADDRESS),
    "cumulativeGasUsed": UINT, "gasUsed": UINT, "effectiveGasPrice": UINT,
    "logs": array(LOG), "logsBloom": BLOOM, "status": constant("0x0", "0x1"), "type": UINT,
}))  # fmt: skip

# -- transactions

_SIGNED: Schema = {
    "hash": HASH32, "type": UINT, "chainId": UINT, "nonce": UINT, "from": ADDRESS, "to": nullable(ADDRESS),
    "gas": UINT, "gasPrice": UINT, "value": UINT, "input": BYTES, "v": UINT, "r": UINT, "s": UINT,
}  # fmt: skip
_OF_SOME_TYPES: Schema = {
    "yParity": UINT, "accessList": ACCESS_LIST, "maxFeePerGas": UINT, "maxPriorityFeePerGas": UINT,
    "expiryHeight": UINT, "proofs": array(BYTES), "proof": BYTES, "window": UINT, "ringRoot": BYTES,
    "nullifier": BYTES, "traceTag": BYTES,
}  # fmt: skip
MINED = named("TransactionInfo", "a committed transaction", record(
    {**_SIGNED, "blockHash": HASH32, "blockNumber": UINT, "blockTimestamp": UINT, "transactionIndex": UINT},
    _OF_SOME_TYPES,
))  # fmt: skip
PENDING = named("PendingTransaction", "a transaction that waits in the pool", record(
    {**_SIGNED, "blockHash": NULL, "blockNumber": NULL, "blockTimestamp": NULL, "transactionIndex": NULL},
    _OF_SOME_TYPES,
))  # fmt: skip

FILLED = record({"raw": BYTES, "tx": record(
    {name: schema for name, schema in _SIGNED.items() if name not in ("hash", "v", "r", "s")},
    {"accessList": ACCESS_LIST, "maxFeePerGas": UINT, "maxPriorityFeePerGas": UINT},
)})  # fmt: skip

# -- blocks

_HEADER: Schema = {
    "number": UINT, "hash": HASH32, "parentHash": HASH32, "sha3Uncles": HASH32, "miner": ADDRESS,
    "stateRoot": HASH32, "transactionsRoot": HASH32, "receiptsRoot": HASH32, "logsBloom": BLOOM,
    "difficulty": UINT, "gasLimit": UINT, "gasUsed": UINT, "timestamp": UINT, "extraData": BYTES,
    "mixHash": HASH32, "nonce": fixed(8), "baseFeePerGas": UINT, "withdrawalsRoot": HASH32, "blobGasUsed": UINT,
    "excessBlobGas": UINT, "parentBeaconBlockRoot": HASH32, "requestsHash": HASH32,
}  # fmt: skip
HEADER = named("Header", "a header, as newHeads sends it", record(_HEADER))
_BODY: Schema = {
    "totalDifficulty": UINT, "size": UINT, "uncles": array(HASH32, 0), "withdrawals": array(NULL, 0),
}  # fmt: skip
BLOCK = named("Block", "a block with its transactions, by hash or whole", record(
    {**_HEADER, **_BODY, "transactions": either(array(HASH32), array(MINED))}
))  # fmt: skip

# -- state

ACCOUNT_PROOF = named("AccountProof", "an account and slots with Merkle proofs (EIP-1186)", record({
    "address": ADDRESS, "accountProof": array(BYTES), "balance": UINT, "nonce": UINT, "codeHash": HASH32,
    "storageHash": HASH32,
    "storageProof": array(record({"key": TEXT, "value": UINT, "proof": array(BYTES)})),
}))  # fmt: skip
FEE_HISTORY = named("FeeHistoryResults", "fees and gas used of recent blocks", record({
    "oldestBlock": UINT, "baseFeePerGas": array(UINT), "gasUsedRatio": array({"type": "number"}),
    "baseFeePerBlobGas": array(UINT), "blobGasUsedRatio": array({"type": "number"}),
}, {"reward": array(array(UINT))}))  # fmt: skip
_CONFIG = named("ConfigObject", "the rules of a fork (EIP-7910)", record({
    "activationTime": {"type": "integer"}, "chainId": UINT, "forkId": fixed(4),
    "blobSchedule": map_of({"type": "integer"}),
    "precompiles": map_of(ADDRESS), "systemContracts": map_of(ADDRESS),
}))  # fmt: skip
CONFIG = record({"current": _CONFIG, "next": NULL, "last": NULL})
_KEPT = named("EthCapabilitiesEffectiveResource", "from which height on something is kept", record(
    {"disabled": BOOLEAN, "oldestBlock": UINT},
    {"deleteStrategy": record({"type": constant("window"), "retentionBlocks": UINT})},
))  # fmt: skip
CAPABILITIES = record({
    "head": record({"number": UINT, "hash": HASH32}),
    "state": _KEPT, "tx": _KEPT, "logs": _KEPT, "receipts": _KEPT, "blocks": _KEPT, "stateproofs": _KEPT,
})  # fmt: skip
SYNCING = named("SyncingStatus", "false, or how far this node has caught up", either(
    constant(False), record({"startingBlock": UINT, "currentBlock": UINT, "highestBlock": UINT})
))  # fmt: skip

# -- what a call or a filter is

TRANSACTION_REQUEST = named("GenericTransaction", "a call, or a transaction to be estimated", request({
    "from": ADDRESS, "to": either(ADDRESS, constant("0x")), "gas": UINT64, "gasPrice": UINT, "maxFeePerGas": UINT,
    "maxPriorityFeePerGas": UINT, "value": UINT, "input": BYTES, "data": BYTES, "nonce": UINT64, "chainId": UINT,
    "type": COUNT,
    "accessList": array(request({"address": ADDRESS, "storageKeys": array(SLOT)}, required=("address",))),
}))  # fmt: skip
_ACCOUNT_OVERRIDE = request({
    "balance": UINT, "nonce": UINT64, "code": BYTES, "movePrecompileToAddress": ADDRESS,
    "state": map_of(HASH32, HEX32), "stateDiff": map_of(HASH32, HEX32),
})  # fmt: skip
STATE_OVERRIDES = named(
    "StateOverrides",
    "accounts that a call sees otherwise, by address",
    map_of({**_ACCOUNT_OVERRIDE, "additionalProperties": False}, ADDRESS_PATTERN),
)
_BLOCK_OVERRIDES = request({
    "number": UINT64, "time": UINT64, "timestamp": UINT64, "gasLimit": UINT64, "feeRecipient": ADDRESS,
    "coinbase": ADDRESS, "prevRandao": SLOT, "random": SLOT, "baseFeePerGas": UINT, "baseFee": UINT,
    "blobBaseFee": UINT, "difficulty": UINT,
})  # fmt: skip
BLOCK_OVERRIDES = named(
    "BlockOverrides", "what a call sees otherwise of its block", {**_BLOCK_OVERRIDES, "additionalProperties": False}
)
SIMULATE_PAYLOAD = named("EthSimulatePayload", "blocks of calls to simulate", request({
    "blockStateCalls": {**array(request({
        "blockOverrides": BLOCK_OVERRIDES, "stateOverrides": STATE_OVERRIDES, "calls": array(TRANSACTION_REQUEST),
    }), 256), "minItems": 1},
    "traceTransfers": BOOLEAN, "validation": BOOLEAN, "returnFullTransactions": BOOLEAN,
}, required=("blockStateCalls",)))  # fmt: skip
SIMULATE_RESULT = array(named("EthSimulateBlockResult", "a simulated block and what each call did", record({
    **_HEADER, **_BODY, "transactions": either(array(HASH32), array(MINED)),
    "calls": array(record({
        "returnData": BYTES, "logs": array(LOG), "gasUsed": UINT64, "maxUsedGas": UINT64,
        "status": constant("0x0", "0x1"),
    }, {"error": record({"code": {"type": "integer"}, "message": TEXT}, {"data": BYTES})})),
})))  # fmt: skip
ACCESS_LIST_RESULT = record({"accessList": ACCESS_LIST, "gasUsed": UINT}, {"error": TEXT})
_CRITERIA: Schema = {
    "address": either(ADDRESS, array(ADDRESS)),
    "topics": array(either(NULL, HASH32, array(HASH32)), 4),
}
CRITERIA = named("LogCriteria", "addresses and topics of logs", request(_CRITERIA))
FILTER = named("Filter", "which logs are wanted, and from which blocks", request(
    {**_CRITERIA, "fromBlock": BLOCK_NUMBER, "toBlock": BLOCK_NUMBER, "blockHash": HASH32}
))  # fmt: skip
FILTER_ID = named("FilterId", "the id of a filter or a subscription", {"type": "string", "pattern": "^0x[0-9a-f]+$"})

# -- the pool

POOL_STATUS: Schema = record({"pending": UINT, "queued": UINT})
_BY_NONCE = map_of(PENDING, "^(0|[1-9][0-9]*)$")
_BY_SENDER_AND_NONCE = map_of(_BY_NONCE, "^0x[0-9a-fA-F]{40}$")
POOL_CONTENT: Schema = record({"pending": _BY_SENDER_AND_NONCE, "queued": _BY_SENDER_AND_NONCE})
POOL_CONTENT_FROM: Schema = record({"pending": _BY_NONCE, "queued": _BY_NONCE})
_LINES = map_of(map_of(TEXT, "^(0|[1-9][0-9]*)$"), "^0x[0-9a-fA-F]{40}$")
POOL_INSPECT: Schema = record({"pending": _LINES, "queued": _LINES})

# -- traces (go-ethereum's `debug` namespace)

_TRACE_CONFIG: Schema = {
    "tracer": constant("", "callTracer", "flatCallTracer", "prestateTracer", "4byteTracer", "noopTracer"),
    "tracerConfig": request(dict.fromkeys((
        "onlyTopCall", "withLog", "diffMode", "disableCode", "disableStorage", "includeEmpty", "convertParityErrors",
        "includePrecompiles",
    ), BOOLEAN)),
    "timeout": {"type": "string", "pattern": "^([0-9]+(\\.[0-9]+)?(ms|us|µs|ns|s|m|h))+$", "maxLength": 40},
    "disableStack": BOOLEAN, "disableStorage": BOOLEAN, "enableMemory": BOOLEAN, "enableReturnData": BOOLEAN,
    "limit": COUNT,
}  # fmt: skip
TRACE_CONFIG = named("TraceConfig", "which tracer, and what it tells", request(_TRACE_CONFIG))
CALL_TRACE_CONFIG = named("TraceCallConfig", "the same for a call, and what it sees otherwise", request({
    **_TRACE_CONFIG, "stateOverrides": STATE_OVERRIDES, "blockOverrides": BLOCK_OVERRIDES, "txIndex": COUNT,
}))  # fmt: skip
_STRUCT_LOG = record(
    {"pc": {"type": "integer"}, "op": TEXT, "gas": {"type": "integer"}, "gasCost": {"type": "integer"},
     "depth": {"type": "integer"}},
    {"stack": array(UINT), "memory": array(HASH32), "storage": map_of(HASH32, HEX32), "returnData": BYTES,
     "refund": {"type": "integer"}, "error": TEXT},
)  # fmt: skip
_STRUCT_LOGS = record({
    "gas": {"type": "integer"}, "failed": BOOLEAN, "returnValue": BYTES, "structLogs": array(_STRUCT_LOG),
})  # fmt: skip
TRACE = named("Trace", "what the tracer found: the struct logger's, or another's in its own form", either(
    _STRUCT_LOGS,
    {"type": "object", "not": {"required": ["structLogs"]}},
    array({"type": "object", "required": ["action", "type"]}),
))  # fmt: skip
BLOCK_TRACE = array(record({"txHash": HASH32, "result": TRACE}))
