"""Events that the shell hands to the driver, and effects that it gets back because they may be slow.

| effect | what the shell does | which event answers |
|---|---|---|
| `BuildProposal(height, view)` | build a block over the committed head | `ProposalReady` |
| `Execute(height, view, block_hash, body)` | execute it over the committed head | `Executed` |
| `CommitBlock(height, block_hash, body, certificate)` | execute unless done, then commit | `Committed` |
| `ForwardWork(leader)` | send pending transactions to the leader | none |
| `Reject(sender, reason)` | log; a peer sent what no honest one sends | none |
| `ReportEvidence(first, second)` | prove on chain that a validator signed both | none |

The shell may take its time and may answer in any order; answers that came too late are ignored.
"""

from __future__ import annotations

from dataclasses import dataclass

from consensus.actions import BuildProposal, CommitBlock, Execute, ForwardWork, Reject, ReportEvidence
from consensus.inputs import Committed, Executed, PeerConnected, ProposalReady, TimerFired, WorkAvailable


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """Bytes from the validator with node key `sender`, which the transport has authenticated."""

    sender: bytes
    payload: bytes


Event = MessageReceived | TimerFired | PeerConnected | WorkAvailable | ProposalReady | Executed | Committed
Effect = BuildProposal | Execute | CommitBlock | ForwardWork | Reject | ReportEvidence

__all__ = [
    "BuildProposal",
    "CommitBlock",
    "Committed",
    "Effect",
    "Event",
    "Execute",
    "Executed",
    "ForwardWork",
    "MessageReceived",
    "PeerConnected",
    "ProposalReady",
    "Reject",
    "ReportEvidence",
    "TimerFired",
    "WorkAvailable",
]
