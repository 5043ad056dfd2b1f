"""The state of one height, its bounds, and how it is restored from what was written down."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from consensus.certificates import Certificate
from consensus.inputs import Timing
from consensus.messages import Body, CertifiedBlock, NewView, Proposal, ProtocolMessage, Record, ViewChange
from consensus.types import Domain, Height, Phase, SignedVote, ValidatorSet, View
from consensus.viewchange import highest

FIRST_VIEW = View(0)
NO_HEIGHT = Height(0)
VIEW_HORIZON = 8  # votes are kept this many views around our own; a node further off is brought up by NEW-VIEW
MAX_BODIES = 4  # proposed, prepared, chosen, certified: no more are ever needed at once
MAX_AHEAD_MESSAGES = 64  # kept per peer for the next height: a proposal, two votes and a view change, several times
MAX_AHEAD_BODIES = 4  # their total size over all peers, in bodies of the largest size; a peer may fill a third of it
MAX_STRANGERS = 2  # whose heights are kept though they are no validators yet; an epoch brings one new key at a time
MAX_DOUBLINGS = 16  # of the view timeout; the cap is reached long before
VOTE_BYTES = 256  # what a vote is reckoned at, alone or in a certificate


class Stage(Enum):
    """Where a validator stands within its view."""

    WAITING = "waiting"  # in the view, for its proposal
    BUILDING = "building"  # the leader, for its own block
    EXECUTING = "executing"  # has accepted the proposal, is executing it
    PREPARING = "preparing"  # found it valid, has voted PREPARE
    PREPARED = "prepared"  # holds a quorum of PREPARE, has voted COMMIT
    CHANGING = "changing"  # has left the view before, waits for NEW-VIEW
    DECIDED = "decided"  # holds certificate and body; the block is being committed


def _moves() -> dict[tuple[Stage, Stage], str]:
    named = {
        (Stage.WAITING, Stage.BUILDING): "work, and we lead (§4.2)",
        (Stage.BUILDING, Stage.WAITING): "our block is built",
        (Stage.WAITING, Stage.EXECUTING): "the leader's PROPOSE (§4.2, pre-prepare)",
        (Stage.BUILDING, Stage.EXECUTING): "our own PROPOSE of before a restart",
        (Stage.EXECUTING, Stage.PREPARING): "found valid, PREPARE (§4.2)",
        (Stage.PREPARING, Stage.PREPARED): "q PREPAREs, COMMIT (§4.2, prepared)",
        (Stage.CHANGING, Stage.WAITING): "NEW-VIEW (§4.4)",
        (Stage.CHANGING, Stage.CHANGING): "timer, or f+1 want a higher view (§4.5.2)",
    }
    acting = (Stage.WAITING, Stage.BUILDING, Stage.EXECUTING, Stage.PREPARING, Stage.PREPARED)
    for stage in acting:
        cause = "invalid, " if stage is Stage.EXECUTING else "disobeys NEW-VIEW, " if stage is Stage.WAITING else ""
        named[stage, Stage.CHANGING] = f"{cause}timer, or f+1 want a higher view (§4.4, §4.5.2)"
        named.setdefault((stage, Stage.WAITING), "NEW-VIEW of a higher view (§4.4)")
    for stage in (*acting, Stage.CHANGING):
        named[stage, Stage.DECIDED] = "q COMMITs (§4.2, committed-local), or a certified block"
    return named


MOVES: Mapping[tuple[Stage, Stage], str] = _moves()
"""Every move within a height, with its cause. From DECIDED the next height begins, WAITING in view 0."""


@dataclass(frozen=True, slots=True)
class Config:
    """What does not change: our key, the chain, the pure hash of a body, bounds and timeouts.

    `hash_of_body` must bind every byte of the body, and returns None for a malformed one.
    """

    me: bytes
    domain: Domain
    hash_of_body: Callable[[bytes], bytes | None]
    max_body_bytes: int
    view_timeout_ms: int
    max_view_timeout_ms: int
    status_ms: int
    heartbeat_ms: int = 0  # an idle leader proposes an empty block after this long; 0: never

    def timeout_ms(self, view: int) -> int:
        """Return the timeout of a view: doubled with each, capped (Castro–Liskov §4.5.2)."""
        return min(self.view_timeout_ms << min(view, MAX_DOUBLINGS), self.max_view_timeout_ms)


@dataclass(frozen=True, slots=True)
class Fetch:
    """What was last asked for, of whom, at which height: a body by its hash, or (None) certified blocks."""

    peer: bytes
    height: Height
    block_hash: bytes | None


def weight(message: ProtocolMessage) -> int:
    """Return about how many bytes of memory a message takes."""
    match message:
        case Proposal(_, body):
            return VOTE_BYTES + len(body)
        case SignedVote():
            return VOTE_BYTES
        case ViewChange(_, prepared):
            return VOTE_BYTES * (1 + (0 if prepared is None else len(prepared.signers)))
        case NewView():
            return VOTE_BYTES * (len(message.departures) + (0 if message.prepared is None else len(message.departures)))


@dataclass(slots=True)
class Recollection:
    """What peers have answered since the restart; `marked`: older data were put back, so our log proves nothing."""

    marked: bool
    answers: dict[bytes, Height] = field(default_factory=dict)


class Ahead:
    """Messages for the next height, which peers that were faster have sent already; bounded per peer and in total."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._messages: dict[bytes, list[ProtocolMessage]] = {}
        self._bytes: dict[bytes, int] = {}

    def put(self, sender: bytes, message: ProtocolMessage) -> None:
        """Keep a message if it is new and there is room."""
        kept, size = self._messages.setdefault(sender, []), weight(message)
        theirs, total = self._bytes.get(sender, 0) + size, sum(self._bytes.values()) + size
        room = len(kept) < MAX_AHEAD_MESSAGES and theirs <= self._max_bytes // 3 and total <= self._max_bytes
        if room and message not in kept:
            kept.append(message)
            self._bytes[sender] = theirs

    def take(self) -> list[tuple[bytes, ProtocolMessage]]:
        """Return and forget everything, in the order of the senders' keys."""
        messages = [(sender, message) for sender, kept in sorted(self._messages.items()) for message in kept]
        self._messages.clear()
        self._bytes.clear()
        return messages


