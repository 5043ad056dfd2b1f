"""Proofs that a client checks without trusting this node.

A transaction's proof is the one of `node.chain.proofs`, which `gridpact audit check-proof` verifies. A state value is
proved under the header's state root.
"""

from __future__ import annotations

from dataclasses import dataclass

from eth_hash.auto import keccak

from node.audit.proof import NotCommitted, prove
from node.rpc.blocks import require_height
from node.rpc.formats import BlockRef, Json, to_data, to_quantity
from node.rpc.reads import Reader
from node.state import EMPTY_ROOT, Account, StateReader, TrieReader
from node.state.delta import storage_key
from node.state.trie import Trie

MAX_PROVED_SLOTS = 1_024


@dataclass(frozen=True, slots=True)
class ProvedSlot:
    """A storage slot, and how the answer names it."""

    number: int
    name: str


def transaction_proof(reader: Reader, transaction_hash: bytes) -> Json:
    """Return the proof that a transaction and its receipt are committed, null if they are not. A read function."""
    with reader.store.read() as view:
        try:
            return prove(view, transaction_hash, reader.rule_book).as_json()
        except NotCommitted:
            return None


def account_proof(reader: Reader, address: bytes, slots: tuple[ProvedSlot, ...], ref: BlockRef) -> Json:
    """Return an account and storage slots with proofs under a block's state root (EIP-1186). A read function.

    Raises:
        StateNotKept: a block is asked for whose trie is not kept any more.
    """
    with reader.store.read() as view:
        height = require_height(view, ref)
        state, nodes = view.state_at(height), view.nodes_at(height)
        found = state.account(address)
        account = Account() if found is None else found
        proof = Trie(b"", nodes, view.header(height).state_root).prove(keccak(address))
        storage = [_slot_proof(state, nodes, address, account.storage_root, slot) for slot in slots]
    return {
        "address": to_data(address),
        "accountProof": [to_data(node) for node in proof],
        "balance": to_quantity(account.balance),
        "nonce": to_quantity(account.nonce),
        "codeHash": to_data(account.code_hash),
        "storageHash": to_data(account.storage_root),
        "storageProof": storage,
    }


def _slot_proof(state: StateReader, nodes: TrieReader, address: bytes, root: bytes, slot: ProvedSlot) -> Json:
    proof = [] if root == EMPTY_ROOT else Trie(keccak(address), nodes, root).prove(storage_key(slot.number))
    return {
        "key": slot.name,
        "value": to_quantity(state.storage(address, slot.number)),
        "proof": [to_data(node) for node in proof],
    }
