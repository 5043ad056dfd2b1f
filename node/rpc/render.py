"""Blocks, transactions, receipts and logs as Ethereum's JSON objects.

Source: execution-apis, schemas/{block,transaction,receipt}.yaml; withdrawals and uncles are always empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from eth_hash.auto import keccak

from node.chain import rlp
from node.chain.header import Header
from node.chain.private import SignedCall, SignedTransfer
from node.chain.receipt import Log, stored_logs_in_turn
from node.chain.transaction import AccessList, Transaction, decode_transaction
from node.rpc.formats import Json, to_data, to_quantity
from node.rpc.reads import BlockData
from privacy.envelopes import ANONYMOUS_TYPE, SHIELDED_TYPE


def header_json(header: Header) -> dict[str, Json]:
    """Return a header, as `newHeads` sends it."""
    return {
        "number": to_quantity(header.number),
        "hash": to_data(header.hash),
        "parentHash": to_data(header.parent_hash),
        "sha3Uncles": to_data(header.ommers_hash),
        "miner": to_data(header.coinbase),
        "stateRoot": to_data(header.state_root),
        "transactionsRoot": to_data(header.transactions_root),
        "receiptsRoot": to_data(header.receipts_root),
        "logsBloom": to_data(header.bloom),
        "difficulty": to_quantity(header.difficulty),
        "gasLimit": to_quantity(header.gas_limit),
        "gasUsed": to_quantity(header.gas_used),
        "timestamp": to_quantity(header.timestamp),
        "extraData": to_data(header.extra_data),
        "mixHash": to_data(header.mix_hash),
        "nonce": to_data(header.nonce),
        "baseFeePerGas": to_quantity(header.base_fee_per_gas),
        "withdrawalsRoot": to_data(header.withdrawals_root),
        "blobGasUsed": to_quantity(header.blob_gas_used),
        "excessBlobGas": to_quantity(header.excess_blob_gas),
        "parentBeaconBlockRoot": to_data(header.parent_beacon_root),
        "requestsHash": to_data(header.requests_hash),
    }


def block_json(block: BlockData, chain_id: int, *, full: bool) -> dict[str, Json]:
    """Return a block with its transactions, whole or by hash."""
    indices = range(len(block.raws))
    return {
        **header_json(block.header),
        "totalDifficulty": "0x0",
        "size": to_quantity(len(raw_block(block))),
        "uncles": [],
        "withdrawals": [],
        "transactions": [
            mined_transaction_json(block, index, chain_id) if full else to_data(block.hashes[index])
            for index in indices
        ],
    }


def raw_block(block: BlockData) -> bytes:
    """Return the block's RLP as Ethereum has it: header, transactions, no uncles, no withdrawals."""
    transactions = [raw if raw[0] >= 0xC0 else rlp.encode(raw) for raw in block.raws]
    return rlp.encode_list([block.header.encode(), rlp.encode_list(transactions), b"\xc0", b"\xc0"])


def mined_transaction_json(block: BlockData, index: int, chain_id: int) -> dict[str, Json]:
    """Return a committed transaction."""
    return placed_transaction_json(decode_transaction(block.raws[index], chain_id), block.header, index)


def placed_transaction_json(transaction: Transaction, header: Header, index: int) -> dict[str, Json]:
    """Return a transaction that stands in a block."""
    return {
        **_transaction_json(transaction),
        "blockHash": to_data(header.hash),
        "blockNumber": to_quantity(header.number),
        "blockTimestamp": to_quantity(header.timestamp),
        "transactionIndex": to_quantity(index),
        "gasPrice": to_quantity(
            effective_gas_price(
                transaction.max_priority_fee_per_gas, transaction.max_fee_per_gas, header.base_fee_per_gas
            )
        ),
    }


def pending_transaction_json(transaction: Transaction) -> dict[str, Json]:
    """Return a transaction that waits in the pool."""
    return {
        **_transaction_json(transaction),
        "blockHash": None,
        "blockNumber": None,
        "blockTimestamp": None,
        "transactionIndex": None,
        "gasPrice": to_quantity(transaction.max_fee_per_gas),
    }


def unsigned_transaction_json(transaction: Transaction) -> dict[str, Json]:
    """Return a transaction that is complete but for its signature."""
    table = pending_transaction_json(transaction)
    for name in ("hash", "v", "r", "s", "yParity", "blockHash", "blockNumber", "blockTimestamp", "transactionIndex"):
        table.pop(name, None)
    return table


def effective_gas_price(tip: int, cap: int, base_fee: int) -> int:
    """Return what a unit of gas costs the sender, in wei (EIP-1559)."""
    return min(cap, base_fee + tip)


def _transaction_json(transaction: Transaction) -> dict[str, Json]:
    parity = transaction.y_parity
    table: dict[str, Json] = {
        "hash": to_data(transaction.hash),
        "type": to_quantity(transaction.type),
        "chainId": to_quantity(transaction.chain_id),
        "nonce": to_quantity(transaction.nonce),
        "from": to_data(transaction.sender),
        "to": None if transaction.to is None else to_data(transaction.to),
        "gas": to_quantity(transaction.gas_limit),
        "value": to_quantity(transaction.value),
        "input": to_data(transaction.data),
        "v": to_quantity(parity if transaction.type else transaction.chain_id * 2 + 35 + parity),
        "r": to_quantity(transaction.r),
        "s": to_quantity(transaction.s),
    }
    if transaction.private is not None:
        return table | _private_json(transaction.private)
    if transaction.type:
        table["yParity"] = to_quantity(parity)
        table["accessList"] = access_list_json(transaction.access_list)
    if transaction.type == 2:
        table["maxFeePerGas"] = to_quantity(transaction.max_fee_per_gas)
        table["maxPriorityFeePerGas"] = to_quantity(transaction.max_priority_fee_per_gas)
    return table


