"""Consortium against its model: any sequence of motions, votes, departures, keys and evidence, by anyone, over blocks.

`pytest tests/contracts/test_voting_model.py --hypothesis-seed=N` replays a seed; a failure prints the calls that led
to it.
"""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from nacl.signing import SigningKey

from consensus.types import Domain, Epoch, Height, Phase, View, Vote, vote_bytes
from contracts import layout
from contracts.bindings import consortium, consortium_votes
from contracts.bindings.consortium_events import ProposalKind, ProposalState
from contracts.bindings.consortium_votes import Equivocation
from tests.contracts.street import CHAIN_ID, HOUSES, Refused, Street, account, block_hash, genesis, hexed
from tests.contracts.voting_model import CHANGES, Model, Refusal
from tests.long import short_or_long

FOUNDERS = HOUSES
PEOPLE = (*FOUNDERS, "eve", "fay")  # eve and fay are no members at first
NODE_KEYS = tuple(f"key {i}" for i in range(8))
DOMAIN = Domain(CHAIN_ID, block_hash(0))
DAY_S = 86_400

anyone = st.sampled_from(PEOPLE)
senders = st.integers(0, 15)  # 0: anyone; others: one of the members
motions = st.integers(0, 15)  # 0: none that is there; others: one of the newest
node_keys = st.sampled_from(NODE_KEYS)


def signing_key(name: str) -> SigningKey:
    return SigningKey(name.encode().ljust(32))


def key_bytes(name: str) -> bytes:
    return bytes(signing_key(name).verify_key)


def founded() -> Street:
    content = genesis(houses=FOUNDERS)
    for i, member in enumerate(content["members"]):
        member["node_key"] = hexed(key_bytes(NODE_KEYS[i]))
        member["account"] = hexed(account(FOUNDERS[i]))
        member["vouched"] = []
    content["meters"] = []
    return Street(content)


FOUNDED = founded()


