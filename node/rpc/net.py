"""`net_` methods."""

from __future__ import annotations

from node.rpc import schemas
from node.rpc.context import Context
from node.rpc.formats import Json, to_quantity
from node.rpc.methods import MethodTable

table = MethodTable()


@table.method("net_version", returns=schemas.TEXT)
async def version(context: Context) -> Json:
    """Return the chain id as a decimal string."""
    return str(context.chain_id)


@table.method("net_listening", returns=schemas.BOOLEAN)
async def listening(_context: Context) -> Json:
    """Return true: a running validator listens for its peers."""
    return True


@table.method("net_peerCount", returns=schemas.UINT)
async def peer_count(context: Context) -> Json:
    """Return the number of connected validators."""
    return to_quantity(sum(peer.connected for peer in context.backend.peers()))
