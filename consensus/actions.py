"""What the state machine wants done, in this order: what is persisted must be durable before a later send."""

from __future__ import annotations

from dataclasses import dataclass

from consensus.certificates import Certificate
from consensus.inputs import Timer, TimerKind
from consensus.messages import Message, Record
from consensus.types import Height, SignedVote, View, Vote


@dataclass(frozen=True, slots=True)
class Sign:
    """Sign these votes, all or none; the answer is the input `Signed`."""

    votes: tuple[Vote, ...]


@dataclass(frozen=True, slots=True)
class Persist:
    """Make these records durable before anything that follows leaves."""

    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class Send:
    """Send to one validator."""

    to: bytes
    message: Message


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Send to all other validators."""

    message: Message


@dataclass(frozen=True, slots=True)
class Schedule:
    """Start a timer, in place of the one of its kind that may be running."""

    timer: Timer
    delay_ms: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop the timer of a kind, if one is running."""

    kind: TimerKind


@dataclass(frozen=True, slots=True)
class BuildProposal:
    """Build a block over the committed head; the answer is `ProposalReady`. An empty block is a good answer."""

    height: Height
    view: View


@dataclass(frozen=True, slots=True)
class Execute:
    """Execute a proposed block over the committed head; the answer is `Executed`."""

    height: Height
    view: View
    block_hash: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class CommitBlock:
    """Commit a certified block, executing it first if that has not been done; the answer is `Committed`."""

    height: Height
    block_hash: bytes
    body: bytes
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class ForwardWork:
    """Send what waits to be committed to the leader: the view timer now runs against it."""

    leader: bytes


@dataclass(frozen=True, slots=True)
class ServeBlocks:
    """Send `count` committed blocks from `height` on to a validator, as far as there are any."""

    to: bytes
    height: Height
    count: int


@dataclass(frozen=True, slots=True)
class Reject:
    """A peer sent something that an honest one does not send; it was dropped."""

    sender: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class ReportEvidence:
    """A validator signed two different votes where an honest one signs one; both signatures were verified.

    `first` is the vote with the lower block hash, so that all who find the same equivocation report the same.
    """

    first: SignedVote
    second: SignedVote


Action = (
    Sign
    | Persist
    | Send
    | Broadcast
    | Schedule
    | Cancel
    | BuildProposal
    | Execute
    | CommitBlock
    | ForwardWork
    | ServeBlocks
    | Reject
    | ReportEvidence
)