class Consortium(RuleBasedStateMachine):
    """The contract and the model side by side: every transaction is refused by the same error, or changes the same."""

    @initialize()
    def begin(self) -> None:
        self.chain = FOUNDED.fresh()
        self.chain.begin_block()
        self.model = Model(list(FOUNDERS), dict(zip(FOUNDERS, NODE_KEYS, strict=False)), self.chain.now_s)
        self.next()

    def both(self, sender: str, data: bytes, expected: Callable[[], None]) -> None:
        """Send a transaction, and hold what becomes of it to what the model says."""
        members = self.members()
        error = ""
        try:
            expected()
        except Refusal as refusal:
            error = str(refusal)
        found = ""
        try:
            self.chain.consortium(sender, data)
        except Refused as refused:
            found = refused.error
        assert found == error, f"refused by {found or 'nothing'}, expected {error or 'nothing'}"
        if error:
            assert self.members() == members

    def members(self) -> list[tuple[bytes, bytes]]:
        return [(member.account, member.node_key) for member in layout.members(self.chain.storage)]

    def number(self, draw: int) -> int:
        """One of the four newest motions; now and then one that is not there."""
        count = len(self.model.motions)
        return count + 1 if draw == 0 or count == 0 else max(1, count - draw % 4)

    def sender(self, draw: int) -> str:
        """One of the members; now and then anyone."""
        return self.model.members[draw % len(self.model.members)] if draw else PEOPLE[self.model.height % len(PEOPLE)]

    @rule(by=senders, who=anyone, key=node_keys)
    def propose_admission(self, by: int, who: str, key: str) -> None:
        sender = self.sender(by)
        data = consortium_votes.propose_admission(account(who), key_bytes(key), who, "127.0.0.1:30309")
        self.both(sender, data, lambda: self.model.propose(sender, ProposalKind.ADMIT, who, key))

    @rule(by=senders, who=anyone, key=node_keys, ready_first=st.booleans())
    def admit(self, by: int, who: str, key: str, ready_first: bool) -> None:
        """The whole way of a candidate, in either order."""
        self.propose_admission(by, who, key)
        number = len(self.model.motions)
        if ready_first:
            self.proof_for(self.sender(1), number)
        for member in list(self.model.members):
            self.vote_of(member, number)
        if not ready_first:
            self.proof_for(self.sender(1), number)

    @rule(by=senders, who=anyone)
    def propose_removal(self, by: int, who: str) -> None:
        sender = self.sender(by)
        data = consortium_votes.propose_removal(account(who))
        self.both(sender, data, lambda: self.model.propose(sender, ProposalKind.REMOVE, who))

    @rule(by=senders, value=st.integers(100, 600_000))
    def propose_rule(self, by: int, value: int) -> None:
        sender = self.sender(by)
        data = consortium_votes.propose_rule("view_timeout_ms", value)
        self.both(sender, data, lambda: self.model.propose(sender, ProposalKind.RULE, value=value))

    @precondition(lambda self: self.model.motions)
    @rule(by=senders, draw=motions)
    def vote(self, by: int, draw: int) -> None:
        sender = self.sender(by)
        self.vote_of(sender, self.number(draw))

    def vote_of(self, member: str, number: int) -> None:
        self.both(member, consortium_votes.vote(number), lambda: self.model.vote(member, number))

    @precondition(lambda self: self.model.motions)
    @rule(draw=motions)
    def everybody_votes(self, draw: int) -> None:
        number = self.number(draw)
        for member in list(self.model.members):
            self.vote_of(member, number)

    @precondition(lambda self: self.model.motions)
    @rule(by=senders, draw=motions)
    def withdraw_vote(self, by: int, draw: int) -> None:
        sender = self.sender(by)
        number = self.number(draw)
        self.both(sender, consortium_votes.withdraw_vote(number), lambda: self.model.withdraw_vote(sender, number))

    @precondition(lambda self: self.model.motions)
    @rule(by=senders, draw=motions)
    def withdraw_proposal(self, by: int, draw: int) -> None:
        sender = self.sender(by)
        number = self.number(draw)
        data = consortium_votes.withdraw_proposal(number)
        self.both(sender, data, lambda: self.model.withdraw_proposal(sender, number))

    @precondition(lambda self: self.model.motions)
    @rule(sender=anyone, draw=motions)
    def enact(self, sender: str, draw: int) -> None:
        number = self.number(draw)
        self.both(sender, consortium_votes.enact(number), lambda: self.model.enact(number))

    @precondition(lambda self: self.model.motions)
    @rule(by=senders, draw=motions)
    def prove_readiness(self, by: int, draw: int) -> None:
        sender = self.sender(by)
        self.proof_for(sender, self.number(draw))

    def proof_for(self, sender: str, number: int) -> None:
        known = 1 <= number <= len(self.model.motions)
        key = self.model.motions[number - 1].key if known else ""
        height, signature = self.readiness(key)
        data = consortium_votes.prove_readiness(number, height, signature)
        self.both(sender, data, lambda: self.model.prove_readiness(sender, number))

    @rule(by=senders, key=node_keys)
    def rotate(self, by: int, key: str) -> None:
        sender = self.sender(by)
        data = consortium_votes.rotate_node_key(key_bytes(key), *self.readiness(key))
        self.both(sender, data, lambda: self.model.rotate(sender, key))

    @precondition(lambda self: len(self.model.members) > 2 or self.model.height % 3 == 0)  # else few would be left
    @rule(by=senders)
    def leave(self, by: int) -> None:
        sender = self.sender(by)
        self.both(sender, consortium_votes.leave(), lambda: self.model.leave(sender))

    @rule(by=senders, account_of=anyone)
    def vouch(self, by: int, account_of: str) -> None:
        sender = self.sender(by)
        data = consortium.vouch(account(account_of))
        self.both(sender, data, lambda: self.model.vouch(sender, account_of))

    @rule(by=senders, account_of=anyone)
    def end_vouching(self, by: int, account_of: str) -> None:
        sender = self.sender(by)
        data = consortium.end_vouching(account(account_of))
        self.both(sender, data, lambda: self.model.end_vouching(sender, account_of))

    @rule(sender=anyone, key=node_keys, view=st.integers(0, 2))
    def submit_evidence(self, sender: str, key: str, view: int) -> None:
        votes = [Vote(Epoch(0), Height(1), View(view), Phase.COMMIT, bytes((letter,)) * 32) for letter in (0xA, 0xB)]
        first, second = (bytes(signing_key(key).sign(vote_bytes(DOMAIN, vote)).signature) for vote in votes)
        evidence = Equivocation(
            key_bytes(key), 0, 1, view, int(Phase.COMMIT), votes[0].block_hash, first, votes[1].block_hash, second
        )
        data = consortium_votes.submit_evidence(evidence)
        self.both(sender, data, lambda: self.model.submit_evidence(sender, key, view))
        recorded = self.chain.view(consortium_votes.evidence_recorded(evidence.evidence_id))
        assert recorded == ((key, view) in self.model.places)

    @rule()
    def next(self) -> None:
        before = self.members()
        self.chain.next_block()
        self.model.next_block()
        assert len(set(before) ^ set(self.members())) <= 2  # one who joins, one who leaves, or one who changes its key

    @precondition(lambda self: self.model.motions)
    @rule(days=st.sampled_from((1, 6, 7)), seconds=st.sampled_from((0, 1)))
    def time_passes(self, days: int, seconds: int) -> None:
        self.chain.state.execution_context._timestamp += days * DAY_S + seconds
        self.model.now_s = self.chain.now_s

    def readiness(self, key: str) -> tuple[int, bytes]:
        height = self.chain.height - 1
        message = consortium_votes.ready_bytes(CHAIN_ID, block_hash(0), height, block_hash(height))
        return height, bytes(signing_key(key).sign(message).signature)

    @invariant()
    def the_members_are_the_models(self) -> None:
        expected = [(account(name), key_bytes(self.model.keys[name])) for name in self.model.members]
        assert self.members() == expected
        assert expected, "the last member stays"
        for key in NODE_KEYS:
            owner = self.model.owner.get(key)
            found = self.chain.view(consortium.member_by_node_key(key_bytes(key)))
            assert found == (account(owner) if owner else None)

    @invariant()
    def who_may_send_is_the_models(self) -> None:
        for name in PEOPLE:
            voucher = self.model.voucher(name)
            expected = account(voucher) if voucher else None
            assert layout.vouching_member(self.chain.storage, account(name)) == expected
            assert self.chain.view(consortium.vouching_member(account(name))) == expected
            count = sum(each == name for each in self.model.vouching.values())
            assert self.chain.view(consortium.vouched_count(account(name))) == count

    @invariant()
    def motions_and_queue_are_the_models(self) -> None:
        shown = self.chain.view(consortium_votes.get_proposals(1, 1000))
        assert [each.state for each in shown] == [motion.state for motion in self.model.motions]
        for each, motion in zip(shown, self.model.motions, strict=True):
            assert (each.kind, each.proposer, each.ready) == (motion.kind, account(motion.proposer), motion.ready)
            assert any(each.evidence) == motion.evidence
            if motion.state is ProposalState.OPEN:
                assert each.votes == self.model.votes(motion)
        assert self.chain.view(consortium_votes.queue_length()) == len(self.model.queue)
        assert self.chain.pending() == bool(self.model.queue)
        changes = [(each.from_height, each.value) for each in layout.rule_changes(self.chain.storage)]
        assert changes == self.model.rules

    @invariant()
    def every_change_is_an_epoch_of_its_own(self) -> None:
        newest = self.chain.view(consortium_votes.newest_epoch())
        assert newest.number == self.model.epoch
        assert newest.number == sum(
            motion.kind in CHANGES and motion.state is ProposalState.ENACTED for motion in self.model.motions
        )
        assert newest.first_height == (self.model.changed_at + 2 if self.model.epoch else 0)
        assert newest.number - self.chain.view(consortium.current_epoch()) <= 2


TestConsortium = Consortium.TestCase
TestConsortium.settings = settings(
    max_examples=short_or_long(15, 30),
    stateful_step_count=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
