"""What the consensus of one node does, told by the driver after every input; the core itself counts nothing."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import Counter, Gauge, Histogram

from consensus.inputs import Executed, Input, ProposalReady, Received
from consensus.messages import Message, Proposal, ViewChange
from consensus.state import State
from consensus.types import Phase, SignedVote
from node.clock import ChainClock
from node.metrics.registry import Metrics

ROUND_BUCKETS_S = (0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)


class ConsensusMetrics:
    """Counters and the round's duration.

    Args:
        metrics: of this node.
        clock: the chain clock.
        now: seconds of any steady clock.
        wall_s: seconds since 1970.
    """

    def __init__(
        self,
        metrics: Metrics,
        clock: ChainClock,
        now: Callable[[], float] = time.monotonic,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        registry = metrics.registry
        self._clock, self._now, self._wall_s = clock, now, wall_s
        votes = Counter(
            "gridpact_consensus_votes_received_total", "Votes received from peers.", ["phase"], registry=registry
        )
        self._votes = {phase: votes.labels(phase.name.lower()) for phase in Phase}
        self._view_changes = Counter(
            "gridpact_consensus_view_changes_total", "Views that were left without a decision.", registry=registry
        )
        self._built = Counter(
            "gridpact_consensus_proposals_built_total", "Blocks that this node built and proposed.", registry=registry
        )
        self._refused = Counter(
            "gridpact_consensus_proposals_refused_total",
            "Proposals that this node executed and found invalid.",
            registry=registry,
        )
        self._round = Histogram(
            "gridpact_consensus_round_duration_seconds",
            "From the first proposal of a height that this node accepted to the durable block.",
            buckets=ROUND_BUCKETS_S,
            registry=registry,
        )
        self._last_commit = Gauge(
            "gridpact_consensus_last_commit_timestamp_seconds",
            "When this node last committed a block, in seconds since 1970; 0 before the first since it started.",
            registry=registry,
        )
        self._skew = Gauge(
            "gridpact_chain_clock_skew_seconds",
            "Newest block's time minus this node's chain time when its proposal came, in seconds of the wall clock.",
            registry=registry,
        )
        self.equivocations = Counter(
            "gridpact_consensus_equivocations_found_total",
            "Pairs of contradicting votes that were found.",
            registry=registry,
        )
        self.rejected_messages = Counter(
            "gridpact_consensus_messages_rejected_total",
            "Consensus messages of peers that were refused.",
            registry=registry,
        )
        self._height = self._view = -1
        self._proposed: tuple[float, int] | None = None  # when the height's first proposal came, steady and chain time

    def observe(self, event: Input, state: State) -> None:
        """Take note of an input and of the state that it led to."""
        match event:
            case Received(_, message):
                self._received(message)
            case ProposalReady():
                self._built.inc()
            case Executed(valid=False):
                self._refused.inc()
            case _:
                pass
        if state.height != self._height:
            if self._height >= 0:
                self._last_commit.set(self._wall_s())
                if self._proposed is not None:
                    self._round.observe(self._now() - self._proposed[0])
            self._height, self._view, self._proposed = state.height, state.view, None
        elif state.view != self._view:
            self._view_changes.inc()
            self._view = state.view
        if self._proposed is None and state.proposal is not None:
            self._proposed = self._now(), self._clock.now_s()

    def committing(self, timestamp: int) -> float | None:
        """Take note of the chain time (seconds) of the block that the open height commits.

        Returns:
            Milliseconds since its first proposal came; None for a block that is caught up with.
        """
        if self._proposed is None:  # what is caught up with says nothing of the clock
            return None
        self._skew.set((timestamp - self._proposed[1]) / self._clock.scale())
        return round(1_000 * (self._now() - self._proposed[0]), 1)

    def _received(self, message: Message) -> None:
        match message:
            case SignedVote(vote):
                self._votes[vote.phase].inc()
            case Proposal():
                self._votes[Phase.PROPOSE].inc()
            case ViewChange():
                self._votes[Phase.VIEW_CHANGE].inc()
            case _:
                pass