@dataclass(slots=True)
class State:
    """All that a validator knows of the height it decides. Owned by `step`: hand it in, go on with what comes back."""

    config: Config
    height: Height
    validators: ValidatorSet
    ahead: Ahead
    view: View = FIRST_VIEW
    stage: Stage = Stage.WAITING
    work: bool = False  # there is a reason to decide this height; otherwise no view timer runs
    open: bool = False  # somebody acts at this height: STATUS goes out often
    armed: View | None = None  # the view that the running view timer was set for

    # of this view
    new_view: NewView | None = None  # what let us enter it; view 0 needs none
    choice: bytes | None = None  # the block that must be proposed again in it
    proposal: Proposal | None = None  # accepted in it
    early: Proposal | None = None  # came before the NEW-VIEW of its view

    # of this height
    votes: dict[tuple[View, Phase], dict[bytes, SignedVote]] = field(default_factory=dict)
    view_changes: dict[bytes, ViewChange] = field(default_factory=dict)  # the newest of each validator
    prepared: Certificate | None = None  # the highest that we hold; durable before our COMMIT leaves
    certificate: Certificate | None = None  # the block is final
    bodies: dict[bytes, bytes] = field(default_factory=dict)
    valid: set[bytes] = field(default_factory=set)  # executed and found valid, or built by us
    durable: set[bytes] = field(default_factory=set)  # blocks whose bodies are in the write-ahead log
    signed: dict[tuple[View, Phase], bytes] = field(default_factory=dict)  # our own votes: one hash each, for ever
    accused: set[tuple[bytes, View, Phase]] = field(default_factory=set)  # equivocations that were reported

    # since the restart
    recall: Recollection | None = None  # we ask for forgotten votes of ours, and do not vote before the answers
    barred: Height = NO_HEIGHT  # we do not vote up to this height: others hold votes of ours that we have forgotten

    # about peers
    heights: dict[bytes, Height] = field(default_factory=dict)  # the highest that each says it works on
    lacking: dict[bytes, int] = field(default_factory=dict)  # statuses of each that lacked our proposal
    turns: dict[bytes, int] = field(default_factory=dict)  # statuses of each that we answered, in a crowd
    recalled: set[bytes] = field(default_factory=set)  # answered since our last STATUS
    fetch: Fetch | None = None
    fetched: dict[Height, tuple[bytes, CertifiedBlock]] = field(default_factory=dict)  # with who sent it

    @property
    def entered(self) -> bool:
        """Whether we take part in `view`, rather than wait for its NEW-VIEW."""
        return self.stage is not Stage.CHANGING

    @property
    def leader(self) -> bytes:
        """The node key of the leader of this height and view."""
        return self.validators.leader(self.height, self.view)

    @property
    def leading(self) -> bool:
        """Whether we are the leader."""
        return self.leader == self.config.me

    @property
    def wanted(self) -> set[bytes]:
        """The blocks whose bodies we lack: the certified one, and the one that we must propose again."""
        certified = None if self.certificate is None else self.certificate.block_hash
        chosen = self.choice if self.leading else None
        return {each for each in (certified, chosen) if each is not None and each not in self.bodies}

    @property
    def seated(self) -> bool:
        """Whether we are a validator of this height; otherwise we only follow."""
        return self.config.me in self.validators

    @property
    def voting(self) -> bool:
        """Whether we vote at this height: seated, and sure not to contradict what we have forgotten."""
        return self.seated and self.recall is None and self.height > self.barred

    def votes_for(self, view: View, phase: Phase, block_hash: bytes) -> list[SignedVote]:
        """Return the votes of a phase for a block."""
        votes = self.votes.get((view, phase), {})
        return [signed for signed in votes.values() if signed.vote.block_hash == block_hash]

    def keep_body(self, block_hash: bytes, body: bytes) -> None:
        """Keep a body, and drop the oldest that nothing refers to when there are too many."""
        self.bodies[block_hash] = body
        certificates = (self.prepared, self.certificate)
        needed = {block_hash, self.choice, *(each.block_hash for each in certificates if each is not None)}
        if self.proposal is not None:
            needed.add(self.proposal.vote.vote.block_hash)
        for spare in [each for each in self.bodies if each not in needed][: max(0, len(self.bodies) - MAX_BODIES)]:
            del self.bodies[spare]
            self.valid.discard(spare)
            self.durable.discard(spare)

    def move(self, stage: Stage) -> None:
        """Go to a stage; one that does not follow is our own bug, and nothing may be sent after it."""
        if (self.stage, stage) not in MOVES:
            raise AssertionError(f"{self.stage.value} is not followed by {stage.value}")
        self.stage = stage

    def go_to(self, view: View, stage: Stage) -> None:
        """Begin another view: forget what belonged to the one before, and votes that are too far off now."""
        self.move(stage)
        self.view = view
        self.new_view = self.choice = self.proposal = None
        self.lacking = {}
        if self.early is not None and self.early.vote.vote.view < view:
            self.early = None
        for key in [key for key in self.votes if key[0] + VIEW_HORIZON < view]:
            del self.votes[key]
        self.accused = {each for each in self.accused if each[1] + VIEW_HORIZON >= view}