def access_list_json(entries: AccessList) -> list[dict[str, Json]]:
    """Return an access list."""
    return [
        {"address": to_data(account), "storageKeys": [to_data(key.to_bytes(32, "big")) for key in keys]}
        for account, keys in entries
    ]


def _private_json(private: SignedCall | SignedTransfer) -> dict[str, Json]:
    """Return what stands in the place of a signature."""
    if isinstance(private, SignedTransfer):
        return {
            "expiryHeight": to_quantity(private.transfer.expiry_height),
            "proofs": [to_data(proof) for proof in private.proofs],
        }
    call = private.call
    return {
        "window": to_quantity(call.window),
        "ringRoot": to_data(call.ring_root),
        "nullifier": to_data(call.nullifier),
        "traceTag": to_data(call.trace_tag),
        "expiryHeight": to_quantity(call.expiry_height),
        "proof": to_data(private.proof),
    }


@dataclass(frozen=True, slots=True)
class _Outline:
    """What a receipt shows of a transaction; prices are wei a unit of gas."""

    nonce: int
    tip: int
    cap: int
    to: bytes | None


_PLACES = {0: (0, 1, 1, 3), 1: (1, 2, 2, 4), 2: (1, 2, 3, 5)}
"""Where nonce, tip, cap and destination stand in the RLP list of a transaction, by type."""
_PLACE_OF_DESTINATION = {ANONYMOUS_TYPE: 7, SHIELDED_TYPE: 3}
"""The same of one without an account, which has nothing of the rest."""


def _outline(raw: bytes) -> _Outline:
    """Return the outline of a committed transaction, without recovering its sender, which is known."""
    kind = 0 if raw[0] >= 0xC0 else raw[0]
    items = rlp.decode_list(rlp.decode(raw if kind == 0 else raw[1:]))
    if kind in _PLACE_OF_DESTINATION:
        return _Outline(0, 0, 0, rlp.decode_data(items[_PLACE_OF_DESTINATION[kind]]))
    nonce, tip, cap, to = (items[place] for place in _PLACES[kind])
    return _Outline(rlp.decode_int(nonce), rlp.decode_int(tip), rlp.decode_int(cap), rlp.decode_data(to) or None)


def transaction_tip(raw: bytes, base_fee: int) -> int:
    """Return what a committed transaction pays beyond the base fee, in wei a unit of gas."""
    outline = _outline(raw)
    return effective_gas_price(outline.tip, outline.cap, base_fee) - base_fee


def receipt_json(block: BlockData, index: int) -> dict[str, Json]:
    """Return the receipt of a committed transaction."""
    receipt, header, sender = block.receipts[index], block.header, block.senders[index]
    outline = _outline(block.raws[index])
    before = block.receipts[index - 1].cumulative_gas_used if index else 0
    created = contract_address(sender, outline.nonce) if outline.to is None else None
    return {
        "transactionHash": to_data(block.hashes[index]),
        "transactionIndex": to_quantity(index),
        "blockHash": to_data(header.hash),
        "blockNumber": to_quantity(header.number),
        "from": to_data(sender),
        "to": None if outline.to is None else to_data(outline.to),
        "contractAddress": None if created is None else to_data(created),
        "cumulativeGasUsed": to_quantity(receipt.cumulative_gas_used),
        "gasUsed": to_quantity(receipt.cumulative_gas_used - before),
        "effectiveGasPrice": to_quantity(effective_gas_price(outline.tip, outline.cap, header.base_fee_per_gas)),
        "logs": _receipt_logs(block, index),
        "logsBloom": to_data(receipt.bloom),
        "status": to_quantity(receipt.status),
        "type": to_quantity(receipt.type),
    }


def contract_address(sender: bytes, nonce: int) -> bytes:
    """Return the address that a creation makes: the last 20 bytes of keccak(rlp([sender, nonce]))."""
    return keccak(rlp.encode((sender, nonce)))[12:]


def _receipt_logs(block: BlockData, index: int) -> list[dict[str, Json]]:
    before = sum(len(receipt.logs) for receipt in block.receipts[:index])
    return [_log_json(block, index, before + at, entry) for at, entry in enumerate(block.receipts[index].logs)]


def logs_json(block: BlockData) -> Iterator[tuple[Log, dict[str, Json]]]:
    """Yield every log of a block with its JSON object, each made when its turn has come."""
    logs = ((index, entry) for index, raw in enumerate(block.stored_receipts) for entry in stored_logs_in_turn(raw))
    for number, (index, entry) in enumerate(logs):
        yield entry, _log_json(block, index, number, entry)


def _log_json(block: BlockData, index: int, log_index: int, entry: Log) -> dict[str, Json]:
    header = block.header
    here = BlockName(header.number, header.hash, header.timestamp)
    return log_json(here, block.hashes[index], index, log_index, entry)


@dataclass(frozen=True, slots=True)
class BlockName:
    """What a log tells of its block: height, hash, chain seconds."""

    number: int
    hash: bytes
    timestamp: int


def log_json(block: BlockName, transaction_hash: bytes, index: int, log_index: int, entry: Log) -> dict[str, Json]:
    """Return a log: of the transaction at `index` in a block, the block's `log_index`th."""
    return {
        "address": to_data(entry.address),
        "topics": [to_data(topic) for topic in entry.topics],
        "data": to_data(entry.data),
        "blockNumber": to_quantity(block.number),
        "blockHash": to_data(block.hash),
        "blockTimestamp": to_quantity(block.timestamp),
        "transactionHash": to_data(transaction_hash),
        "transactionIndex": to_quantity(index),
        "logIndex": to_quantity(log_index),
        "removed": False,
    }
