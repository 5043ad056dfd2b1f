"""What a node tells Prometheus, and whether it is ready: counted as things happen, read when somebody asks."""

from node.metrics.consensus import ConsensusMetrics
from node.metrics.events import ExecutionMetrics, PoolMetrics, TimedLog, watch_loop
from node.metrics.gauges import Observed, watch_node
from node.metrics.health import unready
from node.metrics.registry import Exposition, Metrics

__all__ = [
    "ConsensusMetrics",
    "ExecutionMetrics",
    "Exposition",
    "Metrics",
    "Observed",
    "PoolMetrics",
    "TimedLog",
    "unready",
    "watch_loop",
    "watch_node",
]
