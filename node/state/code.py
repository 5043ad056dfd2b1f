"""Where instructions begin in a contract's code, and where data of a PUSH lies (yellow paper §9.4.3).

A pass over a large contract takes longer than the gas of a call to it pays for. So what it finds is kept with the code,
a bit a byte. Init code is run once and never kept: of it, only those chunks of 64 bytes are walked through that are
jumped into.
"""

from __future__ import annotations

import re

PUSH1, PUSH32 = 0x60, 0x7F
CHUNK_BYTES = 64

_PUSHES = b"|".join(b"(?:%s.{%d})++" % (re.escape(bytes((PUSH1 + n - 1,))), n) for n in range(1, 33))
_INSTRUCTIONS = re.compile(rb"(?:[^\x60-\x7f]++|" + _PUSHES + rb")*+", re.DOTALL)
"""As many whole instructions as there are: what it matches ends where an instruction begins."""


_LENGTH = bytes(op - PUSH1 + 2 if PUSH1 <= op <= PUSH32 else 1 for op in range(256))


def beginnings(code: bytes) -> bytes:
    """Return a bit for each byte of a code, the lowest of a byte first: 1 where an instruction begins."""
    marks, at, length = bytearray(len(code)), 0, _LENGTH
    while at < len(code):
        marks[at] = 1
        at += length[code[at]]
    bits = int(marks[::-1].translate(_DIGITS) or b"0", 2)
    return bits.to_bytes((len(code) + 7) // 8, "little")


_DIGITS = bytes(0x30 + (number & 1) for number in range(256))


class Instructions:
    """Which bytes of a code are instructions, found as far as it is asked for.

    Args:
        code: the code.
        kept: what `beginnings` says of it, if that is known.
    """

    def __init__(self, code: bytes, kept: bytes | None = None) -> None:
        self._code = code
        self._kept = kept
        self._begins = [0]  # of the instructions that hold the chunks' first bytes
        self._known: dict[int, bool] = {}  # by position

    def begin_at(self, position: int) -> bool:
        """Return whether an instruction begins at a position of the code."""
        if self._kept is not None:
            return self._kept[position >> 3] >> (position & 7) & 1 == 1
        known = self._known.get(position)
        if known is None:
            known = self._known[position] = self._look_at(position)
        return known

    def _look_at(self, position: int) -> bool:
        chunk = position // CHUNK_BYTES
        while len(self._begins) <= chunk:
            self._begins.append(self._next(self._begins[-1], len(self._begins) * CHUNK_BYTES))
        return self._next(self._begins[chunk], position) == position

    def _next(self, begin: int, end: int) -> int:
        """Return where the instruction begins that holds the byte at `end`, given where an earlier one begins."""
        match = _INSTRUCTIONS.match(self._code, begin, end)
        return begin if match is None else match.end()
