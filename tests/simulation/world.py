"""The cluster as the simulator knows it: machines with disks that tear, rotating keys, followers, an adversary."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

from nacl.signing import SigningKey

from consensus.codec import decode_certificate, encode_message
from consensus.messages import CertifiedBlock, Message, Proposal, ViewChange
from consensus.state import VIEW_HORIZON, Stage
from consensus.types import Phase, SignedVote, signature_holds
from node.driver import DriverConfig
from node.driver.ports import Signer, TransactionSource
from node.driver.signer import LocalSigner
from node.driver.wal import WriteAheadLogError
from tests.simulation.adversary import Adversary, FaultyNode, understand
from tests.simulation.cluster import Cluster, NetworkModel, signing_key
from tests.simulation.disk import DiskLog, Disks, Fault, PowerCut
from tests.simulation.ledger import Ledger
from tests.simulation.node import Node, StrictSigner
from tests.simulation.watch import Violation

FOLLOW_MS = 700  # how often one who has no peers asks for new blocks
FOLLOW_BLOCKS = 16  # at a time


class Machine(Node):
    """A node as a household runs it: it may rotate its key, and it follows while it is no member.

    It asks some node's RPC for certified blocks while it is no member, or has so few connections that all of them may
    be to faulty ones, and hands them to its driver.
    """

    cluster: World

    def __init__(self, cluster: World, index: int, key: SigningKey) -> None:
        super().__init__(cluster, index, key)
        self.identities = [key]
        self.cut_off = False  # for good: nobody expects anything of it
        self._fetched: dict[int, tuple[bytes, bytes]] = {}

    @property
    def keys(self) -> list[bytes]:
        """Every key that it has or had."""
        return [bytes(key.verify_key) for key in self.identities]

    def start(self) -> None:
        """Start with the key that the members know, and look out for blocks."""
        if self.running:
            return
        self._choose_identity()
        self._fetched = {}
        super().start()
        if self.running:
            self.later(self.cluster.random.randrange(FOLLOW_MS), self._follow)

    def source(self) -> TransactionSource | None:
        """The pool, if proposals travel compact in this world."""
        return self.application.transaction if isinstance(self.application, Ledger) else None

    def _choose_identity(self) -> None:
        """A new key is taken up when the members that act have it."""
        ledger = self.cluster.ledger(self.index)
        acting = [number for number, key in enumerate(self.identities) if bytes(key.verify_key) in ledger.validators()]
        number = acting[-1] if acting else self.place
        key = self.identities[number]
        self.seed, self.key = bytes(key), bytes(key.verify_key)
        self.log = DiskLog(self.cluster.disks, f"{self.index}-{number}", self.key)

    @property
    def place(self) -> int:
        """Which of its keys it uses."""
        return next(number for number, key in enumerate(self.identities) if bytes(key) == self.seed)

    def moved(self) -> None:
        """The head has moved: hand in the next block, or begin to use the new key."""
        if len(self.identities) > 1 and self.running:
            later = [bytes(key.verify_key) for key in self.identities[self.place + 1 :]]
            if any(key in self.application.validators() for key in later):
                self.cluster.note(self, "rotates its key")
                self.cluster.counts["key rotations"] += 1
                self.crash()
                self.cluster.at(self.cluster.random.randint(1, 500), self.start)
                return
        self._hand_in()

    def _follow(self) -> None:
        self.later(FOLLOW_MS, self._follow)
        validators = self.driver.validators
        near = [node for node in self.cluster.peers(self) if node.key in validators]
        if self.key in self.trusted and len(near) > validators.faults:
            return  # one of them is honest
        head = self.application.head_height
        sources = [
            other
            for other in self.cluster.live
            if other is not self
            and (other.index, self.index) not in self.cluster.blocked
            and (self.index, other.index) not in self.cluster.blocked
            and other.application.head_height > head
        ]
        if not sources:
            return
        source = self.cluster.random.choice(sources)
        self._fetched = {}
        for height in range(head + 1, head + 1 + FOLLOW_BLOCKS):
            found = source.application.certified_block(height)
            if found is not None:
                self._fetched[height] = (source.key, self.cluster.served(source, self, *found))
        self._hand_in()

    def _hand_in(self) -> None:
        found = self._fetched.pop(self.application.head_height + 1, None) if self.running else None
        if found is not None:
            self.cluster.counts["blocks followed"] += 1
            self.later(self.cluster.random.randint(1, 50), lambda: self.receive(*found))

    def receive(self, sender: bytes, payload: bytes) -> None:
        """A message has come; if it is the second half of an equivocation, it must be reported."""
        double = self._double(understand(payload)) if self.running else None
        super().receive(sender, payload)
        if double is not None:
            self.cluster.counts["equivocations seen whole"] += 1
            if self.running and double[:3] not in self.driver._state.accused and self.driver.height == double[3]:
                raise Violation(
                    f"node {self.index} saw {double[0].hex()[:8]} sign two things, and blames nobody: {double}"
                )

    def _double(self, message: Message | None) -> tuple[bytes, int, Phase, int] | None:
        """Return whose and what equivocation a message completes for us."""
        match message:
            case SignedVote():
                signed = message
            case Proposal(made, _) | ViewChange(made, _):
                signed = made
            case _:
                return None
        state, vote = self.driver._state, signed.vote
        if vote.height != state.height or state.stage is Stage.DECIDED or signed.signer == self.key:
            return None
        lowest = state.view - (VIEW_HORIZON if vote.phase is Phase.COMMIT else 0)
        if not lowest <= vote.view <= state.view + VIEW_HORIZON:
            return None
        if vote.phase is Phase.VIEW_CHANGE:
            change = state.view_changes.get(signed.signer)
            held = None if change is None or change.view != vote.view else change.vote
        else:
            held = state.votes.get((vote.view, vote.phase), {}).get(signed.signer)
        if held is None or held.vote.block_hash == vote.block_hash or held.vote.epoch != vote.epoch:
            return None
        return (
            (signed.signer, vote.view, vote.phase, vote.height)
            if signature_holds(self.cluster.config.domain, signed)
            else None
        )


class Twin(FaultyNode):
    """One of two correct machines with one key."""


class World(Cluster):
    """A cluster of machines under a simulator.

    Args:
        size: validators at first.
        dice: of everything.
        network: how messages are treated.
        config: the drivers'.
        smallest: members are never fewer.
    """

    def __init__(
        self, size: int, dice: random.Random, network: NetworkModel, config: DriverConfig, smallest: int
    ) -> None:
        super().__init__(0, dice.getrandbits(64), network, config=config)
        self.smallest = smallest
        self.counts: Counter[str] = Counter()
        self.disks = Disks(random.Random(dice.getrandbits(64)))
        self.adversary = Adversary(config.domain, random.Random(dice.getrandbits(64)))
        self.strict = True  # honest nodes reject nothing of each other
        self.make_signer = self._make_signer
        self._keys = 0
        self.genesis: tuple[bytes, ...] = ()
        self.size = size
        self.on_decision: Callable[[Machine, int], None] = lambda machine, height: None

    def new_key(self) -> SigningKey:
        """Return a key that nobody has."""
        self._keys += 1
        return signing_key(self._keys)

    def _make_signer(self, seed: bytes) -> Signer:
        key = bytes(SigningKey(seed).verify_key)
        if key in self.adversary.signers:
            twins = [node for node in self.nodes if isinstance(node, Twin) and node.key == key]
            return LocalSigner(seed, self.config.domain) if twins else self.adversary.signers[key]
        return StrictSigner(seed, self.config.domain)

    def ledger(self, index: int) -> Ledger:
        """Return a node's application, opened anew."""
        opened = self.make_application(index)
        assert isinstance(opened, Ledger)
        return opened

    @property
    def machines(self) -> list[Machine]:
        """The honest nodes."""
        return [node for node in self.nodes if isinstance(node, Machine)]

    def honest_keys(self) -> set[bytes]:
        """Return every key that an honest node has or had, and that nobody else speaks for."""
        return {key for node in self.machines for key in node.keys} - self.watch.liars

    def served(self, source: Node, reader: Node, body: bytes, certificate: bytes) -> bytes:
        """Return the certified block that a node's RPC gives; a faulty one gives another."""
        payload = encode_message(CertifiedBlock(body, decode_certificate(certificate)))
        if isinstance(source, FaultyNode):
            for behaviour in source.behaviours:
                payload = (behaviour.outgoing(reader, payload) or [b""])[0]
        return payload

    # --- what happens ---

    def decided(self, node: Node, height: int) -> None:
        """A node begins to commit a block."""
        if isinstance(node, Machine):
            self.on_decision(node, height)

    def head_moved(self, node: Node) -> None:
        """A node has committed a block."""
        if isinstance(node, Machine):
            node.moved()

    def rejected(self, node: Node, sender: bytes, reason: str) -> None:
        """Nothing that an honest node sends is rejected by an honest node."""
        self.counts["rejections"] += 1
        if node.honest and sender in self.honest_keys():
            raise Violation(f"node {node.index} rejects honest {sender.hex()[:8]}: {reason}")

    def struck(self, node: Node, trouble: BaseException) -> None:
        """The power went, or the disk was full: then the process ends, and what it wrote is there."""
        if isinstance(trouble, PowerCut):
            self.note(node, "power cut")
            self.counts["cuts inside a write"] += 1
            self.power_cut(node)
        elif isinstance(trouble, WriteAheadLogError) and trouble.what == "No space left on device":
            self.note(node, "disk full")
            self.counts["full disks"] += 1
            node.crash()
        else:
            raise Violation(f"node {node.index}: {trouble}") from trouble

    def fail(self, node: Node, *, power: bool) -> None:
        """End a node's process; with its machine's power or only by itself."""
        if not node.running and not power:
            return
        self.note(node, "loses power" if power else "is killed")
        self.counts["power cuts" if power else "kills"] += 1
        node.crash()
        if power:
            self.lose_power(node)

    def lose_power(self, node: Node) -> None:
        """Lose what was not synced."""
        before = self.disks.torn, self.disks.lost_bytes
        for folder in self.disks.folders(f"{node.index}-"):
            self.disks.lose_power(folder)
        self.counts["torn tails"] += self.disks.torn - before[0]
        self.counts["truncated logs"] += self.disks.lost_bytes > before[1]

    def disk_fault(self, chance: float, dice: random.Random) -> None:
        """From now on disks fail at any operation with this chance."""

        def fault(folder: str) -> Fault | None:
            if dice.random() >= chance:
                return None
            return dice.choice((Fault.CUT_BEFORE, Fault.CUT_AFTER, Fault.CUT_AFTER, Fault.FULL))

        self.disks.fault = fault if chance else lambda folder: None
