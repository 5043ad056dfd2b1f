"""Compact proposals: put together from pools, healed when lost, and nothing believed that the leader did not sign."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count

import pytest
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st

from consensus.actions import Reject
from consensus.codec import InvalidPeerMessage, decode_message
from consensus.messages import Proposal
from consensus.types import Height
from node.chain.assembly import encode_body, join_body, split_body
from node.driver import compact as compact_module
from node.driver.compact import Ask, Assembled, BodyFormat, Compact, Outcome
from node.driver.compact_messages import (
    MAX_ITEMS,
    CompactMessage,
    CompactProposal,
    CompactTag,
    Transactions,
    TransactionsRequest,
    decode_compact,
    encode_compact,
    is_compact,
)
from node.driver.ports import TransactionSource
from tests.chain.test_headers import SAMPLE
from tests.consensus.machine import DOMAIN, Machine
from tests.simulation.cluster import Cluster, NetworkModel
from tests.simulation.ledger import HEAD_BYTES, hash_of_body, transactions_of
from tests.simulation.ledger import encode_body as encode_toy
from tests.simulation.node import Node

MAX_BODY_BYTES = 64 * 1024
LEADER = 1
H = Height(5)
ITEMS = tuple(b"transaction %d " % number * 10 for number in range(40))
BODY = encode_toy(LEADER, 1, bytes(32), 0, list(ITEMS))
BLOCK = keccak(BODY)


def split_toy(body: bytes) -> tuple[bytes, Sequence[bytes]] | None:
    """Take a toy block apart."""
    items = transactions_of(body)
    return None if items is None else (body[:HEAD_BYTES], items)


def join_toy(head: bytes, items: Sequence[bytes]) -> bytes:
    """Put a toy block together."""
    return head + b"".join(len(item).to_bytes(2, "big") + item for item in items)


TOY = BodyFormat(split_toy, join_toy, keccak)


class Side:
    """One validator's compact part, with a pool."""

    def __init__(self, *pool: bytes, expects: bool = True, height: Height = H) -> None:
        self.pool = {keccak(item): item for item in pool}
        self.compact = Compact(
            TOY,
            self.pool.get,
            domain=DOMAIN,
            hash_of_body=hash_of_body,
            max_body_bytes=MAX_BODY_BYTES,
            expects=lambda vote: expects,
        )
        self.compact.advance(height)

    def hear(self, sender: bytes, message: CompactMessage) -> list[Outcome]:
        """Let a message come, through its encoding."""
        raw = encode_compact(message)
        return list(self.compact.receive(sender, decode_compact(raw, max_body_bytes=MAX_BODY_BYTES)))


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def leader(machine: Machine) -> bytes:
    return machine.validators.keys[LEADER]


