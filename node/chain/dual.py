"""The two chains: which one a transaction belongs to, and the chains' own blocks.

Source: Perekalskiy et al. 2020 (two hash-linked chains, one for contracts and one for transactions). A chain's block is
the subsequence of a round block's transactions that belongs to it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import IntEnum

from eth_hash.auto import keccak

from node.chain import rlp
from node.chain.receipt import Receipt
from node.chain.record import Head
from node.chain.transaction import Transaction
from node.state.trie import list_root

DOMAIN = b"gridpact/chain-block/v1"


class Chain(IntEnum):
    """The numbers are hashed and must not change; a height's contract block precedes its ledger block."""

    CONTRACT = 0
    LEDGER = 1


@dataclass(frozen=True, slots=True)
class ChainBlock:
    """One chain's part of a round block: its own number and parent, the roots over its transactions and receipts."""

    chain: Chain
    number: int
    parent_hash: bytes
    height: int
    transactions_root: bytes
    receipts_root: bytes

    def encode(self) -> bytes:
        """Return the canonical RLP."""
        return rlp.encode(
            (
                int(self.chain),
                self.number,
                self.parent_hash,
                self.height,
                self.transactions_root,
                self.receipts_root,
            )
        )

    @property
    def hash(self) -> bytes:
        """keccak(domain ‖ canonical RLP)."""
        return keccak(DOMAIN + self.encode())

    @property
    def head(self) -> Head:
        """This block as its chain's head."""
        return Head(self.number, self.hash)


def decode_chain_block(raw: bytes) -> ChainBlock:
    """Return the chain block that `raw` encodes.

    Raises:
        InvalidRlp: not a canonical chain block.
    """
    chain, number, parent, height, transactions, receipts = rlp.decode_list(rlp.decode(raw), 6)
    kind = rlp.decode_int(chain, 8)
    if kind not in (Chain.CONTRACT, Chain.LEDGER):
        raise rlp.InvalidRlp(f"expected chain 0 or 1, found {kind}")
    return ChainBlock(
        Chain(kind),
        rlp.decode_int(number, 64),
        rlp.decode_data(parent, 32),
        rlp.decode_int(height, 64),
        rlp.decode_data(transactions, 32),
        rlp.decode_data(receipts, 32),
    )


def route(to: bytes | None, contract_domain: Collection[bytes]) -> Chain:
    """Return the chain of a transaction, by its entry point alone.

    Args:
        to: its destination; None for a contract creation.
        contract_domain: the rules' list of addresses that belong to the contract chain.
    """
    return Chain.CONTRACT if to is None or to in contract_domain else Chain.LEDGER


def members_of(chain: Chain, transactions: Sequence[Transaction], contract_domain: Collection[bytes]) -> list[int]:
    """Return the indices in the round block of a chain's transactions."""
    return [index for index, tx in enumerate(transactions) if route(tx.to, contract_domain) is chain]


def chain_block(
    chain: Chain, parent: Head, height: int, transactions: Sequence[bytes], receipts: Sequence[Receipt]
) -> ChainBlock:
    """Return a chain's next block over its part of a round block's raw transactions and receipts."""
    return ChainBlock(
        chain,
        parent.number + 1,
        parent.hash,
        height,
        list_root(transactions),
        list_root([receipt.encode() for receipt in receipts]),
    )
