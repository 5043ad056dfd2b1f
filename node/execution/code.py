"""Where code may be jumped to, found as far as it is asked for.

py-evm's own search recurses, so that hostile code overflows it, and a pass over all of a large contract in Python takes
longer than the gas of a call to it pays for. Here a regular expression walks over whole instructions, and only the
sixty-four bytes around a target are looked at one by one.
"""

from __future__ import annotations

import re
from functools import lru_cache

from eth.vm.code_stream import CodeStream

JUMPDEST, PUSH1, PUSH32 = 0x5B, 0x60, 0x7F
PADDING = bytes(33)
"""Zeros behind code read as STOP, also those behind a PUSH32 that is its last byte."""
CHUNK_BYTES = 64
CACHED_CODES = 512  # of at most 49 kB each, and as much again for what is found: 50 MB at the very most

_PUSHES = b"|".join(b"(?:%s.{%d})++" % (re.escape(bytes((PUSH1 + n - 1,))), n) for n in range(1, 33))
_INSTRUCTIONS = re.compile(rb"(?:[^\x60-\x7f]++|" + _PUSHES + rb")*+", re.DOTALL)
"""As many whole instructions as there are: what it matches ends where an instruction begins."""
_LENGTH = bytes(op - PUSH1 + 2 if PUSH1 <= op <= PUSH32 else 1 for op in range(256))


class Instructions:
    """Which bytes of a code are instructions, and which the data of a PUSH (yellow paper §9.4.3)."""

    def __init__(self, code: bytes) -> None:
        self._code = code
        self._begins = [0]  # by chunk, where the first instruction begins that a walk through it meets
        self._known = bytearray(len(code) // CHUNK_BYTES + 1)
        self._starts = bytearray(len(code))

    def begin_at(self, position: int) -> bool:
        """Return whether an instruction begins at a position of the code."""
        chunk = position // CHUNK_BYTES
        if not self._known[chunk]:
            self._look_at(chunk)
        return self._starts[position] == 1

    def _look_at(self, chunk: int) -> None:
        code, begins, starts = self._code, self._begins, self._starts
        while len(begins) <= chunk:
            match = _INSTRUCTIONS.match(code, begins[-1], len(begins) * CHUNK_BYTES)
            begins.append(begins[-1] if match is None else match.end())
        at, end = begins[chunk], min((chunk + 1) * CHUNK_BYTES, len(code))
        while at < end:
            starts[at] = 1
            at += _LENGTH[code[at]]
        self._known[chunk] = 1


@lru_cache(maxsize=CACHED_CODES)
def instructions(code: bytes) -> Instructions:
    """Return what is known of a code."""
    return Instructions(code)


class LinearCode(CodeStream):
    """A code stream whose jump destinations are judged by `Instructions`."""

    def is_valid_opcode(self, position: int) -> bool:
        """Return whether an instruction stands at `position`."""
        return position < self._length_cache and instructions(self._raw_code_bytes).begin_at(position)
