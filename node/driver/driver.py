"""The synchronous driver: the consensus core with its ports. Asyncio lives outside, in the shell."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count, takewhile

from consensus.actions import (
    Action,
    Broadcast,
    BuildProposal,
    Cancel,
    CommitBlock,
    Execute,
    ForwardWork,
    Persist,
    Reject,
    ReportEvidence,
    Schedule,
    Send,
    ServeBlocks,
    Sign,
)
from consensus.certificates import Certificate
from consensus.codec import (
    MAX_BLOCKS,
    InvalidPeerMessage,
    decode_certificate,
    decode_message,
    decode_record,
    encode_message,
    encode_record,
)
from consensus.core import step
from consensus.inputs import Committed, Input, Received, Signed, Started
from consensus.messages import Body, CertifiedBlock, Message, Proposal, Record, Status, ViewChange
from consensus.state import VIEW_HORIZON, Config, Recollection, Stage, State, recover
from consensus.types import Domain, Height, SignedVote, ValidatorSet, View, Vote
from node.driver.compact import Ask, Assembled, BodyFormat, Compact, Outcome
from node.driver.compact_messages import decode_compact, is_compact
from node.driver.events import Effect, Event, MessageReceived, WorkAvailable
from node.driver.ports import Archive, Clock, Log, Signer, TransactionSource, Transport
from node.driver.signer import Contradiction, SignerAway

SERVED_BYTES = 1024 * 1024  # certified blocks sent for one request, beyond the first: a second on a fast line
MAX_TOLD = 1024  # members, present and past, whose heights are kept to be shown
MAX_RECORD_BODY_BYTES = 2**32 - 1  # our own log is read whatever today's bound on bodies is

log = logging.getLogger("consensus")


@dataclass(frozen=True, slots=True)
class DriverConfig:
    """What does not change while the process runs.

    Args:
        domain: chain id and genesis hash.
        hash_of_body: the hash of a block from its body; None if the body is malformed. It must bind every byte: two
            different bodies never have the same hash (so it checks the transactions root, and decodes strictly).
        max_body_bytes: larger bodies are refused.
        view_timeout_ms, max_view_timeout_ms: the first view's timeout, doubled with every view, and its cap.
        status_ms: how often STATUS is exchanged while a height is open; ten times less often when idle.
        heartbeat_ms: after how long an idle leader proposes an empty block; 0: never.
        body_format: how a body is taken apart, so that proposals may travel compact; None: they travel whole.
    """

    domain: Domain
    hash_of_body: Callable[[bytes], bytes | None]
    max_body_bytes: int = 4 * 1024 * 1024
    view_timeout_ms: int = 4_000
    max_view_timeout_ms: int = 30_000
    status_ms: int = 300
    heartbeat_ms: int = 0
    body_format: BodyFormat | None = None


class Driver:
    """Call `start` once, then `handle` for every event, from one thread; do what the effects say.

    Args:
        config: constants.
        height: the height to decide next: the committed head's + 1.
        validators: the validators of `height`.
        restored: whether older data were put back since it last voted: it then abstains until that is safe.
        source: the pool, from which compact proposals are put together; without it proposals travel whole.
        watch: told every input when what follows from it is durable and sent, and the state that it led to: to look at.
    """

    def __init__(
        self,
        config: DriverConfig,
        *,
        height: int,
        validators: ValidatorSet,
        clock: Clock,
        transport: Transport,
        log: Log,
        signer: Signer,
        archive: Archive,
        restored: bool = False,
        source: TransactionSource | None = None,
        watch: Callable[[Input, State], None] | None = None,
    ) -> None:
        self._clock = clock
        self._transport = transport
        self._log = log
        self._signer = signer
        self._archive = archive
        self._watch = watch
        self._max_body_bytes = config.max_body_bytes
        records = [decode_record(raw, max_body_bytes=MAX_RECORD_BODY_BYTES) for raw in log.records()]
        signer.restore(vote.vote for vote in map(_own_vote, records) if vote is not None)
        self._compact: Compact | None = None
        if config.body_format is not None and source is not None:
            self._compact = Compact(
                config.body_format,
                source,
                domain=config.domain,
                hash_of_body=config.hash_of_body,
                max_body_bytes=config.max_body_bytes,
                expects=self._expects,
            )
            self._compact.advance(Height(height))
        core_config = Config(
            me=signer.node_key,
            domain=config.domain,
            hash_of_body=config.hash_of_body if self._compact is None else self._compact.hash_of_body,
            max_body_bytes=config.max_body_bytes,
            view_timeout_ms=config.view_timeout_ms,
            max_view_timeout_ms=config.max_view_timeout_ms,
            status_ms=config.status_ms,
            heartbeat_ms=config.heartbeat_ms,
        )
        self._told: dict[bytes, Height] = {}
        self._unsigned: list[Vote] = []  # of the open height, while the signer is away
        self._state = recover(core_config, Height(height), validators, records, Recollection(restored))

    @property
    def height(self) -> Height:
        """The height that is being decided."""
        return self._state.height

    @property
    def view(self) -> View:
        """The view it is in, or wants to enter."""
        return self._state.view

    @property
    def stage(self) -> Stage:
        """Where it stands within the view."""
        return self._state.stage

    @property
    def leader(self) -> bytes:
        """The node key of this height's and view's leader."""
        return self._state.leader

    @property
    def validators(self) -> ValidatorSet:
        """The validators of the height that is being decided."""
        return self._state.validators

    @property
    def fetched(self) -> list[CertifiedBlock]:
        """The blocks at hand that are said to follow the open height's without a gap; none of them is verified."""
        held = self._state.fetched
        heights = takewhile(held.__contains__, map(Height, count(self._state.height + 1)))
        return [held[height][1] for height in heights]

    @property
    def told_height(self) -> int:
        """The highest committed height that an honest validator told, 0 if none did: f of the claims may be lies."""
        validators = self._state.validators
        claims = sorted((height for key, height in self._state.heights.items() if key in validators), reverse=True)
        return claims[validators.faults] - 1 if len(claims) > validators.faults else 0

    @property
    def abstaining(self) -> bool:
        """Whether it does not vote because it may have forgotten votes of its own: the restore marker must stay."""
        return self._state.recall is not None or self._state.height <= self._state.barred

    @property
    def warning(self) -> str | None:
        """A plain sentence if the validators tolerate no fault; None otherwise."""
        return self._state.validators.warning

    def height_of_peer(self, node_key: bytes) -> Height | None:
        """Return the height that a peer works on by what it sent; None if it sent nothing. Nobody vouches for it."""
        return self._told.get(node_key)

    def start(self) -> list[Effect]:
        """Begin, with what the log restored. Call `handle(WorkAvailable())` afterwards if something waits."""
        return self._run(Started())

    def handle(self, event: Event) -> list[Effect]:
        """Process one event; what had to be durable is, and what had to be sent was, when it returns.

        Raises:
            WriteAheadLogError: the log cannot be written. The node must stop; it is safe to start it again.
        """
        if isinstance(event, MessageReceived):
            return self._on_payload(event.sender, event.payload)
        effects = self._run(event)
        if isinstance(event, WorkAvailable) and self._compact is not None:
            effects += self._follow(self._compact.retry())
        return effects

    def retry(self) -> list[Effect]:
        """Ask the signer, which is back, for what it could not sign; the core drops what it has gone past meanwhile.

        Raises:
            WriteAheadLogError: as for `handle`.
        """
        waiting, self._unsigned = self._unsigned, []
        place = self._state.height, self._state.view
        current = [vote for vote in waiting if (vote.height, vote.view) == place]
        signed = [vote for vote in map(self._signature, current) if vote is not None]
        return self._run(Signed(tuple(signed))) if signed else []

    def _on_payload(self, sender: bytes, payload: bytes) -> list[Effect]:
        try:
            if self._compact is not None and is_compact(payload):
                compact = decode_compact(payload, max_body_bytes=self._max_body_bytes)
                return self._follow(self._compact.receive(sender, compact))
            message = decode_message(payload, max_body_bytes=self._max_body_bytes)
        except InvalidPeerMessage as error:
            return [Reject(sender, error.reason)]
        self._hear(sender, message)
        return self._run(Received(sender, message))

    def _hear(self, sender: bytes, message: Message) -> None:
        """Remember how far a peer is: a status says it, seldom; whoever passes a vote on is no lower than the vote."""
        if sender not in self._told and len(self._told) >= MAX_TOLD:
            return
        match message:
            case Status(height=height):
                self._told[sender] = height
            case SignedVote(vote):
                self._told[sender] = max(vote.height, self._told.get(sender, vote.height))
            case _:
                pass

    def _follow(self, outcomes: Iterable[Outcome]) -> list[Effect]:
        effects: list[Effect] = []
        for outcome in outcomes:
            match outcome:
                case Ask(to, payload):
                    self._transport.send(to, payload)
                case Assembled(sender, proposal):
                    effects += self._run(Received(sender, proposal))
                case Reject():
                    effects.append(outcome)
        return effects

    def _expects(self, signed: SignedVote) -> bool:
        """Return whether the core would look at a proposal with this vote; nothing is put together for others."""
        state, vote = self._state, signed.vote
        if vote.height != state.height:
            return vote.height == state.height + 1 and signed.signer in state.validators
        if state.stage is Stage.DECIDED or not state.view <= vote.view <= state.view + VIEW_HORIZON:
            return False
        kept = state.proposal if vote.view == state.view and state.entered else state.early
        leads = signed.signer == state.validators.leader(vote.height, vote.view)
        return leads and (kept is None or kept.vote.vote.view > vote.view)

    def _run(self, event: Input) -> list[Effect]:
        """Step until nothing is left to sign; then one write of all records; then everything that leaves."""
        height = self._state.height
        records: list[Record] = []
        leaving: list[Action] = []
        pending = deque(self._step(event))
        while pending:
            action = pending.popleft()
            match action:
                case Sign():
                    pending.extendleft(reversed(self._sign(action)))
                case Persist(batch):
                    records.extend(batch)
                case _:
                    leaving.append(action)
        if isinstance(event, Committed) and self._state.height > height:
            self._log.clear()
        if self._compact is not None:
            self._compact.advance(self._state.height)
        if records:
            self._log.append([encode_record(record) for record in records])
        effects = [effect for action in leaving for effect in self._leave(action)]
        if self._watch is not None:
            self._watch(event, self._state)
        return effects

    def _step(self, event: Input) -> list[Action]:
        before = self._state.height, self._state.view, self._state.stage
        self._state, actions = step(self._state, event)
        if log.isEnabledFor(logging.DEBUG):
            self._tell(before, event)
        return actions

    def _tell(self, before: tuple[Height, View, Stage], event: Input) -> None:
        height, view, stage = self._state.height, self._state.view, self._state.stage
        if (height, view, stage) != before:
            where = {"height": height, "view": view, "stage": stage.value, "after": before[2].value}
            log.debug("moved", extra={**where, "by": type(event).__name__})

    def _sign(self, request: Sign) -> list[Action]:
        signed = [vote for vote in map(self._signature, request.votes) if vote is not None]
        return self._step(Signed(tuple(signed))) if len(signed) == len(request.votes) else []

    def _signature(self, vote: Vote) -> SignedVote | None:
        """Return a vote signed; None if we abstain. What a signer that is away was asked for is kept for `retry`."""
        try:
            return self._signer.sign(vote)
        except Contradiction as error:
            log.warning("the signer refused, so we abstain", extra={"reason": str(error)})
        except SignerAway:
            self._unsigned = [each for each in self._unsigned if (each.height, each.view) == (vote.height, vote.view)]
            self._unsigned.append(vote)
        return None

    def _leave(self, action: Action) -> list[Effect]:
        match action:
            case Send(to, message):
                self._transport.send(to, self._encode(message, to))
            case Broadcast(message):
                self._transport.broadcast(self._encode(message, None))
            case Schedule(timer, delay_ms):
                self._clock.schedule(timer, delay_ms)
            case Cancel(kind):
                self._clock.cancel(kind)
            case ServeBlocks(to, height, count):
                self._serve(to, height, count)
            case BuildProposal() | Execute() | CommitBlock() | ForwardWork() | Reject() | ReportEvidence():
                return [action]
            case Sign() | Persist():
                raise AssertionError("signed and persisted before anything leaves")
        return []

    def _encode(self, message: Message, to: bytes | None) -> bytes:
        if self._compact is not None and isinstance(message, Proposal):
            return self._compact.encode(message, to, self._state.validators.size - 1)
        return encode_message(message)

    def _serve(self, to: bytes, height: Height, count: int) -> None:
        served_bytes = 0
        for number in range(height, height + min(count, MAX_BLOCKS)):
            found = self._archive.certified_block(number)
            if found is None or served_bytes > SERVED_BYTES:
                return
            body, certificate = found
            served_bytes += len(body)
            self._transport.send(to, encode_message(CertifiedBlock(body, decode_certificate(certificate))))


def _own_vote(record: Record) -> SignedVote | None:
    match record:
        case SignedVote():
            return record
        case ViewChange(vote):
            return vote
        case Certificate() | Body():
            return None
