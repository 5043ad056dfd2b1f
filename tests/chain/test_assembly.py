"""Sealing: each chain is a subsequence, heads carry forward, the record and the body bind what they say."""

from __future__ import annotations

import pytest
from eth_hash.auto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st
from trie.hexary import HexaryTrie

from node.chain import mmr, rlp
from node.chain.assembly import (
    Executed,
    InvalidBody,
    Parent,
    SealedBlock,
    Validators,
    decode_body,
    encode_body,
    genesis_block,
    hash_of_body,
    seal,
)
from node.chain.dual import DOMAIN, Chain, ChainBlock, decode_chain_block, route
from node.chain.receipt import Log, make_receipt
from node.chain.record import NO_HEAD
from node.chain.transaction import Transaction
from node.rules import Rules

CONTRACT = b"\xcc" * 20
RULES = Rules(1, 2016, contract_domain=(CONTRACT,))
VALIDATORS = Validators(3, b"\5" * 32, b"\6" * 32)
DESTINATIONS = {"ledger": b"\x11" * 20, "contract": CONTRACT, "creation": None}


def transaction(kind: str, nonce: int) -> Transaction:
    """Return a transaction as far as sealing looks at one: raw bytes and destination."""
    raw = b"\2" + rlp.encode((nonce, kind.encode(), bytes(nonce % 40)))
    return Transaction(
        raw, keccak(raw), 2, 2016, nonce, 0, 0, 21_000, DESTINATIONS[kind], 0, b"", (), 0, 1, 1, b"\7" * 20
    )


def genesis() -> SealedBlock:
    """Return a block 0."""
    return genesis_block(
        file_hash=b"\1" * 32, timestamp=100, state_root=b"\2" * 32, rules=RULES, validators_hash=b"\3" * 32
    )


def child(parent: SealedBlock, kinds: list[str]) -> SealedBlock:
    """Return a block of transactions of these kinds over `parent`."""
    transactions = [transaction(kind, nonce) for nonce, kind in enumerate(kinds)]
    receipts = tuple(
        make_receipt(2, 1, 21_000 * (i + 1), [Log(b"\x11" * 20, (bytes((i,)) * 32,), b"")]) for i in range(len(kinds))
    )
    return seal(
        Parent(parent.header, parent.record, parent.history),
        timestamp=parent.header.timestamp,
        transactions=transactions,
        executed=Executed(receipts, 21_000 * len(kinds), b"\4" * 32),
        rules=RULES,
        validators=VALIDATORS,
    )


def oracle_root(values: list[bytes]) -> bytes:
    """Return the root of a list by py-trie."""
    trie = HexaryTrie({})
    for index, value in enumerate(values):
        trie[rlp.encode(index)] = value
    return bytes(trie.root_hash)


def test_genesis_binds_the_genesis_file_and_has_no_heads() -> None:
    block = genesis()
    assert block.header.parent_hash == b"\1" * 32
    assert block.header.number == 0
    assert (block.record.contract_head, block.record.ledger_head) == (NO_HEAD, NO_HEAD)
    assert block.record.history_root == mmr.EMPTY.root
    assert block.header.extra_data == block.record.digest


