"""What must always hold, checked while a cluster runs; see `docs/architecture.md` for the invariants."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from consensus.certificates import Certificate, InvalidCertificate, verify
from consensus.codec import decode_certificate
from consensus.messages import BodyRequest, CertifiedBlock, Message, NewView, Proposal, ViewChange
from consensus.state import MAX_AHEAD_MESSAGES, MAX_BODIES, MAX_STRANGERS, VIEW_HORIZON, Stage, State
from consensus.types import Domain, Phase, SignedVote, ValidatorSet, Vote, signature_holds
from consensus.viewchange import votes_of

if TYPE_CHECKING:
    from tests.simulation.judge import Judge
    from tests.simulation.node import Node


class Violation(AssertionError):
    """Something that must always hold did not."""


@dataclass
class Durable:
    """What a node's log holds of its newest height."""

    votes: set[Vote] = field(default_factory=set)
    prepared: set[bytes] = field(default_factory=set)
    bodies: set[bytes] = field(default_factory=set)


@dataclass
class Comeback:
    """A return from a backup.

    Args:
        heights: where every honest peer stood then, by its index.
        floor: the height up to which the node may not vote; settled together with the node's own question.
    """

    heights: dict[int, int]
    floor: int | None = None

    def settle(self, node: Node) -> int:
        """Return the floor; fix it by the validators that the node knows in the step in which it begins to vote."""
        if self.floor is None:
            validators = node.driver.validators
            stood = sorted(
                height
                for index, height in self.heights.items()
                if any(key in validators for key in node.cluster.nodes[index].keys)  # whichever it answered under
            )
            sure = min(validators.quorum, validators.size - 1) - validators.faults
            self.floor = stood[sure - 1] if 0 < sure <= len(stood) else 0
        return self.floor


VoteKey = tuple[bytes, int, int, Phase]
ANY_COLLECTION = 64  # elements a member in whatever collection of the core has no bound of its own below


