"""The Mountain Range as an auditor meets it: proofs that were altered, of other sizes, other leaves, other shapes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_hash.auto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from node.chain import mmr


def naive_root(leaves: list[bytes]) -> bytes:
    """Return the root from its definition: perfect trees over the binary digits of the size, largest first."""
    peaks, start = [], 0
    for height in reversed(range(len(leaves).bit_length())):
        if len(leaves) >> height & 1:
            row = leaves[start : start + (1 << height)]
            start += 1 << height
            while len(row) > 1:
                row = [keccak(mmr.NODE + a + b) for a, b in zip(row[::2], row[1::2], strict=True)]
            peaks += row
    return keccak(mmr.ROOT + len(leaves).to_bytes(8, "big") + b"".join(peaks))


LEAVES = [mmr.leaf_hash(i % 2, i // 2, keccak(bytes((i,)))) for i in range(130)]


@pytest.mark.parametrize("size", [*range(20), 63, 64, 65, 127, 128, 130])
def test_the_root_is_that_of_the_definition(size: int) -> None:
    current, nodes = mmr.rebuild(LEAVES[:size])
    assert current.root == naive_root(LEAVES[:size])
    assert len(current.peaks) == size.bit_count()
    assert current.peaks == tuple(nodes[at] for at in mmr.peak_positions(size))


@given(st.integers(1, 130), st.data())
@settings(max_examples=120, deadline=None)
def test_a_proof_is_short_and_any_change_to_it_changes_the_root(size: int, data: st.DataObject) -> None:
    current, nodes = mmr.rebuild(LEAVES[:size])
    index = data.draw(st.integers(0, size - 1))
    proof = mmr.prove(size, index, nodes.__getitem__)
    assert mmr.proved_root(proof, LEAVES[index]) == current.root
    assert len(proof.siblings) + len(proof.peaks) <= 2 * size.bit_length()
    hashes = [*proof.siblings, *proof.peaks]
    if hashes:
        at = data.draw(st.integers(0, len(hashes) - 1))
        hashes[at] = bytes((hashes[at][0] ^ 1,)) + hashes[at][1:]
        cut = len(proof.siblings)
        altered = replace(proof, siblings=tuple(hashes[:cut]), peaks=tuple(hashes[cut:]))
        assert mmr.proved_root(altered, LEAVES[index]) != current.root
    for other in (
        replace(proof, index=(index + 1) % size),
        replace(proof, size=size + 1),
        replace(proof, size=size - 1),
    ):
        if other == proof:
            continue
        try:
            assert mmr.proved_root(other, LEAVES[index]) != current.root
        except ValueError:
            pass  # of another shape than its size and index ask for


@pytest.mark.parametrize("index", [5, 4, 0])
def test_a_proof_of_another_shape_is_refused(index: int) -> None:
    _, nodes = mmr.rebuild(LEAVES[:6])
    proof = mmr.prove(6, index, nodes.__getitem__)
    for wrong in (
        replace(proof, siblings=(*proof.siblings, bytes(32))),
        replace(proof, siblings=proof.siblings[1:]),
        replace(proof, peaks=(*proof.peaks, bytes(32))),
        replace(proof, peaks=()),
    ):
        with pytest.raises(ValueError, match="expected"):
            mmr.proved_root(wrong, LEAVES[index])
    with pytest.raises(ValueError, match="no leaf 6"):
        mmr.proved_root(replace(proof, index=6), LEAVES[0])


def test_a_leaf_is_bound_to_its_chain_and_its_number_and_is_no_inner_node() -> None:
    digest = keccak(b"block")
    leaves = {mmr.leaf_hash(chain, number, digest) for chain in (0, 1) for number in (1, 2, 256)}
    assert len(leaves) == 6
    current, _ = mmr.rebuild(LEAVES[:2])
    assert current.peaks[0] == keccak(mmr.NODE + LEAVES[0] + LEAVES[1])
    assert current.peaks[0] != keccak(LEAVES[0] + LEAVES[1])
    assert mmr.Range(1, current.peaks).root != current.root


def test_appending_writes_each_node_once() -> None:
    current, seen = mmr.EMPTY, set[mmr.Position]()
    for leaf in LEAVES:
        current, added = current.append(leaf)
        assert not seen & set(added)
        seen |= set(added)
    assert len(seen) == sum(len(LEAVES) >> height for height in range(len(LEAVES).bit_length()))
