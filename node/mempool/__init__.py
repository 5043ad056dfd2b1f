"""What waits to be committed."""

from node.mempool.index import PoolRejected
from node.mempool.pool import Mempool
from node.pool_config import PoolLimits

__all__ = ["Mempool", "PoolLimits", "PoolRejected"]
