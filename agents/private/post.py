"""Sends what a household says in private: through two relays of other members, among cover packets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from agents.private.mail import ENVELOPE_BYTES, seal_envelope
from agents.private.packets import CONTENT_BYTES, Kind, Relay, draw_relays, seal_packet
from agents.private.relay import RELAY, Deliver, wrap

ATTEMPTS = 3  # pairs of relays that are tried when the first of a pair cannot be reached
COVERS_OF_WINDOW = 8  # about what a household that trades once sends in a window


class NoRelay(OSError):
    """No relay took the packet."""


class Post:
    """A household's way out.

    Args:
        own: its account: it never relays for itself.
        directory: the members' relays as they are now.
        deliver: sends content to an agent at an endpoint; False if it cannot be reached.
        rng: draws relays and slots.
    """

    def __init__(
        self, own: bytes, directory: Callable[[], Mapping[bytes, Relay]], *, deliver: Deliver, rng: Random
    ) -> None:
        self._own = own
        self._directory = directory
        self._deliver = deliver
        self._rng = rng

    async def submit(self, transaction: bytes) -> None:
        """Have a transaction submitted by the node of another member.

        Raises:
            ValueError: it is longer than a packet holds, or there are fewer than two other members.
            NoRelay: none could be reached.
        """
        if len(transaction) > CONTENT_BYTES:
            raise ValueError(f"transaction of {len(transaction)} bytes: expected at most {CONTENT_BYTES}")
        await self._send(Kind.SUBMIT, transaction)

    async def write(self, message: dict[str, Any], contact: bytes) -> None:
        """Send a message to the session with this contact key.

        Raises:
            MessageTooLong, InvalidRelayKey: it cannot be sealed.
            NoRelay: none could be reached.
        """
        await self._send(Kind.DELIVER, seal_envelope(message, contact))

    async def cover(self) -> None:
        """Send a packet that says nothing.

        Raises:
            NoRelay: none could be reached.
        """
        await self._send(Kind.COVER, bytes(ENVELOPE_BYTES))

    def slot(self, first_s: float, last_s: float) -> float:
        """Return an instant between two, drawn uniformly."""
        return self._rng.uniform(first_s, max(first_s, last_s))

    async def _send(self, kind: Kind, content: bytes) -> None:
        for _ in range(ATTEMPTS):
            first, second = draw_relays(self._directory(), self._own, self._rng)
            packet = seal_packet(kind, content, first, second)
            if await self._deliver(first.endpoint, RELAY, wrap(packet)):
                return
        raise NoRelay(f"no relay took a packet in {ATTEMPTS} attempts")