@dataclass
class Watch:
    """No fork, no contradiction, nothing sent before it is durable, nobody honest blamed, bounded memory.

    Args:
        domain: the chain.
        blocks, bodies: of every committed height: its hash and its bytes.
        validators: of every height that somebody worked on.
        votes: what every honest key said.
        views: the highest view of each height that a NEW-VIEW was sent for.
        proposals: of honest nodes, each once.
        liars: keys that are not honest, or that somebody else speaks for.
        blamed: who was proved to have signed two things.
        judge: reckons validity and validators from the committed blocks, where these are toy blocks.
        comebacks: of every node that was put back from a backup, what its return must respect.
    """

    domain: Domain
    blocks: dict[int, bytes] = field(default_factory=dict)
    bodies: dict[int, bytes] = field(default_factory=dict)
    validators: dict[int, ValidatorSet] = field(default_factory=dict)
    votes: dict[VoteKey, bytes] = field(default_factory=dict)
    views: dict[int, int] = field(default_factory=dict)
    proposals: list[Proposal] = field(default_factory=list)
    liars: set[bytes] = field(default_factory=set)
    blamed: set[VoteKey] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    judge: Judge | None = None
    comebacks: dict[int, Comeback] = field(default_factory=dict)
    _proposed: set[SignedVote] = field(default_factory=set)
    _asked: set[tuple[int, int, int, bytes]] = field(default_factory=set)

    def committed(self, node: Node, height: int, body: bytes, block_hash: bytes, certificate: Certificate) -> None:
        """A node has committed a block, certified by the validators of its height."""
        if self.blocks.setdefault(height, block_hash) != block_hash:
            raise Violation(f"fork at height {height}: node {node.index} commits {block_hash.hex()}")
        if self.bodies.setdefault(height, body) != body:
            raise Violation(f"node {node.index} commits other bytes at height {height}")
        if self.judge is not None:
            latest_ms = max(each.clock_ms() for each in node.cluster.nodes if each.honest)
            reason = self.judge.read(height, body, latest_ms)
            if reason is not None:
                raise Violation(f"node {node.index} commits a block of height {height} {reason}")
        self._certified(node, certificate, height, block_hash)
        node.committed_height = height

    def works_on(self, node: Node, height: int, validators: ValidatorSet) -> None:
        """A node begins a height."""
        if self.validators.setdefault(height, validators) != validators:
            raise Violation(f"node {node.index} has other validators of height {height}")
        if self.judge is not None and self.judge.validators(height) != validators:
            raise Violation(f"node {node.index} has other validators of height {height} than the blocks name")

    def _certified(self, node: Node, certificate: Certificate, height: int, block_hash: bytes) -> None:
        try:
            if height in self.validators:
                verify(certificate, self.validators[height], self.domain)
        except InvalidCertificate as error:
            raise Violation(f"node {node.index}, height {height}: {error.reason}") from error
        if (certificate.height, certificate.block_hash) != (height, block_hash):
            raise Violation(f"node {node.index} commits height {height} by a certificate for {certificate.vote}")

    def sent(self, node: Node, message: Message) -> None:
        """An honest node sends a message."""
        match message:
            case SignedVote():
                self._vote(node, message)
            case Proposal(vote, _):
                self._vote(node, vote)
                if vote not in self._proposed:
                    self._proposed.add(vote)
                    self.proposals.append(message)
            case ViewChange(vote, _):
                self._vote(node, vote)
            case NewView():
                self.views[message.height] = max(self.views.get(message.height, 0), message.view)
                for vote in votes_of(message):
                    self._vote(node, vote)
                self._proved(node, message)
            case BodyRequest(height, block_hash):
                self._asked.add((node.index, node.starts, height, block_hash))
            case CertifiedBlock(_, certificate):
                self._certified(node, certificate, certificate.height, self.blocks.get(certificate.height, b""))

    def _proved(self, node: Node, message: NewView) -> None:
        """An honest node passes on a NEW-VIEW only if a quorum asked for it, and if its highest claim is proved."""
        validators = self.validators.get(message.height)
        if validators is None:
            return
        votes = [vote for vote in votes_of(message) if vote.signer in validators]
        signers = {vote.signer for vote in votes if signature_holds(self.domain, vote)}
        if len(signers) < max(validators.quorum, len(message.departures)):
            raise Violation(f"node {node.index} passes on a NEW-VIEW to view {message.view} that nobody asked for")
        claims = [each.claim for each in message.departures if each.claim is not None]
        top = max((claim.view for claim in claims), default=None)
        named = {claim.block_hash for claim in claims if claim.view == top}
        try:
            if message.prepared is not None:
                verify(message.prepared, validators, self.domain, Phase.PREPARE)
        except InvalidCertificate as error:
            raise Violation(f"node {node.index} passes on a NEW-VIEW with a false proof: {error.reason}") from error
        if named != (set() if message.prepared is None else {message.prepared.block_hash}):
            raise Violation(f"node {node.index} passes on a NEW-VIEW that does not prove its highest claim")

    def _vote(self, node: Node, signed: SignedVote) -> None:
        vote = signed.vote
        key = (signed.signer, vote.height, vote.view, vote.phase)
        if signed.signer not in self.liars and self.votes.setdefault(key, vote.block_hash) != vote.block_hash:
            if not signature_holds(self.domain, signed):
                raise Violation(f"node {node.index} passes on what nobody signed: {vote}")
            raise Violation(f"{signed.signer.hex()[:8]} contradicts itself: {vote}")
        if signed.signer == node.key and signed not in node.said:
            durable = node.durable()
            if vote not in durable.votes:
                raise Violation(f"node {node.index} sent what it had not written down: {vote}")
            if vote.phase is Phase.COMMIT and vote.block_hash not in durable.prepared & durable.bodies:
                raise Violation(f"node {node.index} sent COMMIT before body and prepared certificate were durable")
            if vote.phase is Phase.PREPARE and vote.block_hash not in node.judged:
                raise Violation(f"node {node.index} prepares a block that it never found valid: {vote}")
            self._obeys(node, vote)
            self._returned(node, vote)
            node.said.add(signed)

    def _obeys(self, node: Node, vote: Vote) -> None:
        """A node prepares in a view what the NEW-VIEW by which it entered obliges to, and nothing else."""
        state = node.driver._state
        if vote.phase is not Phase.PREPARE or (vote.height, vote.view) != (state.height, state.view):
            return
        departures = () if state.new_view is None else state.new_view.departures
        claims = [each.claim for each in departures if each.claim is not None]
        top = max((claim.view for claim in claims), default=None)
        if claims and vote.block_hash not in {claim.block_hash for claim in claims if claim.view == top}:
            raise Violation(f"node {node.index} prepares another block than its NEW-VIEW obliges to: {vote}")

    def _returned(self, node: Node, vote: Vote) -> None:
        """A node that was put back votes at no height that its honest peers had reached when it came back.

        It has forgotten votes, so it asks min(q, n-1) of its peers how far they are, and votes above the farthest that
        answered. At most f of these lie, so at least min(q, n-1) - f honest ones were asked, and none of them had got
        further by the time of the return than it said later. So the height of a vote exceeds where each of some
        min(q, n-1) - f honest peers stood at the return, that is, at least the lowest that many of them.
        """
        comeback = self.comebacks.get(node.index)
        if comeback is None:
            return
        floor = comeback.settle(node)
        if vote.height <= floor:
            raise Violation(f"node {node.index} was put back and votes at height {vote.height}, peers had {floor}")

    def evidence(self, node: Node, first: SignedVote, second: SignedVote) -> None:
        """An honest node reports that somebody signed two things where one is signed."""
        one, other = first.vote, second.vote
        key = (first.signer, one.height, one.view, one.phase)
        if first.signer in node.cluster.honest_keys():
            raise Violation(f"node {node.index} blames honest {first.signer.hex()[:8]}: {one}, {other}")
        same = (second.signer, other.height, other.view, other.phase, other.epoch) == (*key, one.epoch)
        holds = signature_holds(self.domain, first) and signature_holds(self.domain, second)
        if not (same and holds and one.block_hash < other.block_hash):
            raise Violation(f"node {node.index} reports what proves nothing: {first}, {second}")
        self.blamed.add(key)
        self.counts["evidence"] += 1

    def started(self, node: Node) -> None:
        """A node has opened what its disk holds; the power may have gone before it could say what it committed."""
        application = node.application
        if application.head_height < node.committed_height:
            raise Violation(f"node {node.index} lost height {node.committed_height}")
        for height in range(node.committed_height + 1, application.head_height + 1):
            body, raw = application.certified_block(height) or (b"", b"")
            certificate = decode_certificate(raw)
            self.committed(node, height, body, certificate.block_hash, certificate)

    def handled(self, node: Node, state: State) -> None:
        """A node has handled something: what holds whatever peers sent."""
        comeback = self.comebacks.get(node.index)
        if comeback is not None and state.recall is None:
            comeback.settle(node)
        lacks = state.stage is Stage.WAITING and state.leading and state.voting and state.choice not in state.bodies
        asked = state.choice is None or (node.index, node.starts, state.height, state.choice) in self._asked
        if lacks and not asked:
            raise Violation(f"node {node.index} must propose a block again, lacks its body, and asks nobody")
        self._memory(node, state)

    def _memory(self, node: Node, state: State) -> None:
        """No collection of the core grows beyond its bound."""
        members = state.validators.size
        views = 2 * VIEW_HORIZON + 2
        bounds = {
            "votes": views * len(Phase),
            "view_changes": members,
            "bodies": MAX_BODIES + 2,
            "valid": MAX_BODIES + 2,
            "durable": MAX_BODIES + 2,
            "signed": len(Phase) * (state.view + 1),
            "heights": members + MAX_STRANGERS,
            "lacking": members,
        }
        for each in fields(state):
            value = getattr(state, each.name)
            if isinstance(value, dict | set | list | tuple):
                bound = bounds.get(each.name, ANY_COLLECTION * max(members, 4))
                if len(value) > bound:
                    raise Violation(f"node {node.index} holds {len(value)} {each.name}, expected at most {bound}")
        if any(len(votes) > members for votes in state.votes.values()):
            raise Violation(f"node {node.index} holds more votes of one phase than there are members")
        for messages in state.ahead._messages.values():
            if len(messages) > MAX_AHEAD_MESSAGES:
                raise Violation(f"node {node.index} keeps {len(messages)} messages ahead of one peer")
