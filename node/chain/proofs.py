"""Inclusion proofs: that a transaction had its outcome, checkable with the genesis file and without a node.

transaction, receipt ─ Merkle-Patricia ─► chain block ─ Merkle Mountain Range ─► round record
round record ─ extraData ─► header ─ quorum ─► certificate ─ epoch changes ─► the genesis file's members
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eth_hash.auto import keccak

from node.chain import mmr, rlp
from node.chain.dual import Chain, ChainBlock, decode_chain_block
from node.chain.header import Header, InvalidHeader, decode_header
from node.chain.record import RoundRecord, decode_record
from node.chain.transitions import Transition, decode_transition
from node.state.trie import InvalidProof as InvalidTrieProof
from node.state.trie import list_trie, proved_value

FORMAT = "gridpact-proof/2"
FIELDS = {
    "format",
    "transaction",
    "receipt",
    "index",
    "transactionNodes",
    "receiptNodes",
    "chainBlock",
    "history",
    "record",
    "header",
    "certificate",
    "transitions",
}
HISTORY_FIELDS = {"size", "index", "siblings", "peaks"}
MAX_NODES = 64  # of one trie path: more than a list of any size needs
MAX_EPOCHS = 4_096  # a hundred members who come, go and change their keys now and then, over decades


class InvalidProof(ValueError):
    """A proof does not prove what it says; the message names the first step that fails."""


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """A transaction of a chain's block, under the history root of a certified round header.

    Args:
        transaction, receipt: as they stand in the chain block's tries (EIP-2718 bytes).
        index: in the chain block.
        transaction_nodes, receipt_nodes: the trie paths, from the root.
        block: the chain block.
        history: from the block's leaf to the history root.
        record, header, certificate: of the round that the history root is of.
        transitions: every epoch change below that round, in order: from the founders to those who certified it.
    """

    transaction: bytes
    receipt: bytes
    index: int
    transaction_nodes: tuple[bytes, ...]
    receipt_nodes: tuple[bytes, ...]
    block: ChainBlock
    history: mmr.HistoryProof
    record: RoundRecord
    header: Header
    certificate: bytes
    transitions: tuple[Transition, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the proof as plain values."""
        return {
            "format": FORMAT,
            "transaction": _hex(self.transaction),
            "receipt": _hex(self.receipt),
            "index": self.index,
            "transactionNodes": [_hex(node) for node in self.transaction_nodes],
            "receiptNodes": [_hex(node) for node in self.receipt_nodes],
            "chainBlock": _hex(self.block.encode()),
            "history": {
                "size": self.history.size,
                "index": self.history.index,
                "siblings": [_hex(node) for node in self.history.siblings],
                "peaks": [_hex(node) for node in self.history.peaks],
            },
            "record": _hex(self.record.encode()),
            "header": _hex(self.header.encode()),
            "certificate": _hex(self.certificate),
            "transitions": [_hex(step.encode()) for step in self.transitions],
        }


def make_proof(
    *,
    transactions: list[bytes],
    receipts: list[bytes],
    index: int,
    block: ChainBlock,
    history: mmr.HistoryProof,
    record: RoundRecord,
    header: Header,
    certificate: bytes,
    transitions: tuple[Transition, ...],
) -> InclusionProof:
    """Return the proof of transaction `index` of a chain block.

    Args:
        transactions, receipts: all of the chain block, encoded.
        index: the transaction's place among them.
        block: the chain block.
        history: of the block under the history root of `record`.
        record, header, certificate: of a round at or after the block's height.
        transitions: every epoch change below that round.
    """
    key = rlp.encode(index)
    return InclusionProof(
        transactions[index],
        receipts[index],
        index,
        tuple(list_trie(transactions).prove(key)),
        tuple(list_trie(receipts).prove(key)),
        block,
        history,
        record,
        header,
        certificate,
        transitions,
    )


