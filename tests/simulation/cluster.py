"""A whole cluster in one process: the real core and the real driver on simulated clock, network and disks.

One seed is one run. Every node runs an `Application`; the toy one of `ledger.py` unless another factory is given. What
must always hold is checked while it runs: see `Watch`.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count

from nacl.signing import SigningKey

from consensus.inputs import PeerConnected
from consensus.types import Domain
from node.driver import DriverConfig
from node.driver.ports import Signer
from tests.simulation.disk import PowerCut
from tests.simulation.ledger import Database, Ledger, hash_of_body
from tests.simulation.node import MAX_BODY_BYTES, Application, Node, StrictSigner, When
from tests.simulation.watch import Violation, Watch

DOMAIN = Domain(2016, b"\x47" * 32)
TRACE_EVENTS = 20_000  # the newest are kept


@dataclass
class NetworkModel:
    """How the network treats messages: delays in ms (different delays reorder), shares lost and sent twice."""

    delay_ms: tuple[int, int] = (1, 20)
    loss: float = 0.0
    duplicate: float = 0.0


def signing_key(number: int) -> SigningKey:
    """Return the node key `number`, from 1 on."""
    return SigningKey(number.to_bytes(1, "big") * 32)


class Cluster:
    """n nodes, a clock and a network.

    Args:
        size: number of validators at first.
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
        self.smallest = 1  # members are never fewer
        self.watch = Watch(self.config.domain)
        self.trace: deque[tuple[int, int, int, bytes | str]] = deque(maxlen=TRACE_EVENTS)
        self.persist_points = 0
        self.cut: Callable[[Node, int], When | None] = lambda node, point: None
        self.power_cut: Callable[[Node], None] = Node.crash
        self.blocked: set[tuple[int, int]] = set()
        self.databases: list[Database] = []
        self.nodes: list[Node] = []
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = count()
        self.submitted: list[bytes] = []
        self.make_application = make_application or self._open_ledger
        self.make_signer: Callable[[bytes], Signer] = lambda seed: StrictSigner(seed, self.config.domain)
        for key in sorted(
            (signing_key(number) for number in range(1, size + 1)), key=lambda key: bytes(key.verify_key)
        ):
            self.add(Node(self, len(self.nodes), key))
        self.genesis = tuple(node.key for node in self.nodes)

    def add(self, node: Node) -> None:
        """Put a machine there; it does not run yet."""
        self.nodes.append(node)
        self.databases.append(Database())

    def _open_ledger(self, index: int) -> Application:
        node = self.nodes[index]
        return Ledger(self.databases[index], self.genesis, index, node.clock_ms, self.smallest)

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

    def peers(self, node: Node) -> list[Node]:
        """Return the nodes with which a node has connections: both trust each other's key."""
        return [self.nodes[index] for index in sorted(node.linked)]

    def meet(self, node: Node) -> None:
        """Make the connections that a node's and its peers' trust allow, and close those that it forbids."""
        for other in self.nodes:
            if other is node or not other.running:
                continue
            trust = other.key in node.trusted and node.key in other.trusted and node.key != other.key
            linked = other.index in node.linked
            if trust and not linked:
                node.linked.add(other.index)
                other.linked.add(node.index)
                node.handle(PeerConnected(other.key))
                other.handle(PeerConnected(node.key))
            elif linked and not trust:
                node.linked.discard(other.index)
                other.linked.discard(node.index)
            if not node.running:
                return

    def part(self, node: Node) -> None:
        """Close all connections of a node that goes down."""
        for index in node.linked:
            self.nodes[index].linked.discard(node.index)
        node.linked.clear()

    def transmit(self, sender: Node, receiver: Node, payload: bytes) -> None:
        """Carry a message, or lose it, or carry it twice."""
        self.trace.append((self.now_ms, sender.index, receiver.index, payload))
        if (sender.index, receiver.index) in self.blocked or self.random.random() < self.network.loss:
            return
        key = sender.key
        for _ in range(2 if self.random.random() < self.network.duplicate else 1):
            delay_ms = self.random.randint(*self.network.delay_ms)
            self.at(delay_ms, lambda: receiver.receive(key, payload))

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
            for b in self.peers(a):
                a.handle(PeerConnected(b.key))

    # --- what happens to nodes ---

    @property
    def live(self) -> list[Node]:
        """Nodes that run."""
        return [node for node in self.nodes if node.running]

    def honest_keys(self) -> set[bytes]:
        """Return the keys of honest nodes."""
        return {node.key for node in self.nodes} - self.watch.liars

    def start(self, *indices: int) -> None:
        """Start nodes; all by default."""
        for index in indices or range(len(self.nodes)):
            self.nodes[index].start()

    def note(self, node: Node, what: str) -> None:
        """Write down in the trace what happens to a node."""
        self.trace.append((self.now_ms, node.index, node.index, what))

    def struck(self, node: Node, trouble: BaseException) -> None:
        """A node lost its power, or its disk refused, in the middle of something."""
        if not isinstance(trouble, PowerCut):
            raise Violation(f"node {node.index}: {trouble}") from trouble
        self.note(node, "power cut")
        self.power_cut(node)

    def rejected(self, node: Node, sender: bytes, reason: str) -> None:
        """A node found that a peer sent what no honest one sends."""

    def decided(self, node: Node, height: int) -> None:
        """A node holds a block and its certificate, and begins to commit it."""

    def head_moved(self, node: Node) -> None:
        """A node has committed a block."""

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
        self.submitted.append(transaction)
        for index in indices or range(len(self.nodes)):
            self.nodes[index].submit(transaction)

    def resubmit(self) -> None:
        """Clients send again what they do not find committed."""
        for transaction in self.submitted:
            for node in self.live:
                node.submit(transaction)

    # --- what to wait for ---

    def height(self) -> int:
        """The lowest committed height of the live nodes."""
        return min(node.application.head_height for node in self.live)

    def all_committed(self) -> bool:
        """Whether everything that was submitted is committed at every live node."""
        return all(node.application.holds(transaction) for node in self.live for transaction in self.submitted)

    def check_ends(self) -> None:
        """What must hold at the end: every committed height is there, the same at every honest node that has it."""
        for node in self.nodes:
            if node.starts == 0 or not node.honest:
                continue
            node.application = self.make_application(node.index)
            self.watch.started(node)
            node.committed_height = 0
            self.watch.started(node)

    def describe(self) -> str:
        """One line about every node."""
        return "; ".join(
            f"{node.index}: {node.driver.height}/{node.driver.view} {node.driver.stage.value}"
            if node.running
            else f"{node.index}: down"
            for node in self.nodes
        )
