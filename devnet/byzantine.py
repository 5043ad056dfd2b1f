"""A Byzantine validator: the real node, but its signer signs whatever it is asked and its transport lies.

Only for devnets: the behaviour is given when the process starts, and nothing in `node/` knows of it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from eth_hash.auto import keccak
from nacl.signing import SigningKey

from consensus.codec import InvalidPeerMessage, decode_message, encode_message
from consensus.messages import Proposal, ViewChange
from consensus.types import NO_BLOCK, Domain, Epoch, Height, Phase, SignedVote, View, Vote, vote_bytes
from node import service
from node.application import BlockRefused
from node.config import NodeConfig
from node.driver.compact_messages import CompactProposal, CompactTag, decode_compact
from node.driver.events import BuildProposal, ProposalReady
from node.p2p import Channel, PeerNetwork
from node.ports import PeerTransport
from node.signer.holder import KeyHolder

MAX_BODY_BYTES = 4 * 1024 * 1024
KEPT_BLOCKS = 8  # of whose other story the liar may still be asked: more than the views of one height
FLOOD = 40  # messages beside every one of its own
BEHAVIOURS = ("equivocate", "split", "silent", "withhold", "garbage", "lie", "flood")


class UnscrupulousSigner(KeyHolder):
    """Signs contradictions too."""

    def __init__(self, seed: bytes, domain: Domain) -> None:
        super().__init__(seed, domain)
        self._secret = SigningKey(seed)
        self._of = domain

    def sign(self, vote: Vote) -> SignedVote:
        """Sign."""
        return SignedVote(vote, self.node_key, self._secret.sign(vote_bytes(self._of, vote)).signature)


class Alternatives:
    """The second valid block that a leader made beside each of its own, and who is told of which."""

    def __init__(self) -> None:
        self._bodies: dict[bytes, tuple[bytes, bytes]] = {}
        self._second_half: dict[bytes, bool] = {}

    def keep(self, block_hash: bytes, other_hash: bytes, other_body: bytes) -> None:
        """Remember another valid block of the same height; the oldest make room."""
        while len(self._bodies) >= KEPT_BLOCKS:
            del self._bodies[next(iter(self._bodies))]
        self._bodies[block_hash] = other_hash, other_body

    def deceived(self, node_key: bytes) -> bool:
        """Return whether a peer is told the other story: every second one, in the order in which they are met."""
        return self._second_half.setdefault(node_key, len(self._second_half) % 2 == 1)

    def hash_for(self, block_hash: bytes) -> bytes:
        """Return the hash that the other half hears of: of the other block, or of one that nobody has."""
        return self._bodies[block_hash][0] if block_hash in self._bodies else keccak(block_hash)

    def body_for(self, block_hash: bytes) -> bytes | None:
        """Return the other block's body, None if there is none."""
        return self._bodies[block_hash][1] if block_hash in self._bodies else None


