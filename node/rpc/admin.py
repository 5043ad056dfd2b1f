"""`admin_` methods, as go-ethereum and Besu have them; who may call them, `[rpc]` of node.toml says.

Source: Besu for `admin_changeLogLevel`; go-ethereum for `admin_nodeInfo` and `admin_peers`.
"""

from __future__ import annotations

import logging

from node.log import COMPONENTS, LEVELS, change_level, effective_levels, set_levels
from node.rpc import schemas
from node.rpc.backend import PeerStatus
from node.rpc.context import Context
from node.rpc.errors import InvalidParams
from node.rpc.formats import Json, sequence, text, to_data
from node.rpc.methods import MethodTable, Parameter
from node.rpc.web3 import client_name

log = logging.getLogger("rpc")
table = MethodTable()

_LEVEL = schemas.constant(*LEVELS)
_LEVEL_BY_COMPONENT = schemas.map_of(_LEVEL)
_PROTOCOLS = schemas.map_of(schemas.ANY)


@schemas.takes(_LEVEL)
def level(value: object, where: str) -> str:
    """Return a level of the log; Besu's WARN is ours too, and case does not matter."""
    found = text(value, where).lower()
    found = "warning" if found == "warn" else found
    if found not in LEVELS:
        raise InvalidParams(where, f"one of {', '.join(LEVELS)}", value)
    return found


@schemas.takes(schemas.array(schemas.constant(*COMPONENTS)))
def components(value: object, where: str) -> list[str]:
    """Return names of components."""
    found = [text(each, where) for each in sequence(value, where, len(COMPONENTS))]
    for each in found:
        if each not in COMPONENTS:
            raise InvalidParams(where, f"some of {', '.join(COMPONENTS)}", each)
    return found


@table.method(
    "admin_changeLogLevel",
    Parameter("level", level),
    Parameter("components", components, ()),
    returns=schemas.constant("Success"),
)
async def change_log_level(_context: Context, wanted: str, which: list[str]) -> Json:
    """Set the level of the log for some components, or for all; a restart takes those of node.toml again."""
    if which:
        change_level(wanted, which)
    else:
        set_levels(wanted, {})
    log.warning("the level of the log was changed", extra={"changed": wanted, "components": which or list(COMPONENTS)})
    return "Success"


@table.method("admin_logLevels", returns=_LEVEL_BY_COMPONENT)
async def log_levels(_context: Context) -> Json:
    """Return the level at which each component logs."""
    return effective_levels()


@table.method(
    "admin_nodeInfo",
    returns=schemas.record({"id": schemas.TEXT, "name": schemas.TEXT, "protocols": _PROTOCOLS}),
)
async def node_info(context: Context) -> Json:
    """Return this node: its node key, what it runs, its chain and where it stands."""
    with context.backend.store.read() as view:
        height, genesis, head = view.head_height, view.header(0).hash, view.head.hash
    chain = {"network": context.chain_id, "genesis": to_data(genesis), "head": to_data(head), "height": height}
    return {
        "id": context.backend.status().node_key.hex(),
        "name": client_name(),
        "protocols": {"gridpact": chain},
    }


@table.method(
    "admin_peers",
    returns=schemas.array(
        schemas.record(
            {
                "id": schemas.TEXT,
                "name": schemas.TEXT,
                "caps": schemas.array(schemas.TEXT),
                "network": schemas.record({"remoteAddress": schemas.TEXT}),
                "protocols": _PROTOCOLS,
            }
        )
    ),
)
async def peers(context: Context) -> Json:
    """Return the members that this node is connected to."""
    return [_peer(peer) for peer in context.backend.peers() if peer.connected]


def _peer(peer: PeerStatus) -> Json:
    return {
        "id": peer.node_key.hex(),
        "name": peer.name,
        "caps": [],
        "network": {"remoteAddress": peer.endpoint},
        "protocols": {},
    }
