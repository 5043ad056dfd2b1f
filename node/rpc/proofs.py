"""Proofs that a client checks without trusting this node.

A transaction is proved in four steps: it and its receipt stand under their chain block's roots; the chain block is the
head of its chain in the round record of its height; the record's digest is the `extraData` of the round block's header;
a certificate of the epoch's validators signs that header's hash. A state value is proved under the header's state root.
"""

from __future__ import annotations

from eth_hash.auto import keccak

from node.chain import rlp
from node.chain.dual import Chain, ChainBlock
from node.rpc.blocks import require_height
from node.rpc.errors import SERVER_ERROR, RpcError
from node.rpc.formats import BlockRef, Json, to_data, to_quantity
from node.rpc.reads import Reader
from node.state import EMPTY_ROOT, Account
from node.state.delta import storage_key
from node.state.trie import Trie, list_trie
from node.storage import View

MAX_PROVED_SLOTS = 1_024


def transaction_proof(reader: Reader, transaction_hash: bytes) -> Json:
    """Return the proof that a transaction and its receipt are committed, null if it is not. A read function."""
    with reader.store.read() as view:
        place = view.locate(transaction_hash)
        if place is None:
            return None
        height, index = place
        block = reader.block(view, height)
        record, certificate = view.record(height), view.certificate(height)
        chain, chain_block, members = _chain_block_of(view, height, index)
    at = members.index(index)
    transactions = list_trie(block.raws[member] for member in members)
    receipts = list_trie(block.receipts[member].encode() for member in members)
    key = rlp.encode(at)
    return {
        "transactionHash": to_data(transaction_hash),
        "height": to_quantity(height),
        "header": to_data(block.header.encode()),
        "certificate": None if certificate is None else to_data(certificate),
        "roundRecord": to_data(record.encode()),
        "chain": chain.name.lower(),
        "chainBlock": to_data(chain_block.encode()),
        "index": to_quantity(at),
        "transaction": to_data(block.raws[index]),
        "transactionProof": [to_data(node) for node in transactions.prove(key)],
        "receipt": to_data(block.receipts[index].encode()),
        "receiptProof": [to_data(node) for node in receipts.prove(key)],
    }


def _chain_block_of(view: View, height: int, index: int) -> tuple[Chain, ChainBlock, tuple[int, ...]]:
    """Return the chain block of `height` that the round block's transaction at `index` belongs to."""
    record = view.record(height)
    for chain, head in ((Chain.CONTRACT, record.contract_head), (Chain.LEDGER, record.ledger_head)):
        block = view.chain_block(chain, head.number)
        members = view.chain_block_members(chain, head.number)
        if block is not None and block.height == height and index in members:
            return chain, block, members
    raise RpcError(SERVER_ERROR, f"no chain block of height {height} holds transaction {index}")


def account_proof(reader: Reader, address: bytes, slots: tuple[int, ...], ref: BlockRef) -> Json:
    """Return an account and storage slots with proofs under the newest block's state root (EIP-1186). A read function.

    Raises:
        RpcError: an older block is asked for; its trie is not kept.
    """
    with reader.store.read() as view:
        height = require_height(view, ref)
        if height != view.head_height:
            raise RpcError(SERVER_ERROR, f"proofs are kept for the newest block only: {view.head_height}, not {height}")
        found = view.state.account(address)
        account = Account() if found is None else found
        proof = Trie(b"", view, view.header(height).state_root).prove(keccak(address))
        storage = [_slot_proof(view, address, account.storage_root, slot) for slot in slots]
    return {
        "address": to_data(address),
        "accountProof": [to_data(node) for node in proof],
        "balance": to_quantity(account.balance),
        "nonce": to_quantity(account.nonce),
        "codeHash": to_data(account.code_hash),
        "storageHash": to_data(account.storage_root),
        "storageProof": storage,
    }


def _slot_proof(view: View, address: bytes, root: bytes, slot: int) -> Json:
    proof = [] if root == EMPTY_ROOT else Trie(keccak(address), view, root).prove(storage_key(slot))
    return {
        "key": to_quantity(slot),
        "value": to_quantity(view.state.storage(address, slot)),
        "proof": [to_data(node) for node in proof],
    }