def transport_class(
    behaviour: str, signer: Callable[[], UnscrupulousSigner], alternatives: Alternatives
) -> type[PeerTransport]:
    """Return the transport of a behaviour; `signer` gives the node's when it is first needed.

    `equivocate` tells everybody both of two contradicting votes; `split` tells one half of the validators one valid
    block and the other half another one, and votes for each with those who hear of it.

    Raises:
        ValueError: there is no such behaviour.
    """
    if behaviour not in BEHAVIOURS:
        raise ValueError(f"no behaviour {behaviour}; expected one of {', '.join(BEHAVIOURS)}")
    dice = random.Random(behaviour)

    class LyingTransport(PeerTransport):
        """Says what the behaviour makes of what the driver says."""

        def __init__(self, network: PeerNetwork) -> None:
            super().__init__(network)
            self._peers = network

        def send(self, node_key: bytes, payload: bytes) -> None:
            """Lie to one."""
            for each in told(node_key, payload):
                super().send(node_key, each)

        def broadcast(self, payload: bytes) -> None:
            """Lie to everybody."""
            for peer in self._peers.connected():
                for each in told(peer.node_key, payload):
                    self._peers.send(peer.node_key, Channel.CONSENSUS, each)

    def told(node_key: bytes, payload: bytes) -> list[bytes]:
        match behaviour:
            case "silent":
                return []
            case "withhold":
                return [] if (node_key[0] + len(payload)) % 2 else [payload]
            case "garbage":
                return [payload, dice.randbytes(dice.randrange(300)), bytes([payload[0]]) + dice.randbytes(100)]
            case "flood":
                return [payload, *(nonsense(payload) for _ in range(FLOOD))]
        message = understand(payload)
        if behaviour == "lie" and isinstance(message, ViewChange) and message.vote.signer == signer().node_key:
            bare = signer().sign(replace(message.vote.vote, block_hash=NO_BLOCK))
            return [encode_message(ViewChange(bare, None))]
        if behaviour == "split" and alternatives.deceived(node_key):
            return [other_story(message) or payload]
        if behaviour == "equivocate":
            other = contradiction(message)
            if other is not None:  # both to everybody: a contradiction that nobody sees harms nobody
                return [payload, encode_message(other)]
        return [payload]

    def contradiction(message: Any) -> SignedVote | None:
        vote = message.vote if isinstance(message, Proposal | CompactProposal) else message
        if not isinstance(vote, SignedVote) or vote.signer != signer().node_key:
            return None
        return signer().sign(replace(vote.vote, block_hash=dice.randbytes(32)))

    def other_story(message: Any) -> bytes | None:
        proposed = isinstance(message, Proposal | CompactProposal)
        vote = message.vote if proposed else message
        if not isinstance(vote, SignedVote) or vote.signer != signer().node_key:
            return None
        told_hash = vote.vote.block_hash
        other = signer().sign(replace(vote.vote, block_hash=alternatives.hash_for(told_hash)))
        if not proposed:
            return encode_message(other)
        body = alternatives.body_for(told_hash)
        return None if body is None else encode_message(Proposal(other, body))

    def nonsense(payload: bytes) -> bytes:
        message = understand(payload)
        vote = getattr(message, "vote", None)
        epoch = getattr(getattr(vote, "vote", vote), "epoch", Epoch(0))
        height = Height(getattr(message, "height", 1) + dice.randrange(3))
        phase = dice.choice((Phase.PREPARE, Phase.COMMIT))
        return encode_message(signer().sign(Vote(epoch, height, View(dice.randrange(9)), phase, dice.randbytes(32))))

    return LyingTransport


def understand(payload: bytes) -> Any:
    """Return the message that bytes encode; None if there is none."""
    try:
        if payload and payload[0] in set(CompactTag):
            return decode_compact(payload, max_body_bytes=MAX_BODY_BYTES)
        return decode_message(payload, max_body_bytes=MAX_BODY_BYTES)
    except InvalidPeerMessage:
        return None


def run(config: NodeConfig, behaviour: str) -> None:
    """Run a validator that behaves so until it is told to stop.

    Raises:
        ValueError: there is no such behaviour.
        GridpactError: as for an honest node.
    """
    asyncio.run(service.serve(config, liar(behaviour)))


def liar(behaviour: str) -> type[service.Validator]:
    """Return the validator of a behaviour.

    Raises:
        ValueError: there is no such behaviour.
    """
    made: list[UnscrupulousSigner] = []
    alternatives = Alternatives()

    class Signer(UnscrupulousSigner):
        def __init__(self, seed: bytes, domain: Domain) -> None:
            super().__init__(seed, domain)
            made.append(self)

    class Liar(service.Validator):
        holder = Signer
        transport = transport_class(behaviour, lambda: made[0], alternatives)

    return _two_minded(Liar, alternatives) if behaviour == "split" else Liar


def _two_minded(liar: type[service.Validator], alternatives: Alternatives) -> type[service.Validator]:
    class TwoMinded(liar):  # type: ignore[misc, valid-type]
        """Makes a second block, without the last transaction of the first, whenever it makes one."""

        async def _build(self, effect: BuildProposal) -> None:
            candidates = self._transactions.candidates()
            try:
                first, second = await self._in_chain_thread(
                    "build",
                    lambda: tuple(
                        self._application.build(effect.height, each) for each in (candidates, candidates[:-1])
                    ),
                )
            except BlockRefused:
                return
            if first.sealed.header.hash != second.sealed.header.hash:
                alternatives.keep(first.sealed.header.hash, second.sealed.header.hash, second.body)
            self._handle(ProposalReady(effect.height, effect.view, first.sealed.header.hash, first.body))

    return TwoMinded