def check_proof(proof: InclusionProof) -> None:
    """Check everything but certificates, which need the founders: the genesis file's members.

    Raises:
        InvalidProof: naming the step that fails.
    """
    key = rlp.encode(proof.index)
    for what, root, nodes, value in (
        ("transaction", proof.block.transactions_root, proof.transaction_nodes, proof.transaction),
        ("receipt", proof.block.receipts_root, proof.receipt_nodes, proof.receipt),
    ):
        try:
            found = proved_value(root, key, nodes)
        except InvalidTrieProof as error:
            raise InvalidProof(f"{what}: {error}") from None
        if found != value:
            raise InvalidProof(f"{what}: the chain block holds another one at index {proof.index}")
        if any(_proves(root, key, nodes[:at] + nodes[at + 1 :]) for at in range(len(nodes))):
            raise InvalidProof(f"{what}: superfluous trie nodes")
    block = proof.block
    if any(len(node) != 32 for node in (*proof.history.siblings, *proof.history.peaks)):
        raise InvalidProof("history: every node has 32 bytes")
    try:
        root = mmr.proved_root(proof.history, mmr.leaf_hash(block.chain, block.number, block.hash))
    except ValueError as error:
        raise InvalidProof(f"history: {error}") from None
    if root != proof.record.history_root:
        raise InvalidProof("history: the chain block is not under the record's history root")
    if proof.header.extra_data != proof.record.digest:
        raise InvalidProof("record: the header names another one")
    if block.height > proof.header.number:
        raise InvalidProof(f"header: of height {proof.header.number}, the chain block is of height {block.height}")


def _proves(root: bytes, key: bytes, nodes: tuple[bytes, ...]) -> bool:
    try:
        proved_value(root, key, nodes)
    except InvalidTrieProof:
        return False
    return True


def transaction_hash(proof: InclusionProof) -> bytes:
    """Return the hash of the proved transaction."""
    return keccak(proof.transaction)


def succeeded(proof: InclusionProof) -> bool:
    """Return whether the proved receipt says that the transaction succeeded."""
    payload = proof.receipt if proof.receipt[:1] >= b"\xc0" else proof.receipt[1:]
    return rlp.decode_int(rlp.decode_list(rlp.decode(payload), 4)[0], 8) == 1


def chain_of(proof: InclusionProof) -> Chain:
    """Return the chain that the proved transaction is in."""
    return proof.block.chain


def parse_proof(content: object) -> InclusionProof:
    """Read a proof from plain values, strictly.

    Raises:
        InvalidProof: naming the field that is not as expected.
    """
    if not isinstance(content, Mapping) or content.get("format") != FORMAT:
        raise InvalidProof(f'format: expected "{FORMAT}"')
    history = content.get("history")
    if not isinstance(history, Mapping):
        raise InvalidProof("history: expected an object")
    for given, known in ((content, FIELDS), (history, HISTORY_FIELDS)):
        if set(given) != known:
            raise InvalidProof(f"fields: expected exactly {', '.join(sorted(known))}")
    try:
        return InclusionProof(
            _data(content, "transaction"),
            _data(content, "receipt"),
            _number(content, "index"),
            _list(content, "transactionNodes"),
            _list(content, "receiptNodes"),
            decode_chain_block(_data(content, "chainBlock")),
            mmr.HistoryProof(
                _number(history, "size"), _number(history, "index"), _list(history, "siblings"), _list(history, "peaks")
            ),
            decode_record(_data(content, "record")),
            decode_header(_data(content, "header")),
            _data(content, "certificate"),
            tuple(decode_transition(raw) for raw in _list(content, "transitions", MAX_EPOCHS)),
        )
    except (rlp.InvalidRlp, InvalidHeader) as error:
        raise InvalidProof(str(error)) from None


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _data(content: Mapping[str, Any], key: str) -> bytes:
    return _bytes(content.get(key), key)


def _bytes(text: object, key: str) -> bytes:
    if isinstance(text, str) and re.fullmatch(r"0x(?:[0-9a-f]{2})*", text):
        return bytes.fromhex(text[2:])
    raise InvalidProof(f"{key}: expected 0x and hexadecimal digits in lower case")


def _number(content: Mapping[str, Any], key: str) -> int:
    found = content.get(key)
    if type(found) is not int or not 0 <= found < 2**48:
        raise InvalidProof(f"{key}: expected a whole number from 0")
    return found


def _list(content: Mapping[str, Any], key: str, most: int = MAX_NODES) -> tuple[bytes, ...]:
    rows = content.get(key)
    if not isinstance(rows, list) or len(rows) > most:
        raise InvalidProof(f"{key}: expected a list of at most {most} rows")
    return tuple(_bytes(row, key) for row in rows)
