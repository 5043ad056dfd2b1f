"""What a node key may vote for, and the signer that holds it: it never signs a contradiction, whatever it is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from nacl.signing import SigningKey

from consensus.messages import Claim
from consensus.types import NO_BLOCK, Domain, Epoch, Height, Phase, SignedVote, View, Vote, vote_bytes
from consensus.viewchange import claim_digest
from node.errors import GridpactError

ONE_BLOCK = (Phase.PROPOSE, Phase.PREPARE, Phase.COMMIT)  # in one view these are for one block


class Contradiction(GridpactError):
    """A vote was asked for that contradicts an earlier one under the same key."""

    def __init__(self, vote: Vote, earlier: str) -> None:
        super().__init__(
            f"refusing to sign {vote.phase.name} of {vote.block_hash.hex()} at height {vote.height}, view {vote.view}: "
            f"{earlier}"
        )
        self.vote = vote
        self.earlier = earlier


class SignerAway(GridpactError):
    """Another process holds the node key and does not answer; nothing was signed, and asking later is right."""

    def __init__(self, where: object, reason: str) -> None:
        super().__init__(f"signer {where}: {reason}")
        self.reason = reason


class VoteBook:
    """What was voted for under a key, as far as later votes depend on it: those of the newest height.

    What an honest replica never does (Castro and Liskov §4.2, §4.4), and so is never signed: vote below the newest
    height, or below the newest view of that height, or in two epochs at one height; vote for two hashes in one view and
    phase, or propose, prepare or commit two blocks in one view; after a COMMIT, leave for another view with a claim
    that is older than the newest COMMIT.
    """

    def __init__(self) -> None:
        self.height = Height(0)
        self.view = View(0)
        self._epoch: Epoch | None = None
        self._signed: dict[tuple[View, Phase], Vote] = {}

    @property
    def votes(self) -> tuple[Vote, ...]:
        """The votes at the newest height."""
        return tuple(self._signed.values())

    def bar(self, height: int) -> None:
        """Let nothing be signed at or below a height, as if that had been voted on."""
        if height >= self.height:
            self.height, self.view, self._epoch, self._signed = Height(height + 1), View(0), None, {}

    def knows(self, vote: Vote) -> bool:
        """Return whether exactly this was signed at the newest height."""
        return vote.height == self.height and self._signed.get((vote.view, vote.phase)) == vote

    def judge(self, vote: Vote) -> None:
        """Let a vote pass that contradicts none.

        Raises:
            Contradiction: it is one that an honest replica never makes after those before.
        """
        if vote.height < self.height:
            raise Contradiction(vote, f"height {self.height} was voted on")
        if vote.height > self.height:
            return
        if vote.view < self.view:
            raise Contradiction(vote, f"view {self.view} was voted in")
        if self.knows(vote):
            return
        if self._epoch not in (None, vote.epoch):
            raise Contradiction(vote, f"epoch {self._epoch} was voted in")
        for phase in ONE_BLOCK if vote.phase in ONE_BLOCK else (vote.phase,):
            signed = self._signed.get((vote.view, phase))
            if signed is not None and signed.block_hash != vote.block_hash:
                raise Contradiction(vote, f"{phase.name} of {signed.block_hash.hex()} was signed")
        if vote.phase is Phase.VIEW_CHANGE and vote.block_hash in self._older_claims():
            raise Contradiction(vote, "a later block was prepared than it claims")

    def remember(self, vote: Vote) -> None:
        """Take a vote that is being signed, or was signed before a restart."""
        if vote.height > self.height:
            self.height, self.view, self._signed = vote.height, View(0), {}
        if vote.height == self.height:
            self._epoch = vote.epoch
            self.view = max(self.view, vote.view)
            self._signed[vote.view, vote.phase] = vote

    def _older_claims(self) -> set[bytes]:
        """Return what a VIEW-CHANGE can claim that forgets the newest COMMIT."""
        views = sorted(view for view, phase in self._signed if phase is Phase.COMMIT)
        older = [Claim(view, self._signed[view, Phase.COMMIT].block_hash) for view in views[:-1]]
        return {NO_BLOCK, *map(claim_digest, older)} if views else set()


class LocalSigner:
    """Signs with a key in memory.

    Args:
        seed: the Ed25519 private seed, 32 bytes.
        domain: the chain that is voted on.
        write: makes a vote durable before it is signed; nothing is where the caller does that itself.
    """

    def __init__(self, seed: bytes, domain: Domain, write: Callable[[Vote], None] | None = None) -> None:
        self._key = SigningKey(seed)
        self._domain = domain
        self._write = write
        self.book = VoteBook()
        self.node_key = bytes(self._key.verify_key)

    def restore(self, votes: Iterable[Vote]) -> None:
        """Remember votes that were signed before a restart, in any order."""
        for vote in sorted(votes, key=lambda vote: (vote.height, vote.view, vote.phase)):
            self.book.remember(vote)

    def sign(self, vote: Vote) -> SignedVote:
        """Sign a vote; asking again for the same one gives the same signature.

        Raises:
            Contradiction: an honest replica never makes it after what was signed before.
        """
        self.book.judge(vote)
        if self._write is not None and not self.book.knows(vote):
            self._write(vote)
        self.book.remember(vote)
        return SignedVote(vote, self.node_key, self._key.sign(vote_bytes(self._domain, vote)).signature)
