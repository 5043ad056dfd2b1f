"""PBFT as a pure state machine: `step(state, input) -> (state, actions)`. No clock, socket, randomness or disk.

Sources: Castro and Liskov, "Practical Byzantine Fault Tolerance", OSDI 1999 (cited by section beside the branches).
"""

from consensus.certificates import Certificate, InvalidCertificate, verify
from consensus.types import Domain, Epoch, Height, Phase, SignedVote, ValidatorSet, View, Vote, vote_bytes

__all__ = [
    "Certificate",
    "Domain",
    "Epoch",
    "Height",
    "InvalidCertificate",
    "Phase",
    "SignedVote",
    "ValidatorSet",
    "View",
    "Vote",
    "verify",
    "vote_bytes",
]
