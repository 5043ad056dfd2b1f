"""The local signer: it holds the node key and never signs a contradiction, whatever it is asked."""

from __future__ import annotations

from collections.abc import Iterable

from nacl.signing import SigningKey

from consensus.types import Domain, Height, Phase, SignedVote, View, Vote, vote_bytes
from node.errors import GridpactError


class Contradiction(GridpactError):
    """A vote was asked for that contradicts an earlier one under the same key."""

    def __init__(self, vote: Vote, earlier: str) -> None:
        super().__init__(
            f"refusing to sign {vote.phase.name} of {vote.block_hash.hex()} at height {vote.height}, view {vote.view}: "
            f"{earlier}"
        )
        self.vote = vote
        self.earlier = earlier


class LocalSigner:
    """Signs with a key in memory.

    One rule covers every phase: at the newest height only, views never go down, and one hash per (view, phase).

    Args:
        seed: the Ed25519 private seed, 32 bytes.
        domain: the chain that is voted on.
    """

    def __init__(self, seed: bytes, domain: Domain) -> None:
        self._key = SigningKey(seed)
        self._domain = domain
        self._height = Height(0)
        self._view = View(0)
        self._signed: dict[tuple[View, Phase], bytes] = {}
        self.node_key = bytes(self._key.verify_key)

    def restore(self, votes: Iterable[Vote]) -> None:
        """Remember votes that were signed before a restart, in any order."""
        for vote in sorted(votes, key=lambda vote: (vote.height, vote.view, vote.phase)):
            self._remember(vote)

    def sign(self, vote: Vote) -> SignedVote:
        """Sign a vote; asking again for the same one gives the same signature.

        Raises:
            Contradiction: a vote at a higher height, in a higher view, or for another hash was signed before.
        """
        if vote.height < self._height:
            raise Contradiction(vote, f"height {self._height} was voted on")
        if vote.height == self._height:
            if vote.view < self._view:
                raise Contradiction(vote, f"view {self._view} was voted in")
            signed = self._signed.get((vote.view, vote.phase))
            if signed not in (None, vote.block_hash):
                raise Contradiction(vote, f"{signed.hex() if signed else ''} was signed")
        self._remember(vote)
        return SignedVote(vote, self.node_key, self._key.sign(vote_bytes(self._domain, vote)).signature)

    def _remember(self, vote: Vote) -> None:
        if vote.height > self._height:
            self._height, self._view, self._signed = vote.height, View(0), {}
        if vote.height == self._height:
            self._view = max(self._view, vote.view)
            self._signed[vote.view, vote.phase] = vote.block_hash
