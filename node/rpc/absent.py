"""Methods of Ethereum clients that this node deliberately lacks, and why; the error that refuses them says so."""

from __future__ import annotations

from collections.abc import Mapping

_NOT_MINED = "blocks are agreed on by the validators, not mined"
_ONE_CLIENT = "consensus and execution are one process: there is no engine API between them"
_BY_VOTE = "members connect to each other as the consortium says, and come and go by votes"
_BY_CONFIGURATION = "where a node listens and keeps its data is said in node.toml"
_NOT_A_SIMULATOR = "a chain of several validators, whose clock and state nobody turns; eth_simulateV1 and overrides do"
_NO_OTHER_TRACES = "traces are debug_trace…: its flatCallTracer answers in this form"
_NO_PREIMAGES = "states are kept by hashed keys; debug_traceTransaction with prestateTracer shows what was touched"
_BY_THE_CONSORTIUM = "grid_consortium tells the validators, `gridpact consortium` votes on them"
_BY_VOUCHING = "accounts are vouched for by members, on chain: `gridpact consortium status`, `vouch`"
_NO_ACCESS_LISTS = "blocks carry no access lists (EIP-7928)"

ABSENT: Mapping[str, str] = {
    "admin_addPeer": _BY_VOTE,
    "admin_datadir": _BY_CONFIGURATION,
    "admin_removePeer": _BY_VOTE,
    "admin_startHTTP": _BY_CONFIGURATION,
    "admin_startWS": _BY_CONFIGURATION,
    "admin_stopHTTP": _BY_CONFIGURATION,
    "admin_stopWS": _BY_CONFIGURATION,
    "debug_accountRange": _NO_PREIMAGES,
    "debug_getRawBlockAccessList": _NO_ACCESS_LISTS,
    "debug_metrics": "GET /metrics has them, as Prometheus reads them",
    "debug_setHead": "a committed block is final",
    "debug_storageRangeAt": _NO_PREIMAGES,
    "debug_verbosity": "admin_changeLogLevel sets the levels of the log",
    "engine_exchangeCapabilities": _ONE_CLIENT,
    "engine_forkchoiceUpdatedV3": _ONE_CLIENT,
    "engine_getPayloadV3": _ONE_CLIENT,
    "engine_newPayloadV3": _ONE_CLIENT,
    "eth_getBlockAccessList": _NO_ACCESS_LISTS,
    "eth_getWork": _NOT_MINED,
    "eth_submitHashrate": _NOT_MINED,
    "eth_submitWork": _NOT_MINED,
    "eth_protocolVersion": "Ethereum's wire protocol is not spoken here",
    "evm_increaseTime": _NOT_A_SIMULATOR,
    "evm_mine": _NOT_A_SIMULATOR,
    "evm_revert": _NOT_A_SIMULATOR,
    "evm_snapshot": _NOT_A_SIMULATOR,
    "ibft_getValidatorsByBlockNumber": _BY_THE_CONSORTIUM,
    "miner_start": _NOT_MINED,
    "miner_stop": _NOT_MINED,
    "perm_getAccountsAllowlist": _BY_VOUCHING,
    "perm_getNodesAllowlist": _BY_THE_CONSORTIUM,
    "personal_importRawKey": "a node takes no keys over RPC; see [accounts] in node.toml",
    "personal_newAccount": "a node takes no keys over RPC; see [accounts] in node.toml",
    "personal_unlockAccount": "a node takes no keys over RPC; see [accounts] in node.toml",
    "qbft_discardValidatorVote": _BY_THE_CONSORTIUM,
    "qbft_getPendingVotes": _BY_THE_CONSORTIUM,
    "qbft_getSignerMetrics": "grid_overview tells who signed the newest blocks",
    "qbft_getValidatorsByBlockNumber": _BY_THE_CONSORTIUM,
    "qbft_proposeValidatorVote": _BY_THE_CONSORTIUM,
    "testing_buildBlockV1": _NOT_MINED,
    "trace_block": _NO_OTHER_TRACES,
    "trace_call": _NO_OTHER_TRACES,
    "trace_transaction": _NO_OTHER_TRACES,
    "txpool_besuStatistics": "txpool_status and GET /metrics tell this",
    "txpool_besuTransactions": "txpool_content and `gridpact tx list` tell this",
}
"""The reason by the method's name."""
