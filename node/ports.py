"""The driver's ports in a real process: timers on the event loop, the p2p network, the database."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from consensus.codec import Tag
from consensus.inputs import Timer, TimerKind
from node.p2p import Channel, PeerNetwork
from node.storage import CorruptValue, NotKept, Store

CATCH_UP_BYTES = 2 * 1024 * 1024  # of blocks waiting for one peer: a request is answered with half of it

log = logging.getLogger("node")


class LoopClock:
    """The driver's timers on the event loop; at most one of each kind runs."""

    def __init__(self, fire: Callable[[Timer], None]) -> None:
        self._fire = fire
        self._running: dict[TimerKind, asyncio.TimerHandle] = {}

    def schedule(self, timer: Timer, delay_ms: int) -> None:
        """Start `timer`, in place of the one of its kind that may be running."""
        self.cancel(timer.kind)
        loop = asyncio.get_running_loop()
        self._running[timer.kind] = loop.call_later(delay_ms / 1000, self._fired, timer)

    def cancel(self, kind: TimerKind) -> None:
        """Stop the timer of a kind, if one is running."""
        handle = self._running.pop(kind, None)
        if handle is not None:
            handle.cancel()

    def close(self) -> None:
        """Stop every timer."""
        for kind in list(self._running):
            self.cancel(kind)

    def _fired(self, timer: Timer) -> None:
        self._running.pop(timer.kind, None)
        self._fire(timer)


class PeerTransport:
    """The driver's transport over the p2p network."""

    def __init__(self, network: PeerNetwork) -> None:
        self._network = network

    def send(self, node_key: bytes, payload: bytes) -> None:
        """Send to one validator; what is lost is sent again by STATUS, and a block that is not sent is asked for again.

        A peer that asks faster than its line takes gets no more for the moment, so that its votes do not wait.
        """
        bulk = payload[0] in (Tag.CERTIFIED_BLOCK, Tag.BODY)
        if bulk and self._network.waiting_bytes(node_key, Channel.CONSENSUS) > CATCH_UP_BYTES:
            return
        self._network.send(node_key, Channel.CONSENSUS, payload)

    def broadcast(self, payload: bytes) -> None:
        """Send to all others."""
        self._network.broadcast(Channel.CONSENSUS, payload)


class StoreArchive:
    """Committed blocks for peers that lag behind."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def certified_block(self, height: int) -> tuple[bytes, bytes] | None:
        """Return (body, encoded certificate) of a committed height; None if there is none."""
        try:
            with self._store.read() as view:
                certificate = view.certificate(height)
                return None if certificate is None else (view.body(height), certificate)
        except NotKept:
            return None
        except CorruptValue as error:  # others can serve this height; whoever audits us will name it
            log.warning("cannot serve a block", extra={"height": height, "reason": str(error)})
            return None
