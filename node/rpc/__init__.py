"""Ethereum's JSON-RPC over HTTP and WebSocket, and `grid_` for what Ethereum does not know.

| module | is |
|---|---|
| `server.py`, `session.py`, `limits.py` | the door: HTTP, WebSocket, who may come in and how much they may ask |
| `protocol.py`, `dispatch.py`, `methods.py` | JSON-RPC 2.0: messages, answers, the table of methods |
| `eth.py`, `eth_filters.py`, `net.py`, `web3.py`, `txpool.py`, `grid.py` | the methods by namespace |
| `blocks.py`, `calls.py`, `logs.py`, `proofs.py`, `render.py`, `formats.py`, `errors.py` | what they are made of |
| `feed.py`, `filters.py` | subscriptions and polled filters |
| `backend.py`, `reads.py`, `context.py` | the node behind it, and heavy reads off the event loop |
"""

from node.rpc.backend import Backend, NodeStatus, PeerStatus
from node.rpc.reads import ReadPool
from node.rpc.server import RpcConfig, RpcListenError, RpcServer

__all__ = ["Backend", "NodeStatus", "PeerStatus", "ReadPool", "RpcConfig", "RpcListenError", "RpcServer"]
