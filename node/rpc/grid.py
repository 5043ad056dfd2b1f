"""`grid_` methods: chain clock, consortium, both chains, round records, certificates, proofs."""

from __future__ import annotations

from consensus.codec import decode_certificate
from contracts import layout
from node.chain.dual import Chain
from node.chain.mmr import HistoryProof
from node.chain.record import Head
from node.rpc import grid_schemas, schemas
from node.rpc.blocks import require_height
from node.rpc.context import Context
from node.rpc.errors import SERVER_ERROR, InvalidParams, RpcError
from node.rpc.formats import (
    BlockRef,
    Json,
    Tag,
    block_number,
    boolean,
    hash32,
    number,
    to_data,
    to_quantity,
)
from node.rpc.methods import MethodTable, Parameter
from node.rpc.proofs import transaction_proof
from node.rpc.render import mined_transaction_json
from node.rpc.schemas import takes

table = MethodTable()

_HEIGHT = Parameter("height", block_number, Tag.LATEST)
_NUMBER = Parameter("number", number)
_FULL = Parameter("full transactions", boolean, False)


@takes(schemas.constant(*(chain.name.lower() for chain in Chain)))
def _chain(value: object, where: str) -> Chain:
    for chain in Chain:
        if value == chain.name.lower():
            return chain
    raise InvalidParams(where, '"contract" or "ledger"', value)


def _head(head: Head) -> dict[str, Json]:
    return {"number": to_quantity(head.number), "hash": to_data(head.hash)}


# -- the network


@table.method("grid_genesis", returns=grid_schemas.GENESIS)
async def genesis(context: Context) -> Json:
    """Return the genesis file."""
    return dict(context.backend.genesis)


@table.method("grid_clock", returns=grid_schemas.CLOCK)
async def clock(context: Context) -> Json:
    """Return the chain clock: segments [wall_ms, chain_s, scale], piecewise linear, standing before the first."""
    return {"segments": [list(segment) for segment in context.backend.clock_segments()]}


@table.method("grid_status", returns=grid_schemas.STATUS)
async def status(context: Context) -> Json:
    """Return this validator's head, heads of both chains, view, peers, and whether it is catching up."""
    node = context.backend.status()
    with context.backend.store.read() as view:
        header = view.header(view.head_height)
        record = view.record(view.head_height)
    peers = context.backend.peers()
    return {
        "nodeKey": to_data(node.node_key),
        "height": to_quantity(header.number),
        "hash": to_data(header.hash),
        "timestamp": to_quantity(header.timestamp),
        "chainTime": to_quantity(context.backend.chain_time_s()),
        "view": to_quantity(node.view),
        "epoch": to_quantity(record.epoch),
        "contractHead": _head(record.contract_head),
        "ledgerHead": _head(record.ledger_head),
        "targetHeight": None if node.target_height is None else to_quantity(node.target_height),
        "waiting": to_quantity(len(context.backend.mempool)),
        "validators": [to_data(key) for key in context.backend.validators().keys],
        "peers": [
            {
                "nodeKey": to_data(peer.node_key),
                "name": peer.name,
                "endpoint": peer.endpoint,
                "connected": peer.connected,
                "height": None if peer.height is None else to_quantity(peer.height),
            }
            for peer in peers
        ],
    }


@table.method("grid_consortium", returns=grid_schemas.CONSORTIUM)
async def consortium(context: Context) -> Json:
    """Return the members as of the head, and the acting validators' epoch, quorum and tolerated faults."""
    validators = context.backend.validators()
    with context.backend.store.read() as view:
        members = layout.members(view.state.storage)
    return {
        "epoch": to_quantity(int(validators.epoch)),
        "quorum": to_quantity(validators.quorum),
        "faults": to_quantity(validators.faults),
        "validators": [to_data(key) for key in validators.keys],
        "members": [
            {
                "name": member.name,
                "account": to_data(member.account),
                "nodeKey": to_data(member.node_key),
                "endpoint": member.endpoint,
                "sinceEpoch": to_quantity(member.since_epoch),
            }
            for member in members
        ],
    }


@table.method("grid_getEvidence", returns=grid_schemas.EVIDENCE)
async def evidence(context: Context) -> Json:
    """Return the equivocations that this node has found and that are not on record, as the consortium takes them."""
    return [
        {
            "evidence": to_data(each.evidence_id),
            "nodeKey": to_data(each.node_key),
            "epoch": to_quantity(each.epoch),
            "height": to_quantity(each.height),
            "view": to_quantity(each.view),
            "phase": to_quantity(each.phase),
            "firstHash": to_data(each.first_hash),
            "firstSignature": to_data(each.first_signature),
            "secondHash": to_data(each.second_hash),
            "secondSignature": to_data(each.second_signature),
        }
        for each in context.backend.evidence()
    ]


# -- rounds


