"""Which of web3.py's tests fail against gridpact and why, and how some of them must be run.

A difference that is meant is told by a row of docs/json-rpc.md, named here by the words with which the row begins; what
web3.py fails with before it has sent anything, or whatever a node answers, is told in docs/tools.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Explained:
    """Why tests fail.

    Args:
        page: below docs, with the section's anchor.
        row: how the row begins that says why.
    """

    page: str
    row: str

    def __str__(self) -> str:
        """Return the reason as pytest shows it."""
        return f"{self.row} … (docs/{self.page})"


_DIFFERENCES = "json-rpc.md#deliberate-differences-from-ethereum-clients"
_ABSENT = "json-rpc.md#methods-that-are-deliberately-absent"
_CLIENT = "tools.md#web3py"

_FREE = Explained(_DIFFERENCES, "| gas costs nothing")
_PENDING = Explained(_DIFFERENCES, "| `pending` is the newest state")
_SET_CODE = Explained(_DIFFERENCES, "| transactions without a chain id (before EIP-155), with blobs (type 3) and with")
_NO_ENODE = Explained(_DIFFERENCES, "| `admin_nodeInfo` has no `enode`")
_TYPED_LENGTH = Explained(_DIFFERENCES, "| `eth_signTypedData` refuses an array")
_ADD_PEER = Explained(_ABSENT, "| `admin_addPeer`")
_DATADIR = Explained(_ABSENT, "| `admin_datadir`")
_START_HTTP = Explained(_ABSENT, "| `admin_stopHTTP`")
_START_WS = Explained(_ABSENT, "| `admin_stopWS`")
_ASYNC_TYPED = Explained(_CLIENT, "| `eth.sign_typed_data` of `AsyncWeb3`")

_BOTH: Mapping[str, Explained] = {
    "test_eth_gas_price": _FREE,
    "test_eth_getBlockByHash_pending": _PENDING,
    "test_eth_getBlockByNumber_pending": _PENDING,
    "test_admin_peers": _NO_ENODE,
    "test_admin_start_stop_http": _START_HTTP,
    "test_admin_start_stop_ws": _START_WS,
}
SYNC: Mapping[str, Explained] = {
    **_BOTH,
    "test_invalid_eth_sign_typed_data": _TYPED_LENGTH,
    "test_sign_authorization_send_raw_and_send_set_code_transactions": _SET_CODE,
    "test_add_peer": _ADD_PEER,
    "test_admin_datadir": _DATADIR,
    "test_admin_node_info": _NO_ENODE,
}
"""The failures of `Web3`, by test."""
ASYNC: Mapping[str, Explained] = {
    **_BOTH,
    "test_eth_sign_typed_data": _ASYNC_TYPED,
    "test_invalid_eth_sign_typed_data": _ASYNC_TYPED,
    "test_async_sign_authorization_send_raw_and_send_set_code_transactions": _SET_CODE,
    "test_async_datadir": _DATADIR,
    "test_async_node_info": _NO_ENODE,
    "test_async_nodes": _NO_ENODE,
}
"""The failures of `AsyncWeb3`, by test."""
FLAKY = Explained(_CLIENT, "| `wait_for_transaction_receipt` of `AsyncWeb3`")
FLAKY_TESTS = frozenset({"test_async_eth_wait_for_transaction_receipt_unmined"})
"""Tests that sometimes fail, with any node; web3.py itself lets them."""

HELD = frozenset(
    {
        "test_async_eth_get_transaction_receipt_unmined",
        "test_async_eth_replace_transaction",
        "test_async_eth_replace_transaction_gas_price_defaulting_minimum",
        "test_async_eth_replace_transaction_gas_price_defaulting_strategy_higher",
        "test_async_eth_replace_transaction_gas_price_defaulting_strategy_lower",
        "test_async_eth_replace_transaction_gas_price_too_low",
        "test_async_eth_replace_transaction_incorrect_nonce",
        "test_async_eth_replace_transaction_legacy",
        "test_async_eth_replace_transaction_underpriced",
        "test_async_eth_wait_for_transaction_receipt_unmined",
        "test_eth_get_transaction_receipt_unmined",
        "test_eth_modify_transaction",
        "test_eth_modify_transaction_legacy",
        "test_eth_replace_transaction",
        "test_eth_replace_transaction_gas_price_defaulting_minimum",
        "test_eth_replace_transaction_gas_price_defaulting_strategy_higher",
        "test_eth_replace_transaction_gas_price_defaulting_strategy_lower",
        "test_eth_replace_transaction_gas_price_too_low",
        "test_eth_replace_transaction_incorrect_nonce",
        "test_eth_replace_transaction_legacy",
        "test_eth_replace_transaction_underpriced",
        "test_eth_wait_for_transaction_receipt_unmined",
    }
)
"""Tests whose transactions must wait in the pool: while one runs, no block is made."""
