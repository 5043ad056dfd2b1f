"""What is counted or timed as it happens: blocks executed, the log synced, the event loop's lag."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from prometheus_client import Counter, Histogram

from node.chain.transaction import InvalidTransaction, Transaction
from node.driver.ports import Log
from node.metrics.registry import Metrics
from privacy.envelopes import ANONYMOUS_TYPE, SHIELDED_TYPE

T = TypeVar("T")

BLOCK_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SYNC_BUCKETS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
LAG_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
LAG_EVERY_S = 0.25

TYPE_NAMES = {0: "legacy", 1: "access_list", 2: "dynamic_fee", ANONYMOUS_TYPE: "anonymous", SHIELDED_TYPE: "shielded"}
REFUSALS = {
    "already known": "already_known",
    "nonce too low": "nonce_too_low",
    "nonce too high": "nonce_too_high",
    "replacement transaction underpriced": "underpriced",
    "insufficient funds": "insufficient_funds",
    "txpool is full": "full",
    "account limit exceeded": "full",
}
STAGES = ("build", "execute", "commit")


class ExecutionMetrics:
    """What the chain thread does."""

    def __init__(self, metrics: Metrics) -> None:
        registry = metrics.registry
        duration = Histogram(
            "gridpact_execution_duration_seconds",
            "Time of building, of executing, and of committing blocks (which executes those that were not yet).",
            ["stage"],
            buckets=BLOCK_BUCKETS_S,
            registry=registry,
        )
        self._duration = {stage: duration.labels(stage) for stage in STAGES}
        self._gas = Counter("gridpact_execution_gas_used_total", "Gas of committed transactions.", registry=registry)
        transactions = Counter(
            "gridpact_execution_transactions_total", "Committed transactions by type.", ["type"], registry=registry
        )
        self._transactions = {kind: transactions.labels(name) for kind, name in TYPE_NAMES.items()}
        self._blocks = Counter("gridpact_execution_blocks_total", "Committed round blocks.", registry=registry)
        self._sizes = Histogram(
            "gridpact_execution_block_transactions",
            "Transactions in a committed block.",
            buckets=(0, 1, 4, 16, 64, 256, 1024, 2048),
            registry=registry,
        )

    def timed(self, stage: str, work: Callable[[], T]) -> Callable[[], T]:
        """Return `work` as a function whose time counts for a stage."""

        def run() -> T:
            with self._duration[stage].time():
                return work()

        return run

    def committed(self, transactions: Sequence[Transaction], gas_used: int) -> None:
        """Take note of a committed block."""
        self._blocks.inc()
        self._gas.inc(gas_used)
        self._sizes.observe(len(transactions))
        for tx in transactions:
            self._transactions[tx.type].inc()


class PoolMetrics:
    """What comes to the pool."""

    def __init__(self, metrics: Metrics) -> None:
        registry = metrics.registry
        self._admitted = Counter(
            "gridpact_pool_admitted_total", "Transactions that the pool took.", ["type"], registry=registry
        )
        self._refused = Counter(
            "gridpact_pool_refused_total", "Transactions that the pool did not take.", ["reason"], registry=registry
        )

    def admitted(self, tx: Transaction) -> None:
        """Take note of a transaction that is new in the pool."""
        self._admitted.labels(TYPE_NAMES[tx.type]).inc()

    def refused(self, error: InvalidTransaction) -> None:
        """Take note of one that was not taken, by the words that Ethereum clients know; all others are `invalid`."""
        reason = next((name for words, name in REFUSALS.items() if error.reason.startswith(words)), "invalid")
        self._refused.labels(reason).inc()


class TimedLog:
    """A write-ahead log whose writes are timed; it is the port `Log`."""

    def __init__(self, metrics: Metrics, log: Log) -> None:
        self._log = log
        self._sync = Histogram(
            "gridpact_storage_wal_sync_duration_seconds",
            "Time until a batch of the write-ahead log is on the disk.",
            buckets=SYNC_BUCKETS_S,
            registry=metrics.registry,
        )

    def records(self) -> Sequence[bytes]:
        """Return the records found on opening, in order."""
        return self._log.records()

    def append(self, batch: Sequence[bytes]) -> None:
        """Write a batch, all of it or nothing, and return when it is durable."""
        with self._sync.time():
            self._log.append(batch)

    def clear(self) -> None:
        """The records so far are no longer needed; they may be dropped now or later."""
        self._log.clear()


async def watch_loop(metrics: Metrics, *, now: Callable[[], float] = time.monotonic) -> None:
    """Measure for ever how late the event loop is."""
    lag = Histogram(
        "gridpact_process_event_loop_lag_seconds",
        "How much later than due a timer of the event loop ran.",
        buckets=LAG_BUCKETS_S,
        registry=metrics.registry,
    )
    while True:
        due = now() + LAG_EVERY_S
        await asyncio.sleep(LAG_EVERY_S)
        lag.observe(max(0.0, now() - due))
