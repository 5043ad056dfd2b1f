"""What goes over a connection: a hello each way, then frames of (channel, payload); msgpack, strict and bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import msgpack

WIRE_MAJOR = 1  # both sides must speak the same
WIRE_MINOR = 0  # what a newer one adds is sent only to those who said that they know it
MAX_FRAME_BYTES = 8 * 1024 * 1024  # the largest consensus message, a new view with a full block, is under half of it
MAX_HELLO_BYTES = 1024
MAX_MESSAGES = 4096  # in a frame


class Channel(IntEnum):
    """What a payload is for."""

    CONSENSUS = 1
    TRANSACTIONS = 2


MAX_PAYLOAD_BYTES = {Channel.CONSENSUS: 6 * 1024 * 1024, Channel.TRANSACTIONS: 512 * 1024}


class InvalidFrame(Exception):
    """A peer sent something that is no frame."""


class Offence(Exception):
    """A peer sent a message that no honest one sends: whoever handles it raises this, and the connection ends."""


@dataclass(frozen=True, slots=True)
class Hello:
    """The first frame each way: major version, chain id and genesis hash, on which both sides must agree; who it is.

    `minor` is told from 1 on: without it a hello is one that the first software of this major version takes.
    """

    major: int
    chain_id: int
    genesis_hash: bytes
    software: str
    minor: int = WIRE_MINOR

    def encode(self) -> bytes:
        """Return the frame."""
        fields = [self.major, self.chain_id, self.genesis_hash, self.software]
        return bytes(msgpack.packb([*fields, self.minor] if self.minor else fields))

    @property
    def wire(self) -> str:
        """The version of what goes over the wire, "major.minor"."""
        return f"{self.major}.{self.minor}"


_HELLO = [int, int, bytes, str, int]


def decode_hello(frame: bytes) -> Hello:
    """Return the hello in a frame; what a newer minor version has beyond our fields is passed over.

    Raises:
        InvalidFrame: it is none.
    """
    fields = _unpack(frame, MAX_HELLO_BYTES)
    known, told = len(_HELLO), list(fields) if isinstance(fields, list) else []
    if len(told) >= known - 1 and [type(field) for field in told[:known]] == _HELLO[: len(told)]:
        hello = Hello(*[*told, 0][:known])  # without a minor version it is 0
        if hello.minor >= 0:
            return hello
    raise InvalidFrame("expected a hello of [major version, chain id, genesis hash, software, minor version]")


def encode_frame(messages: Iterable[tuple[Channel, bytes]]) -> bytes:
    """Return a frame of messages in order."""
    return bytes(msgpack.packb([[int(channel), payload] for channel, payload in messages]))


def decode_frame(frame: bytes) -> list[tuple[Channel, bytes]]:
    """Return the messages of a frame.

    Raises:
        InvalidFrame: not a list of [channel, payload] within the bounds.
    """
    rows = _unpack(frame, MAX_FRAME_BYTES, _message_or_list)
    if not isinstance(rows, list) or not 1 <= len(rows) <= MAX_MESSAGES:
        raise InvalidFrame(f"expected a list of 1 to {MAX_MESSAGES} messages")
    messages = []
    for row in rows:
        if not (isinstance(row, tuple) and [type(field) for field in row] == [int, bytes]):
            raise InvalidFrame("expected [channel, payload]")
        if row[0] not in MAX_PAYLOAD_BYTES:
            raise InvalidFrame(f"expected channel 1 or 2, found {row[0]}")
        channel = Channel(row[0])
        if len(row[1]) > MAX_PAYLOAD_BYTES[channel]:
            raise InvalidFrame(f"{len(row[1])} bytes on channel {channel.name}, at most {MAX_PAYLOAD_BYTES[channel]}")
        messages.append((channel, row[1]))
    return messages


def _message_or_list(items: list[Any]) -> tuple[Any, ...] | list[Any]:
    """Refuse anything but messages, and the list of them, as soon as it is read: a frame cannot blow up in memory."""
    if len(items) == 2 and type(items[0]) is int:
        return tuple(items)
    if not all(isinstance(item, tuple) for item in items):
        raise InvalidFrame("expected a list of [channel, payload]")
    return items


def _unpack(frame: bytes, limit: int, list_hook: Callable[[list[Any]], Any] | None = None) -> Any:
    if len(frame) > limit:
        raise InvalidFrame(f"{len(frame)} bytes, at most {limit}")
    try:
        return msgpack.unpackb(
            frame,
            raw=False,
            list_hook=list_hook,
            strict_map_key=True,
            max_array_len=MAX_MESSAGES,
            max_map_len=0,
            max_ext_len=0,
            max_str_len=256,
            max_bin_len=MAX_FRAME_BYTES,
        )
    except (ValueError, TypeError, msgpack.UnpackException, UnicodeDecodeError, RecursionError) as error:
        raise InvalidFrame(f"no msgpack: {type(error).__name__}") from None
