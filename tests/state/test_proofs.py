"""Merkle-Patricia proofs as a stranger hands them over: py-trie accepts ours, and altered ones prove nothing false."""

from __future__ import annotations

import pytest
from eth_hash.auto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st
from trie.hexary import HexaryTrie

from node.chain import rlp
from node.state.account import EMPTY_ROOT
from node.state.trie import InvalidProof, list_trie, nibbles, node_key, proved_value

VALUES = [bytes((i % 251,)) * (i % 45 + 1) for i in range(300)]


@given(st.integers(1, 300), st.data())
@settings(max_examples=60, deadline=None)
def test_py_trie_reads_our_proofs_and_an_altered_one_proves_no_other_value(size: int, data: st.DataObject) -> None:
    trie = list_trie(VALUES[:size])
    root, _ = trie.finish()
    index = data.draw(st.integers(0, size - 1))
    key = rlp.encode(index)
    proof = trie.prove(key)
    theirs = HexaryTrie.get_from_proof(root, key, [_nested(raw) for raw in proof])  # type: ignore[no-untyped-call]
    assert theirs == VALUES[index]
    at = data.draw(st.integers(0, len(proof) - 1))
    place = data.draw(st.integers(0, len(proof[at]) - 1))
    altered = list(proof)
    altered[at] = proof[at][:place] + bytes((proof[at][place] ^ 1,)) + proof[at][place + 1 :]
    with pytest.raises(InvalidProof, match="is missing"):
        proved_value(root, key, altered)


def _nested(raw: bytes) -> rlp.Item:
    return rlp.decode(raw)


def test_a_proof_does_not_serve_another_root_or_key() -> None:
    trie = list_trie(VALUES[:40])
    root, _ = trie.finish()
    proof = trie.prove(rlp.encode(3))
    with pytest.raises(InvalidProof):
        proved_value(keccak(b"another"), rlp.encode(3), proof)
    with pytest.raises(InvalidProof):
        proved_value(root, rlp.encode(3), proof[:-1])
    with pytest.raises(InvalidProof):
        proved_value(root, rlp.encode(30), proof)


@pytest.mark.parametrize("raw", [b"", b"\x80", b"\xc0", b"\xc1\x80", rlp.encode([b"\1", b"\2", b"\3"]), b"\xff" * 40])
def test_a_root_that_is_no_node_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidProof):
        proved_value(keccak(raw), b"key", [raw])


def test_paths_have_one_storage_key_each() -> None:
    paths = {b"".join(bytes((d,)) for d in digits) for digits in ((), (0,), (0, 0), (0, 0, 0), (1,), (1, 0), (15, 15))}
    owners = (b"", keccak(b"owner"))
    assert len({node_key(owner, path) for owner in owners for path in paths}) == 2 * len(paths)
    assert nibbles(b"\x0f\xa0") == bytes((0, 15, 10, 0))
    assert list_trie([]).finish() == (EMPTY_ROOT, {})
