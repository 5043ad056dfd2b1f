"""Code with its jump destinations found in one pass: py-evm's own search recurses, and hostile code overflows it."""

from __future__ import annotations

import re
from functools import lru_cache

from eth.vm.code_stream import CodeStream

JUMPDEST, PUSH1 = 0x5B, 0x60
PADDING = bytes(33)
"""Zeros behind code read as STOP, also those behind a PUSH32 that is its last byte."""
CACHED_CODES = 512  # of at most 49 kB each, and the code itself as the key: 50 MB at the very most
_PUSH = re.compile(rb"[\x60-\x7f]")


@lru_cache(maxsize=CACHED_CODES)
def instruction_map(code: bytes) -> bytes:
    """Return a byte for each of `code`: 1 for an instruction, 0 for the data of a PUSH (yellow paper §9.4.3)."""
    found = bytearray(b"\1" * len(code))
    push = _PUSH.search(code)
    while push is not None:
        first = push.start() + 1
        last = min(first + code[push.start()] - PUSH1 + 1, len(code))
        found[first:last] = bytes(last - first)
        push = _PUSH.search(code, last)
    return bytes(found)


class LinearCode(CodeStream):
    """A code stream whose jump destinations are judged by `instruction_map`."""

    def is_valid_opcode(self, position: int) -> bool:
        """Return whether an instruction stands at `position`."""
        return position < self._length_cache and instruction_map(self._raw_code_bytes)[position] == 1
