"""py-evm's code stream, with our search for jump destinations: its own recurses, so that hostile code overflows it."""

from __future__ import annotations

from functools import lru_cache

from eth.vm.code_stream import CodeStream

from node.state.code import Instructions

CACHED_CODES = 512  # of at most 49 kB each


@lru_cache(maxsize=CACHED_CODES)
def _instructions(code: bytes) -> Instructions:
    return Instructions(code)


class LinearCode(CodeStream):
    """A code stream whose jump destinations are judged by `Instructions`; the stock loop's."""

    def is_valid_opcode(self, position: int) -> bool:
        """Return whether an instruction stands at `position`."""
        return position < self._length_cache and _instructions(self._raw_code_bytes).begin_at(position)