@given(st.lists(st.lists(st.sampled_from(sorted(DESTINATIONS)), max_size=6), max_size=6))
@settings(max_examples=40, deadline=None)
def test_the_chains_are_subsequences_and_the_history_holds_both(heights: list[list[str]]) -> None:
    block, leaves = genesis(), list[bytes]()
    heads = {Chain.CONTRACT: NO_HEAD, Chain.LEDGER: NO_HEAD}
    nodes: dict[mmr.Position, bytes] = {}
    for kinds in heights:
        parent, block = block, child(block, kinds)
        assert block.header.parent_hash == parent.header.hash
        assert block.header.transactions_root == oracle_root(list(block.transactions))
        assert block.header.receipts_root == oracle_root([receipt.encode() for receipt in block.receipts])
        assert sorted(i for members in block.members for i in members) == list(range(len(kinds)))
        assert [part.chain for part in block.chain_blocks] == sorted(part.chain for part in block.chain_blocks)
        for part, members in zip(block.chain_blocks, block.members, strict=True):
            wanted = [i for i, kind in enumerate(kinds) if (kind == "ledger") == (part.chain is Chain.LEDGER)]
            assert list(members) == wanted
            assert (part.number, part.parent_hash) == (heads[part.chain].number + 1, heads[part.chain].hash)
            assert part.height == block.header.number
            assert part.transactions_root == oracle_root([block.transactions[i] for i in wanted])
            assert part.receipts_root == oracle_root([block.receipts[i].encode() for i in wanted])
            assert decode_chain_block(part.encode()) == part
            heads[part.chain] = part.head
            leaves.append(mmr.leaf_hash(part.chain, part.number, part.hash))
        nodes.update(block.history_nodes)
        assert (block.record.contract_head, block.record.ledger_head) == (heads[Chain.CONTRACT], heads[Chain.LEDGER])
        assert (block.history, nodes) == mmr.rebuild(leaves)
        assert block.record.history_root == block.history.root
        assert block.header.extra_data == block.record.digest


def test_one_order_gives_one_block_and_another_order_another() -> None:
    kinds = ["ledger", "contract", "ledger", "creation"]
    assert child(genesis(), kinds) == child(genesis(), kinds)
    assert child(genesis(), kinds).header.hash != child(genesis(), kinds[::-1]).header.hash


def test_routing_looks_at_the_entry_point_alone() -> None:
    assert route(None, ()) is Chain.CONTRACT
    assert route(CONTRACT, (CONTRACT,)) is Chain.CONTRACT
    assert route(CONTRACT, ()) is Chain.LEDGER


def test_a_chain_block_is_strict_and_domain_separated() -> None:
    block = ChainBlock(Chain.LEDGER, 1, bytes(32), 5, b"\1" * 32, b"\2" * 32)
    assert block.hash == keccak(DOMAIN + block.encode())
    assert ChainBlock(Chain.CONTRACT, 1, bytes(32), 5, b"\1" * 32, b"\2" * 32).hash != block.hash
    shapes: list[tuple[object, ...]] = [
        (2, 1, bytes(32), 5, b"\1" * 32, b"\2" * 32),
        (1, 1, bytes(31), 5, b"\1" * 32, b"\2" * 32),
        (1, 1, bytes(32), 5, b"\1" * 32),
        (1, 1, bytes(32), [], b"\1" * 32, b"\2" * 32),
    ]
    for items in shapes:
        with pytest.raises(rlp.InvalidRlp):
            decode_chain_block(rlp.encode(items))


def test_a_body_reads_back_and_every_single_byte_of_it_is_bound() -> None:
    block = child(genesis(), ["ledger", "contract"])
    body = encode_body(block.header, block.transactions)
    assert decode_body(body) == (block.header, block.transactions)
    assert hash_of_body(body) == block.header.hash
    for at in range(len(body)):
        altered = body[:at] + bytes((body[at] ^ 1,)) + body[at + 1 :]
        assert hash_of_body(altered) != block.header.hash


def test_a_malformed_body_is_refused() -> None:
    block = child(genesis(), ["ledger", "contract"])
    header, raws = block.header.encode(), rlp.encode(list(block.transactions))
    for body in (
        b"",
        header,
        rlp.encode_list([header]),
        rlp.encode_list([header, raws, b"\x80"]),
        rlp.encode_list([header, rlp.encode([[block.transactions[0]], block.transactions[1]])]),
        rlp.encode_list([header, rlp.encode([block.transactions[0]])]),
        rlp.encode_list([header, rlp.encode(list(block.transactions[::-1]))]),
        rlp.encode_list([header, raws]) + b"\0",
    ):
        with pytest.raises(InvalidBody, match="body: "):
            decode_body(body)
        assert hash_of_body(body) is None
