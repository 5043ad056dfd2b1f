"""gzip (RFC 1952) for bodies, within bounds, and off the event loop when it takes long."""

from __future__ import annotations

import asyncio
import re
import zlib

from node.rpc.errors import INVALID_REQUEST, RpcError

MIN_PACKED_BYTES = 1_024  # below, packing gains nothing
INLINE_BYTES = 64 * 1024  # above, another thread does it: about a millisecond
LEVEL = 1  # speed before size
_GZIP = 16 + zlib.MAX_WBITS
_GZIP_WANTED = re.compile(r"\s*(x-)?gzip\s*(;\s*q=(1(\.0*)?|0\.\d*[1-9]\d*)\s*)?\Z")


class TooLarge(Exception):
    """A body that is larger than allowed when it is unpacked."""


async def pack(body: bytes) -> bytes:
    """Return a body as gzip."""
    return _pack(body) if len(body) <= INLINE_BYTES else await asyncio.to_thread(_pack, body)


def _pack(body: bytes) -> bytes:
    return zlib.compress(body, LEVEL, _GZIP)


async def unpack(body: bytes, most: int) -> bytes:
    """Return the body of at most `most` bytes that gzip made smaller.

    Raises:
        TooLarge: it is larger.
        RpcError: it is not gzip, not whole, or followed by something.
    """
    return await asyncio.to_thread(_unpack, body, most)


def _unpack(body: bytes, most: int) -> bytes:
    unpacker = zlib.decompressobj(_GZIP)
    try:
        found = unpacker.decompress(body, most + 1)
    except zlib.error as error:
        raise RpcError(INVALID_REQUEST, f"invalid request: the body is not gzip ({error})") from None
    if len(found) > most:
        raise TooLarge
    if not unpacker.eof or unpacker.unused_data:
        raise RpcError(INVALID_REQUEST, "invalid request: the body is not one whole gzip member")
    return found


def takes_gzip(accept_encoding: str) -> bool:
    """Return whether an Accept-Encoding header allows gzip (RFC 9110 §12.5.3)."""
    return any(_GZIP_WANTED.match(entry) for entry in accept_encoding.lower().split(","))
