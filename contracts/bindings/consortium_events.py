"""Consortium: what its logs say."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from contracts.bindings.abi import Event


class ProposalKind(IntEnum):
    """What a proposal is about."""

    NONE = 0
    ADMIT = 1
    REMOVE = 2
    UPGRADE = 3
    RULE = 4
    ROTATE = 5


class ProposalState(IntEnum):
    """Where a proposal stands. PASSED waits for the candidate's readiness, QUEUED for a later block."""

    NONE = 0
    OPEN = 1
    PASSED = 2
    ENACTED = 3
    WITHDRAWN = 4
    QUEUED = 5
    VOID = 6


@dataclass(frozen=True, slots=True)
class MemberAdmitted(Event):
    """A member belongs to the consortium from `epoch` on; `name` is 32 bytes, zero padded."""

    account: bytes
    node_key: bytes
    epoch: int
    name: bytes
    endpoint: str


@dataclass(frozen=True, slots=True)
class EndpointChanged(Event):
    """A member's validator is reached elsewhere now."""

    member: bytes
    endpoint: str


@dataclass(frozen=True, slots=True)
class Vouched(Event):
    """`account` may send from now on."""

    member: bytes
    account: bytes


@dataclass(frozen=True, slots=True)
class VouchingEnded(Event):
    """`account` may not send any more."""

    member: bytes
    account: bytes


@dataclass(frozen=True, slots=True)
class MemberRemoved(Event):
    """A member belongs to the consortium until the epoch before `epoch`."""

    account: bytes
    node_key: bytes
    epoch: int


@dataclass(frozen=True, slots=True)
class NodeKeyRotated(Event):
    """A member's validator signs with another key from `epoch` on."""

    account: bytes
    old_key: bytes
    new_key: bytes
    epoch: int


@dataclass(frozen=True, slots=True)
class ProposalOpened(Event):
    """A motion that members may vote on until `expires_at_s` (chain time)."""

    proposal: int
    kind: ProposalKind
    proposer: bytes
    account: bytes
    expires_at_s: int


@dataclass(frozen=True, slots=True)
class Voted(Event):
    """A member votes for a motion."""

    proposal: int
    member: bytes


@dataclass(frozen=True, slots=True)
class VoteWithdrawn(Event):
    """A member takes its vote back."""

    proposal: int
    member: bytes


@dataclass(frozen=True, slots=True)
class ProposalPassed(Event):
    """More than half of all members are for it."""

    proposal: int
    votes: int
    members: int


@dataclass(frozen=True, slots=True)
class ReadinessProved(Event):
    """The candidate's validator has signed a block of the last 256."""

    proposal: int
    height: int


@dataclass(frozen=True, slots=True)
class ProposalQueued(Event):
    """Another change acts first."""

    proposal: int


@dataclass(frozen=True, slots=True)
class ProposalEnacted(Event):
    """It is done, and acts from `from_height` on."""

    proposal: int
    from_height: int


@dataclass(frozen=True, slots=True)
class ProposalWithdrawn(Event):
    """Its proposer takes it back."""

    proposal: int


@dataclass(frozen=True, slots=True)
class ProposalVoid(Event):
    """It passed, but cannot be done any more."""

    proposal: int


@dataclass(frozen=True, slots=True)
class RuleChanged(Event):
    """A rule of consensus holds from `from_height` on."""

    name: bytes
    value: int
    from_height: int


@dataclass(frozen=True, slots=True)
class CodeChanged(Event):
    """The code of a system contract is replaced at the start of the next block."""

    target: bytes
    source: bytes


@dataclass(frozen=True, slots=True)
class EquivocationProved(Event):
    """A validator signed two votes where an honest one signs one; `proposal` is the motion to remove it, or 0."""

    evidence: bytes
    account: bytes
    node_key: bytes
    height: int
    proposal: int
