"""A run's last events in words."""

from __future__ import annotations

from consensus.messages import (
    BlocksRequest,
    Body,
    BodyRequest,
    CertifiedBlock,
    NewView,
    Proposal,
    Recall,
    Recalled,
    Status,
    ViewChange,
)
from consensus.types import SignedVote
from tests.simulation.adversary import understand
from tests.simulation.cluster import Cluster
from tests.simulation.ledger import hash_of_body


def tell(cluster: Cluster, lines: int) -> list[str]:
    """Return the last events, and where every node stands after them."""
    names = {node.key: f"{node.index}" for node in cluster.nodes}
    told = []
    for now_ms, sender, receiver, what in list(cluster.trace)[-lines:]:
        if isinstance(what, str):
            told.append(f"{now_ms:>8} ms  {sender}        {what}")
        else:
            told.append(f"{now_ms:>8} ms  {sender} -> {receiver}   {describe(what, names)}")
    return [*told, f"{cluster.now_ms:>8} ms  {cluster.describe()}"]


def describe(payload: bytes, names: dict[bytes, str]) -> str:
    """Return a message in a few words.

    Args:
        payload: its bytes.
        names: what nodes are called, by key.
    """

    def vote(signed: SignedVote) -> str:
        said = signed.vote
        place = f"{said.height}/{said.view}"
        return f"{said.phase.name} {place} {said.block_hash.hex()[:6]} by {names.get(signed.signer, '?')}"

    message = understand(payload)
    match message:
        case SignedVote():
            return vote(message)
        case Proposal(signed, body):
            return f"{vote(signed)} with {len(body)} bytes"
        case ViewChange(signed, prepared):
            claim = "nothing" if prepared is None else f"view {prepared.view} {prepared.block_hash.hex()[:6]}"
            return f"{vote(signed)} claims {claim}"
        case NewView(_, height, view, departures, prepared):
            proved = "nothing" if prepared is None else f"view {prepared.view} {prepared.block_hash.hex()[:6]}"
            return f"NEW_VIEW {height}/{view} of {len(departures)} proves {proved}"
        case Status(height, view, entered, has_proposal, prepares, commits, view_changes):
            masks = f"{prepares:b} {commits:b} {view_changes:b}"
            return f"STATUS {height}/{view} {'in' if entered else 'out'} {'+' if has_proposal else '-'} {masks}"
        case BlocksRequest(height, count):
            return f"BLOCKS_REQUEST {height} +{count}"
        case CertifiedBlock(_, certificate):
            return f"CERTIFIED_BLOCK {certificate.height} {certificate.block_hash.hex()[:6]}"
        case BodyRequest(height, block_hash):
            return f"BODY_REQUEST {height} {block_hash.hex()[:6]}"
        case Body(height, body):
            return f"BODY {height} {(hash_of_body(body) or b'').hex()[:6]}"
        case Recall():
            return "RECALL"
        case Recalled(height, votes):
            return f"RECALLED {height}: {', '.join(map(vote, votes))}"
        case _:
            return f"{len(payload)} bytes of something else"
