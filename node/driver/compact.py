"""Compact proposals: a block travels as vote, head and transaction hashes; the receiver puts it together from its pool.

It stands between the transport and the core, which sees whole bodies only. What a replica lacks it asks of the leader,
once for every time that the leader sent it the proposal; the leader sends it again, at growing intervals, as long as
the replica's STATUS shows that it lacks it. So whatever is lost is healed by what the core does anyway, and a request
can never draw more bytes from a leader than the whole bodies would have been that it spared.

Nothing is trusted: an item must have the hash that the leader named, and the whole body the hash that it signed.

                        leader                                     replica
    Proposal ─► split ─► CompactProposal ───────────────────────►  pool has all? ─► join, check ─► Proposal ─► core
                         items of the body  ◄─ TransactionsRequest  no ─┘                │
                                 Transactions ──────────────────────────────────────────►┘
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from consensus.actions import Reject
from consensus.codec import encode_message
from consensus.messages import Proposal
from consensus.types import Domain, Height, SignedVote, signature_holds
from node.driver.compact_messages import (
    MAX_HEAD_BYTES,
    MAX_ITEMS,
    CompactMessage,
    CompactProposal,
    Transactions,
    TransactionsRequest,
    encode_compact,
)
from node.driver.ports import TransactionSource

SPARED_BYTES = (
    16 * 1024
)  # a proposal goes out whole unless hashes spare more, all receivers together: 1/8 s at 1 Mbit/s
ANSWER_BYTES = 256 * 1024  # items share a message up to this size, so that votes get through between them
MAX_SERVED = 2  # own proposals whose items we serve: the present one, and one of the view before
MAX_BODIES = 4  # bodies kept to be proposed again after a view change, as many as the core keeps
PENDING_BODIES = 2  # items that peers sent for unfinished proposals, all together, in bodies of the largest size


@dataclass(frozen=True, slots=True)
class BodyFormat:
    """What a body is made of: how it is taken apart and put together again.

    Args:
        split: returns (head, items) of a body, or None if it is malformed.
        join: returns the body of which `split` gives these (head, items), whatever bytes they are.
        hash_of_item: the hash by which an item is named, 32 bytes.
    """

    split: Callable[[bytes], tuple[bytes, Sequence[bytes]] | None]
    join: Callable[[bytes, Sequence[bytes]], bytes]
    hash_of_item: Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Ask:
    """A message for one validator."""

    to: bytes
    payload: bytes


@dataclass(frozen=True, slots=True)
class Assembled:
    """A proposal that is whole, for the core, with who sent it."""

    sender: bytes
    proposal: Proposal


Outcome = Ask | Assembled | Reject


@dataclass(slots=True)
class _Pending:
    """A proposal of which items are lacking."""

    proposal: CompactProposal
    items: list[bytes]
    lacking: dict[int, bytes]  # hash by place
    received_bytes: int = 0


@dataclass(slots=True)
class _Served:
    """An own proposal: its items, and how many bytes of them each peer may still ask for."""

    height: Height
    items: Sequence[bytes]
    size: int
    allowance: dict[bytes, int] = field(default_factory=dict)


class Compact:
    """The state of compact proposals at one validator. Synchronous; owned by the driver.

    Args:
        body_format: how bodies are taken apart.
        source: the pool.
        domain: the chain, for the signatures of votes.
        hash_of_body: as the driver's.
        max_body_bytes: larger bodies are refused.
        expects: whether the core would take a proposal with this vote now, or keep it for the next height.
    """

    def __init__(
        self,
        body_format: BodyFormat,
        source: TransactionSource,
        *,
        domain: Domain,
        hash_of_body: Callable[[bytes], bytes | None],
        max_body_bytes: int,
        expects: Callable[[SignedVote], bool],
    ) -> None:
        self._format = body_format
        self._source = source
        self._domain = domain
        self._hash_of_body = hash_of_body
        self._max_body_bytes = max_body_bytes
        self._expects = expects
        self._height = Height(0)
        self._pending: dict[bytes, _Pending] = {}  # one a peer: a leader has one proposal at a time
        self._served: dict[bytes, _Served] = {}
        self._bodies: dict[bytes, bytes] = {}
        self._early: dict[bytes, bytes] = {}  # the one block of the next height that each peer has proposed
        self._liars: set[bytes] = set()  # peers whose proposal at this height was not what they had signed

    def hash_of_body(self, body: bytes) -> bytes | None:
        """Return the hash of a body; what was just put together is not hashed again."""
        known = next((each for each, kept in self._bodies.items() if kept is body), None)
        return known or self._hash_of_body(body)

    def encode(self, proposal: Proposal, to: bytes | None, receivers: int) -> bytes:
        """Return our proposal as it travels, to one validator or (None) to all: compact where that spares enough."""
        whole = encode_message(proposal)
        parts = self._format.split(proposal.body)
        if parts is None or not 1 <= len(parts[1]) <= MAX_ITEMS or len(parts[0]) > MAX_HEAD_BYTES:
            return whole
        hashes = tuple(map(self._format.hash_of_item, parts[1]))
        compact = encode_compact(CompactProposal(proposal.vote, parts[0], hashes))
        if (len(whole) - len(compact)) * receivers < SPARED_BYTES:
            return whole
        self._serve(proposal, parts[1], to)
        return compact

    def receive(self, sender: bytes, message: CompactMessage) -> Iterator[Outcome]:
        """Take a peer's message and yield what follows from it."""
        match message:
            case CompactProposal():
                yield from self._on_proposal(sender, message)
            case TransactionsRequest():
                yield from self._on_request(sender, message)
            case Transactions():
                yield from self._on_transactions(sender, message)

    def retry(self) -> Iterator[Outcome]:
        """The pool has grown: finish what can be finished now."""
        for sender, pending in list(self._pending.items()):
            self._fill(pending)
            if not pending.lacking:
                yield from self._finish(sender, pending)

    def advance(self, height: Height) -> None:
        """A height is open now; what belonged to lower ones is forgotten."""
        if height == self._height:
            return
        self._height = height
        self._pending = {key: each for key, each in self._pending.items() if each.proposal.height >= height}
        self._served = {key: each for key, each in self._served.items() if each.height >= height}
        early = set(self._early.values())
        self._bodies = {key: body for key, body in self._bodies.items() if key in early}
        self._early.clear()
        self._liars.clear()

    # -- the leader

    def _serve(self, proposal: Proposal, items: Sequence[bytes], to: bytes | None) -> None:
        block_hash = proposal.vote.vote.block_hash
        self._keep(block_hash, proposal.body)
        served = self._served.get(block_hash)
        if served is None:
            served = self._served[block_hash] = _Served(proposal.height, items, sum(map(len, items)))
            for spare in list(self._served)[:-MAX_SERVED]:
                del self._served[spare]
        if to is None:
            served.allowance.clear()
        else:
            served.allowance.pop(to, None)

    def _on_request(self, sender: bytes, request: TransactionsRequest) -> Iterator[Outcome]:
        served = self._served.get(request.block_hash)
        if served is None:
            return  # decided meanwhile, or not ours
        if request.indices[-1] >= len(served.items):
            yield Reject(sender, f"a request for item {request.indices[-1]} of {len(served.items)}")
            return
        answer: list[tuple[int, bytes]] = []
        size = 0
        for place in request.indices:
            raw = served.items[place]
            left = served.allowance.get(sender, served.size) - len(raw)
            if left < 0:
                break
            served.allowance[sender] = left
            if answer and size + len(raw) > ANSWER_BYTES:
                yield Ask(sender, encode_compact(Transactions(served.height, request.block_hash, tuple(answer))))
                answer, size = [], 0
            answer.append((place, raw))
            size += len(raw)
        if answer:
            yield Ask(sender, encode_compact(Transactions(served.height, request.block_hash, tuple(answer))))

    # -- the replica

    def _on_proposal(self, sender: bytes, message: CompactProposal) -> Iterator[Outcome]:
        vote, block_hash = message.vote, message.vote.vote.block_hash
        if sender in self._liars or not self._expects(vote):
            return
        if vote.signer != sender:  # only a leader sends a proposal, so that it can serve what is lacking
            yield Reject(sender, "a compact proposal by another validator")
            return
        if not signature_holds(self._domain, vote):
            yield Reject(sender, "a compact proposal whose signature does not hold")
            return
        if vote.height > self._height and self._early.setdefault(sender, block_hash) != block_hash:
            return
        body = self._bodies.get(block_hash)
        if body is not None:
            yield Assembled(sender, Proposal(vote, body))
            return
        pending = self._pending.get(sender)
        if pending is None or pending.proposal != message:
            items = [b""] * len(message.hashes)
            pending = self._pending[sender] = _Pending(message, items, dict(enumerate(message.hashes)))
        self._fill(pending)
        if pending.lacking:
            request = TransactionsRequest(message.height, block_hash, tuple(pending.lacking))
            yield Ask(sender, encode_compact(request))
        else:
            yield from self._finish(sender, pending)

    def _on_transactions(self, sender: bytes, message: Transactions) -> Iterator[Outcome]:
        pending = self._pending.get(sender)
        if pending is None or pending.proposal.vote.vote.block_hash != message.block_hash:
            return  # too late, or for a proposal that another has replaced
        held = sum(each.received_bytes for each in self._pending.values())
        for place, raw in message.items:
            wanted = pending.lacking.get(place)
            if wanted is None:
                continue  # it came from elsewhere meanwhile
            if self._format.hash_of_item(raw) != wanted:
                yield Reject(sender, f"item {place} of its proposal does not have the hash that it named")
                return
            held += len(raw)
            if held > PENDING_BODIES * self._max_body_bytes:
                return
            pending.received_bytes += len(raw)
            pending.items[place] = raw
            del pending.lacking[place]
        if not pending.lacking:
            yield from self._finish(sender, pending)

    def _fill(self, pending: _Pending) -> None:
        for place, item_hash in list(pending.lacking.items()):
            raw = self._source(item_hash)
            if raw is not None:
                pending.items[place] = raw
                del pending.lacking[place]

    def _finish(self, sender: bytes, pending: _Pending) -> Iterator[Outcome]:
        del self._pending[sender]
        proposal = pending.proposal
        vote = proposal.vote
        size = len(proposal.head) + sum(map(len, pending.items))
        body = self._format.join(proposal.head, pending.items) if size <= self._max_body_bytes else b""
        if len(body) > self._max_body_bytes or self._hash_of_body(body) != vote.vote.block_hash:
            self._liars.add(sender)
            yield Reject(sender, f"a proposal whose body is not that of block {vote.vote.block_hash.hex()}")
            return
        self._keep(vote.vote.block_hash, body)
        yield Assembled(sender, Proposal(vote, body))

    def _keep(self, block_hash: bytes, body: bytes) -> None:
        self._bodies.setdefault(block_hash, body)
        for spare in list(self._bodies)[:-MAX_BODIES]:
            del self._bodies[spare]
