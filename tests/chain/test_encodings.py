"""RLP, blooms and the Merkle Mountain Range against other people's code and against a plain model."""

from __future__ import annotations

import pytest
import rlp as oracle
from eth_bloom.bloom import BloomFilter
from hypothesis import given, settings
from hypothesis import strategies as st

from node.chain import mmr, rlp
from node.chain.receipt import Log, Receipt, decode_stored, logs_bloom, make_receipt

ITEMS = st.recursive(st.binary(max_size=70), lambda inner: st.lists(inner, max_size=5), max_leaves=20)


def depth(item: object) -> int:
    return 1 + max((depth(part) for part in item), default=0) if isinstance(item, list) else 0


@given(ITEMS)
def test_rlp_is_the_oracles(item: rlp.Item) -> None:
    assert rlp.encode(item) == oracle.encode(item)
    if depth(item) <= rlp.MAX_DEPTH:
        assert rlp.decode(rlp.encode(item)) == item
    if isinstance(item, list):
        assert b"".join(rlp.split(rlp.encode(item))) == b"".join(rlp.encode(part) for part in item)


@given(st.binary(max_size=40))
@settings(max_examples=300)
def test_rlp_decodes_one_encoding_only(raw: bytes) -> None:
    try:
        item = rlp.decode(raw)
    except rlp.InvalidRlp:
        return
    assert rlp.encode(item) == raw


@pytest.mark.parametrize(
    "raw", ["", "8100", "b800", "b90001", "c101ff", "f800", "8180" + "00", "c0c0", "83aabb", "d0" * 12]
)
def test_rlp_refuses_what_is_not_canonical(raw: str) -> None:
    with pytest.raises(rlp.InvalidRlp):
        rlp.decode(bytes.fromhex(raw))


LOGS = st.lists(
    st.builds(
        Log,
        st.binary(min_size=20, max_size=20),
        st.lists(st.binary(min_size=32, max_size=32), max_size=4).map(tuple),
        st.binary(max_size=40),
    ),
    max_size=4,
)


@given(LOGS)
@settings(max_examples=40)
def test_bloom_is_the_oracles_and_receipts_read_back(logs: list[Log]) -> None:
    bloom = BloomFilter()
    for log in logs:
        bloom.add(log.address)
        bloom.extend(log.topics)
    assert logs_bloom(logs) == int(bloom).to_bytes(256, "big")
    receipt = make_receipt(2, 1, 21_000, logs)
    stored: Receipt = decode_stored(rlp.decode(receipt.encode_stored()))
    assert stored == receipt


def test_every_leaf_of_every_small_range_is_provable_and_bound() -> None:
    leaves = [mmr.leaf_hash(i % 2, i, bytes((i,)) * 32) for i in range(40)]
    current, nodes = mmr.EMPTY, dict[mmr.Position, bytes]()
    roots = set()
    for size, leaf in enumerate(leaves, start=1):
        current, added = current.append(leaf)
        nodes.update(added)
        roots.add(current.root)
        for index in range(size):
            proof = mmr.prove(size, index, nodes.__getitem__)
            assert mmr.proved_root(proof, leaves[index]) == current.root
            assert mmr.proved_root(proof, leaves[(index + 1) % 40]) != current.root
    assert len(roots) == 40
    assert mmr.rebuild(leaves)[0] == current
    with pytest.raises(ValueError, match="no leaf 40"):
        mmr.prove(40, 40, nodes.__getitem__)
