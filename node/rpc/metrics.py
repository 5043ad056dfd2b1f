"""What clients ask of the RPC, counted."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import Counter, Histogram

from node.metrics.registry import Metrics, single
from node.rpc.errors import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    LIMIT_EXCEEDED,
    METHOD_NOT_FOUND,
    RESPONSE_TOO_LARGE,
    TIMEOUT,
)
from node.rpc.feed import Feed
from node.rpc.pool import ReadPool

REQUEST_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 30.0)
UNKNOWN = "unknown"  # every method that does not exist, so that clients cannot make series
OUTCOMES = {
    INTERNAL_ERROR: "internal_error",
    TIMEOUT: "timeout",
    LIMIT_EXCEEDED: "limit_exceeded",
    RESPONSE_TOO_LARGE: "limit_exceeded",
    METHOD_NOT_FOUND: "invalid",
    INVALID_PARAMS: "invalid",
    INVALID_REQUEST: "invalid",
}
"""By error code; a method's own errors (a revert, a nonce too low, …) are `error`, and no error is `success`."""


class RpcMetrics:
    """Counters of one server."""

    def __init__(self, metrics: Metrics) -> None:
        registry = metrics.registry
        self._requests = Counter(
            "gridpact_rpc_requests_total", "Requests by method and outcome.", ["method", "outcome"], registry=registry
        )
        self._duration = Histogram(
            "gridpact_rpc_request_duration_seconds",
            "Time until a request is answered.",
            ["method"],
            buckets=REQUEST_BUCKETS_S,
            registry=registry,
        )
        self._known: dict[tuple[str, str], tuple[Counter, Histogram]] = {}  # looking labels up costs more than counting
        self.dropped_subscribers = Counter(
            "gridpact_rpc_subscribers_dropped_total",
            "WebSocket connections that were closed because they were too slow.",
            registry=registry,
        )

    def answered(self, method: str | None, code: int | None, duration_s: float) -> None:
        """Take note of an answer.

        Args:
            method: None if it does not exist.
            code: of the error; None for a result.
            duration_s: since the request was begun.
        """
        name = UNKNOWN if method is None else method
        key = name, "success" if code is None else OUTCOMES.get(code, "error")
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._requests.labels(*key), self._duration.labels(name)
        count, duration = found
        count.inc()
        duration.observe(duration_s)


def watch_server(
    metrics: Metrics, *, websockets: Callable[[], int], busy: Callable[[], int], feed: Feed, reads: ReadPool
) -> None:
    """Add what is read of a server at scrape time: how many connections it has, and how busy its readers are."""
    metrics.read(
        (
            single("gridpact_rpc_websocket_connections", "Open WebSocket connections.", websockets),
            single("gridpact_rpc_requests_in_progress", "HTTP requests that are being worked on.", busy),
            single("gridpact_rpc_subscriptions", "Subscriptions of all WebSocket connections.", lambda: len(feed)),
            single("gridpact_rpc_reads_waiting", "Heavy reads that wait for a process.", lambda: reads.waiting),
            single("gridpact_rpc_read_processes_busy", "Reading processes at work.", lambda: reads.busy),
            single("gridpact_rpc_read_processes", "Reading processes at most.", lambda: reads.size),
        )
    )
