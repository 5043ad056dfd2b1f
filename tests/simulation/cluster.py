"""A whole cluster in one process: the real core and the real driver on simulated clock, network and disks.

One seed is one run. Every node runs an `Application`; the toy one of `ledger.py` unless another factory is given. What
must always hold is checked while it runs: see `Watch`.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import count
from typing import Protocol

from nacl.signing import SigningKey

from consensus.certificates import verify
from consensus.codec import decode_certificate, decode_message, decode_record, encode_certificate
from consensus.inputs import PeerConnected, Timer, TimerFired, TimerKind, WorkAvailable
from consensus.messages import Body, NewView, Proposal, ViewChange
from consensus.types import Domain, Phase, SignedVote, ValidatorSet, Vote
from node.driver import (
    BuildProposal,
    CommitBlock,
    Committed,
    Driver,
    DriverConfig,
    Effect,
    Event,
    Execute,
    Executed,
    ForwardWork,
    LocalSigner,
    MessageReceived,
    ProposalReady,
    Reject,
)
from node.driver.ports import Log, Signer
from node.driver.signer import Contradiction
from tests.simulation.ledger import Database, Ledger, hash_of_body

DOMAIN = Domain(2016, b"\x47" * 32)
MAX_BODY_BYTES = 64 * 1024


class Violation(AssertionError):
    """Something that must always hold did not."""


class PowerCut(BaseException):
    """The machine loses power in the middle of what it does (no code of ours may catch this)."""


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

    def submit(self, transaction: bytes) -> None:
        """Take a transaction into the pool."""

    def pending(self) -> list[bytes]:
        """Transactions that wait."""

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


@dataclass
class NetworkModel:
    """How the network treats messages: delays in ms (different delays reorder), shares lost and sent twice."""

    delay_ms: tuple[int, int] = (1, 20)
    loss: float = 0.0
    duplicate: float = 0.0


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


@dataclass
class Watch:
    """What must always hold: no fork, no contradiction, nothing sent before it is durable."""

    blocks: dict[int, bytes] = field(default_factory=dict)
    votes: dict[tuple[bytes, int, int, Phase], bytes] = field(default_factory=dict)
    views: dict[int, int] = field(default_factory=dict)
    proposals: list[Proposal] = field(default_factory=list)
    liars: set[bytes] = field(default_factory=set)  # keys that a test speaks for

    def committed(self, node: int, height: int, block_hash: bytes) -> None:
        """A node committed a block."""
        if self.blocks.setdefault(height, block_hash) != block_hash:
            raise Violation(f"fork at height {height}: node {node} commits {block_hash.hex()}")

    def sent(self, node: Node, payload: bytes) -> None:
        """A node sent a message."""
        message = decode_message(payload, max_body_bytes=MAX_BODY_BYTES)
        match message:
            case SignedVote():
                self._vote(node, message)
            case Proposal(vote, _):
                self._vote(node, vote)
                if message not in self.proposals:
                    self.proposals.append(message)
            case ViewChange(vote, _):
                self._vote(node, vote)
            case NewView(view_changes):
                self.views[message.height] = max(self.views.get(message.height, 0), message.view)
                for change in view_changes:
                    self._vote(node, change.vote)

    def _vote(self, node: Node, signed: SignedVote) -> None:
        vote = signed.vote
        key = (signed.signer, vote.height, vote.view, vote.phase)
        if signed.signer not in self.liars and self.votes.setdefault(key, vote.block_hash) != vote.block_hash:
            raise Violation(f"{signed.signer.hex()[:8]} contradicts itself: {vote}")
        if signed.signer == node.key:
            durable = node.durable()
            if vote not in durable.votes:
                raise Violation(f"node {node.index} sent what it had not written down: {vote}")
            if vote.phase is Phase.COMMIT and vote.block_hash not in durable.prepared & durable.bodies:
                raise Violation(f"node {node.index} sent COMMIT before body and prepared certificate were durable")


@dataclass
class Durable:
    """What a node's log holds."""

    votes: set[Vote] = field(default_factory=set)
    prepared: set[bytes] = field(default_factory=set)
    bodies: set[bytes] = field(default_factory=set)


