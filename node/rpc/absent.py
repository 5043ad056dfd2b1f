"""Methods of Ethereum clients that this node deliberately lacks, and why; the error that refuses them says so."""

from __future__ import annotations

from collections.abc import Mapping

_NOT_MINED = "blocks are agreed on by the validators, not mined"
_ONE_CLIENT = "consensus and execution are one process: there is no engine API between them"
_BY_VOTE = "members connect to each other as the consortium says, and come and go by votes"
_BY_CONFIGURATION = "where a node listens and keeps its data is said in node.toml"
_NO_ACCESS_LISTS = "blocks carry no access lists (EIP-7928)"

ABSENT: Mapping[str, str] = {
    "admin_addPeer": _BY_VOTE,
    "admin_datadir": _BY_CONFIGURATION,
    "admin_removePeer": _BY_VOTE,
    "admin_startHTTP": _BY_CONFIGURATION,
    "admin_startWS": _BY_CONFIGURATION,
    "admin_stopHTTP": _BY_CONFIGURATION,
    "admin_stopWS": _BY_CONFIGURATION,
    "debug_getRawBlockAccessList": _NO_ACCESS_LISTS,
    "debug_setHead": "a committed block is final",
    "engine_exchangeCapabilities": _ONE_CLIENT,
    "engine_forkchoiceUpdatedV3": _ONE_CLIENT,
    "engine_getPayloadV3": _ONE_CLIENT,
    "engine_newPayloadV3": _ONE_CLIENT,
    "eth_getBlockAccessList": _NO_ACCESS_LISTS,
    "eth_getWork": _NOT_MINED,
    "eth_submitHashrate": _NOT_MINED,
    "eth_submitWork": _NOT_MINED,
    "eth_protocolVersion": "Ethereum's wire protocol is not spoken here",
    "miner_start": _NOT_MINED,
    "miner_stop": _NOT_MINED,
    "personal_importRawKey": "a node takes no keys over RPC; see [accounts] in node.toml",
    "personal_newAccount": "a node takes no keys over RPC; see [accounts] in node.toml",
    "personal_unlockAccount": "a node takes no keys over RPC; see [accounts] in node.toml",
    "testing_buildBlockV1": _NOT_MINED,
}
"""The reason by the method's name."""
