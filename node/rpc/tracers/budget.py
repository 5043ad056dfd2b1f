"""How much a trace may hold: a call that costs a hundred gas may bring a megabyte of input."""

from __future__ import annotations

from node.rpc.errors import LimitExceeded

MAX_TRACE_BYTES = 24 * 1024 * 1024  # of JSON, about; an answer may have 25 (`max_response_bytes`)


class TraceBudget:
    """The characters that all traces of one request may take together."""

    def __init__(self, most: int = MAX_TRACE_BYTES) -> None:
        self._most = self._left = most

    def spend(self, characters: int) -> None:
        """Take up room.

        Raises:
            LimitExceeded: there is too little.
        """
        self._left -= characters
        if self._left < 0:
            raise LimitExceeded(
                f"the trace is longer than {self._most} bytes; ask for less of it: another tracer, onlyTopCall, "
                "disableStack, disableStorage, limit, or one transaction of the block"
            )
