"""JSON Schemas of what `grid_` methods answer."""

from __future__ import annotations

from node.rpc.schemas import (
    ADDRESS,
    BOOLEAN,
    BYTES,
    HASH32,
    MINED,
    TEXT,
    UINT,
    Schema,
    array,
    constant,
    either,
    named,
    nullable,
    record,
)

_INTEGER: Schema = {"type": "integer"}
_SEGMENT: Schema = {"type": "array", "items": {"type": "number"}, "minItems": 3, "maxItems": 3}
_HEAD = record({"number": UINT, "hash": HASH32})
_CHAIN = constant("contract", "ledger")

GENESIS: Schema = {"type": "object"}
CLOCK = record({"segments": array(_SEGMENT)})
STATUS = named("NodeStatus", "a validator's head, chains, view and peers", record({
    "nodeKey": HASH32, "height": UINT, "hash": HASH32, "timestamp": UINT, "chainTime": UINT, "view": UINT,
    "epoch": UINT, "contractHead": _HEAD, "ledgerHead": _HEAD, "targetHeight": nullable(UINT), "waiting": UINT,
    "validators": array(HASH32),
    "peers": array(record({
        "nodeKey": HASH32, "name": TEXT, "endpoint": TEXT, "connected": BOOLEAN, "height": nullable(UINT),
    })),
}))  # fmt: skip
CONSORTIUM = named("Consortium", "the members, and the acting validators", record({
    "epoch": UINT, "quorum": UINT, "faults": UINT, "validators": array(HASH32),
    "members": array(record({
        "name": TEXT, "account": ADDRESS, "nodeKey": HASH32, "endpoint": TEXT, "sinceEpoch": UINT,
    })),
}))  # fmt: skip
EVIDENCE = array(record({
    "evidence": HASH32, "nodeKey": HASH32, "epoch": UINT, "height": UINT, "view": UINT, "phase": UINT,
    "firstHash": HASH32, "firstSignature": BYTES, "secondHash": HASH32, "secondSignature": BYTES,
}))  # fmt: skip
ROUND_RECORD = named("RoundRecord", "the round record of a height", record({
    "height": UINT, "blockHash": HASH32, "digest": HASH32, "rulesVersion": UINT, "epoch": UINT,
    "validatorsHash": HASH32, "nextValidatorsHash": HASH32, "contractHead": _HEAD, "ledgerHead": _HEAD,
    "historyRoot": HASH32, "raw": BYTES,
}))  # fmt: skip
CERTIFICATE = nullable(named("Certificate", "a quorum's signatures under a height's block", record({
    "height": UINT, "epoch": UINT, "view": UINT, "phase": TEXT, "blockHash": HASH32, "signers": array(HASH32),
    "signatures": array(BYTES), "raw": BYTES,
})))  # fmt: skip
CHAIN_BLOCK = nullable(named("ChainBlock", "a block of the contract or the ledger chain", record({
    "chain": _CHAIN, "number": UINT, "hash": HASH32, "parentHash": HASH32, "height": UINT, "roundHash": HASH32,
    "timestamp": UINT, "transactionsRoot": HASH32, "receiptsRoot": HASH32,
    "transactions": either(array(HASH32), array(MINED)), "raw": BYTES,
})))  # fmt: skip
TRANSACTION_PROOF = nullable(named(
    "TransactionProof", "what proves a transaction committed, for gridpact audit check-proof", record({
    "format": TEXT, "transaction": BYTES, "receipt": BYTES, "index": _INTEGER, "transactionNodes": array(BYTES),
    "receiptNodes": array(BYTES), "chainBlock": BYTES,
    "history": record({"size": _INTEGER, "index": _INTEGER, "siblings": array(HASH32), "peaks": array(HASH32)}),
    "record": BYTES, "header": BYTES, "certificate": BYTES, "transitions": array(BYTES),
})))  # fmt: skip
HISTORY_PROOF = nullable(named("HistoryProof", "a path in the Merkle Mountain Range of both chains", record({
    "chain": _CHAIN, "number": UINT, "blockHash": HASH32, "height": UINT, "historyRoot": HASH32, "size": UINT,
    "index": UINT, "siblings": array(HASH32), "peaks": array(HASH32),
})))  # fmt: skip
_BLOCK_LINE = record({"number": UINT, "hash": HASH32, "timestamp": UINT, "transactions": UINT, "gasUsed": UINT})
OVERVIEW = named("Overview", "what the page at / shows", record({
    "software": TEXT, "chainId": UINT, "nodeKey": HASH32, "chainTime": UINT, "clockScale": UINT, "ready": BOOLEAN,
    "reasons": array(TEXT), "targetHeight": nullable(UINT), "head": _BLOCK_LINE, "contractHead": _HEAD,
    "ledgerHead": _HEAD, "epoch": UINT, "quorum": UINT, "view": UINT, "leader": HASH32,
    "votes": array(record({"height": UINT, "view": UINT, "signatures": UINT})),
    "validators": array(record({"nodeKey": HASH32, "name": TEXT, "signed": array(BOOLEAN)})),
    "pool": record({"pending": UINT, "queued": UINT}),
    "peers": array(record({
        "nodeKey": HASH32, "name": TEXT, "endpoint": TEXT, "validator": BOOLEAN, "connected": BOOLEAN,
        "height": nullable(UINT),
    })),
    "market": nullable(record({
        "private": BOOLEAN, "window": nullable(UINT), "windowLength": UINT,
        "windows": array(record({
            "window": UINT, "from": UINT, "state": constant("trading", "delivering", "settling", "settled"),
            "entries": UINT, "settled": UINT, "energyWh": nullable(UINT),
        })),
    })),
    "blocks": array(_BLOCK_LINE),
}))  # fmt: skip
CERTIFIED_BLOCKS = array(record({"body": BYTES, "certificate": BYTES, "record": BYTES}))
TRANSITIONS = array(record({
    "epoch": UINT, "height": UINT, "header": BYTES, "record": BYTES, "certificate": BYTES, "validators": array(HASH32),
}))  # fmt: skip
