"""What validators say to each other. PREPARE and COMMIT are plain signed votes; everything else is below."""

from __future__ import annotations

from dataclasses import dataclass

from consensus.certificates import Certificate
from consensus.types import Epoch, Height, SignedVote, View


@dataclass(frozen=True, slots=True)
class Proposal:
    """The leader's PRE-PREPARE: its signed PROPOSE vote and the body of the block that it names."""

    vote: SignedVote
    body: bytes

    @property
    def height(self) -> Height:
        """The height that the block is proposed for."""
        return self.vote.height


@dataclass(frozen=True, slots=True)
class ViewChange:
    """A validator's wish to enter `vote.view`, with the highest prepared certificate that it holds (§4.4's set P).

    The signed vote binds the certificate's view and block, so that nobody can strip it or put another in its place.
    """

    vote: SignedVote
    prepared: Certificate | None

    @property
    def height(self) -> Height:
        """The height whose view is changed."""
        return self.vote.height

    @property
    def view(self) -> View:
        """The view to enter."""
        return self.vote.vote.view


@dataclass(frozen=True, slots=True)
class Claim:
    """What a VIEW-CHANGE says is prepared: a block, in a view. Its digest is what the VIEW-CHANGE signs."""

    view: View
    block_hash: bytes


@dataclass(frozen=True, slots=True)
class Departure:
    """A VIEW-CHANGE without the certificate behind its claim: who left the old views, claiming what (or nothing)."""

    signer: bytes
    signature: bytes
    claim: Claim | None


@dataclass(frozen=True, slots=True)
class NewView:
    """A quorum of VIEW-CHANGEs to one view, sorted by signer (§4.4's set V), and the one certificate that decides.

    Each is told by its signed claim alone; only the highest claim needs its proof. So a NEW-VIEW grows with n, not with
    n², and nothing has to be fetched (ADR 0008). It carries no signature of its own: a quorum speaks for itself,
    whoever brings it, and every replica recomputes the choice. What the leader answers for is its signed PROPOSE.
    """

    epoch: Epoch
    height: Height
    view: View
    departures: tuple[Departure, ...]
    prepared: Certificate | None


@dataclass(frozen=True, slots=True)
class Status:
    """Where a validator stands and what it holds of its height and view, so that peers resend what it lacks.

    Args:
        height: the height it works on: one above its last committed block.
        view: its view; `entered` is False while it waits for that view's NEW-VIEW.
        has_proposal: it accepted a proposal in this view.
        prepares, commits: bit masks, by place in the sorted validator set, of the votes it holds in this view.
        view_changes: bit mask of validators whose VIEW-CHANGE to this or a higher view it holds.
    """

    height: Height
    view: View
    entered: bool
    has_proposal: bool
    prepares: int
    commits: int
    view_changes: int


@dataclass(frozen=True, slots=True)
class BlocksRequest:
    """Asks for `count` certified blocks from `height` on."""

    height: Height
    count: int


@dataclass(frozen=True, slots=True)
class CertifiedBlock:
    """A committed block: its body and the certificate that proves it."""

    body: bytes
    certificate: Certificate

    @property
    def height(self) -> Height:
        """The block's height."""
        return self.certificate.height


@dataclass(frozen=True, slots=True)
class BodyRequest:
    """Asks for the body of a block of the open height, by its hash."""

    height: Height
    block_hash: bytes


@dataclass(frozen=True, slots=True)
class Body:
    """The body of a block of the open height."""

    height: Height
    body: bytes


@dataclass(frozen=True, slots=True)
class Recall:
    """Asks a peer, after a restart, for the votes under our own key that it holds."""


@dataclass(frozen=True, slots=True)
class Recalled:
    """The votes of the asker at the height that a validator works on, as far as it holds them."""

    height: Height
    votes: tuple[SignedVote, ...]


ProtocolMessage = Proposal | SignedVote | ViewChange | NewView
Message = ProtocolMessage | Status | BlocksRequest | CertifiedBlock | BodyRequest | Body | Recall | Recalled
Record = SignedVote | ViewChange | Certificate | Body  # what a validator writes down before a message leaves
