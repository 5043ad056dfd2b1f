"""Envelopes between sessions: a sealed box to a session's contact key, one size, handed to every household.

A household tries the contact keys of its open sessions on each envelope; the box tells neither from whom nor for whom
it is. The message inside is one of the ontology, signed by the sender's session key.

Whoever gets an envelope for the first time hands it on to a few others: a second relay that gives one to a single
household, to see whether its session answers, has given it to all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from nacl.public import PrivateKey

from agents.messaging import CarefulAgent
from agents.private.packets import BOX_BYTES, KEY_BYTES, Relay, open_box, seal_box
from agents.private.relay import MAIL, Deliver, Seen, unwrap

ENVELOPE_BYTES = 1_024
_ROOM_BYTES = ENVELOPE_BYTES - BOX_BYTES
MAX_MESSAGE_BYTES = _ROOM_BYTES - 2
MAX_SESSIONS = 8  # contact keys that are tried on an envelope: those of the windows under negotiation, and then some
MAX_REMEMBERED = 16_384  # envelopes that were handed in: those of some windows of a street of 64
HANDED_ON = 3  # others that an envelope is handed on to: enough that all get it whoever had it first
MAX_HANDING_ON = 64  # envelopes at a time; more are opened, but handed on no further


class MessageTooLong(ValueError):
    """A message does not fit into an envelope."""

    def __init__(self, length: int) -> None:
        super().__init__(f"message of {length} bytes: expected at most {MAX_MESSAGE_BYTES}")
        self.length = length


def seal_envelope(message: dict[str, Any], contact: bytes) -> bytes:
    """Return the envelope (1,024 bytes) of a message (plain JSON values) to a contact key (32 bytes).

    Raises:
        MessageTooLong: it does not fit.
        InvalidRelayKey: no box can be sealed to the key.
    """
    text = json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()
    if len(text) > MAX_MESSAGE_BYTES:
        raise MessageTooLong(len(text))
    return seal_box(contact, len(text).to_bytes(2, "big") + text.ljust(MAX_MESSAGE_BYTES, b"\x00"))


def open_envelope(envelope: bytes, contact: PrivateKey) -> dict[str, Any] | None:
    """Return the message in an envelope; None if it is not for this key, or holds no table."""
    said = open_box(contact, envelope) if len(envelope) == ENVELOPE_BYTES else None
    if said is None:
        return None
    length = int.from_bytes(said[:2], "big")
    if length > MAX_MESSAGE_BYTES or any(said[2 + length :]):
        return None
    try:
        message = json.loads(said[2 : 2 + length])
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


@dataclass(frozen=True, slots=True)
class _Session:
    contact: PrivateKey
    hear: Callable[[dict[str, Any]], None]


class MailAgent(CarefulAgent):
    """Opens what is for one of its household's sessions, and hands every envelope on.

    Args:
        own: the household's account.
        directory: the members' relays as they are now.
        deliver: sends content to an agent at an endpoint.
        rng: draws to whom an envelope is handed on.
    """

    def __init__(
        self, own: bytes, directory: Callable[[], Mapping[bytes, Relay]], *, deliver: Deliver, rng: Random
    ) -> None:
        super().__init__()
        self._own = own
        self._directory = directory
        self._deliver = deliver
        self._rng = rng
        self._sessions: dict[int, _Session] = {}
        self._seen = Seen(MAX_REMEMBERED)

    def open_session(self, window: int, contact: PrivateKey, hear: Callable[[dict[str, Any]], None]) -> None:
        """Hand what comes for a window's session to `hear`; the oldest session goes if there are too many."""
        self._sessions[window] = _Session(contact, hear)
        while len(self._sessions) > MAX_SESSIONS:
            del self._sessions[min(self._sessions)]

    def close_session(self, window: int) -> None:
        """Open no more envelopes for a window's session."""
        self._sessions.pop(window, None)

    def hear(self, content: Any) -> None:
        """Try the open contact keys on an envelope; one that was here before is none."""
        envelope = unwrap(content, ENVELOPE_BYTES)
        if envelope is None or not self._seen.add(envelope[:KEY_BYTES]):
            return
        if self.under_way < MAX_HANDING_ON:
            self.soon(self._hand_on(content))
        for session in self._sessions.values():
            message = open_envelope(envelope, session.contact)
            if message is not None:
                session.hear(message)
                return

    async def _hand_on(self, content: Any) -> None:
        relays = self._directory()
        others = sorted(account for account in relays if account != self._own)
        for account in self._rng.sample(others, min(HANDED_ON, len(others))):
            await self._deliver(relays[account].endpoint, MAIL, content)
