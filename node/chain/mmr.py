"""Merkle Mountain Range over the block hashes of both chains: append-only, O(log n) proofs, the root binds the size.

Nodes are kept by (height of the subtree, index at that height); a mountain is a perfect binary tree. Leaves and inner
nodes are domain-separated, so that neither passes for the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from eth_hash.auto import keccak

LEAF = b"gridpact/mmr-leaf/v1"
NODE = b"gridpact/mmr-node/v1"
ROOT = b"gridpact/mmr-root/v1"

Position = tuple[int, int]  # (height of the subtree, index at that height)


def leaf_hash(chain: int, number: int, block_hash: bytes) -> bytes:
    """Return the leaf of block `number` of `chain`."""
    return keccak(LEAF + bytes((chain,)) + number.to_bytes(8, "big") + block_hash)


def _join(left: bytes, right: bytes) -> bytes:
    return keccak(NODE + left + right)


def peak_positions(size: int) -> list[Position]:
    """Return the positions of the mountains of a range with `size` leaves, left to right."""
    positions, before = [], 0
    for height in reversed(range(size.bit_length())):
        if size >> height & 1:
            positions.append((height, before >> height))
            before += 1 << height
    return positions


def root_of(size: int, peaks: tuple[bytes, ...]) -> bytes:
    """Return the root of a range with `size` leaves and the given peaks, left to right."""
    return keccak(ROOT + size.to_bytes(8, "big") + b"".join(peaks))


@dataclass(frozen=True, slots=True)
class Range:
    """The number of leaves and the peaks (32 bytes each, left to right): all that appending needs."""

    size: int
    peaks: tuple[bytes, ...]

    @property
    def root(self) -> bytes:
        """The root, which binds the size."""
        return root_of(self.size, self.peaks)

    def append(self, leaf: bytes) -> tuple[Range, dict[Position, bytes]]:
        """Return the range with one more leaf, and the nodes that are new."""
        added: dict[Position, bytes] = {(0, self.size): leaf}
        peaks = list(self.peaks)
        node, height, index = leaf, 0, self.size
        while self.size >> height & 1:
            node = _join(peaks.pop(), node)
            height, index = height + 1, index >> 1
            added[height, index] = node
        return Range(self.size + 1, (*peaks, node)), added


EMPTY = Range(0, ())


@dataclass(frozen=True, slots=True)
class HistoryProof:
    """That a leaf stands at `index` in a range of `size` leaves: siblings bottom up, and the other peaks in order."""

    size: int
    index: int
    siblings: tuple[bytes, ...]
    peaks: tuple[bytes, ...]


def _mountain(size: int, index: int) -> tuple[int, int]:
    """Return (place among the peaks, height) of the mountain that holds leaf `index`."""
    before = 0
    for place, (height, _) in enumerate(peak_positions(size)):
        if index < before + (1 << height):
            return place, height
        before += 1 << height
    raise ValueError(f"no leaf {index} in a range of {size}")


def prove(size: int, index: int, node: Callable[[Position], bytes]) -> HistoryProof:
    """Return the proof of leaf `index`, reading nodes by position.

    Raises:
        ValueError: there is no such leaf.
    """
    place, top = _mountain(size, index)
    siblings = tuple(node((height, (index >> height) ^ 1)) for height in range(top))
    others = tuple(node(at) for number, at in enumerate(peak_positions(size)) if number != place)
    return HistoryProof(size, index, siblings, others)


def proved_root(proof: HistoryProof, leaf: bytes) -> bytes:
    """Return the root that a proof gives for a leaf; compare it with a certified one.

    Raises:
        ValueError: the proof does not have the shape that its size and index ask for.
    """
    place, top = _mountain(proof.size, proof.index)
    if len(proof.siblings) != top or len(proof.peaks) != len(peak_positions(proof.size)) - 1:
        raise ValueError(f"expected {top} siblings, found {len(proof.siblings)}; {len(proof.peaks)} other peaks")
    node = leaf
    for height, sibling in enumerate(proof.siblings):
        right = proof.index >> height & 1
        node = _join(sibling, node) if right else _join(node, sibling)
    return root_of(proof.size, (*proof.peaks[:place], node, *proof.peaks[place:]))


def rebuild(leaves: list[bytes]) -> tuple[Range, Mapping[Position, bytes]]:
    """Return the range over `leaves` and all its nodes."""
    current, nodes = EMPTY, dict[Position, bytes]()
    for leaf in leaves:
        current, added = current.append(leaf)
        nodes.update(added)
    return current, nodes
