"""The batched trie against py-trie: same roots, and exactly the nodes of a fresh build."""

from __future__ import annotations

from eth_hash.auto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st
from trie.hexary import HexaryTrie

from node.chain import rlp
from node.state.account import EMPTY_ROOT
from node.state.trie import Trie, build, list_root, list_trie, proved_value

KEYS = st.sampled_from([keccak(bytes((i,))) for i in range(48)] + [bytes((0xAB,)) * 31 + bytes((i,)) for i in range(8)])
VALUES = st.one_of(st.just(b""), st.binary(min_size=1, max_size=3), st.binary(min_size=30, max_size=80))
BATCHES = st.lists(st.dictionaries(KEYS, VALUES, max_size=30), max_size=5)


class Nodes(dict[bytes, bytes]):
    def node(self, key: bytes) -> bytes | None:
        return self.get(key)


@settings(max_examples=150, deadline=None)
@given(BATCHES)
def test_batches_give_the_oracles_root_and_leave_no_garbage(batches: list[dict[bytes, bytes]]) -> None:
    stored, oracle, flat, root = Nodes(), HexaryTrie({}), dict[bytes, bytes](), EMPTY_ROOT
    for batch in batches:
        trie = Trie(b"", stored, root)
        for key, value in batch.items():
            trie.put(key, value)
            oracle[key] = value
            flat[key] = value
        root, changed = trie.finish()
        for path, node in changed.items():
            if node is None:
                del stored[path]
            else:
                stored[path] = node
        flat = {key: value for key, value in flat.items() if value}
        assert root == oracle.root_hash
        fresh_root, fresh = build(flat.items())
        assert fresh_root == root
        assert dict(fresh) == dict(stored)
        for key in batch:
            assert Trie(b"", stored, root).get(key) == flat.get(key, b"")


@given(st.lists(st.binary(min_size=1, max_size=60), max_size=140))
@settings(max_examples=30, deadline=None)
def test_list_root_is_the_oracles(values: list[bytes]) -> None:
    oracle = HexaryTrie({})
    for index, value in enumerate(values):
        oracle[rlp.encode(index)] = value
    assert list_root(values) == oracle.root_hash


def test_proofs_lead_to_their_value_and_nowhere_else() -> None:
    values = [bytes((i,)) * (i % 40 + 1) for i in range(130)]
    trie = list_trie(values)
    root, _ = trie.finish()
    for index in (0, 1, 127, 128, 129):
        key = rlp.encode(index)
        assert proved_value(root, key, trie.prove(key)) == values[index]
    absent = rlp.encode(500)
    assert proved_value(root, absent, trie.prove(absent)) == b""