@table.method("grid_getRoundRecord", _HEIGHT, returns=grid_schemas.ROUND_RECORD)
async def round_record(context: Context, ref: BlockRef) -> Json:
    """Return the round record of a height, whose digest is the block's extraData."""
    with context.backend.store.read() as view:
        height = require_height(view, ref)
        record, header = view.record(height), view.header(height)
    return {
        "height": to_quantity(height),
        "blockHash": to_data(header.hash),
        "digest": to_data(record.digest),
        "rulesVersion": to_quantity(record.rules_version),
        "epoch": to_quantity(record.epoch),
        "validatorsHash": to_data(record.validators_hash),
        "nextValidatorsHash": to_data(record.next_validators_hash),
        "contractHead": _head(record.contract_head),
        "ledgerHead": _head(record.ledger_head),
        "historyRoot": to_data(record.history_root),
        "raw": to_data(record.encode()),
    }


@table.method("grid_getCertificate", _HEIGHT, returns=grid_schemas.CERTIFICATE)
async def certificate(context: Context, ref: BlockRef) -> Json:
    """Return the certificate of a height: a quorum's signatures; null for height 0, which nobody voted on."""
    with context.backend.store.read() as view:
        raw = view.certificate(require_height(view, ref))
    if raw is None:
        return None
    found = decode_certificate(raw)
    return {
        "height": to_quantity(int(found.height)),
        "epoch": to_quantity(int(found.epoch)),
        "view": to_quantity(int(found.view)),
        "phase": found.phase.name,
        "blockHash": to_data(found.block_hash),
        "signers": [to_data(key) for key in found.signers],
        "signatures": [to_data(signature) for signature in found.signatures],
        "raw": to_data(raw),
    }


# -- the two chains


async def _chain_block(context: Context, chain: Chain, position: int, full: bool) -> Json:
    with context.backend.store.read() as view:
        found = view.chain_block(chain, position)
        members = view.chain_block_members(chain, position)
    if found is None:
        return None
    block = await context.block(found.height)
    if block is None:
        raise RpcError(SERVER_ERROR, f"round block {found.height} is not stored")
    transactions = [
        mined_transaction_json(block, index, context.chain_id) if full else to_data(block.hashes[index])
        for index in members
    ]
    return {
        "chain": chain.name.lower(),
        "number": to_quantity(found.number),
        "hash": to_data(found.hash),
        "parentHash": to_data(found.parent_hash),
        "height": to_quantity(found.height),
        "roundHash": to_data(block.header.hash),
        "timestamp": to_quantity(block.header.timestamp),
        "transactionsRoot": to_data(found.transactions_root),
        "receiptsRoot": to_data(found.receipts_root),
        "transactions": transactions,
        "raw": to_data(found.encode()),
    }


@table.method("grid_getContractBlock", _NUMBER, _FULL, returns=grid_schemas.CHAIN_BLOCK)
async def contract_block(context: Context, position: int, full: bool) -> Json:
    """Return a block of the contract chain by its own number, null if there is none."""
    return await _chain_block(context, Chain.CONTRACT, position, full)


@table.method("grid_getLedgerBlock", _NUMBER, _FULL, returns=grid_schemas.CHAIN_BLOCK)
async def ledger_block(context: Context, position: int, full: bool) -> Json:
    """Return a block of the ledger chain by its own number, null if there is none."""
    return await _chain_block(context, Chain.LEDGER, position, full)


# -- proofs


@table.method("grid_getTransactionProof", Parameter("transaction hash", hash32), returns=grid_schemas.TRANSACTION_PROOF)
async def get_transaction_proof(context: Context, transaction_hash: bytes) -> Json:
    """Return all that proves a transaction and its receipt committed, from the certificate down; null if it is not."""
    return await context.reads.run(transaction_proof, transaction_hash)


@table.method("grid_historyProof", Parameter("chain", _chain), _NUMBER, _HEIGHT, returns=grid_schemas.HISTORY_PROOF)
async def history_proof(context: Context, chain: Chain, position: int, ref: BlockRef) -> Json:
    """Return the proof that a chain's block is under the history root of a height (the newest, unless one is named)."""
    with context.backend.store.read() as view:
        height = require_height(view, ref)
        found = view.chain_block(chain, position)
        if found is None or found.height > height:
            return None
        proof = view.history_proof(chain, position, height)
        root = view.record(height).history_root
    if proof is None:
        return None
    return {
        "chain": chain.name.lower(),
        "number": to_quantity(position),
        "blockHash": to_data(found.hash),
        "height": to_quantity(height),
        "historyRoot": to_data(root),
        **_proof(proof),
    }


def _proof(proof: HistoryProof) -> dict[str, Json]:
    return {
        "size": to_quantity(proof.size),
        "index": to_quantity(proof.index),
        "siblings": [to_data(node) for node in proof.siblings],
        "peaks": [to_data(peak) for peak in proof.peaks],
    }
