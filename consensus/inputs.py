"""What can happen to the state machine."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from consensus.messages import Message
from consensus.types import Height, SignedVote, ValidatorSet, View


class TimerKind(Enum):
    """Each kind runs at most once at a time: scheduling it again replaces it."""

    VIEW = "view"
    STATUS = "status"
    HEARTBEAT = "heartbeat"
    FETCH = "fetch"


@dataclass(frozen=True, slots=True)
class Timer:
    """A timer, with the height and view it was set for, so that one that fires too late is recognised."""

    kind: TimerKind
    height: Height
    view: View


@dataclass(frozen=True, slots=True)
class Started:
    """The process runs; everything durable has been restored."""


@dataclass(frozen=True, slots=True)
class WorkAvailable:
    """There is something to commit: an executable transaction, or an epoch change that must act."""


@dataclass(frozen=True, slots=True)
class PeerConnected:
    """A connection to a validator came up (again)."""

    node_key: bytes


@dataclass(frozen=True, slots=True)
class Received:
    """A well-formed message came from a peer; nothing in it has been verified."""

    sender: bytes
    message: Message


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer ran out."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class Signed:
    """The signer's answer to `Sign`."""

    votes: tuple[SignedVote, ...]


@dataclass(frozen=True, slots=True)
class ProposalReady:
    """The answer to `BuildProposal`: a block over the committed head, valid and executed by its builder."""

    height: Height
    view: View
    block_hash: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Executed:
    """The answer to `Execute`: whether the block is valid; if not, `reason` says why."""

    height: Height
    view: View
    block_hash: bytes
    valid: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Timing:
    """The view timeouts that the rules of a height give: the first view's, doubled with every view, and its cap."""

    view_timeout_ms: int
    max_view_timeout_ms: int


@dataclass(frozen=True, slots=True)
class Committed:
    """The answer to `CommitBlock`: the block is durable.

    Args:
        height, block_hash: the block that was committed.
        next_validators: the validators of height + 1, with their epoch.
        work_remaining: whether something executable still waits (or came in meanwhile).
        timing: the timeouts of height + 1, if they may have changed.
    """

    height: Height
    block_hash: bytes
    next_validators: ValidatorSet
    work_remaining: bool
    timing: Timing | None = None


Input = Started | WorkAvailable | PeerConnected | Received | TimerFired | Signed | ProposalReady | Executed | Committed
