"""Consortium: proposals, votes, readiness, evidence, rules: what changes who the members are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eth_hash.auto import keccak

from contracts.bindings.abi import View, construct, one
from contracts.bindings.consortium import INTERFACE
from contracts.bindings.consortium_events import ProposalKind, ProposalState

READY_DOMAIN = b"gridpact/ready/v1"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A motion, and what became of it; fields that its kind does not need are zero.

    Args:
        proposer: the member (20 bytes) that made it.
        expires_at_s: chain time until which it may be voted on.
        kind, state: what it is about, and where it stands.
        votes: of the present members while it is open, as counted when it passed afterwards.
        account: of the member that is meant, or the system contract that is upgraded.
        node_key: of the member that is meant (32 bytes).
        name: of the member, or of the rule (32 bytes, zero padded).
        endpoint: of the member, HOST:PORT.
        source: the contract whose code an upgrade takes.
        ready: whether the candidate has proved its readiness.
        value: of the rule.
        evidence: the equivocation that opened it (32 bytes), or zero.
    """

    proposer: bytes
    expires_at_s: int
    kind: ProposalKind
    state: ProposalState
    votes: int
    account: bytes
    node_key: bytes
    name: bytes
    endpoint: str
    source: bytes
    ready: bool
    value: int
    evidence: bytes


@dataclass(frozen=True, slots=True)
class NewestEpoch:
    """The newest epoch that was announced, the height it acts from, and the proposal that made it (0: genesis)."""

    number: int
    first_height: int
    proposal: int


@dataclass(frozen=True, slots=True)
class Equivocation:
    """Two votes of one validator at one place; hashes and key 32 bytes, signatures 64, phases 1 to 4."""

    node_key: bytes
    epoch: int
    height: int
    view: int
    phase: int
    first_hash: bytes
    first_signature: bytes
    second_hash: bytes
    second_signature: bytes

    @property
    def evidence_id(self) -> bytes:
        """The identity under which it is recorded, once."""
        numbers = b"".join(number.to_bytes(8, "big") for number in (self.epoch, self.height, self.view))
        return keccak(self.node_key + numbers + bytes((self.phase,)))


def ready_bytes(chain_id: int, genesis_hash: bytes, height: int, block_hash: bytes) -> bytes:
    """Return the 97 bytes that a candidate's validator signs to show that it follows the chain.

    Layout: domain 17 ‖ chain id 8 ‖ genesis hash 32 ‖ height 8 ‖ block hash 32, integers unsigned and big-endian.
    """
    return READY_DOMAIN + chain_id.to_bytes(8, "big") + genesis_hash + height.to_bytes(8, "big") + block_hash


def rule_name(name: str) -> bytes:
    """Return a rule's name as the contract has it: ASCII, padded with zeros to 32 bytes."""
    return name.encode("ascii").ljust(32, b"\0")


def propose_admission(account: bytes, node_key: bytes, name: str, endpoint: str) -> bytes:
    """Move to admit a household; sent by a member, whose vote is cast with it. `name` takes at most 32 bytes."""
    return INTERFACE.call("proposeAdmission", account, node_key, name.encode().ljust(32, b"\0"), endpoint)


def propose_removal(account: bytes) -> bytes:
    """Move to remove a member."""
    return INTERFACE.call("proposeRemoval", account)


def propose_upgrade(target: bytes, source: bytes) -> bytes:
    """Move to replace the code of a system contract by that of `source`."""
    return INTERFACE.call("proposeUpgrade", target, source)


def propose_rule(name: str, value: int) -> bytes:
    """Move to change a rule of consensus."""
    return INTERFACE.call("proposeRule", rule_name(name), value)


def vote(proposal: int) -> bytes:
    """Vote for a proposal."""
    return INTERFACE.call("vote", proposal)


def withdraw_vote(proposal: int) -> bytes:
    """Take one's vote back."""
    return INTERFACE.call("withdrawVote", proposal)


def withdraw_proposal(proposal: int) -> bytes:
    """Take one's proposal back."""
    return INTERFACE.call("withdrawProposal", proposal)


def enact(proposal: int) -> bytes:
    """Decide a proposal that more than half of the present members are for by now."""
    return INTERFACE.call("enact", proposal)


def prove_readiness(proposal: int, height: int, signature: bytes) -> bytes:
    """Submit a candidate's signature (64 bytes) over `ready_bytes` of one of the last 256 blocks."""
    return INTERFACE.call("proveReadiness", proposal, height, signature)


def rotate_node_key(new_key: bytes, height: int, signature: bytes) -> bytes:
    """Give the sending member's validator another node key, which signs `ready_bytes`."""
    return INTERFACE.call("rotateNodeKey", new_key, height, signature)


def leave() -> bytes:
    """Leave the consortium."""
    return INTERFACE.call("leave")


def submit_evidence(equivocation: Equivocation) -> bytes:
    """Put an equivocation on record; sent by any account that a member vouches for."""
    values = tuple(getattr(equivocation, name) for name in equivocation.__slots__)
    return INTERFACE.call("submitEvidence", values)


def begin_block() -> bytes:
    """What the node itself calls at the start of a block in which something waits."""
    return INTERFACE.call("beginBlock")


def proposal_count() -> View[int]:
    """The number of proposals so far; they are numbered from 1."""
    return INTERFACE.view(one, "proposalCount")


def proposal(number: int) -> View[Proposal]:
    """The proposal with this number."""
    return INTERFACE.view(_proposal, "proposal", number)


def get_proposals(first: int, limit: int) -> View[tuple[Proposal, ...]]:
    """The proposals from number `first` (the first of all is 1) on, at most `limit`."""
    return INTERFACE.view(lambda page, total: tuple(map(_proposal, page)), "getProposals", first, limit)


def has_voted(number: int, member: bytes) -> View[bool]:
    """Whether a member has voted for a proposal."""
    return INTERFACE.view(one, "hasVoted", number, member)


def votes_needed() -> View[int]:
    """The least number of votes that is more than half of all members."""
    return INTERFACE.view(one, "votesNeeded")


def queue_length() -> View[int]:
    """How many changes of the members wait for a later block."""
    return INTERFACE.view(one, "queueLength")


def genesis_hash() -> View[bytes]:
    """The hash of block 0 as the contract knows it from block 1 on."""
    return INTERFACE.view(one, "genesisHash")


def newest_epoch() -> View[NewestEpoch]:
    """The newest epoch that was announced."""
    return INTERFACE.view(lambda row: construct(NewestEpoch, row), "newestEpoch")


def evidence_recorded(evidence_id: bytes) -> View[bool]:
    """Whether an equivocation is on record."""
    return INTERFACE.view(one, "evidenceRecorded", evidence_id)


def _proposal(row: Mapping[str, Any]) -> Proposal:
    return construct(Proposal, row)
