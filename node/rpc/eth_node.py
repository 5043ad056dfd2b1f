"""`eth_` methods about what this node has and by which rules. Source: execution-apis; EIP-7910 (`eth_config`)."""

from __future__ import annotations

import zlib

from contracts.system import SYSTEM_CONTRACTS
from node.execution.machine import HISTORY_ADDRESS
from node.execution.precompiles import NAMES
from node.rpc import schemas
from node.rpc.context import Context
from node.rpc.formats import Json, to_data, to_quantity
from node.rpc.methods import MethodTable
from node.storage.tables import PROVED_HEIGHTS

PRAGUE_BLOB_FRACTION = 5_007_716  # EIP-7691's update fraction; without blobs it does nothing

table = MethodTable()


@table.method("eth_config", returns=schemas.CONFIG)
async def config(context: Context) -> Json:
    """Return the rules that clients configure themselves by: chain, precompiled and system contracts (EIP-7910)."""
    with context.backend.store.read() as view:
        genesis_hash = view.header(0).hash
        state = view.state
        there = {"HISTORY_STORAGE_ADDRESS": HISTORY_ADDRESS}
        there |= {name: address for address, name in SYSTEM_CONTRACTS.items() if state.account(address) is not None}
    current = {
        "activationTime": 0,
        "blobSchedule": {"baseFeeUpdateFraction": PRAGUE_BLOB_FRACTION, "max": 0, "target": 0},
        "chainId": to_quantity(context.chain_id),
        "forkId": to_data(zlib.crc32(genesis_hash).to_bytes(4, "big")),
        "precompiles": {name: to_data(address) for name, address in sorted(NAMES.items())},
        "systemContracts": {name: to_data(address) for name, address in sorted(there.items())},
    }
    return {"current": current, "next": None, "last": None}


@table.method("eth_capabilities", returns=schemas.CAPABILITIES)
async def capabilities(context: Context) -> Json:
    """Return from which height on this node has blocks, receipts, states and proofs."""
    with context.backend.store.read() as view:
        head, first, first_state = view.head, view.first_height, view.first_state_height
    blocks = {"disabled": False, "oldestBlock": to_quantity(first)}
    proofs_from = max(head.number - PROVED_HEIGHTS, first, 0)
    return {
        "head": {"number": to_quantity(head.number), "hash": to_data(head.hash)},
        "state": {"disabled": False, "oldestBlock": to_quantity(max(first_state, first))},
        "tx": blocks,
        "logs": blocks,
        "receipts": blocks,
        "blocks": blocks,
        "stateproofs": {
            "disabled": False,
            "oldestBlock": to_quantity(proofs_from),
            "deleteStrategy": {"type": "window", "retentionBlocks": to_quantity(PROVED_HEIGHTS)},
        },
    }
