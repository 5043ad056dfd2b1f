"""The consortium in words that a household understands, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from agents.client import Receipt
from agents.consortium_state import LEAST_TOLERANT, Overview, Standing
from contracts.bindings.consortium_events import (
    EquivocationProved,
    ProposalEnacted,
    ProposalKind,
    ProposalPassed,
    ProposalQueued,
    ProposalState,
    ProposalVoid,
    ReadinessProved,
)
from contracts.bindings.consortium_votes import Proposal
from contracts.bindings.sealed_meters import AuditorsAppointed, AuditorsVoted
from contracts.system import SYSTEM_CONTRACTS

DAY_S, HOUR_S, MINUTE_S = 86_400, 3_600, 60


def status_lines(overview: Overview, waiting: Sequence[Standing]) -> list[str]:
    """Return who belongs to the consortium, who decides, and what is pending."""
    count = len(overview.validators)
    lines = [
        f"chain {overview.chain_id}, height {overview.height}, chain time {moment(overview.chain_time_s)}",
        f"epoch {overview.epoch}: {count} validators, quorum {overview.quorum}, "
        f"tolerates {_plural(overview.faults, 'faulty validator')}",
    ]
    if count < LEAST_TOLERANT:
        lines.append(
            f"warning: fewer than {LEAST_TOLERANT} validators tolerate no fault: one that fails or lies can stop the "
            "chain or deceive the others"
        )
    lines.append(
        f"{_plural(len(overview.members), 'member')}; a proposal needs {_plural(overview.votes_needed, 'vote')}"
    )
    acting = set(overview.validators)
    for member in overview.members:
        seat = "validates" if member.node_key in acting else "does not validate yet"
        lines.append(f"  {member.name:<16} 0x{member.account.hex()}  {member.endpoint}  {seat}")
        lines.append(f"  {'':<16} node key 0x{member.node_key.hex()}, since epoch {member.since_epoch}")
    known = {member.node_key for member in overview.members}
    lines += [
        f"  node key 0x{key.hex()} validates, but is no member's any more"
        for key in overview.validators
        if key not in known
    ]
    lines.append(f"pending: {pending(overview)}")
    if not waiting:
        lines.append("no open proposals")
    for standing in waiting:
        lines += proposal_lines(standing, overview)
    return lines


def pending(overview: Overview) -> str:
    """Return what is decided about the members but does not act yet."""
    parts = []
    if overview.change_pending:
        newest = overview.newest
        parts.append(f"epoch {newest.number} from height {newest.first_height} on (proposal {newest.proposal})")
    if overview.queue_length:
        parts.append(f"{_plural(overview.queue_length, 'change')} of the members in the queue, one a block")
    return "; ".join(parts) or "no change of the validators"


def proposal_lines(standing: Standing, overview: Overview) -> list[str]:
    """Return what was proposed, how the votes stand, and what comes next."""
    proposal = standing.proposal
    lines = [
        f"proposal {standing.number}: {describe(proposal, overview)}",
        f"  proposed by {overview.name_of(proposal.proposer)}{_because(proposal)}",
    ]
    if proposal.state is ProposalState.OPEN:
        names = ", ".join(map(overview.name_of, standing.voters)) or "nobody yet"
        lines.append(f"  votes {proposal.votes} of {overview.votes_needed} needed: {names}")
        lines.append(f"  {_expiry(standing, overview)}")
    elif not _by_itself(proposal) and proposal.votes:
        lines.append(f"  passed with {_plural(proposal.votes, 'vote')}")
    if proposal.kind is ProposalKind.ADMIT and proposal.state in (ProposalState.OPEN, ProposalState.PASSED):
        lines.append(f"  readiness {'shown' if proposal.ready else 'not shown yet'}")
    lines.append(f"  {_next(standing, overview)}")
    return lines


def receipt_lines(receipt: Receipt) -> list[str]:
    """Return that a transaction is in a block, and what it brought about."""
    lines = [f"{receipt.what}: in block {receipt.height}, transaction {receipt.transaction}"]
    for event in receipt.events:
        match event:
            case ProposalPassed(proposal=number, votes=votes, members=members) if votes:
                lines.append(f"proposal {number} has passed with {votes} of {members} votes")
            case ReadinessProved(proposal=number, height=height):
                lines.append(f"the candidate of proposal {number} is ready: its node signed block {height}")
            case ProposalQueued(proposal=number):
                lines.append(f"proposal {number} is decided and waits: another change of the members acts first")
            case ProposalEnacted(proposal=number, from_height=height):
                lines.append(f"proposal {number} is enacted and acts from height {height} on")
            case ProposalVoid(proposal=number):
                lines.append(f"proposal {number} has passed, but cannot be done any more")
            case AuditorsVoted(votes=votes, needed=needed):
                lines.append(f"{votes} of {needed} votes for these auditors")
            case AuditorsAppointed(from_window=window):
                lines.append(f"the auditors are appointed, from window {window} on")
            case EquivocationProved(evidence=evidence, proposal=number):
                removal = f"the motion to remove its signer is proposal {number}" if number else "no removal was opened"
                lines.append(f"evidence 0x{evidence.hex()} is on record; {removal}")
    return lines


def equivocation_line(height: int, proved: EquivocationProved, overview: Overview) -> str:
    """Return what is on record of a validator that contradicted itself."""
    removal = f", removal is proposal {proved.proposal}" if proved.proposal else ""
    return (
        f"block {height}: {overview.name_of(proved.account)} signed two votes for height {proved.height}, "
        f"node key 0x{proved.node_key.hex()}, evidence 0x{proved.evidence.hex()}{removal}"
    )


def describe(proposal: Proposal, overview: Overview) -> str:
    """Return what a proposal is for."""
    name = proposal.name.rstrip(b"\0").decode(errors="replace")
    account = f"0x{proposal.account.hex()}"
    match proposal.kind:
        case ProposalKind.ADMIT:
            return f"admit {name} ({account}), node key 0x{proposal.node_key.hex()}, at {proposal.endpoint}"
        case ProposalKind.REMOVE:
            who = overview.name_of(proposal.account)
            shown = who if who == account else f"{who} ({account})"
            return f"{shown} leaves" if _by_itself(proposal) else f"remove {shown}"
        case ProposalKind.UPGRADE:
            contract = SYSTEM_CONTRACTS.get(proposal.account, account)
            return f"replace the code of {contract} by that of 0x{proposal.source.hex()}"
        case ProposalKind.RULE:
            return f"rule {name} = {proposal.value}"
        case ProposalKind.ROTATE:
            return f"{overview.name_of(proposal.account)} signs with node key 0x{proposal.node_key.hex()}"
    return "nothing"


def status_json(overview: Overview, waiting: Sequence[Standing]) -> dict[str, Any]:
    """Return the consortium for machines: numbers as numbers, bytes as 0x and hexadecimal digits."""
    change = overview.newest
    return {
        "chainId": overview.chain_id,
        "height": overview.height,
        "chainTimeS": overview.chain_time_s,
        "epoch": overview.epoch,
        "quorum": overview.quorum,
        "faults": overview.faults,
        "validators": [_hex(key) for key in overview.validators],
        "members": [
            {
                "name": member.name,
                "account": _hex(member.account),
                "nodeKey": _hex(member.node_key),
                "endpoint": member.endpoint,
                "sinceEpoch": member.since_epoch,
                "validates": member.node_key in overview.validators,
            }
            for member in overview.members
        ],
        "votesNeeded": overview.votes_needed,
        "queueLength": overview.queue_length,
        "pendingEpoch": {"number": change.number, "fromHeight": change.first_height, "proposal": change.proposal}
        if overview.change_pending
        else None,
        "proposals": [proposal_json(standing, overview) for standing in waiting],
    }


def receipt_json(receipt: Receipt) -> dict[str, Any]:
    """Return for machines that a transaction is in a block."""
    return {"what": receipt.what, "height": receipt.height, "transaction": receipt.transaction}


def equivocation_json(height: int, proved: EquivocationProved) -> dict[str, Any]:
    """Return for machines what is on record, in block `height`, of a validator that contradicted itself."""
    return {
        "block": height,
        "account": _hex(proved.account),
        "nodeKey": _hex(proved.node_key),
        "height": proved.height,
        "evidence": _hex(proved.evidence),
        "proposal": proved.proposal or None,
    }


def proposal_json(standing: Standing, overview: Overview) -> dict[str, Any]:
    """Return a proposal for machines."""
    proposal = standing.proposal
    return {
        "proposal": standing.number,
        "kind": proposal.kind.name.lower(),
        "state": "expired" if standing.expired(overview.chain_time_s) else proposal.state.name.lower(),
        "what": describe(proposal, overview),
        "proposer": _hex(proposal.proposer),
        "expiresAtS": proposal.expires_at_s,
        "votes": proposal.votes,
        "votesNeeded": overview.votes_needed,
        "voters": [_hex(account) for account in standing.voters],
        "account": _hex(proposal.account),
        "nodeKey": _hex(proposal.node_key),
        "name": proposal.name.rstrip(b"\0").decode(errors="replace"),
        "endpoint": proposal.endpoint,
        "source": _hex(proposal.source),
        "ready": proposal.ready,
        "value": proposal.value,
        "evidence": _hex(proposal.evidence),
    }


def moment(chain_s: int) -> str:
    """Return a chain time as a date and time of day."""
    return datetime.fromtimestamp(chain_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _next(standing: Standing, overview: Overview) -> str:
    proposal, number = standing.proposal, standing.number
    if standing.expired(overview.chain_time_s):
        lacking = "votes" if proposal.state is ProposalState.OPEN else "its candidate's readiness"
        return f"expired for lack of {lacking}: nothing comes of it, unless it is proposed again"
    ready = f"`gridpact consortium ready {number} TOKEN` with the candidate's token of `gridpact node ready`"
    match proposal.state:
        case ProposalState.OPEN:
            missing = overview.votes_needed - proposal.votes
            if missing <= 0:
                return f"next: it has its votes since others left; `gridpact consortium enact {number}`"
            then = _then(proposal) if proposal.ready or proposal.kind is not ProposalKind.ADMIT else f"then {ready}"
            return f"next: {_plural(missing, 'more vote')} (`gridpact consortium vote {number}`), {then}"
        case ProposalState.PASSED:
            return f"next: {ready}, before {moment(proposal.expires_at_s)} of chain time"
        case ProposalState.QUEUED:
            return "next: it acts by itself, two blocks after the changes of the members before it"
        case ProposalState.ENACTED:
            newest = overview.newest
            if newest.proposal == number and overview.change_pending:
                return f"enacted: epoch {newest.number} from height {newest.first_height} on"
            return f"enacted, epoch {newest.number}" if newest.proposal == number else "enacted"
        case ProposalState.WITHDRAWN:
            return "withdrawn by its proposer"
    return "void: it passed, but by then it could not be done any more"


def _then(proposal: Proposal) -> str:
    if proposal.kind is ProposalKind.UPGRADE:
        return "then the new code runs from the next block on"
    if proposal.kind is ProposalKind.RULE:
        return "then it holds two blocks later"
    return "then the validators change two blocks later, as a new epoch"


def _expiry(standing: Standing, overview: Overview) -> str:
    left_s = standing.proposal.expires_at_s - overview.chain_time_s
    until = moment(standing.proposal.expires_at_s)
    return f"open until {until} of chain time (in {_duration(left_s)})" if left_s >= 0 else f"was open until {until}"


def _duration(seconds: int) -> str:
    days, hours, minutes = seconds // DAY_S, seconds % DAY_S // HOUR_S, seconds % HOUR_S // MINUTE_S
    if days:
        return f"{_plural(days, 'day')} {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds % MINUTE_S} s"


def _because(proposal: Proposal) -> str:
    return f", for evidence 0x{proposal.evidence.hex()}" if any(proposal.evidence) else ""


def _by_itself(proposal: Proposal) -> bool:
    """Return whether it needed no vote: a member's own leave or new node key."""
    if proposal.kind is ProposalKind.REMOVE:
        decided = proposal.state in (ProposalState.QUEUED, ProposalState.ENACTED, ProposalState.VOID)
        return decided and proposal.account == proposal.proposer and not any(proposal.evidence)
    return proposal.kind is ProposalKind.ROTATE


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _hex(data: bytes) -> str:
    return f"0x{data.hex()}"