class Node:
    """One validator: driver, application, log, and the part of a shell."""

    def __init__(self, cluster: Cluster, index: int, key: SigningKey) -> None:
        self.cluster = cluster
        self.index = index
        self.seed = bytes(key)
        self.key = bytes(key.verify_key)
        self.log: Log = MemoryLog()
        self.running = False
        self.starts = 0
        self.rejections: list[str] = []
        self.forwarded = 0
        self._busy_until = 0
        self._timers: dict[TimerKind, int] = {}
        self._timer_numbers = count(1)
        self._durable: tuple[int, Durable] = (-1, Durable())
        self.driver: Driver
        self.application: Application

    # --- ports ---

    def schedule(self, timer: Timer, delay_ms: int) -> None:
        """Clock: start a timer."""
        number = self._timers[timer.kind] = next(self._timer_numbers)

        def fire() -> None:
            if self._timers.get(timer.kind) == number:
                del self._timers[timer.kind]
                self.handle(TimerFired(timer))

        self._later(delay_ms, fire)

    def cancel(self, kind: TimerKind) -> None:
        """Clock: stop a timer."""
        self._timers.pop(kind, None)

    def send(self, node_key: bytes, payload: bytes) -> None:
        """Transport: send to one."""
        self.cluster.watch.sent(self, payload)
        self.cluster.transmit(self, self.cluster.by_key[node_key], payload)

    def broadcast(self, payload: bytes) -> None:
        """Transport: send to all others."""
        for other in self.cluster.nodes:
            if other is not self:
                self.send(other.key, payload)

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

    # --- life ---

    def start(self) -> None:
        """Start from what is durable, unless it runs."""
        if self.running:
            return
        self.starts += 1
        self.running = True
        self._busy_until = 0
        self._durable = (-1, Durable())
        self._remember(self.log.records())
        self.application = self.cluster.make_application(self.index)
        self.driver = Driver(
            self.cluster.config,
            height=self.application.head_height + 1,
            validators=self.application.validators(),
            clock=self,
            transport=self,
            log=self,
            signer=self.cluster.make_signer(self.seed),
            archive=self,
        )
        self._guarded(self.driver.start)
        for other in self.cluster.nodes:
            if other is not self and other.running and self.running:
                self.handle(PeerConnected(other.key))
                other.handle(PeerConnected(self.key))

    def crash(self) -> None:
        """Lose everything that is not durable."""
        self.running = False
        self._timers.clear()

    def submit(self, transaction: bytes) -> None:
        """A client sends a transaction to this node."""
        if self.running:
            self.application.submit(transaction)
            self.handle(WorkAvailable())

    def handle(self, event: Event) -> None:
        """Hand an event to the driver and do what it wants."""
        if self.running:
            self._guarded(lambda: self.driver.handle(event))

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
                case _:
                    held.prepared.add(record.block_hash)

    def _guarded(self, act: Callable[[], list[Effect]]) -> None:
        try:
            effects = act()
        except PowerCut:
            self.cluster.power_cut(self)
            return
        for effect in effects:
            self._perform(effect)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case ForwardWork(leader):
                self.forwarded += 1
                for transaction in self.application.pending():
                    self.cluster.forward(self, self.cluster.by_key[leader], transaction)
            case Reject(_, reason):
                self.rejections.append(reason)
            case BuildProposal() | Execute() | CommitBlock():
                # The chain's one thread: in order, each taking its time.
                now = max(self.cluster.now_ms, self._busy_until)
                self._busy_until = now + self.cluster.random.randint(*self.cluster.work_ms)
                self._later(self._busy_until - self.cluster.now_ms, lambda: self._work(effect))

    def _work(self, effect: BuildProposal | Execute | CommitBlock) -> None:
        application = self.application
        if effect.height != application.head_height + 1:
            return
        match effect:
            case BuildProposal(height, view):
                block_hash, body = application.build()
                self.handle(ProposalReady(height, view, block_hash, body))
            case Execute(height, view, block_hash, body):
                reason = application.execute(body)
                self.handle(Executed(height, view, block_hash, reason is None, reason or ""))
            case CommitBlock(height, block_hash, body, certificate):
                encoded = encode_certificate(certificate)
                try:
                    self.cluster.persist_point(self, lambda: application.commit(body, encoded))
                except PowerCut:
                    self.cluster.power_cut(self)
                    return
                self.cluster.watch.committed(self.index, height, block_hash)
                waiting = bool(application.pending())
                self.handle(Committed(height, block_hash, application.validators(), waiting))

    def _later(self, delay_ms: int, act: Callable[[], None]) -> None:
        life = self.starts

        def still() -> None:
            if self.running and self.starts == life:
                act()

        self.cluster.at(delay_ms, still)


