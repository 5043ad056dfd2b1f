"""Consortium: members, node keys, vouched accounts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contracts.bindings.abi import Interface, View, construct, one
from contracts.bindings.consortium_events import (
    CodeChanged,
    EndpointChanged,
    EquivocationProved,
    MemberAdmitted,
    MemberRemoved,
    NodeKeyRotated,
    ProposalEnacted,
    ProposalOpened,
    ProposalPassed,
    ProposalQueued,
    ProposalVoid,
    ProposalWithdrawn,
    ReadinessProved,
    RuleChanged,
    Voted,
    VoteWithdrawn,
    Vouched,
    VouchingEnded,
)
from contracts.system import CONSORTIUM


@dataclass(frozen=True, slots=True)
class Member:
    """A member: its account (20 bytes), its validator's Ed25519 key (32 bytes) and its endpoint (HOST:PORT)."""

    account: bytes
    since_epoch: int
    node_key: bytes
    name: str
    endpoint: str


INTERFACE = Interface(
    "Consortium",
    CONSORTIUM,
    (
        MemberAdmitted,
        EndpointChanged,
        Vouched,
        VouchingEnded,
        MemberRemoved,
        NodeKeyRotated,
        ProposalOpened,
        Voted,
        VoteWithdrawn,
        ProposalPassed,
        ReadinessProved,
        ProposalQueued,
        ProposalEnacted,
        ProposalWithdrawn,
        ProposalVoid,
        RuleChanged,
        CodeChanged,
        EquivocationProved,
    ),
)


def vouch(account: bytes) -> bytes:
    """Vouch for `account`; sent by a member."""
    return INTERFACE.call("vouch", account)


def end_vouching(account: bytes) -> bytes:
    """End the vouching for `account`; sent by the member that vouches for it."""
    return INTERFACE.call("endVouching", account)


def set_endpoint(endpoint: str) -> bytes:
    """Say where the sending member's validator is reached, as HOST:PORT."""
    return INTERFACE.call("setEndpoint", endpoint)


def member_count() -> View[int]:
    """The number of members."""
    return INTERFACE.view(one, "memberCount")


def member_at(index: int) -> View[Member]:
    """The member at a place of the consortium's order, from 0."""
    return INTERFACE.view(_member, "memberAt", index)


def get_members(offset: int, limit: int) -> View[tuple[Member, ...]]:
    """The members from `offset` on, at most `limit`."""
    return INTERFACE.view(lambda page, total: tuple(map(_member, page)), "getMembers", offset, limit)


def member_of(account: bytes) -> View[Member | None]:
    """The member with this account."""
    return INTERFACE.view(lambda row: _member(row) if any(row["account"]) else None, "memberOf", account)


def member_by_node_key(node_key: bytes) -> View[bytes | None]:
    """The account of the member whose validator has this key."""
    return INTERFACE.view(_address, "memberByNodeKey", node_key)


def vouching_member(account: bytes) -> View[bytes | None]:
    """The account of the member that vouches for `account`."""
    return INTERFACE.view(_address, "vouchingMember", account)


def is_member(account: bytes) -> View[bool]:
    """Whether `account` is a member's own account."""
    return INTERFACE.view(one, "isMember", account)


def vouched_count(member: bytes) -> View[int]:
    """How many accounts a member vouches for, its own included."""
    return INTERFACE.view(one, "vouchedCount", member)


def current_epoch() -> View[int]:
    """The number of the epoch in force."""
    return INTERFACE.view(one, "currentEpoch")


def _member(row: Mapping[str, Any]) -> Member:
    return construct(Member, {**row, "name": row["name"].rstrip(b"\0").decode(errors="replace")})


def _address(address: bytes) -> bytes | None:
    return address if any(address) else None
