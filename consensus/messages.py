"""What validators say to each other. PREPARE and COMMIT are plain signed votes; everything else is below."""

from __future__ import annotations

from dataclasses import dataclass

from consensus.certificates import Certificate
from consensus.types import Height, SignedVote, View


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
class NewView:
    """A quorum of VIEW-CHANGEs to one view, sorted by signer (§4.4's set V).

    It carries no signature of its own: a quorum speaks for itself, whoever brings it, and every replica recomputes the
    choice. What the leader answers for is its signed PROPOSE.
    """

    view_changes: tuple[ViewChange, ...]

    @property
    def height(self) -> Height:
        """The height whose view is changed."""
        return self.view_changes[0].height

    @property
    def view(self) -> View:
        """The view that is entered."""
        return self.view_changes[0].view


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


ProtocolMessage = Proposal | SignedVote | ViewChange | NewView
Message = ProtocolMessage | Status | BlocksRequest | CertifiedBlock | BodyRequest | Body
Record = SignedVote | ViewChange | Certificate | Body  # what a validator writes down before a message leaves
