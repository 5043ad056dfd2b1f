"""How far a node that is behind has caught up: `eth_syncing`, and the subscription of the same name."""

from __future__ import annotations

from dataclasses import dataclass

from node.rpc.backend import Backend
from node.rpc.formats import Json, to_quantity


@dataclass(frozen=True, slots=True)
class Progress:
    """Heights: where the node stood when it fell behind, where it stands, and the highest that it has heard of."""

    start: int
    head: int
    target: int

    def json(self) -> dict[str, Json]:
        """Return it as `eth_syncing` does."""
        return {
            "startingBlock": to_quantity(self.start),
            "currentBlock": to_quantity(self.head),
            "highestBlock": to_quantity(self.target),
        }


class SyncWatch:
    """Remembers where the node stood when it was last beside the others; `look` after every commit.

    Args:
        backend: the node.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._start = self._head()

    def look(self) -> Progress | None:
        """Return the progress; None if the node is not behind."""
        head, target = self._head(), self._backend.status().target_height
        if target is None or target <= head:
            self._start = head
            return None
        return Progress(self._start, head, target)

    def _head(self) -> int:
        with self._backend.store.read() as view:
            return view.head_height