class Cluster:
    """n nodes, a clock and a network.

    Args:
        size: number of validators.
        seed: of everything that is random.
        network: how messages are treated.
        make_application: opens a node's application from what is durable of it; the toy ledger by default.
        config: the drivers'; the toy's by default.
    """

    def __init__(
        self,
        size: int = 4,
        seed: int = 0,
        network: NetworkModel | None = None,
        make_application: Callable[[int], Application] | None = None,
        config: DriverConfig | None = None,
    ) -> None:
        self.random = random.Random(seed)
        self.network = network or NetworkModel()
        self.config = config or DriverConfig(
            domain=DOMAIN,
            hash_of_body=hash_of_body,
            max_body_bytes=MAX_BODY_BYTES,
            view_timeout_ms=1_000,
            max_view_timeout_ms=8_000,
            status_ms=200,
        )
        self.work_ms = (1, 10)
        self.now_ms = 0
        self.watch = Watch()
        self.trace: list[str] = []
        self.persist_points = 0
        self.cut: Callable[[Node, int], When | None] = lambda node, point: None
        self.power_cut: Callable[[Node], None] = Node.crash
        self.blocked: set[tuple[int, int]] = set()
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = count()
        keys = sorted((SigningKey(bytes([i + 1]) * 32) for i in range(size)), key=lambda key: bytes(key.verify_key))
        self.nodes = [Node(self, index, key) for index, key in enumerate(keys)]
        self.by_key = {node.key: node for node in self.nodes}
        self.databases = [Database() for _ in self.nodes]
        self._submitted: list[bytes] = []
        members = tuple(node.key for node in self.nodes)
        self.make_application = make_application or (lambda index: Ledger(self.databases[index], members, index))
        self.make_signer: Callable[[bytes], Signer] = lambda seed: StrictSigner(seed, self.config.domain)

    # --- time ---

    def at(self, delay_ms: int, act: Callable[[], None]) -> None:
        """Do something later."""
        heapq.heappush(self._queue, (self.now_ms + delay_ms, next(self._numbers), act))

    def run(self, duration_ms: int) -> None:
        """Let time pass."""
        self.run_until(lambda: False, duration_ms, must=False)

    def run_until(self, done: Callable[[], bool], limit_ms: int = 60_000, *, must: bool = True) -> None:
        """Let time pass until something holds; a violation of liveness if it does not within the limit."""
        end = self.now_ms + limit_ms
        while not done():
            if not self._queue or self._queue[0][0] > end:
                self.now_ms = end
                if must:
                    raise Violation(f"not live within {limit_ms} ms: {self.describe()}")
                return
            self.now_ms, _, act = heapq.heappop(self._queue)
            act()

    # --- network ---

    def transmit(self, sender: Node, receiver: Node, payload: bytes) -> None:
        """Carry a message, or lose it, or carry it twice."""
        self.trace.append(f"{self.now_ms} {sender.index}>{receiver.index} {payload[0]} {len(payload)}")
        if (sender.index, receiver.index) in self.blocked or self.random.random() < self.network.loss:
            return
        for _ in range(2 if self.random.random() < self.network.duplicate else 1):
            delay_ms = self.random.randint(*self.network.delay_ms)
            self.at(delay_ms, lambda: receiver.handle(MessageReceived(sender.key, payload)))

    def forward(self, sender: Node, receiver: Node, transaction: bytes) -> None:
        """Carry a transaction to the leader; subject to partitions, not to loss."""
        if (sender.index, receiver.index) not in self.blocked:
            self.at(self.random.randint(*self.network.delay_ms), lambda: receiver.submit(transaction))

    def partition(self, *groups: Iterable[int]) -> None:
        """Cut all links between groups."""
        sets = [set(group) for group in groups]
        self.blocked = {(a, b) for s in sets for t in sets if s is not t for a in s for b in t}

    def heal(self) -> None:
        """Restore all links."""
        self.blocked = set()
        for a in self.live:
            for b in self.live:
                if a is not b:
                    a.handle(PeerConnected(b.key))

    # --- life ---

    @property
    def live(self) -> list[Node]:
        """Nodes that run."""
        return [node for node in self.nodes if node.running]

    def start(self, *indices: int) -> None:
        """Start nodes; all by default."""
        for index in indices or range(len(self.nodes)):
            self.nodes[index].start()

    def persist_point(self, node: Node, write: Callable[[], None]) -> None:
        """Write something durably, unless the power goes at this point."""
        point, self.persist_points = self.persist_points, self.persist_points + 1
        when = self.cut(node, point)
        if when is When.BEFORE:
            raise PowerCut
        write()
        if when is When.AFTER:
            raise PowerCut

    def submit(self, transaction: bytes, *indices: int) -> None:
        """Give a transaction to some nodes' pools; to all by default."""
        self._submitted.append(transaction)
        for index in indices or range(len(self.nodes)):
            self.nodes[index].submit(transaction)

    def resubmit(self) -> None:
        """Clients send again what they do not find committed."""
        for transaction in self._submitted:
            for node in self.live:
                node.submit(transaction)

    # --- what to wait for ---

    def height(self) -> int:
        """The lowest committed height of the live nodes."""
        return min(node.application.head_height for node in self.live)

    def all_committed(self) -> bool:
        """Whether everything that was submitted is committed at every live node."""
        return all(node.application.holds(transaction) for node in self.live for transaction in self._submitted)

    def check_ends(self) -> None:
        """What must hold at the end: every committed height is there, the same at every node that has it."""
        for node in self.nodes:
            if node.starts == 0:
                continue
            application = self.make_application(node.index)
            for height in range(1, application.head_height + 1):
                body, raw = application.certified_block(height) or (b"", b"")
                block_hash = self.config.hash_of_body(body) or b""
                if self.watch.blocks.setdefault(height, block_hash) != block_hash:
                    raise Violation(f"node {node.index} lost or changed height {height}")
                verify(decode_certificate(raw), application.validators(), self.config.domain)

    def describe(self) -> str:
        """One line about every node."""
        return "; ".join(
            f"{node.index}: {node.driver.height}/{node.driver.view} {node.driver.stage.value}"
            if node.running
            else f"{node.index}: down"
            for node in self.nodes
        )
