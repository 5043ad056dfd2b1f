"""The consortium's state as a node tells it: members, acting validators, epoch, what is pending, motions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contracts.bindings.consortium import Member
from contracts.bindings.consortium_events import ProposalState
from contracts.bindings.consortium_votes import NewestEpoch, Proposal

LEAST_TOLERANT = 4
"""Validators without whom no fault is tolerated: n ≥ 3f + 1 (Castro and Liskov, 1999)."""


@dataclass(frozen=True, slots=True)
class Overview:
    """Members and validators at a height.

    Args:
        chain_id, height, chain_time_s: of the node's head; its chain clock now.
        epoch, quorum, faults, validators: of those who decide the next height, by node key (32 bytes), sorted.
        members: in the consortium's order.
        newest: the newest epoch that was announced; its first height may be still to come.
        votes_needed: more than half of all members.
        queue_length: changes of the members that wait for a block each.
    """

    chain_id: int
    height: int
    chain_time_s: int
    epoch: int
    quorum: int
    faults: int
    validators: tuple[bytes, ...]
    members: tuple[Member, ...]
    newest: NewestEpoch
    votes_needed: int
    queue_length: int

    @property
    def change_pending(self) -> bool:
        """Whether an epoch was announced whose validators do not decide the next height yet."""
        return self.newest.number > self.epoch

    def name_of(self, account: bytes) -> str:
        """Return a member's name, or an account that is no member's."""
        return next((member.name for member in self.members if member.account == account), f"0x{account.hex()}")

    def holder_of(self, node_key: bytes) -> str:
        """Return the name of the member whose validator has a node key, or that key."""
        return next((member.name for member in self.members if member.node_key == node_key), f"0x{node_key.hex()}")


@dataclass(frozen=True, slots=True)
class Standing:
    """A proposal by its number, and the present members that are for it while it is open."""

    number: int
    proposal: Proposal
    voters: tuple[bytes, ...]

    def expired(self, chain_time_s: int) -> bool:
        """Return whether it can come to nothing any more: neither votes nor readiness are taken after its time."""
        timed = self.proposal.state in (ProposalState.OPEN, ProposalState.PASSED)
        return timed and chain_time_s > self.proposal.expires_at_s

    def waits(self, chain_time_s: int) -> bool:
        """Return whether something may still come of it."""
        waiting = self.proposal.state in (ProposalState.OPEN, ProposalState.PASSED, ProposalState.QUEUED)
        return waiting and not self.expired(chain_time_s)


def parse_overview(
    chain_id: int,
    consortium: Mapping[str, Any],
    status: Mapping[str, Any],
    *,
    newest: NewestEpoch,
    votes_needed: int,
    queue_length: int,
) -> Overview:
    """Return the overview of the answers to `grid_consortium` and `grid_status`."""
    return Overview(
        chain_id=chain_id,
        height=_number(status["height"]),
        chain_time_s=_number(status["chainTime"]),
        epoch=_number(consortium["epoch"]),
        quorum=_number(consortium["quorum"]),
        faults=_number(consortium["faults"]),
        validators=tuple(_data(key) for key in consortium["validators"]),
        members=tuple(
            Member(
                _data(row["account"]), _number(row["sinceEpoch"]), _data(row["nodeKey"]), row["name"], row["endpoint"]
            )
            for row in consortium["members"]
        ),
        newest=newest,
        votes_needed=votes_needed,
        queue_length=queue_length,
    )


def _number(text: str) -> int:
    return int(text, 16)


def _data(text: str) -> bytes:
    return bytes.fromhex(text[2:])