@pytest.fixture(autouse=True)
def always_compact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compact_module, "SPARED_BYTES", 1)


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the nodes of a cluster put proposals together from their pools."""

    def source(node: Node) -> TransactionSource:
        return lambda wanted: next((tx for tx in node.application.pending() if keccak(tx) == wanted), None)

    monkeypatch.setattr(Node, "source", source)


def compact_of(proposal: Proposal) -> CompactProposal:
    head, items = split_toy(proposal.body) or (b"", ())
    return CompactProposal(proposal.vote, head, tuple(map(keccak, items)))


def decoded(payload: bytes) -> CompactMessage:
    return decode_compact(payload, max_body_bytes=MAX_BODY_BYTES)


# --- the two sides ---


def test_a_full_pool_needs_nothing_more(machine: Machine, leader: bytes) -> None:
    proposal = machine.proposal(body=BODY)
    sent = Side().compact.encode(proposal, None, 3)
    assert len(sent) < len(BODY) / 2
    assert Side(*ITEMS).compact.receive(leader, decoded(sent)).__next__() == Assembled(leader, proposal)


def test_what_is_lacking_is_asked_of_the_leader_and_only_that(machine: Machine, leader: bytes) -> None:
    proposal, leading, replica = machine.proposal(body=BODY), Side(), Side(*ITEMS[:7], *ITEMS[9:])
    sent = leading.compact.encode(proposal, None, 3)
    (ask,) = replica.compact.receive(leader, decoded(sent))
    assert isinstance(ask, Ask)
    assert (ask.to, decoded(ask.payload)) == (leader, TransactionsRequest(H, BLOCK, (7, 8)))
    (answer,) = leading.compact.receive(b"replica", decoded(ask.payload))
    assert isinstance(answer, Ask)
    assert decoded(answer.payload) == Transactions(H, BLOCK, ((7, ITEMS[7]), (8, ITEMS[8])))
    assert list(replica.compact.receive(leader, decoded(answer.payload))) == [Assembled(leader, proposal)]


def test_a_lost_answer_is_asked_for_again_when_the_proposal_comes_again(machine: Machine, leader: bytes) -> None:
    proposal, replica = compact_of(machine.proposal(body=BODY)), Side(*ITEMS[1:])
    first, again = replica.hear(leader, proposal), replica.hear(leader, proposal)
    assert first == again == [Ask(leader, encode_compact(TransactionsRequest(H, BLOCK, (0,))))]


def test_gossip_that_comes_late_finishes_a_proposal(machine: Machine, leader: bytes) -> None:
    proposal, replica = machine.proposal(body=BODY), Side(*ITEMS[1:])
    replica.hear(leader, compact_of(proposal))
    assert list(replica.compact.retry()) == []
    replica.pool[keccak(ITEMS[0])] = ITEMS[0]
    assert list(replica.compact.retry()) == [Assembled(leader, proposal)]
    assert replica.hear(leader, Transactions(H, BLOCK, ((0, ITEMS[0]),))) == []


def test_a_block_proposed_again_needs_no_pool(machine: Machine, leader: bytes) -> None:
    replica = Side(*ITEMS)
    replica.hear(leader, compact_of(machine.proposal(body=BODY)))
    replica.pool.clear()
    again = machine.proposal(view=1, body=BODY)
    next_leader = machine.validators.keys[2]
    assert replica.hear(next_leader, compact_of(again)) == [Assembled(next_leader, again)]


def test_a_small_block_is_sent_whole(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compact_module, "SPARED_BYTES", 16 * 1024)
    proposal = machine.proposal(body=BODY)
    few, many = Side().compact.encode(proposal, None, 3), Side().compact.encode(proposal, None, 99)
    assert decode_message(few, max_body_bytes=MAX_BODY_BYTES) == proposal
    assert is_compact(many)
    empty = machine.proposal(body=encode_toy(LEADER, 1, bytes(32), 0, []))
    assert not is_compact(Side().compact.encode(empty, None, 99))


# --- what faulty validators may try ---


def test_wrong_items_are_refused_and_the_right_ones_still_taken(machine: Machine, leader: bytes) -> None:
    proposal, replica = machine.proposal(body=BODY), Side(*ITEMS[1:])
    replica.hear(leader, compact_of(proposal))
    (reject,) = replica.hear(leader, Transactions(H, BLOCK, ((0, b"something else"),)))
    assert isinstance(reject, Reject)
    assert "item 0" in reject.reason
    assert replica.hear(leader, Transactions(H, BLOCK, ((0, ITEMS[0]), (1, b"not asked for")))) == [
        Assembled(leader, proposal)
    ]


def test_nobody_but_the_leader_can_answer(machine: Machine, leader: bytes) -> None:
    replica = Side(*ITEMS[1:])
    replica.hear(leader, compact_of(machine.proposal(body=BODY)))
    assert replica.hear(machine.validators.keys[3], Transactions(H, BLOCK, ((0, ITEMS[0]),))) == []
    assert replica.hear(leader, Transactions(H, bytes(32), ((0, ITEMS[0]),))) == []


def test_a_body_that_was_not_signed_is_refused_and_its_leader_not_heard_again(machine: Machine, leader: bytes) -> None:
    good, replica = compact_of(machine.proposal(body=BODY)), Side(*ITEMS)
    swapped = replace(good, hashes=(good.hashes[1], good.hashes[0], *good.hashes[2:]))
    (reject,) = replica.hear(leader, swapped)
    assert isinstance(reject, Reject)
    assert "body is not that of block" in reject.reason
    assert replica.hear(leader, good) == []
    replica.compact.advance(Height(6))
    replica.compact.advance(H)
    assert isinstance(replica.hear(leader, good)[0], Assembled)


def test_only_the_signer_sends_and_the_signature_counts(machine: Machine, leader: bytes) -> None:
    good, replica = compact_of(machine.proposal(body=BODY)), Side(*ITEMS)
    other = machine.validators.keys[3]
    forged = replace(good, vote=replace(good.vote, signature=bytes(64)))
    for sender, message, reason in ((other, good, "by another validator"), (leader, forged, "does not hold")):
        (reject,) = replica.hear(sender, message)
        assert isinstance(reject, Reject)
        assert reason in reject.reason
    assert Side(*ITEMS, expects=False).hear(leader, good) == []


def test_a_peer_has_one_proposal_for_the_next_height(machine: Machine, leader: bytes) -> None:
    early = Side(*ITEMS, height=Height(4))
    other_body = encode_toy(LEADER, 2, bytes(32), 0, list(ITEMS[:3]))
    assert isinstance(early.hear(leader, compact_of(machine.proposal(body=BODY)))[0], Assembled)
    assert early.hear(leader, compact_of(machine.proposal(body=other_body))) == []


def test_bodies_beyond_the_bound_are_refused(machine: Machine, leader: bytes) -> None:
    large = [bytes([number]) * 30_000 for number in range(3)]
    proposal = machine.proposal(body=encode_toy(LEADER, 1, bytes(32), 0, large))
    (reject,) = Side(*large).hear(leader, compact_of(proposal))
    assert isinstance(reject, Reject)


def test_a_leader_serves_each_item_once_for_each_time_it_sent_the_proposal(machine: Machine) -> None:
    leading, proposal = Side(), machine.proposal(body=BODY)
    leading.compact.encode(proposal, None, 3)
    everything = TransactionsRequest(H, BLOCK, tuple(range(len(ITEMS))))

    def served(peer: bytes) -> int:
        answers = [decoded(out.payload) for out in leading.hear(peer, everything) if isinstance(out, Ask)]
        return sum(len(answer.items) for answer in answers if isinstance(answer, Transactions))

    assert (served(b"a"), served(b"a"), served(b"b")) == (len(ITEMS), 0, len(ITEMS))
    leading.compact.encode(proposal, b"a", 3)
    assert (served(b"a"), served(b"a"), served(b"b")) == (len(ITEMS), 0, 0)
    leading.compact.advance(Height(6))
    assert served(b"a") == 0


def test_answers_are_cut_and_absurd_requests_refused(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compact_module, "ANSWER_BYTES", 1_000)
    leading = Side()
    leading.compact.encode(machine.proposal(body=BODY), None, 3)
    answers = leading.hear(b"a", TransactionsRequest(H, BLOCK, tuple(range(len(ITEMS)))))
    assert len(answers) > 5
    assert all(isinstance(each, Ask) and len(each.payload) < 1_600 for each in answers)
    (reject,) = leading.hear(b"b", TransactionsRequest(H, BLOCK, (3, len(ITEMS))))
    assert isinstance(reject, Reject)


def test_items_that_peers_send_are_bounded_all_together(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compact_module, "PENDING_BODIES", 0)
    leader, replica = machine.validators.keys[LEADER], Side(*ITEMS[1:])
    replica.hear(leader, compact_of(machine.proposal(body=BODY)))
    assert replica.hear(leader, Transactions(H, BLOCK, ((0, ITEMS[0]),))) == []


# --- encodings ---


def hostile(machine: Machine) -> list[tuple[str, bytes]]:
    proposal = encode_compact(compact_of(machine.proposal(body=BODY)))
    request = encode_compact(TransactionsRequest(H, BLOCK, (1, 2)))
    answer = encode_compact(Transactions(H, BLOCK, ((0, b"x"),)))
    prepare = bytearray(proposal)
    prepare[1 + 1 + 24] = 2
    count_at = 1 + 154 + 2 + HEAD_BYTES
    too_many = proposal[:count_at] + (MAX_ITEMS + 1).to_bytes(2, "big") + proposal[count_at + 2 :]
    return [
        ("end before", proposal[:-1]),
        ("too many after", request + b"\0"),
        ("PROPOSE", bytes(prepare)),
        ("items", too_many),
        ("no items", proposal[:count_at] + b"\0\0"),
        ("rise", encode_compact(TransactionsRequest(H, BLOCK, (2, 2)))),
        ("rise", encode_compact(TransactionsRequest(H, BLOCK, (2, 1)))),
        ("rise", encode_compact(Transactions(H, BLOCK, ((1, b""), (0, b""))))),
        ("item length", encode_compact(Transactions(H, BLOCK, ((0, bytes(40_000)), (1, bytes(40_000)))))),
        ("head length", proposal[: 1 + 154] + b"\xff\xff" + proposal[1 + 154 + 2 :]),
        ("height", answer[:1] + b"\xff" * 8 + answer[9:]),
    ]


def test_what_is_not_exactly_a_message_is_refused(machine: Machine) -> None:
    for reason, payload in hostile(machine):
        with pytest.raises(InvalidPeerMessage, match=reason):
            decoded(payload)


@given(st.sampled_from(list(CompactTag)), st.binary(max_size=300))
def test_whatever_arrives_is_refused_or_reads_back(tag: CompactTag, rest: bytes) -> None:
    try:
        message = decoded(bytes((tag,)) + rest)
    except InvalidPeerMessage:
        return
    assert encode_compact(message) == bytes((tag,)) + rest


def test_bodies_of_round_blocks_come_apart_and_together_again() -> None:
    body = encode_body(SAMPLE, [b"\x02" * 150, b"\x05"])
    parts = split_body(body)
    assert parts is not None
    assert join_body(*parts) == body
    assert split_body(body[:-1]) is None


# --- a cluster ---


@pytest.mark.usefixtures("pools")
@pytest.mark.parametrize("seed", range(6))
def test_a_cluster_commits_whatever_is_lost_and_whoever_lacks_what(seed: int) -> None:
    network = NetworkModel(delay_ms=(1, 60), loss=0.15, duplicate=0.05)
    plain = Cluster(seed=seed).config
    cluster = Cluster(seed=seed, network=network, config=replace(plain, body_format=TOY))
    sizes: dict[int, int] = {}
    carry, rng, numbers = cluster.transmit, random.Random(seed), count()

    def watched(sender, receiver, payload):  # type: ignore[no-untyped-def]
        sizes[payload[0]] = sizes.get(payload[0], 0) + 1
        carry(sender, receiver, payload)

    cluster.transmit = watched  # type: ignore[method-assign]
    cluster.start()
    for _ in range(6):
        for _ in range(8):
            some = rng.sample(range(4), rng.randint(2, 4))
            cluster.submit(b"transaction %d " % next(numbers) * 6, *some)
        cluster.run_until(cluster.all_committed, 200_000)
    cluster.check_ends()
    assert {CompactTag.COMPACT_PROPOSAL, CompactTag.TRANSACTIONS_REQUEST, CompactTag.TRANSACTIONS} <= sizes.keys()


@pytest.mark.usefixtures("pools")
def test_a_hostile_peer_changes_nothing() -> None:
    plain = Cluster(seed=1).config
    cluster = Cluster(seed=1, config=replace(plain, body_format=TOY))
    machine = Machine()
    rng = random.Random(1)
    attacks: list[Callable[[], bytes]] = [
        lambda: rng.choice(hostile(machine))[1],
        lambda: bytes((rng.choice(list(CompactTag)),)) + rng.randbytes(rng.randint(0, 400)),
        lambda: encode_compact(compact_of(machine.proposal(body=BODY, who=rng.randrange(4)))),
        lambda: encode_compact(TransactionsRequest(H, BLOCK, (0, 8_000))),
    ]
    cluster.start()
    for number in range(10):
        cluster.submit(b"transaction %d" % number)
        for node in cluster.nodes:
            for _ in range(20):
                node.receive(rng.choice(cluster.nodes).key, rng.choice(attacks)())
        cluster.run_until(cluster.all_committed)
    assert sum(len(node.rejections) for node in cluster.nodes) > 100
