"""Where instructions begin, asked in any order, against one plain pass over the code."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from node.state.code import CHUNK_BYTES, Instructions, beginnings

PUSHY = st.sampled_from([0x5B, 0x60, 0x61, 0x6F, 0x7E, 0x7F, 0x00])
CODES = st.one_of(
    st.binary(max_size=5 * CHUNK_BYTES),
    st.lists(PUSHY, max_size=5 * CHUNK_BYTES).map(bytes),
    st.tuples(st.binary(max_size=40), st.integers(0, 6 * CHUNK_BYTES)).map(lambda each: each[0] * 20 + bytes(each[1])),
)


def plain(code: bytes) -> set[int]:
    found, at = set(), 0
    while at < len(code):
        found.add(at)
        at += code[at] - 0x5E if 0x60 <= code[at] <= 0x7F else 1
    return found


@given(CODES, st.randoms(use_true_random=False))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_instructions_are_found_whatever_is_asked_first(code: bytes, chance: Random) -> None:
    expected, positions = plain(code), list(range(len(code)))
    chance.shuffle(positions)
    for known in (Instructions(code), Instructions(code, beginnings(code))):
        for position in positions:
            assert known.begin_at(position) == (position in expected)
