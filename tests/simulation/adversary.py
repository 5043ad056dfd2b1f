"""What all faulty nodes know and can do together, and the faulty machine: a real driver whose transport lies.

Faulty nodes share everything: their keys, what each of them heard, and a plan. They cannot forge honest signatures.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from nacl.signing import SigningKey

from consensus.certificates import Certificate
from consensus.codec import InvalidPeerMessage, decode_message
from consensus.messages import CertifiedBlock, Message, NewView, Proposal, ViewChange
from consensus.types import Domain, Epoch, Height, Phase, SignedVote, View, Vote, vote_bytes
from node.driver import Event, MessageReceived
from tests.simulation.node import MAX_BODY_BYTES, Node

if TYPE_CHECKING:
    from tests.simulation.cluster import Cluster

TICK_MS = 150  # how often a faulty node does something unasked
MEMORY = 400  # old messages that can be sent again


@lru_cache(maxsize=8192)
def understand(payload: bytes) -> Message | None:
    """Return the message that bytes encode; None if they encode none of the core's."""
    try:
        return decode_message(payload, max_body_bytes=MAX_BODY_BYTES)
    except InvalidPeerMessage:
        return None


class Signatory:
    """A signer without scruples: the port `Signer` that signs whatever it is asked."""

    def __init__(self, seed: bytes, domain: Domain) -> None:
        self._key = SigningKey(seed)
        self._domain = domain
        self.node_key = bytes(self._key.verify_key)

    def restore(self, votes: object) -> None:
        """Remember nothing."""

    def sign(self, vote: Vote) -> SignedVote:
        """Sign."""
        return SignedVote(vote, self.node_key, self._key.sign(vote_bytes(self._domain, vote)).signature)


class Adversary:
    """The common knowledge of the faulty nodes.

    Args:
        domain: the chain that is voted on.
        dice: of their decisions.
    """

    def __init__(self, domain: Domain, dice: random.Random) -> None:
        self.domain = domain
        self.dice = dice
        self.signers: dict[bytes, Signatory] = {}
        self.proposals: dict[tuple[int, int], dict[bytes, Proposal]] = {}
        self.changes: dict[tuple[int, int], dict[bytes, ViewChange]] = {}
        self.prepared: dict[int, dict[int, Certificate]] = {}
        self.certified: dict[int, CertifiedBlock] = {}
        self.payloads: deque[bytes] = deque(maxlen=MEMORY)
        self.plots: dict[int, bytes] = {}  # the body by which a height's prepared block is to be replaced
        self.counts: Counter[str] = Counter()

    def hear(self, payload: bytes) -> Message | None:
        """Take note of what anybody said."""
        message = understand(payload)
        if self.dice.random() < 0.2:
            self.payloads.append(payload)
        match message:
            case Proposal(vote, _):
                self.proposals.setdefault((vote.height, vote.vote.view), {})[vote.vote.block_hash] = message
            case ViewChange():
                self.changes.setdefault((message.height, message.view), {})[message.vote.signer] = message
                self._certificate(message.prepared)
            case NewView():
                self._certificate(message.prepared)
            case CertifiedBlock():
                self.certified[message.height] = message
        return message

    def _certificate(self, certificate: Certificate | None) -> None:
        if certificate is not None and certificate.phase is Phase.PREPARE:
            self.prepared.setdefault(certificate.height, {}).setdefault(certificate.view, certificate)

    def other_block(self, vote: Vote) -> bytes:
        """Return another block that was proposed in the same view, or one that nobody ever saw."""
        known = self.proposals.get((vote.height, vote.view), {})
        others = [block for block in known if block != vote.block_hash]
        return self.dice.choice(others) if others else self.dice.randbytes(32)

    def vote(self, key: bytes, epoch: int, height: int, view: int, phase: Phase, block_hash: bytes) -> SignedVote:
        """Return a vote of a faulty key."""
        return self.signers[key].sign(Vote(Epoch(epoch), Height(height), View(view), phase, block_hash))


class Behaviour(Protocol):
    """One way to be faulty."""

    name: str

    def outgoing(self, receiver: Node, payload: bytes) -> list[bytes]:
        """Return what goes to the receiver in place of a payload."""

    def ignores(self, message: Message | None) -> bool:
        """Whether the node is to act as if it had never got a message."""

    def heard(self, message: Message | None) -> None:
        """Do something about a message."""

    def tick(self) -> None:
        """Do something unasked."""


class FaultyNode(Node):
    """A machine with the real driver, whose outgoing messages pass through its behaviours.

    Without a behaviour it is a twin: correct by itself, but there is another one with its key.
    """

    honest = False

    def __init__(self, cluster: Cluster, index: int, key: SigningKey, adversary: Adversary) -> None:
        super().__init__(cluster, index, key)
        self.adversary = adversary
        self.behaviours: list[Behaviour] = []
        self.active = True
        adversary.signers[self.key] = Signatory(self.seed, adversary.domain)

    def start(self) -> None:
        """Start, and begin to misbehave unasked."""
        if not self.running:
            super().start()
            if self.behaviours:
                self.later(self.adversary.dice.randrange(TICK_MS), self._tick)

    def _tick(self) -> None:
        for behaviour in self.behaviours:
            behaviour.tick()
        self.later(TICK_MS, self._tick)

    def handle(self, event: Event) -> None:
        """Let the driver act as if it had never heard of prudence after a restart."""
        if self.running:
            self.driver._state.recall = None
            self.driver._state.barred = Height(0)
        if isinstance(event, MessageReceived):
            message = self.adversary.hear(event.payload)
            if not any(behaviour.ignores(message) for behaviour in self.behaviours):
                super().handle(event)
            if self.running:
                for behaviour in self.behaviours:
                    behaviour.heard(message)
        else:
            super().handle(event)

    def send(self, node_key: bytes, payload: bytes) -> None:
        """Transport: lie to one."""
        self.adversary.hear(payload)
        for receiver in self.cluster.peers(self):
            if receiver.key == node_key:
                self._lie(receiver, payload)

    def broadcast(self, payload: bytes) -> None:
        """Transport: lie to all."""
        self.adversary.hear(payload)
        for receiver in self.cluster.peers(self):
            self._lie(receiver, payload)

    def _lie(self, receiver: Node, payload: bytes) -> None:
        payloads = [payload]
        for behaviour in self.behaviours:
            payloads = [out for each in payloads for out in behaviour.outgoing(receiver, each)]
        for each in payloads:
            self.say(receiver, each)

    def say(self, receiver: Node, payload: bytes) -> None:
        """Send as it is."""
        self.cluster.transmit(self, receiver, payload)

    def say_all(self, payload: bytes) -> None:
        """Send as it is to everybody."""
        for receiver in self.cluster.peers(self):
            self.say(receiver, payload)
