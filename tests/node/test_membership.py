"""Members come and go by vote while the chain runs: the real application on simulated ports, one to seven and back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest
from eth_hash.auto import keccak
from nacl.signing import SigningKey

from consensus.codec import decode_certificate, encode_message
from consensus.messages import CertifiedBlock
from contracts import layout
from contracts.bindings import consortium, consortium_votes
from contracts.system import CONSORTIUM, FIAT_TOKEN, MARKET
from node.audit.proof import check, prove
from node.audit.verify import Auditor
from node.chain.proofs import InvalidProof, parse_proof
from node.chain.transitions import follow
from node.epochs import keep_transitions, transitions
from node.rules import RuleBook, UnknownRulesVersion
from node.storage import View
from tests.node.real_application import RealCluster, household
from tests.simulation.node import Node

NODES = 7


class Village:
    """Seven machines, of which the first few are members; everybody else follows by certified blocks."""

    def __init__(self, path: Path, members: int) -> None:
        self.real = RealCluster(path, members=members, nodes=NODES)
        self.cluster = self.real.cluster
        by_seed = {node.seed: node for node in self.cluster.nodes}
        self.nodes = [by_seed[bytes([number + 1]) * 32] for number in range(NODES)]  # by household
        self.proposals = 0
        self.cluster.start()
        self.settle()

    def seats(self) -> list[int]:
        """The households that validate the open height."""
        validators = max(self.nodes, key=lambda node: node.application.head_height).application.validators()
        return [number for number, node in enumerate(self.nodes) if node.key in validators]

    def member(self) -> Node:
        """A validator."""
        return self.nodes[self.seats()[0]]

    def settle(self) -> None:
        """Let everything commit and every change act; then the others follow."""
        self.cluster.run_until(lambda: all(not self.nodes[i].application.waiting() for i in self.seats()), 60_000)
        self.follow()

    def follow(self) -> None:
        """Give those who are behind the certified blocks that they lack."""
        best = max(self.nodes, key=lambda node: node.application.head_height)
        for node in self.nodes:
            for height in range(node.application.head_height + 1, best.application.head_height + 1):
                body, certificate = best.application.certified_block(height) or (b"", b"")
                node.receive(node.key, encode_message(CertifiedBlock(body, decode_certificate(certificate))))
                self.cluster.run(50)

    def send(self, number: int, data: bytes, to: bytes = CONSORTIUM) -> bytes:
        """A household sends a transaction, and it commits; return its hash."""
        raw = self.real.sign(f"household {number}", to, data, gas=3_000_000)
        for seat in self.seats():
            self.nodes[seat].submit(raw)
        self.cluster.run_until(lambda: all(self.nodes[seat].application.holds(raw) for seat in self.seats()), 60_000)
        return keccak(raw)

    def view(self) -> AbstractContextManager[View]:
        """The state of a validator."""
        return self.real.store(self.member().index).read()

    def decide(self, data: bytes, *, by: int, also: list[int]) -> int:
        """Propose, and let others vote until it passes; return the proposal's number."""
        self.send(by, data)
        self.proposals += 1
        for number in also:
            self.send(number, consortium_votes.vote(self.proposals))
        return self.proposals

    def majority(self, without: int | None = None) -> list[int]:
        """So many members that they are more than half."""
        seats = self.seats()
        chosen = [seat for seat in seats if seat != without] or seats
        return chosen[: len(seats) // 2 + 1]

    def readiness(self, number: int) -> bytes:
        """A candidate's proof over the newest block."""
        with self.view() as view:
            header = view.header(view.head_height)
        message = consortium_votes.ready_bytes(
            self.real.genesis.chain_id, self.cluster.config.domain.genesis_hash, header.number, header.hash
        )
        signature = SigningKey(self.nodes[number].seed).sign(message).signature
        return consortium_votes.prove_readiness(self.proposals, header.number, bytes(signature))

    def admit(self, number: int) -> None:
        """Admit a household and let its epoch begin."""
        voters = self.majority()
        data = consortium_votes.propose_admission(
            household(number), self.nodes[number].key, f"house-{number}", f"127.0.0.1:{30_300 + number}"
        )
        self.decide(data, by=voters[0], also=voters[1:])
        self.send(voters[0], self.readiness(number))
        self.settle()

    def remove(self, number: int) -> None:
        """Remove a household and let its epoch begin."""
        voters = self.majority(without=number)
        self.decide(consortium_votes.propose_removal(household(number)), by=voters[0], also=voters[1:])
        self.settle()


@pytest.fixture
def village(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Village]:
    """A village of so many members."""
    made = Village(tmp_path, request.param)
    with made.real:
        yield made


def audited(village: Village) -> None:
    """Hold the whole chain against the genesis file."""
    with village.view() as view:
        report = Auditor(village.real.genesis).audit(view)
    assert report.offence is None, report.offence


@pytest.mark.parametrize("village", [1], indirect=True)
def test_from_one_validator_to_seven_and_back_without_a_halt(village: Village) -> None:
    for number in range(1, NODES):
        village.admit(number)
        assert village.seats() == list(range(number + 1))
        assert int(village.member().application.validators().epoch) == number
    heights = {node.application.head_height for node in village.nodes}
    assert len(heights) == 1
    for left, number in enumerate((3, 0, 6, 1, 5, 2), start=1):
        if len(village.seats()) > 2:
            village.remove(number)
        else:  # one of two cannot outvote the other
            village.send(number, consortium_votes.leave())
            village.settle()
        assert len(village.seats()) == NODES - left
        assert number not in village.seats()
        assert int(village.member().application.validators().epoch) == NODES - 1 + left
    assert village.seats() == [4]
    village.send(4, consortium.vouch(b"\x77" * 20))  # the last one goes on alone
    village.settle()
    village.cluster.check_ends()
    audited(village)


@pytest.mark.parametrize("village", [4], indirect=True)
def test_a_removed_member_leaves_an_idle_chain_two_heights_later(village: Village) -> None:
    voters = [0, 1, 2]
    village.send(0, consortium_votes.propose_removal(household(3)))
    village.send(1, consortium_votes.vote(1))
    village.settle()
    before = village.member().application.head_height
    village.send(2, consortium_votes.vote(1))
    village.settle()  # nobody sends anything more
    assert village.seats() == voters
    assert village.member().application.head_height == before + 2
    removed = village.nodes[3]
    assert not removed.linked  # its old key is refused
    assert removed.key not in village.member().trusted
    village.send(0, consortium.vouch(b"\x78" * 20))
    village.follow()
    assert removed.application.head_height == village.member().application.head_height  # it follows as an observer
    audited(village)


@pytest.mark.parametrize("village", [4], indirect=True)
def test_two_that_pass_in_one_block_act_one_after_the_other(village: Village) -> None:
    village.send(0, consortium_votes.propose_removal(household(2)))
    village.send(0, consortium_votes.propose_removal(household(3)))
    village.send(3, consortium_votes.vote(1))
    raws = [village.real.sign("household 1", CONSORTIUM, consortium_votes.vote(each), gas=3_000_000) for each in (1, 2)]
    for raw in raws:
        village.cluster.submit(raw)
    village.settle()
    with village.view() as view:
        located = [view.locate(raw_hash) for raw_hash in map(keccak, raws)]
    assert located[0] is not None
    assert located[1] is not None
    assert located[0][0] == located[1][0]  # in one block
    assert village.seats() == [0, 1]
    assert int(village.member().application.validators().epoch) == 2
    audited(village)


@pytest.mark.parametrize("village", [4], indirect=True)
def test_a_member_changes_its_node_key_and_keeps_its_seat(village: Village) -> None:
    fresh = village.nodes[5]  # another machine, with another key
    village.send(0, consortium.vouch(b"\x79" * 20))
    with village.view() as view:
        header = view.header(view.head_height)
    message = consortium_votes.ready_bytes(
        village.real.genesis.chain_id, village.cluster.config.domain.genesis_hash, header.number, header.hash
    )
    signature = bytes(SigningKey(fresh.seed).sign(message).signature)
    village.send(1, consortium_votes.rotate_node_key(fresh.key, header.number, signature))
    village.settle()
    assert village.seats() == [0, 2, 3, 5]
    with village.view() as view:
        accounts = [member.account for member in layout.members(view.state.storage)]
    assert accounts == [household(number) for number in range(4)]
    village.send(1, consortium.vouch(b"\x7a" * 20))
    audited(village)


@pytest.mark.parametrize("village", [4], indirect=True)
def test_rules_and_code_change_by_vote(village: Village) -> None:
    village.decide(consortium_votes.propose_rule("block_gas_limit", 12_000_000), by=0, also=[1, 2])
    village.send(0, consortium.vouch(b"\x7b" * 20))
    village.send(0, consortium.vouch(b"\x7c" * 20))
    with village.view() as view:
        changed = layout.rule_changes(view.state.storage)[0]
        limits = {height: view.header(height).gas_limit for height in range(1, view.head_height + 1)}
    assert {limit for height, limit in limits.items() if height < changed.from_height} == {10_000_000}
    assert {limit for height, limit in limits.items() if height >= changed.from_height} == {12_000_000}
    upgrade = village.decide(consortium_votes.propose_upgrade(MARKET, FIAT_TOKEN), by=0, also=[1, 2])
    village.settle()
    with village.view() as view:
        hashes = [getattr(view.state.account(each), "code_hash", None) for each in (MARKET, FIAT_TOKEN)]
        assert hashes[0] == hashes[1]
        assert upgrade == 2
    audited(village)


@pytest.mark.parametrize("village", [1], indirect=True)
def test_rules_that_this_software_does_not_know_stop_it(village: Village) -> None:
    village.send(0, consortium_votes.propose_rule("version", 2))

    def go_on() -> None:
        for byte in (0x7D, 0x7E, 0x7F):
            village.send(0, consortium.vouch(bytes([byte]) * 20))

    with pytest.raises(UnknownRulesVersion, match="rules version 2 is not known here"):
        go_on()


@pytest.mark.parametrize("village", [1], indirect=True)
def test_what_was_sent_in_any_epoch_is_proved_from_the_genesis_file_on(village: Village) -> None:
    sent = [village.send(0, consortium.vouch(b"\x80" * 20))]
    for number in (1, 2, 3):
        village.admit(number)
        sent.append(village.send(number, consortium.vouch(bytes([0x80 + number]) * 20)))
    village.remove(0)
    sent.append(village.send(1, consortium.vouch(b"\x90" * 20)))
    genesis, rule_book = village.real.genesis, RuleBook(village.real.genesis.content["rules"], 2016)
    with village.view() as view:
        proofs = [prove(view, each, rule_book) for each in sent]
    assert [len(proof.transitions) for proof in proofs] == [0, 1, 2, 3, 4]
    for proof in proofs:
        check(proof, genesis)
        assert parse_proof(proof.as_json()) == proof
    newest = proofs[-1]
    first, second, third, fourth = newest.transitions
    foreign = replace(second, keys=(*second.keys[:-1], bytes(32)))
    for told in (
        (),
        (first, second, third),
        (second, third, fourth),
        (first, third, fourth),
        (second, first, third, fourth),
        (first, second, third, fourth, fourth),
        (first, foreign, third, fourth),
        (first, replace(second, certificate=third.certificate), third, fourth),
    ):
        with pytest.raises(InvalidProof, match=r"^height "):
            check(replace(newest, transitions=told), genesis)
    with pytest.raises(InvalidProof, match="epoch 0, expected epoch 1"):
        check(replace(proofs[0], transitions=(first,)), genesis)  # of a later epoch than the round


@pytest.mark.parametrize("village", [1], indirect=True)
@pytest.mark.parametrize("when", ["as they come", "before it begins to let go"])
def test_a_node_that_lets_go_of_old_states_still_proves_every_epoch(village: Village, when: str) -> None:
    store = village.real.store(village.nodes[0].index)
    if when == "as they come":
        store._history_heights = 2
    village.admit(1)
    village.admit(2)
    if when != "as they come":
        keep_transitions(store)
        store._history_heights = 2
    for number in range(4):
        village.send(0, consortium.vouch(bytes([0x80 + number]) * 20))
    genesis, domain = village.real.genesis, village.cluster.config.domain
    founders = [member.node_key for member in genesis.members]
    with store.read() as view:
        assert view.first_state_height == view.head_height - 2
        steps = list(transitions(view, view.head_height))
        assert len(steps) == 2
        assert follow(founders, steps, domain) == village.nodes[0].application.validators()
        assert Auditor(genesis).audit(view).offence is None
