"""Ways to be faulty. A faulty node has some of them at once; see `Behaviour`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from consensus.certificates import Certificate
from consensus.codec import encode_message
from consensus.messages import (
    BlocksRequest,
    Body,
    BodyRequest,
    CertifiedBlock,
    Departure,
    Message,
    NewView,
    Proposal,
    Recall,
    Recalled,
    Status,
    ViewChange,
)
from consensus.types import NO_BLOCK, Height, Phase, SignedVote, View
from consensus.viewchange import claim_digest, claim_of, make_new_view
from tests.simulation.adversary import FaultyNode, understand
from tests.simulation.ledger import FORBIDDEN, hash_of_body
from tests.simulation.node import Node

FLOOD = 12  # messages a tick


class Quiet:
    """The behaviour of a node that does nothing wrong; the base of all others."""

    name = "quiet"

    def __init__(self, node: FaultyNode) -> None:
        self.node = node
        self.adversary = node.adversary
        self.dice = node.adversary.dice

    def outgoing(self, receiver: Node, payload: bytes) -> list[bytes]:
        """Let it pass."""
        return [payload]

    def ignores(self, message: Message | None) -> bool:
        """Hear everything."""
        return False

    def heard(self, message: Message | None) -> None:
        """Do nothing."""

    def tick(self) -> None:
        """Do nothing."""

    def count(self, what: str | None = None) -> None:
        """Note that it was faulty."""
        self.adversary.counts[what or self.name] += 1

    def own(self, signed: SignedVote) -> bool:
        """Whether a vote is under the node's own key."""
        return signed.signer == self.node.key

    def anybody(self) -> Node | None:
        """Return some peer."""
        peers = self.node.cluster.peers(self.node)
        return self.dice.choice(peers) if peers else None

    def far_half(self, receiver: Node, height: int) -> bool:
        """Whether a receiver is in the half that is told the second story; another half at every height."""
        return (receiver.index + height * 7 // 3) % 2 == 1


class Silent(Quiet):
    """Says nothing, or nothing of one phase."""

    name = "silent"

    def __init__(self, node: FaultyNode) -> None:
        super().__init__(node)
        self._kinds = self.dice.choice(((), (), (Proposal,), (SignedVote,), (ViewChange, NewView)))

    def outgoing(self, receiver: Node, payload: bytes) -> list[bytes]:
        """Say nothing."""
        if self._kinds and not isinstance(understand(payload), self._kinds):
            return [payload]
        self.count()
        return []


class Withholding(Quiet):
    """Speaks to some and not to others; to others at every height."""

    name = "withholding"

    def outgoing(self, receiver: Node, payload: bytes) -> list[bytes]:
        """Pass over some."""
        if (receiver.index * 5 + self.node.driver.height * 3 + self.node.index) % 3 == 0:
            self.count()
            return []
        return [payload]


class Equivocating(Quiet):
    """Tells one half of its peers something else, sometimes both halves both."""

    name = "equivocating"

    def __init__(self, node: FaultyNode) -> None:
        super().__init__(node)
        self._shameless = self.dice.random() < 0.3
        self._siblings: dict[tuple[int, int], bytes] = {}

    def outgoing(self, receiver: Node, payload: bytes) -> list[bytes]:
        """Tell the second story, or both."""
        message = understand(payload)
        other = self._second(message)
        if other is None:
            return [payload]
        self.count(f"{self.name} {type(message).__name__}")
        far = self.far_half(receiver, self.node.driver.height)
        stories = [encode_message(other), payload] if far else [payload, encode_message(other)]
        return stories if self._shameless else stories[:1]

    def _second(self, message: Message | None) -> Message | None:
        match message:
            case Proposal(vote, body) if self.own(vote):
                place = (vote.height, vote.vote.view)
                sibling = self._siblings.setdefault(place, sibling_of(body))
                return self._sign_proposal(vote, sibling)
            case SignedVote(vote) if self.own(message):
                return self.adversary.signers[self.node.key].sign(
                    replace(vote, block_hash=self.adversary.other_block(vote))
                )
            case ViewChange(vote, prepared) if self.own(vote):
                older = None if prepared is not None else self._newest_claim(vote)
                return self._claim(vote, older)
        return None

    def _newest_claim(self, vote: SignedVote) -> Certificate | None:
        known = self.adversary.prepared.get(vote.height, {})
        views = [view for view in known if view < vote.vote.view]
        return known[max(views)] if views else None

    def _claim(self, vote: SignedVote, prepared: Certificate | None) -> ViewChange | None:
        signed = self.adversary.signers[self.node.key].sign(replace(vote.vote, block_hash=claim_digest(prepared)))
        return None if signed == vote else ViewChange(signed, prepared)

    def _sign_proposal(self, vote: SignedVote, body: bytes) -> Proposal:
        block_hash = hash_of_body(body) or NO_BLOCK
        signed = self.adversary.signers[self.node.key].sign(replace(vote.vote, block_hash=block_hash))
        proposal = Proposal(signed, body)
        self.adversary.proposals.setdefault((vote.height, vote.vote.view), {})[block_hash] = proposal
        return proposal


def sibling_of(body: bytes) -> bytes:
    """Return another valid block with the same transactions."""
    return body[:6] + bytes(each ^ 0x80 for each in body[6:7]) + body[7:]


class Accomplice(Quiet):
    """Votes at once for every block that it hears of, in every phase."""

    name = "accomplice"

    def heard(self, message: Message | None) -> None:
        """Vote for it."""
        match message:
            case Proposal(vote, _):
                self._support(vote)
            case SignedVote(vote) if vote.phase is Phase.PREPARE and self.dice.random() < 0.3:
                self._support(message)

    def _support(self, signed: SignedVote) -> None:
        vote = signed.vote
        for phase in (Phase.PREPARE, Phase.COMMIT):
            own = self.adversary.vote(self.node.key, vote.epoch, vote.height, vote.view, phase, vote.block_hash)
            self.node.say_all(encode_message(own))
        self.count()


class Replaying(Quiet):
    """Sends again what anybody said long ago."""

    name = "replaying"

    def tick(self) -> None:
        """Send some of it."""
        for _ in range(3):
            receiver = self.anybody()
            if receiver is not None and self.adversary.payloads:
                self.count()
                self.node.say(receiver, self.dice.choice(self.adversary.payloads))


class Garbage(Quiet):
    """Sends what is no message, or hardly one."""

    name = "garbage"

    def tick(self) -> None:
        """Send noise, and messages with flipped or missing bytes."""
        receiver = self.anybody()
        if receiver is None:
            return
        self.count()
        self.node.say(receiver, self.dice.randbytes(self.dice.randint(0, 300)))
        if self.adversary.payloads:
            altered = bytearray(self.dice.choice(self.adversary.payloads) or b"\x02")
            for _ in range(self.dice.randint(1, 3)):
                altered[self.dice.randrange(len(altered))] = self.dice.randrange(256)
            self.node.say(receiver, bytes(altered[: self.dice.choice((None, self.dice.randrange(len(altered))))]))


class LyingClaims(Quiet):
    """Says that nothing was prepared, or something old or forged; as a leader chooses whom it heard."""

    name = "lying view change"

    def outgoing(self, receiver: Node, payload: bytes) -> list[bytes]:
        """Change the claim."""
        message = understand(payload)
        match message:
            case ViewChange(vote, prepared) if self.own(vote):
                claim = self._false_claim(vote, prepared)
                signed = self.adversary.signers[self.node.key].sign(replace(vote.vote, block_hash=claim_digest(claim)))
                self.count()
                return [encode_message(ViewChange(signed, claim))]
            case NewView():
                self.count("lying new view")
                return [encode_message(self._false_new_view(message))]
            case Proposal(vote, body) if self.own(vote) and vote.vote.view > 0 and self.dice.random() < 0.5:
                fresh = sibling_of(body)
                signed = self.adversary.signers[self.node.key].sign(
                    replace(vote.vote, block_hash=hash_of_body(fresh) or NO_BLOCK)
                )
                return [encode_message(Proposal(signed, fresh))]
        return [payload]

    def _false_claim(self, vote: SignedVote, prepared: Certificate | None) -> Certificate | None:
        height, view = vote.height, vote.vote.view
        known = self.adversary.prepared.get(height, {})
        earlier = self.adversary.prepared.get(height - 1, {})
        forged = None
        if prepared is not None:
            forged = replace(prepared, block_hash=self.dice.randbytes(32))
        claims = [None, None, known[min(known)] if known else None, next(iter(earlier.values()), None), forged]
        if prepared is not None:
            few = len(prepared.signers) - 1
            claims += [
                replace(prepared, view=View(view - 1)),
                replace(prepared, signers=prepared.signers[:few], signatures=prepared.signatures[:few]),
                replace(prepared, phase=Phase.COMMIT),
            ]
        return self.dice.choice(claims)

    def _false_new_view(self, message: NewView) -> NewView:
        heard = dict(self.adversary.changes.get((message.height, message.view), {}))
        for key, signer in self.adversary.signers.items():
            if key in heard:
                bare = signer.sign(replace(heard[key].vote.vote, block_hash=NO_BLOCK))
                heard[key] = ViewChange(bare, None)
        lowest = sorted(heard.values(), key=lambda each: -1 if each.prepared is None else each.prepared.view)
        quorum = len(message.departures)
        chosen = {each.vote.signer: each for each in lowest[:quorum]}
        fair = make_new_view(message.epoch, message.height, message.view, chosen, quorum) or message
        stripped = tuple(Departure(each.signer, each.signature, None) for each in fair.departures)
        own = [key for key in self.adversary.signers if key in chosen]
        return self.dice.choice(
            (
                fair,
                fair,
                fair,
                replace(fair, departures=stripped, prepared=None),
                replace(fair, prepared=None),
                replace(fair, departures=fair.departures[1:]),
                replace(fair, departures=(*fair.departures[:-1], fair.departures[0])),
                self._with_false_top(fair, own),
            )
        )

    def _with_false_top(self, fair: NewView, own: list[bytes]) -> NewView:
        """Claim more than can be proved, under a key of ours."""
        if not own or fair.prepared is None:
            return fair
        false = replace(fair.prepared, view=View(fair.view - 1), block_hash=self.dice.randbytes(32))
        signed = self.adversary.vote(own[0], fair.epoch, fair.height, fair.view, Phase.VIEW_CHANGE, claim_digest(false))
        told = Departure(own[0], signed.signature, claim_of(false))
        departures = tuple(told if each.signer == own[0] else each for each in fair.departures)
        return replace(fair, departures=departures)


class Flooding(Quiet):
    """Sends as much as it can of what is to be kept: votes of the future, bodies, false statuses."""

    name = "flooding"

    def tick(self) -> None:
        """Flood one peer."""
        receiver = self.anybody()
        if receiver is None:
            return
        self.count()
        for _ in range(FLOOD):
            self.node.say(receiver, encode_message(self.dice.choice(self._makers())()))

    def _makers(self) -> list[Callable[[], Message]]:
        dice, height, view = self.dice, self.node.driver.height, self.node.driver.view
        mask = 2**128 - 1
        far = Height(height + dice.choice((0, 0, 1, 1, 1, 2, 5, 2**40)))
        late = View(view + dice.choice((0, 1, 2, 7, 8, 9, 2**31)))
        epoch = self.node.driver.validators.epoch

        def vote(phase: Phase) -> SignedVote:
            return self.adversary.vote(self.node.key, epoch, far, late, phase, dice.randbytes(32))

        return [
            lambda: vote(Phase.PREPARE),
            lambda: vote(Phase.COMMIT),
            lambda: vote(Phase.PROPOSE),
            lambda: ViewChange(vote(Phase.VIEW_CHANGE), None),
            lambda: Status(far, late, dice.random() < 0.5, True, mask, mask, mask),
            lambda: Status(far, late, True, False, 0, 0, 0),
            lambda: Body(far, b"toy1" + dice.randbytes(500)),
            lambda: BodyRequest(far, dice.randbytes(32)),
            lambda: BlocksRequest(Height(max(0, height - 3)), 3),
            lambda: Recall(),
            lambda: Recalled(far, (vote(Phase.COMMIT),)),
        ]


class InvalidProposals(Quiet):
    """Proposes what is not valid, or not even a block."""

    name = "invalid proposal"

    def outgoing(self, receiver: Node, payload: bytes) -> list[bytes]:
        """Spoil own proposals."""
        message = understand(payload)
        if not isinstance(message, Proposal) or not self.own(message.vote):
            return [payload]
        self.count()
        body = message.body
        spoilt = self.dice.choice(
            (
                body + len(FORBIDDEN).to_bytes(2, "big") + FORBIDDEN,
                body[:10] + bytes(32) + body[42:],
                body[:42] + (2**40).to_bytes(8, "big") + body[50:],
                body[:42] + bytes(8) + body[50:],
                body + b"\x00\x05late",
                body[:20],
                b"",
            )
        )
        block_hash = hash_of_body(spoilt) or self.dice.choice((NO_BLOCK, message.vote.vote.block_hash))
        signed = self.adversary.signers[self.node.key].sign(replace(message.vote.vote, block_hash=block_hash))
        return [encode_message(Proposal(signed, spoilt))]


class FalseServing(Quiet):
    """Answers requests with something else: other bodies, forged certificates, wrong statuses, no recollection."""

    name = "false serving"

    def outgoing(self, receiver: Node, payload: bytes) -> list[bytes]:
        """Spoil answers."""
        message = understand(payload)
        false: Message | None = None
        match message:
            case CertifiedBlock(body, certificate):
                votes = len(certificate.signers)
                false = self.dice.choice(
                    (
                        CertifiedBlock(sibling_of(body), certificate),
                        CertifiedBlock(body, replace(certificate, signatures=(bytes(64),) * votes)),
                        CertifiedBlock(body, replace(certificate, height=Height(certificate.height + 1))),
                        CertifiedBlock(
                            body,
                            replace(
                                certificate, signers=certificate.signers[:1], signatures=certificate.signatures[:1]
                            ),
                        ),
                        message,
                    )
                )
            case Body(height, body):
                false = Body(height, sibling_of(body) if len(body) > 7 else b"")
            case Status():
                absurd = Height(message.height + self.dice.choice((0, 0, 1, 3, 2**40)))
                false = replace(message, height=absurd, prepares=self.dice.choice((0, 2**128 - 1)))
            case Recalled():
                false = Recalled(Height(2**40), ()) if self.dice.random() < 0.5 else replace(message, votes=())
        if false is None:
            return [payload]
        self.count()
        return [encode_message(false)]


class Slow(Quiet):
    """Says everything so late that it seldom matters, and sometimes does."""

    name = "slow"

    def outgoing(self, receiver: Node, payload: bytes) -> list[bytes]:
        """Send it later."""
        self.count()
        self.node.later(self.dice.randint(100, 3_000), lambda: self.node.say(receiver, payload))
        return []


BEHAVIOURS: dict[str, type[Quiet]] = {
    each.name: each
    for each in (
        Silent,
        Withholding,
        Equivocating,
        Accomplice,
        Replaying,
        Garbage,
        LyingClaims,
        Flooding,
        InvalidProposals,
        FalseServing,
        Slow,
    )
}
