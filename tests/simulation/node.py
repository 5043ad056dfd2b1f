"""One simulated machine: the real driver, an application, a log, and the part of the shell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from itertools import count
from typing import TYPE_CHECKING, Protocol

from nacl.signing import SigningKey

from consensus.certificates import Certificate
from consensus.codec import decode_message, decode_record, encode_certificate
from consensus.inputs import Timer, TimerFired, TimerKind, WorkAvailable
from consensus.messages import Body, ViewChange
from consensus.types import SignedVote, ValidatorSet, Vote
from node.driver import (
    BuildProposal,
    CommitBlock,
    Committed,
    Driver,
    Effect,
    Event,
    Execute,
    Executed,
    ForwardWork,
    LocalSigner,
    MessageReceived,
    ProposalReady,
    Reject,
    ReportEvidence,
)
from node.driver.compact_messages import CompactProposal, decode_compact, is_compact
from node.driver.ports import Log, TransactionSource
from node.driver.signer import Contradiction
from node.driver.wal import WriteAheadLogError
from tests.simulation.disk import PowerCut
from tests.simulation.watch import Durable, Violation

if TYPE_CHECKING:
    from tests.simulation.cluster import Cluster

MAX_BODY_BYTES = 64 * 1024


class When(Enum):
    """On which side of a persist point the power goes: nothing written, or written but nothing sent yet."""

    BEFORE = "before"
    AFTER = "after"


class Application(Protocol):
    """What a node runs. Made anew, from what is durable, at every start."""

    @property
    def head_height(self) -> int:
        """The committed height."""

    def validators(self) -> ValidatorSet:
        """The validators of the next height."""

    def trusted(self) -> frozenset[bytes]:
        """The node keys whose connections are accepted."""

    def submit(self, transaction: bytes) -> None:
        """Take a transaction into the pool."""

    def pending(self) -> list[bytes]:
        """Transactions that wait."""

    def waiting(self) -> bool:
        """Whether there is anything to be decided: a transaction, or an epoch change."""

    def build(self) -> tuple[bytes, bytes]:
        """Return (hash, body) of a new block over the head."""

    def execute(self, body: bytes) -> str | None:
        """Return why a block is invalid over the head; None if it is valid."""

    def commit(self, body: bytes, certificate: bytes) -> None:
        """Commit a block; durable on return."""

    def holds(self, transaction: bytes) -> bool:
        """Whether a transaction is committed."""

    def certified_block(self, height: int) -> tuple[bytes, bytes] | None:
        """Return (body, certificate) of a committed height."""


class StrictSigner(LocalSigner):
    """The signer is the second line of defence: an honest core never even asks for a contradiction."""

    def sign(self, vote: Vote) -> SignedVote:
        """Sign, or find fault with the core."""
        try:
            return super().sign(vote)
        except Contradiction as error:
            raise Violation(str(error)) from error


class MemoryLog:
    """A disk that loses what is not synced: a batch is there as a whole after `append`, or not at all."""

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []

    def records(self) -> list[bytes]:
        """Return what is durable."""
        return [record for batch in self.batches for record in batch]

    def append(self, batch: Sequence[bytes]) -> None:
        """Write a batch."""
        self.batches.append(list(batch))

    def clear(self) -> None:
        """Drop everything."""
        self.batches.clear()


class Node:
    """One machine. It owns the ports of its driver, and does what the driver's effects say.

    Args:
        cluster: where it lives.
        index: its place among the nodes.
        key: its node key, at first.
    """

    honest = True

    def __init__(self, cluster: Cluster, index: int, key: SigningKey) -> None:
        self.cluster = cluster
        self.index = index
        self.seed = bytes(key)
        self.key = bytes(key.verify_key)
        self.log: Log = MemoryLog()
        self.running = False
        self.restored = False  # the next start is from a backup
        self.starts = 0
        self.committed_height = 0  # the highest that it said was durable
        self.skew_ms = 0
        self.tempo = 1.0  # of its clock: a drifting one runs its timers too fast or too slow
        self.rejections: list[str] = []
        self.forwarded = 0
        self.said: set[SignedVote] = set()  # its own votes that have left; peers may tell it of those that it forgot
        self.judged: set[bytes] = set()  # blocks that it built, or executed and found valid, in any life
        self.linked: set[int] = set()  # nodes with which it has a connection
        self.trusted: frozenset[bytes] = frozenset()
        self._busy_until = 0
        self._timers: dict[TimerKind, int] = {}
        self._timer_numbers = count(1)
        self._durable: tuple[int, Durable] = (-1, Durable())
        self._checked = b""
        self.driver: Driver
        self.application: Application

    @property
    def keys(self) -> list[bytes]:
        """Every key that it has or had."""
        return [self.key]

    # --- ports ---

    def schedule(self, timer: Timer, delay_ms: int) -> None:
        """Clock: start a timer."""
        number = self._timers[timer.kind] = next(self._timer_numbers)

        def fire() -> None:
            if self._timers.get(timer.kind) == number:
                del self._timers[timer.kind]
                self.handle(TimerFired(timer))

        self.later(round(delay_ms * self.tempo), fire)

    def cancel(self, kind: TimerKind) -> None:
        """Clock: stop a timer."""
        self._timers.pop(kind, None)

    def clock_ms(self) -> int:
        """Wall clock: never below zero."""
        return max(0, round(self.cluster.now_ms / self.tempo) + self.skew_ms)

    def send(self, node_key: bytes, payload: bytes) -> None:
        """Transport: send to one."""
        self._check(payload)
        for receiver in self.cluster.peers(self):
            if receiver.key == node_key:
                self.cluster.transmit(self, receiver, payload)

    def broadcast(self, payload: bytes) -> None:
        """Transport: send to all others."""
        self._check(payload)
        for receiver in self.cluster.peers(self):
            self.cluster.transmit(self, receiver, payload)

    def _check(self, payload: bytes) -> None:
        if not self.honest or payload == self._checked:
            return
        self._checked = payload
        if not is_compact(payload):
            self.cluster.watch.sent(self, decode_message(payload, max_body_bytes=MAX_BODY_BYTES))
            return
        message = decode_compact(payload, max_body_bytes=MAX_BODY_BYTES)
        if isinstance(message, CompactProposal):
            self.cluster.watch.sent(self, message.vote)

    def records(self) -> Sequence[bytes]:
        """Log: what is durable."""
        return self.log.records()

    def append(self, batch: Sequence[bytes]) -> None:
        """Log: a persist point."""
        self.cluster.persist_point(self, lambda: self.log.append(batch))
        self._remember(batch)

    def clear(self) -> None:
        """Log: forget."""
        self.log.clear()

    def certified_block(self, height: int) -> tuple[bytes, bytes] | None:
        """Archive."""
        return self.application.certified_block(height)

    def source(self) -> TransactionSource | None:
        """Where compact proposals are put together from; they are not used without one."""
        return None

    # --- life ---

    def start(self) -> None:
        """Start from what is durable, unless it runs."""
        if self.running:
            return
        self.starts += 1
        self.running = True
        self._busy_until = 0
        self._checked = b""
        self.application = self.cluster.make_application(self.index)
        if self.honest:
            self.cluster.watch.started(self)
        self._guarded(self._boot)
        if self.running:
            self.cluster.meet(self)
        if self.running and self.application.waiting():
            self.handle(WorkAvailable())

    def _boot(self) -> list[Effect]:
        self._durable = (-1, Durable())
        self._remember(self.log.records())
        self._look_around()
        self.driver = Driver(
            self.cluster.config,
            height=self.application.head_height + 1,
            validators=self.application.validators(),
            clock=self,
            transport=self,
            log=self,
            signer=self.cluster.make_signer(self.seed),
            archive=self,
            restored=self.restored,
            source=self.source(),
        )
        return self.driver.start()

    def crash(self) -> None:
        """Lose everything that is not durable."""
        self.running = False
        self._timers.clear()
        self.cluster.part(self)

    def submit(self, transaction: bytes) -> None:
        """A client sends a transaction to this node."""
        if self.running:
            self.application.submit(transaction)
            self.handle(WorkAvailable())

    def handle(self, event: Event) -> None:
        """Hand an event to the driver and do what it wants."""
        if self.running:
            self._guarded(lambda: self.driver.handle(event))
            if self.honest and self.running:
                self.cluster.watch.handled(self, self.driver._state)

    def receive(self, sender: bytes, payload: bytes) -> None:
        """A message has come through the network."""
        self.handle(MessageReceived(sender, payload))

    def durable(self) -> Durable:
        """What the log holds of the present height."""
        return self._durable[1]

    def _remember(self, batch: Iterable[bytes]) -> None:
        for raw in batch:
            record = decode_record(raw, max_body_bytes=MAX_BODY_BYTES)
            if record.height > self._durable[0]:
                self._durable = (record.height, Durable())
            held = self._durable[1]
            match record:
                case Body(_, body):
                    held.bodies.add(self.cluster.config.hash_of_body(body) or b"")
                case SignedVote(vote) | ViewChange(SignedVote(vote)):
                    held.votes.add(vote)
                case Certificate():
                    held.prepared.add(record.block_hash)

    def _look_around(self) -> None:
        """See who belongs to the consortium now."""
        validators = self.application.validators()
        self.trusted = self.application.trusted()
        if self.honest:
            self.cluster.watch.works_on(self, self.application.head_height + 1, validators)

    def _guarded(self, act: Callable[[], list[Effect]]) -> None:
        try:
            effects = act()
        except (PowerCut, WriteAheadLogError) as trouble:
            self.cluster.struck(self, trouble)
            return
        for effect in effects:
            self._perform(effect)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case ForwardWork(leader):
                self.forwarded += 1
                for receiver in self.cluster.peers(self):
                    if receiver.key == leader:
                        for transaction in self.application.pending():
                            self.cluster.forward(self, receiver, transaction)
            case Reject(sender, reason):
                self.rejections.append(reason)
                self.cluster.rejected(self, sender, reason)
            case ReportEvidence(first, second):
                if self.honest:
                    self.cluster.watch.evidence(self, first, second)
            case BuildProposal() | Execute() | CommitBlock():
                if isinstance(effect, CommitBlock):
                    self.cluster.decided(self, effect.height)
                # The chain's one thread: in order, each taking its time.
                now = max(self.cluster.now_ms, self._busy_until)
                self._busy_until = now + self.cluster.random.randint(*self.cluster.work_ms)
                self.later(self._busy_until - self.cluster.now_ms, lambda: self._work(effect))

    def _work(self, effect: BuildProposal | Execute | CommitBlock) -> None:
        application = self.application
        if effect.height != application.head_height + 1:
            return
        match effect:
            case BuildProposal(height, view):
                block_hash, body = application.build()
                self.judged.add(block_hash)
                self.handle(ProposalReady(height, view, block_hash, body))
            case Execute(height, view, block_hash, body):
                reason = application.execute(body)
                if reason is None:
                    self.judged.add(block_hash)
                self.handle(Executed(height, view, block_hash, reason is None, reason or ""))
            case CommitBlock():
                self._commit(effect)

    def _commit(self, effect: CommitBlock) -> None:
        application, certificate = self.application, encode_certificate(effect.certificate)
        try:
            self.cluster.persist_point(self, lambda: application.commit(effect.body, certificate))
        except PowerCut as trouble:
            self.cluster.struck(self, trouble)
            return
        if self.honest:
            self.cluster.watch.committed(self, effect.height, effect.body, effect.block_hash, effect.certificate)
        before = self.trusted
        self._look_around()
        validators, waiting = application.validators(), application.waiting()
        self.handle(Committed(effect.height, effect.block_hash, validators, waiting))
        if self.trusted != before and self.running:
            self.cluster.meet(self)
        self.cluster.head_moved(self)

    def later(self, delay_ms: int, act: Callable[[], None]) -> None:
        """Do something later, unless the machine has gone down by then."""
        life = self.starts

        def still() -> None:
            if self.running and self.starts == life:
                act()

        self.cluster.at(delay_ms, still)
