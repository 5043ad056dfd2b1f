"""JSON Schemas of what the `grid_explain…` methods answer."""

from __future__ import annotations

from node.rpc.schemas import ADDRESS, BOOLEAN, HASH32, TEXT, UINT, UINT64, array, constant, nullable, record

_SENTENCES = array(TEXT)
TRANSACTION = record(
    {
        "status": constant("committed", "pending", "queued", "dropped", "unknown"),
        "reason": TEXT,
        "explanation": _SENTENCES,
        "advice": _SENTENCES,
        "hash": HASH32,
    },
    {
        "from": ADDRESS,
        "nonce": UINT64,
        "blockNumber": UINT64,
        "transactionIndex": UINT64,
        "success": BOOLEAN,
        "by": HASH32,
        "ahead": UINT64,
        "missingNonces": array(UINT64),
    },
)
SENDER = record({
    "address": ADDRESS, "status": constant("clear", "pending", "queued"), "reason": TEXT,
    "explanation": _SENTENCES, "advice": _SENTENCES, "nonce": UINT64, "pendingNonce": UINT64, "balance": UINT,
    "member": nullable(ADDRESS), "missingNonces": array(UINT64),
    "room": nullable(record({"transactions": UINT64, "bytes": UINT64, "maxTransactions": UINT64, "maxBytes": UINT64})),
    "transactions": array(record({"hash": HASH32, "nonce": UINT64, "executable": BOOLEAN})),
})  # fmt: skip
