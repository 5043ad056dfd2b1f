"""Ethereum's JSON-RPC over HTTP and WebSocket, and `grid_` for what Ethereum does not know.

| module | is |
|---|---|
| `server.py`, `session.py`, `limits.py`, `gate.py`, `packing.py` | the door: HTTP, WebSocket, bounds on clients |
| `settings.py`, `access.py`, `browsers.py` | what the operator sets: who may come in, and call what |
| `schemas.py`, `grid_schemas.py`, `discover.py` | what methods take and answer, as OpenRPC |
| `protocol.py`, `dispatch.py`, `methods.py` | JSON-RPC 2.0: messages, answers, the table of methods |
| `eth.py`, `eth_filters.py`, `net.py`, `web3.py`, `txpool.py`, `grid.py` | the methods by namespace |
| `blocks.py`, `calls.py`, `logs.py`, `proofs.py`, `render.py`, `formats.py`, `errors.py` | what they are made of |
| `feed.py`, `filters.py` | subscriptions and polled filters |
| `backend.py`, `context.py` | the node behind it |
| `reads.py`, `pool.py`, `worker.py` | heavy reads, in processes of their own |

Nothing is imported here: a reading process needs no server, and is a quarter smaller without it.
"""
