"""Who belongs, as a node sees it over its committed head: whom to trust, where they listen, what still has to act."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from consensus.types import ValidatorSet
from contracts import layout
from contracts.bindings.consortium import Member
from node.application import validator_keys
from node.chain.transitions import validators_hash
from node.parsing import parse_endpoint
from node.storage import View


@dataclass(frozen=True, slots=True)
class Membership:
    """The members as of the committed head.

    Args:
        members: in the consortium's order.
        trusted: end points (host, port) by node key of all whom this node talks to: the members, and validators of the
            open height who have been removed but still decide it. Empty where this node is none of them.
        pending: whether a change of the members has been decided but does not act yet: that is work for consensus.
    """

    members: tuple[Member, ...]
    trusted: Mapping[bytes, tuple[str, int]]
    pending: bool


def membership(view: View, validators: ValidatorSet, node_key: bytes) -> Membership:
    """Return who belongs over the head of `view`.

    Args:
        view: the database.
        validators: of the height that is being decided.
        node_key: our own (32 bytes).
    """
    members = tuple(layout.members(view.state.storage))
    known = {member.node_key: member for member in members}
    if any(key not in known for key in validators.keys) and view.head_height > view.first_height:
        before = layout.members(view.state_at(view.head_height - 1).storage)
        known = {member.node_key: member for member in before if member.node_key in validators} | known
    trusted = {key: endpoint for key, member in known.items() if (endpoint := _endpoint(member)) is not None}
    head = view.record(view.head_height)
    changed = validators_hash(validator_keys(view.state)) != head.next_validators_hash
    pending = changed or layout.has_pending(view.state.storage)
    return Membership(members, trusted if node_key in known else {}, pending)


class _Unreachable(Exception):
    """A member gave an end point that nobody can dial."""


def _endpoint(member: Member) -> tuple[str, int] | None:
    """Return where a member listens; None for what the contract took but is no HOST:PORT."""
    try:
        return parse_endpoint(member.endpoint, _Unreachable)
    except _Unreachable:
        return None
