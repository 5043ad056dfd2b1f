"""What waits to be committed."""

from node.mempool.pool import Mempool, PoolRejected

__all__ = ["Mempool", "PoolRejected"]
