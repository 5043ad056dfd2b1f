"""Where instructions begin in a contract's code, and where data of a PUSH lies (yellow paper §9.4.3).

A pass over a large contract takes longer than the gas of a call to it pays for. So where the instruction begins that
holds the first byte of each chunk of 64 is kept with the code, and only the chunk of a jump's target is walked through.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

PUSH1, PUSH32 = 0x60, 0x7F
CHUNK_BYTES = 64

_PUSHES = b"|".join(b"(?:%s.{%d})++" % (re.escape(bytes((PUSH1 + n - 1,))), n) for n in range(1, 33))
_INSTRUCTIONS = re.compile(rb"(?:[^\x60-\x7f]++|" + _PUSHES + rb")*+", re.DOTALL)
"""As many whole instructions as there are: what it matches ends where an instruction begins."""
_LENGTH = bytes(op - PUSH1 + 2 if PUSH1 <= op <= PUSH32 else 1 for op in range(256))


def beginnings(code: bytes) -> bytes:
    """Return, for each chunk of a code, how far before its first byte the instruction begins that holds it: 0 to 32."""
    return bytes(CHUNK_BYTES * chunk - begin for chunk, begin in enumerate(_walk([0], code, len(code) // CHUNK_BYTES)))


def _walk(begins: list[int], code: bytes, chunk: int) -> list[int]:
    """Extend the positions of the instructions that hold the chunks' first bytes up to a chunk."""
    while len(begins) <= chunk:
        match = _INSTRUCTIONS.match(code, begins[-1], len(begins) * CHUNK_BYTES)
        begins.append(begins[-1] if match is None else match.end())
    return begins


class Instructions:
    """Which bytes of a code are instructions, found as far as it is asked for.

    Args:
        code: the code.
        kept: what `beginnings` says of it, if that is known.
    """

    def __init__(self, code: bytes, kept: Sequence[int] | None = None) -> None:
        self._code = code
        self._kept = kept
        self._begins = [0]
        self._chunks: dict[int, int] = {}  # by chunk, a bit for each byte at which an instruction begins

    def begin_at(self, position: int) -> bool:
        """Return whether an instruction begins at a position of the code."""
        chunk, within = divmod(position, CHUNK_BYTES)
        bits = self._chunks.get(chunk)
        if bits is None:
            bits = self._chunks[chunk] = self._look_at(chunk)
        return bits >> within & 1 == 1

    def _look_at(self, chunk: int) -> int:
        code, first = self._code, chunk * CHUNK_BYTES
        at = _walk(self._begins, code, chunk)[chunk] if self._kept is None else first - self._kept[chunk]
        if at < first:
            at += _LENGTH[code[at]]
        bits, end = 0, min(first + CHUNK_BYTES, len(code))
        while at < end:
            bits |= 1 << at - first
            at += _LENGTH[code[at]]
        return bits
