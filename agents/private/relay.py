"""A member's relay: takes the layer of a packet that is for it, waits a random time, and sends on what is left.

It answers nobody and writes nothing down: a sender cannot ask what became of its packet, and a relay that is taken has
nothing to tell. Who floods it is cut short by its own bounds, and only its packets are lost.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Any

from nacl.public import PrivateKey

from agents.messaging import CarefulAgent
from agents.private.packets import PACKET_BYTES, Arrived, Forward, Kind, Relay, open_packet, replay_mark

logger = logging.getLogger("gridpact.agents")

RELAY = "relay"
MAIL = "mail"
MAX_WAITING = 1024  # packets of eight kilobytes
MAX_WAITING_OF_PEER = 256  # of one host: a street behind one address still gets through
MAX_REMEMBERED = 16_384  # marks of packets that were taken; a day of a street of 64
MAX_DELAY_S = 10.0  # chain seconds: short beside a reply's time-out, long beside a packet's way

Deliver = Callable[[str, str, dict[str, Any]], Awaitable[object]]


def wrap(data: bytes) -> dict[str, Any]:
    """Return bytes as content of a message between agents."""
    return {"data": base64.b64encode(data).decode()}


def unwrap(content: object, length: int) -> bytes | None:
    """Return the bytes that a message carries; None unless they are exactly `length`."""
    if not isinstance(content, dict) or set(content) != {"data"}:
        return None
    text = content["data"]
    if not isinstance(text, str) or len(text) != -(-length // 3) * 4:
        return None
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if len(data) == length else None


class Seen:
    """Remembers the newest marks that it was shown.

    Args:
        most: how many; the oldest go first.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._marks: OrderedDict[bytes, None] = OrderedDict()

    def add(self, mark: bytes) -> bool:
        """Return whether a mark is new, and remember it."""
        if mark in self._marks:
            return False
        self._marks[mark] = None
        if len(self._marks) > self._most:
            self._marks.popitem(last=False)
        return True


class RelayAgent(CarefulAgent):
    """Relays packets for others.

    Args:
        secret: of this relay.
        directory: the members' relays as they are now, this one among them.
        deliver: sends content to an agent at an endpoint.
        submit: hands a signed transaction (or a call without an account) to the own node.
        pause: returns after this many chain seconds.
        rng: draws the waiting times.
        envelope_bytes: the one length of an envelope.
    """

    def __init__(
        self,
        secret: PrivateKey,
        directory: Callable[[], Mapping[bytes, Relay]],
        *,
        deliver: Deliver,
        submit: Callable[[bytes], Awaitable[None]],
        pause: Callable[[float], Awaitable[None]],
        rng: Random,
        envelope_bytes: int,
    ) -> None:
        super().__init__()
        self._secret = secret
        self._directory = directory
        self._deliver = deliver
        self._submit = submit
        self._pause = pause
        self._rng = rng
        self._envelope_bytes = envelope_bytes
        self._seen = Seen(MAX_REMEMBERED)
        self._waiting: Counter[str] = Counter()

    @property
    def waiting(self) -> int:
        """How many packets wait here."""
        return self._waiting.total()

    def handle_message(self, content: Any, meta: dict[str, Any]) -> None:
        """Take a packet of a peer, if there is room for one of its."""
        peer = str(meta.get("peer", ""))
        if self.waiting >= MAX_WAITING or self._waiting[peer] >= MAX_WAITING_OF_PEER:
            return
        packet = unwrap(content, PACKET_BYTES)
        if packet is None:
            return
        opened = open_packet(packet, self._secret)
        if opened is None or not self._seen.add(replay_mark(packet)):
            return
        self._waiting[peer] += 1
        self.soon(self._pass_on(opened, peer))

    async def _pass_on(self, opened: Forward | Arrived, peer: str) -> None:
        try:
            await self._pause(self._rng.uniform(0.0, MAX_DELAY_S))
            match opened:
                case Forward(account, packet):
                    relay = self._directory().get(account)
                    if relay is not None:
                        await self._deliver(relay.endpoint, RELAY, wrap(packet))
                case Arrived(Kind.SUBMIT, content):
                    await self._submit(content)
                case Arrived(Kind.DELIVER, content) if len(content) == self._envelope_bytes:
                    endpoints = sorted({relay.endpoint for relay in self._directory().values()})
                    await asyncio.gather(*(self._deliver(endpoint, MAIL, wrap(content)) for endpoint in endpoints))
                case _:
                    pass
        except Exception:  # whatever a packet holds, the relay goes on
            logger.exception("a packet was lost")
        finally:
            self._waiting[peer] -= 1
            if not self._waiting[peer]:
                del self._waiting[peer]
