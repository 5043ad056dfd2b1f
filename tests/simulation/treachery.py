"""Faulty nodes with a plan: help a block to be decided by one, then have the others decide its sibling.

They share the plan: one sibling a height, whose body all of them have. It takes every lie that a view change offers.
"""

from __future__ import annotations

from dataclasses import replace

from consensus.certificates import Certificate
from consensus.codec import encode_message
from consensus.messages import Body, CertifiedBlock, Departure, Message, NewView, Proposal, ViewChange
from consensus.types import NO_BLOCK, Phase, SignedVote, View
from consensus.viewchange import claim_digest, claim_of, make_new_view
from tests.simulation.adversary import FaultyNode, understand
from tests.simulation.behaviours import LyingClaims, sibling_of
from tests.simulation.ledger import hash_of_body
from tests.simulation.node import Node

Place = tuple[int, int]  # height, view
UNASKED = 0.1  # of the ticks bring a NEW-VIEW that too few have asked for, and as many a forged certificate


class Treacherous(LyingClaims):
    """Lets few know what was committed, claims nothing or the sibling, and as a leader proposes the sibling."""

    name = "treacherous"

    def __init__(self, node: FaultyNode) -> None:
        super().__init__(node)
        self._claims: dict[Place, ViewChange] = {}
        self._new_views: dict[Place, NewView] = {}
        self._supported: set[Place] = set()

    def ignores(self, message: Message | None) -> bool:
        """Do not learn of a decision by its votes: whoever has decided takes no part in a view change."""
        return isinstance(message, SignedVote) and message.vote.phase is Phase.COMMIT

    def heard(self, message: Message | None) -> None:
        """Make the plan; support the sibling where somebody proposes it."""
        match message:
            case Proposal(vote, body):
                self._plan(vote.height, body)
                if vote.vote.block_hash == self._sibling_hash(vote.height):
                    self._support(vote)

    def tick(self) -> None:
        """Offer the sibling's body to one who may be obliged to propose it; open views and certify unasked."""
        body, receiver = self.adversary.plots.get(self.node.driver.height), self.anybody()
        if body is not None and receiver is not None:
            self.node.say(receiver, encode_message(Body(self.node.driver.height, body)))
            if self.dice.random() < UNASKED:
                self._open_unasked()
            forged = self._forged(self.node.driver.view + 1)
            if forged is not None and self.dice.random() < UNASKED:
                self.count("treacherous certificate")
                self.node.say(receiver, encode_message(CertifiedBlock(body, replace(forged, phase=Phase.COMMIT))))

    def outgoing(self, receiver: Node, payload: bytes) -> list[bytes]:
        """Follow the plan."""
        message = understand(payload)
        match message:
            case Proposal(vote, body) if self.own(vote):
                return self._proposal(message, vote, body, payload)
            case SignedVote(vote) if self.own(message):
                if (vote.height, vote.view) in self._supported:
                    return []  # the vote for the sibling has left
                if vote.phase is Phase.COMMIT and (receiver.index + vote.height) % 3:
                    self.count()
                    return []
            case ViewChange(vote, _) if self.own(vote):
                return [encode_message(self._view_change(message))]
            case NewView() if self._leads(message.height, message.view):
                return [encode_message(self._new_view(message))]
            case CertifiedBlock():
                return []
        return [payload]

    # --- the plan ---

    def _plan(self, height: int, body: bytes) -> None:
        if len(body) > 7:
            self.adversary.plots.setdefault(height, sibling_of(body))

    def _sibling_hash(self, height: int) -> bytes | None:
        body = self.adversary.plots.get(height)
        return None if body is None else hash_of_body(body)

    def _leads(self, height: int, view: int) -> bool:
        return self.node.driver.validators.leader(height, view) == self.node.key

    def _support(self, proposed: SignedVote) -> None:
        vote = proposed.vote
        place = (vote.height, vote.view)
        if place in self._supported:
            return
        self._supported.add(place)
        self.count("treacherous support")
        for phase in (Phase.PREPARE, Phase.COMMIT):
            own = self.adversary.vote(self.node.key, vote.epoch, vote.height, vote.view, phase, vote.block_hash)
            self.node.say_all(encode_message(own))

    def _proposal(self, message: Proposal, vote: SignedVote, body: bytes, payload: bytes) -> list[bytes]:
        if vote.vote.view == 0:
            self._plan(vote.height, body)
            # Whoever restarts is not to prepare it a second time.
            return [] if self.node.driver._state.prepared is not None else [payload]
        sibling = self.adversary.plots.get(vote.height)
        block_hash = None if sibling is None else hash_of_body(sibling)
        if sibling is None or block_hash is None:
            return [payload]
        self.count("treacherous proposal")
        signed = self.adversary.signers[self.node.key].sign(replace(vote.vote, block_hash=block_hash))
        self.node.later(1, lambda: self._support(signed))
        return [encode_message(Proposal(signed, sibling))]

    def _view_change(self, fair: ViewChange) -> ViewChange:
        """Claim nothing, or a certificate of our own making for the sibling; to everybody the same."""
        place = (fair.height, fair.view)
        if place not in self._claims:
            forged = self._forged(fair.view)
            claim = self.dice.choice((None, None, forged, forged, fair.prepared))
            signed = self.adversary.signers[self.node.key].sign(replace(fair.vote.vote, block_hash=claim_digest(claim)))
            self.count("treacherous claim" if claim is forged else self.name)
            self._claims[place] = ViewChange(signed, claim)
        return self._claims[place]

    def _forged(self, view: int) -> Certificate | None:
        """Return a certificate for the sibling, of the highest view that may be claimed, that nobody signed."""
        height, validators = self.node.driver.height, self.node.driver.validators
        block_hash = self._sibling_hash(height)
        if block_hash is None or view == 0:
            return None
        signers = validators.keys[: validators.quorum]
        signatures = (bytes(64),) * len(signers)
        return Certificate(height, validators.epoch, View(view - 1), Phase.PREPARE, block_hash, signers, signatures)

    def _new_view(self, fair: NewView) -> NewView:
        """Tell of the view changes as they are, or without their claims, or with a higher claim of our own."""
        place = (fair.height, fair.view)
        if place not in self._new_views:
            self.count("treacherous new view")
            self._new_views[place] = self.dice.choice(
                (fair, self._stripped(fair), self._over(fair), self._chosen(fair))
            )
        return self._new_views[place]

    def _open_unasked(self) -> None:
        """Send a NEW-VIEW to the next view that we lead, with signatures of those who did not ask for it."""
        driver = self.node.driver
        validators, height = driver.validators, driver.height
        view = next(
            (each for each in range(driver.view, driver.view + validators.size) if self._leads(height, each)), 0
        )
        if view == 0:
            return
        heard = self.adversary.changes.get((height, view), {})
        others = [key for key in validators.keys if key != self.node.key][: validators.quorum - 1]
        own = self.adversary.vote(self.node.key, validators.epoch, height, view, Phase.VIEW_CHANGE, NO_BLOCK)
        departures = [Departure(self.node.key, own.signature, None)]
        departures += [Departure(key, heard[key].vote.signature if key in heard else bytes(64), None) for key in others]
        departures.sort(key=lambda each: each.signer)
        made = NewView(validators.epoch, height, View(view), tuple(departures), None)
        self.count("treacherous new view, unasked")
        self.node.say_all(encode_message(self.dice.choice((made, self._over(made)))))

    def _stripped(self, fair: NewView) -> NewView:
        bare = tuple(Departure(each.signer, each.signature, None) for each in fair.departures)
        return replace(fair, departures=bare, prepared=None)

    def _over(self, fair: NewView) -> NewView:
        """Claim the sibling above all others, with a certificate that does not hold, or none at all."""
        forged = self._forged(fair.view)
        if forged is None:
            return fair
        if self.dice.random() < 0.5:
            forged = replace(forged, view=View(fair.view + 1))
        own = self.adversary.vote(
            self.node.key, fair.epoch, fair.height, fair.view, Phase.VIEW_CHANGE, claim_digest(forged)
        )
        told = Departure(self.node.key, own.signature, claim_of(forged))
        departures = tuple(told if each.signer == self.node.key else each for each in fair.departures)
        return replace(fair, departures=departures, prepared=self.dice.choice((forged, fair.prepared)))

    def _chosen(self, fair: NewView) -> NewView:
        """Tell of as many as it takes, of those who claim least, ours without a claim."""
        heard = dict(self.adversary.changes.get((fair.height, fair.view), {}))
        for key, signer in self.adversary.signers.items():
            if key in self.node.driver.validators and key in heard:
                heard[key] = ViewChange(signer.sign(replace(heard[key].vote.vote, block_hash=NO_BLOCK)), None)
        known = [each for each in heard.values() if each.vote.signer in self.node.driver.validators]
        lowest = sorted(known, key=lambda each: -1 if each.prepared is None else each.prepared.view)
        quorum = self.node.driver.validators.quorum
        chosen = {each.vote.signer: each for each in lowest[:quorum]}
        return make_new_view(fair.epoch, fair.height, fair.view, chosen, quorum) or fair
