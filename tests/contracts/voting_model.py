"""The consortium in a few lines of Python: what votes, the queue and evidence must come to, whatever is sent when.

It says which error a transaction is refused with, or what it changes; `test_voting_model.py` holds the contract to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from contracts.bindings.consortium_events import ProposalKind, ProposalState

PERIOD_S = 7 * 86_400
MAX_OPEN = 8
CHANGES = (ProposalKind.ADMIT, ProposalKind.REMOVE, ProposalKind.ROTATE)


class Refusal(Exception):
    """The contract is to refuse this, by the error of this name."""


def require(condition: bool, error: str) -> None:
    """Refuse unless a condition holds."""
    if not condition:
        raise Refusal(error)


@dataclass(slots=True)
class Motion:
    """A proposal; people are named, node keys are the names that their seeds are made of."""

    proposer: str
    kind: ProposalKind
    who: str
    key: str
    expires_at_s: int
    value: int = 0
    state: ProposalState = ProposalState.OPEN
    ready: bool = False
    evidence: bool = False
    bounded: bool = True  # counts among its proposer's open motions
    votes: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Model:
    """A consortium of named members with named node keys, at a height and a chain time."""

    members: list[str]
    keys: dict[str, str]
    now_s: int
    height: int = 1
    epoch: int = 0
    changed_at: int = 0
    owner: dict[str, str] = field(default_factory=dict)  # every node key that ever was a member's
    vouching: dict[str, str] = field(default_factory=dict)
    motions: list[Motion] = field(default_factory=list)
    queue: list[Motion] = field(default_factory=list)
    accused: dict[str, Motion] = field(default_factory=dict)  # the motion on evidence against a member
    places: set[tuple[str, int]] = field(default_factory=set)
    rules: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Founders own their keys and vouch for themselves."""
        self.owner = {key: member for member, key in self.keys.items()}
        self.vouching = {member: member for member in self.members}

    # -- what the chain shows

    def voucher(self, account: str) -> str | None:
        """The member that vouches for an account."""
        voucher = self.vouching.get(account)
        return voucher if voucher in self.members else None

    def votes(self, motion: Motion) -> int:
        """The votes of those who are members now."""
        return len(motion.votes & set(self.members))

    def is_open(self, motion: Motion) -> bool:
        """Whether something may still come of it."""
        return motion.state in (ProposalState.OPEN, ProposalState.PASSED) and self.now_s <= motion.expires_at_s

    # -- what members send

    def propose(self, sender: str, kind: ProposalKind, who: str = "", key: str = "", value: int = 0) -> None:
        """Make a motion, with the sender's vote."""
        self._member(sender)
        if kind is ProposalKind.ADMIT:
            require(who not in self.members, "AlreadyAMember")
            require(self.owner.get(key, who) == who, "NodeKeyTaken")
        if kind is ProposalKind.REMOVE:
            require(who in self.members, "NoMember")
            require(len(self.members) > 1, "LastMember")
        mine = [motion for motion in self.motions if motion.proposer == sender and motion.bounded]
        require(sum(map(self.is_open, mine)) < MAX_OPEN, "TooManyOpen")
        motion = self._record(Motion(sender, kind, who, key, self.now_s + PERIOD_S, value))
        motion.votes.add(sender)
        self._decide(motion)

    def vote(self, sender: str, number: int) -> None:
        """Vote for a motion."""
        self._member(sender)
        motion = self._open(number)
        require(sender not in motion.votes, "AlreadyVoted")
        motion.votes.add(sender)
        self._decide(motion)

    def withdraw_vote(self, sender: str, number: int) -> None:
        """Take a vote back."""
        self._member(sender)
        motion = self._open(number)
        require(sender in motion.votes, "NotVoted")
        motion.votes.discard(sender)

    def withdraw_proposal(self, sender: str, number: int) -> None:
        """Take a motion back."""
        self._member(sender)
        motion = self._known(number)
        require(motion.proposer == sender, "NotTheProposer")
        require(motion.state in (ProposalState.OPEN, ProposalState.PASSED), "NotOpen")
        require(not motion.evidence, "RestsOnEvidence")
        motion.state = ProposalState.WITHDRAWN

    def enact(self, number: int) -> None:
        """Decide what has passed by now; anyone may."""
        motion = self._open(number)
        self._decide(motion)
        require(motion.state is not ProposalState.OPEN, "NotPassed")

    def prove_readiness(self, sender: str, number: int) -> None:
        """Submit the candidate's true signature."""
        self._member(sender)
        motion = self._known(number)
        require(motion.kind is ProposalKind.ADMIT, "NotAnAdmission")
        require(motion.state in (ProposalState.OPEN, ProposalState.PASSED), "NotOpen")
        require(self.now_s <= motion.expires_at_s, "Expired")
        require(not motion.ready, "AlreadyReady")
        motion.ready = True
        if motion.state is ProposalState.PASSED:
            self._act(motion)
        else:
            self._decide(motion)

    def rotate(self, sender: str, key: str) -> None:
        """Take another node key."""
        self._member(sender)
        require(key not in self.owner, "NodeKeyTaken")
        self._own(Motion(sender, ProposalKind.ROTATE, sender, key, self.now_s + PERIOD_S, ready=True, bounded=False))

    def leave(self, sender: str) -> None:
        """Leave."""
        self._member(sender)
        require(len(self.members) > 1, "LastMember")
        self._own(Motion(sender, ProposalKind.REMOVE, sender, "", self.now_s + PERIOD_S, bounded=False))

    def submit_evidence(self, sender: str, key: str, place: int) -> None:
        """Prove that a key signed two votes at a place."""
        voucher = self.voucher(sender)
        require(voucher is not None, "NotAMember")
        require(key in self.owner, "UnknownNodeKey")
        require((key, place) not in self.places, "EvidenceRecorded")
        self.places.add((key, place))
        accused = self.owner[key]
        if accused not in self.members or len(self.members) == 1 or self._leaves(accused):
            return
        motion = self.accused.get(accused)
        if motion is None or not self.is_open(motion):
            opened = Motion(str(voucher), ProposalKind.REMOVE, accused, "", self.now_s + PERIOD_S, bounded=False)
            opened.evidence = True
            self.accused[accused] = self._record(opened)

    def vouch(self, sender: str, account: str) -> None:
        """Vouch for an account."""
        self._member(sender)
        require(self.voucher(account) is None, "AlreadyVouched")
        self.vouching[account] = sender

    def end_vouching(self, sender: str, account: str) -> None:
        """Vouch no more."""
        self._member(sender)
        require(account != sender, "OwnAccount")
        require(self.vouching.get(account) == sender, "NotVouchedByYou")
        del self.vouching[account]

    def next_block(self) -> None:
        """Begin a block: one change that waits acts."""
        self.height += 1
        if self.queue:
            self._enact(self.queue.pop(0))

    # -- what comes of it

    def _member(self, sender: str) -> None:
        require(sender in self.members, "NotAMember")

    def _known(self, number: int) -> Motion:
        require(1 <= number <= len(self.motions), "UnknownProposal")
        return self.motions[number - 1]

    def _open(self, number: int) -> Motion:
        motion = self._known(number)
        require(motion.state is ProposalState.OPEN, "NotOpen")
        require(self.now_s <= motion.expires_at_s, "Expired")
        return motion

    def _record(self, motion: Motion) -> Motion:
        self.motions.append(motion)
        return motion

    def _leaves(self, member: str) -> bool:
        return any(motion.kind is ProposalKind.REMOVE and motion.who == member for motion in self.queue)

    def _own(self, motion: Motion) -> None:
        """What a member does with its own seat needs no vote, and waits in the queue at most once."""
        same = (each for each in self.queue if each.kind is motion.kind and each.who == motion.who)
        require(next(same, None) is None, "AlreadyQueued")
        self._act(self._record(motion))

    def _decide(self, motion: Motion) -> None:
        if 2 * self.votes(motion) > len(self.members):
            motion.state = ProposalState.PASSED
            if motion.kind is not ProposalKind.ADMIT or motion.ready:
                self._act(motion)

    def _act(self, motion: Motion) -> None:
        if motion.kind in CHANGES and (self.changed_at == self.height or self.queue):
            motion.state = ProposalState.QUEUED
            self.queue.append(motion)
        else:
            self._enact(motion)

    def _enact(self, motion: Motion) -> None:
        if not self._possible(motion):
            motion.state = ProposalState.VOID
            return
        motion.state = ProposalState.ENACTED
        if motion.kind is ProposalKind.RULE:
            self.rules.append((self.height + 2, motion.value))
            return
        self.changed_at = self.height
        self.epoch += 1
        if motion.kind is ProposalKind.REMOVE:
            place = self.members.index(motion.who)
            self.members[place] = self.members[-1]
            self.members.pop()
            del self.keys[motion.who]
            return
        if motion.kind is ProposalKind.ADMIT:
            self.members.append(motion.who)
            self.vouching[motion.who] = motion.who
        self.keys[motion.who] = motion.key
        self.owner[motion.key] = motion.who

    def _possible(self, motion: Motion) -> bool:
        seated = motion.who in self.members
        match motion.kind:
            case ProposalKind.ADMIT:
                return not seated and self.owner.get(motion.key, motion.who) == motion.who
            case ProposalKind.REMOVE:
                return seated and len(self.members) > 1
            case ProposalKind.ROTATE:
                return seated and motion.key not in self.owner
            case _:
                return True
