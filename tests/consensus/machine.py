"""One state machine under test, with keys for all validators, so that a test can speak for the others."""

from __future__ import annotations

from dataclasses import dataclass, field

from eth_hash.auto import keccak
from nacl.signing import SigningKey

from consensus.actions import Action, Persist, Sign
from consensus.certificates import Certificate, assemble
from consensus.core import step
from consensus.inputs import Input, Received, Signed
from consensus.messages import Message, NewView, Proposal, Record, ViewChange
from consensus.state import Config, State, recover
from consensus.types import Domain, Epoch, Height, Phase, SignedVote, ValidatorSet, View, Vote, vote_bytes
from consensus.viewchange import claim_digest, make_new_view

DOMAIN = Domain(2016, b"\x47" * 32)
MAX_BODY_BYTES = 64 * 1024


def signing_keys(size: int) -> list[SigningKey]:
    """Return the keys of `size` validators, in the order of their public keys."""
    return sorted((SigningKey(bytes([i + 1]) * 32) for i in range(size)), key=lambda key: bytes(key.verify_key))


def validator_set(size: int, epoch: int = 0) -> ValidatorSet:
    """Return the set of these validators."""
    return ValidatorSet(Epoch(epoch), tuple(bytes(key.verify_key) for key in signing_keys(size)))


def hash_of_body(body: bytes) -> bytes | None:
    """Return the hash of a body; None for a malformed one."""
    return None if body.startswith(b"malformed") else keccak(body)


BODY = b"block of height 5"
BLOCK = keccak(BODY)
OTHER_BODY = b"another block of height 5"
OTHER = keccak(OTHER_BODY)


@dataclass
class Machine:
    """Validator `me` of `size` at height 5, where validator (5 + view) mod size leads."""

    size: int = 4
    me: int = 0
    height: int = 5
    records: list[Record] = field(default_factory=list)
    domain: Domain = DOMAIN

    def __post_init__(self) -> None:
        """Start from the records."""
        self.keys = signing_keys(self.size)
        self.validators = validator_set(self.size)
        self.config = Config(
            self.validators.keys[self.me], self.domain, hash_of_body, MAX_BODY_BYTES, 1_000, 5_000, 100
        )
        self.state: State = recover(self.config, Height(self.height), self.validators, self.records)
        self.written: list[Record] = []

    def feed(self, event: Input) -> list[Action]:
        """Let something happen; sign what is to be signed; return everything else in order."""
        self.state, actions = step(self.state, event)
        done: list[Action] = []
        for action in actions:
            if isinstance(action, Sign):
                done += self.feed(Signed(tuple(self.sign(self.me, vote) for vote in action.votes)))
            else:
                if isinstance(action, Persist):
                    self.written += action.records
                done.append(action)
        return done

    def hear(self, sender: int, message: Message) -> list[Action]:
        """Let a message come from a peer."""
        return self.feed(Received(self.validators.keys[sender], message))

    # --- what the others say ---

    def sign(self, who: int, vote: Vote) -> SignedVote:
        """Return a vote signed by a validator."""
        key = self.keys[who]
        return SignedVote(vote, bytes(key.verify_key), key.sign(vote_bytes(self.domain, vote)).signature)

    def vote(
        self, who: int, phase: Phase, view: int = 0, block: bytes = BLOCK, height: int | None = None
    ) -> SignedVote:
        """Return a validator's vote."""
        at = Height(self.height if height is None else height)
        return self.sign(who, Vote(self.validators.epoch, at, View(view), phase, block))

    def proposal(self, view: int = 0, body: bytes = BODY, who: int | None = None) -> Proposal:
        """Return the leader's (or somebody's) proposal."""
        leader = (self.height + view) % self.size if who is None else who
        return Proposal(self.vote(leader, Phase.PROPOSE, view, keccak(body)), body)

    def certificate(
        self, phase: Phase, view: int = 0, block: bytes = BLOCK, who: tuple[int, ...] | None = None
    ) -> Certificate:
        """Return a certificate by a quorum, or by some."""
        signers = range(self.validators.quorum) if who is None else who
        return assemble(self.vote(each, phase, view, block) for each in signers)

    def view_change(self, who: int, view: int, prepared: Certificate | None = None) -> ViewChange:
        """Return a validator's view change."""
        return ViewChange(self.vote(who, Phase.VIEW_CHANGE, view, claim_digest(prepared)), prepared)

    def new_view(self, view: int, *changes: ViewChange) -> NewView:
        """Return a new view of given view changes, or of the first quorum's without claims."""
        given = changes or tuple(self.view_change(each, view) for each in range(self.validators.quorum))
        by_signer = {change.vote.signer: change for change in given}
        made = make_new_view(self.validators.epoch, Height(self.height), View(view), by_signer, len(by_signer))
        if made is None:
            raise ValueError(f"view changes to other views than {view}")
        return made
