"""The synchronous driver around the consensus core, its ports, the write-ahead log and the signer."""

from node.driver.driver import Driver, DriverConfig
from node.driver.events import (
    BuildProposal,
    CommitBlock,
    Committed,
    Effect,
    Event,
    Execute,
    Executed,
    ForwardWork,
    MessageReceived,
    PeerConnected,
    ProposalReady,
    Reject,
    ReportEvidence,
    TimerFired,
    WorkAvailable,
)
from node.driver.signer import LocalSigner
from node.driver.wal import WriteAheadLog

__all__ = [
    "BuildProposal",
    "CommitBlock",
    "Committed",
    "Driver",
    "DriverConfig",
    "Effect",
    "Event",
    "Execute",
    "Executed",
    "ForwardWork",
    "LocalSigner",
    "MessageReceived",
    "PeerConnected",
    "ProposalReady",
    "Reject",
    "ReportEvidence",
    "TimerFired",
    "WorkAvailable",
    "WriteAheadLog",
]
