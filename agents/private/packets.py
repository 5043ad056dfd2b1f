"""Packets: everything that a private household says travels as one, through two relays. Pure but for libsodium's own
randomness.

    first box   to the first relay:   account of the second (20) ‖ second box
    second box  to the second relay:  kind (1) ‖ length (2) ‖ content ‖ zeros

Both are sealed boxes (X25519, XSalsa20-Poly1305, 48 bytes more than their content). A packet has one size on every
line: the first relay fills up with random bytes what its own layer took, so that neither the size nor anything else in
the clear tells a packet for a first relay from one for a second, or one kind from another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from random import Random

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox
from nacl.utils import random as random_bytes

CONTENT_BYTES = 8 * 1024  # the largest settlement of a street of 64 is below seven kilobytes
ACCOUNT_BYTES = 20
KEY_BYTES = 32
BOX_BYTES = 48  # what a sealed box adds
_HEAD_BYTES = 3
_SECOND_BYTES = BOX_BYTES + _HEAD_BYTES + CONTENT_BYTES
PACKET_BYTES = BOX_BYTES + ACCOUNT_BYTES + _SECOND_BYTES


class Kind(IntEnum):
    """What the second relay does with a packet's content: hand it to its node, to everyone's mail, or to nobody."""

    SUBMIT = 1
    DELIVER = 2
    COVER = 3


_KINDS = frozenset(map(int, Kind))


class InvalidRelayKey(ValueError):
    """No box can be sealed to this key: it is of another length, or of small order."""

    def __init__(self, key: bytes) -> None:
        super().__init__(f"relay key 0x{key[:40].hex()} ({len(key)} bytes): expected {KEY_BYTES} bytes of X25519")
        self.key = key


@dataclass(frozen=True, slots=True)
class Relay:
    """A member's relay: `account` 20 bytes, `key` X25519, `endpoint` tcp://HOST:PORT."""

    account: bytes
    key: bytes
    endpoint: str


@dataclass(frozen=True, slots=True)
class Forward:
    """Send `packet` on to the relay of `account`."""

    account: bytes
    packet: bytes


@dataclass(frozen=True, slots=True)
class Arrived:
    """This relay is the second: do with `content` what `kind` says."""

    kind: Kind
    content: bytes


def seal_packet(kind: Kind, content: bytes, first: Relay, second: Relay) -> bytes:
    """Return a packet of PACKET_BYTES.

    Args:
        kind: what becomes of the content.
        content: at most CONTENT_BYTES.
        first, second: two different relays.

    Raises:
        ValueError: the content is too long, or the relays are one.
        InvalidRelayKey: a box cannot be sealed to one of them.
    """
    if len(content) > CONTENT_BYTES:
        raise ValueError(f"content of {len(content)} bytes: expected at most {CONTENT_BYTES}")
    if first.account == second.account or len(second.account) != ACCOUNT_BYTES:
        raise ValueError("expected two different relays, each named by an account of 20 bytes")
    said = bytes([kind]) + len(content).to_bytes(2, "big") + content.ljust(CONTENT_BYTES, b"\x00")
    return seal_box(first.key, second.account + seal_box(second.key, said))


def open_packet(packet: bytes, secret: PrivateKey) -> Forward | Arrived | None:
    """Take off the layer that is for this relay; None for anything that is no packet for it."""
    if len(packet) != PACKET_BYTES:
        return None
    said = open_box(secret, packet)
    if said is not None:
        return Forward(said[:ACCOUNT_BYTES], said[ACCOUNT_BYTES:] + random_bytes(BOX_BYTES + ACCOUNT_BYTES))
    said = open_box(secret, packet[:_SECOND_BYTES])
    if said is None:
        return None
    kind, length = said[0], int.from_bytes(said[1:_HEAD_BYTES], "big")
    if kind not in _KINDS or length > CONTENT_BYTES or any(said[_HEAD_BYTES + length :]):
        return None
    return Arrived(Kind(kind), said[_HEAD_BYTES : _HEAD_BYTES + length])


def replay_mark(packet: bytes) -> bytes:
    """Return what two packets share if one repeats the other: the box's ephemeral key, which its seal depends on."""
    return packet[:KEY_BYTES]


def draw_relays(relays: Mapping[bytes, Relay], own: bytes, rng: Random) -> tuple[Relay, Relay]:
    """Return two different relays, uniformly among all members but oneself.

    Raises:
        ValueError: there are fewer than two others.
    """
    others = sorted(account for account in relays if account != own)
    if len(others) < 2:
        raise ValueError(f"{len(others)} relays of others: expected at least 2")
    first, second = rng.sample(others, 2)
    return relays[first], relays[second]


def seal_box(key: bytes, content: bytes) -> bytes:
    """Return a sealed box.

    Raises:
        InvalidRelayKey: the key is of another length, or of small order.
    """
    try:
        return bytes(SealedBox(PublicKey(key)).encrypt(content))
    except (CryptoError, TypeError):
        raise InvalidRelayKey(key) from None


def open_box(secret: PrivateKey, box: bytes) -> bytes | None:
    """Return what is in a sealed box; None if it is none, or another's."""
    try:
        return bytes(SealedBox(secret).decrypt(box))
    except CryptoError:
        return None