def begin(config: Config, height: Height, validators: ValidatorSet) -> State:
    """Return the state in which a height begins."""
    return State(config, height, validators, Ahead(MAX_AHEAD_BODIES * config.max_body_bytes))


def succeed(state: State, validators: ValidatorSet, timing: Timing | None = None) -> State:
    """Return the state of the next height; what is known of peers is carried over."""
    config = state.config
    if timing is not None:
        config = replace(config, view_timeout_ms=timing.view_timeout_ms, max_view_timeout_ms=timing.max_view_timeout_ms)
    following = State(config, Height(state.height + 1), validators, state.ahead)
    following.recall, following.barred = state.recall, state.barred
    following.heights = {key: height for key, height in state.heights.items() if key in validators}
    following.fetch = state.fetch
    following.fetched = {height: block for height, block in state.fetched.items() if height >= following.height}
    return following


def recover(
    config: Config,
    height: Height,
    validators: ValidatorSet,
    records: Iterable[Record],
    recall: Recollection | None = None,
) -> State:
    """Return the state of a height from what was written down before a restart; lower heights' records are passed over.

    We come back in the highest view that we ever signed for, never lower. Above view 0 its NEW-VIEW is gone, so we wait
    for it in CHANGING, with the very VIEW-CHANGE that we sent. Where the log is ahead of the database we abstain: what
    it says of heights to come is not restored, so it must not be contradicted.
    """
    state = begin(config, height, validators)
    state.recall = recall
    for record in records:
        if record.height > height:
            state.barred = max(state.barred, record.height)
        if record.height != height:
            continue
        match record:
            case Body(_, body):
                block_hash = config.hash_of_body(body)
                if block_hash is not None:
                    state.bodies[block_hash] = body
                    state.durable.add(block_hash)
            case Certificate():
                state.prepared = highest((state.prepared, record))
            case ViewChange(vote):
                state.view_changes[vote.signer] = record
                state.signed[record.view, Phase.VIEW_CHANGE] = vote.vote.block_hash
            case SignedVote(vote, signer):
                state.signed[vote.view, vote.phase] = vote.block_hash
                if vote.phase is not Phase.PROPOSE:
                    state.votes.setdefault((vote.view, vote.phase), {})[signer] = record
    view = max((view for view, _ in state.signed), default=FIRST_VIEW)
    if view > 0:
        state.go_to(view, Stage.CHANGING)
    return state
