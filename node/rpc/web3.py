"""`web3_` methods."""

from __future__ import annotations

import asyncio
import platform
import sys
from functools import cache

from eth_hash.auto import keccak

from node.rpc import schemas
from node.rpc.context import Context
from node.rpc.formats import Json, data, to_data
from node.rpc.methods import MethodTable, Parameter
from node.versions import STORAGE, WIRE, software

INLINE_BYTES = 64 * 1024  # above, another thread hashes: about 10 ms

table = MethodTable()


@cache
def client_name() -> str:
    """Return name, version (with those of wire and storage), system and language, as `web3_clientVersion` gives it."""
    return f"gridpact/v{software()}+wire.{WIRE}.storage.{STORAGE}/{sys.platform}/python{platform.python_version()}"


@table.method("web3_clientVersion", returns=schemas.TEXT)
async def client_version(_context: Context) -> Json:
    """Return the name and version of this software."""
    return client_name()


@table.method("web3_sha3", Parameter("data", data), returns=schemas.HASH32)
async def sha3(_context: Context, value: bytes) -> Json:
    """Return the keccak-256 hash of data."""
    return to_data(keccak(value) if len(value) <= INLINE_BYTES else await asyncio.to_thread(keccak, value))
