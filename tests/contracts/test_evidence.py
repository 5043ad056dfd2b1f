"""Evidence on chain: two votes by one validator are proved to everybody, and an honest validator cannot be framed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nacl.signing import SigningKey

from consensus.types import Domain, Epoch, Height, Phase, View, Vote, vote_bytes
from contracts.bindings import consortium_events, consortium_votes
from contracts.bindings.consortium_events import ProposalKind, ProposalState
from contracts.bindings.consortium_votes import Equivocation
from tests.contracts.street import CHAIN_ID, HOUSES, Sent, Street, account, block_hash, genesis, hexed, refused

KEYS = [SigningKey(house.encode().ljust(32)) for house in HOUSES]
DOMAIN = Domain(CHAIN_ID, block_hash(0))
FIRST, SECOND = b"\x0a" * 32, b"\x0b" * 32
DAN = bytes(KEYS[3].verify_key)


@pytest.fixture(scope="module")
def street_of_validators() -> Street:
    content = genesis()
    for member, key in zip(content["members"], KEYS, strict=True):
        member["node_key"] = hexed(bytes(key.verify_key))
    street = Street(content)
    street.begin_block()
    return street


@pytest.fixture
def chain(street_of_validators: Street) -> Street:
    street = street_of_validators.fresh()
    street.begin_block()
    return street


def signed(vote: Vote, key: SigningKey = KEYS[3], domain: Domain = DOMAIN) -> bytes:
    return bytes(key.sign(vote_bytes(domain, vote)).signature)


def vote(block: bytes, phase: Phase = Phase.PREPARE, *, epoch: int = 0, height: int = 1, view: int = 0) -> Vote:
    return Vote(Epoch(epoch), Height(height), View(view), phase, block)


def equivocation(first: Vote, second: Vote, key: SigningKey = KEYS[3]) -> Equivocation:
    return Equivocation(
        bytes(key.verify_key),
        first.epoch,
        first.height,
        first.view,
        int(first.phase),
        first.block_hash,
        signed(first, key),
        second.block_hash,
        signed(second, key),
    )


def submit(street: Street, evidence: Equivocation, sender: str = "bob") -> Sent:
    return street.consortium(sender, consortium_votes.submit_evidence(evidence))


@pytest.mark.parametrize("phase", list(Phase))
def test_two_votes_of_one_place_are_recorded_and_open_the_removal(chain: Street, phase: Phase) -> None:
    evidence = equivocation(vote(FIRST, phase), vote(SECOND, phase))
    sent = submit(chain, evidence)
    proved = sent.only(consortium_events.EquivocationProved)
    assert (proved.evidence, proved.account) == (evidence.evidence_id, account("dan-member"))
    assert chain.view(consortium_votes.evidence_recorded(evidence.evidence_id))
    proposal = chain.view(consortium_votes.proposal(proved.proposal))
    assert (proposal.kind, proposal.state, proposal.votes) == (ProposalKind.REMOVE, ProposalState.OPEN, 0)
    assert (proposal.account, proposal.evidence) == (account("dan-member"), evidence.evidence_id)
    assert proposal.proposer == account("bob-member")
    with refused("EvidenceRecorded"):
        submit(chain, evidence)
    again = equivocation(vote(FIRST, phase, view=1), vote(SECOND, phase, view=1))
    assert submit(chain, again, "cat").only(consortium_events.EquivocationProved).proposal == proved.proposal
    for name in ("ann-member", "bob-member", "cat-member"):
        sent = chain.consortium(name, consortium_votes.vote(proved.proposal))
    assert sent.only(consortium_events.MemberRemoved).account == account("dan-member")


def test_nothing_else_is_evidence(chain: Street) -> None:
    good = equivocation(vote(FIRST), vote(SECOND))
    other_chain = Domain(CHAIN_ID + 1, block_hash(0))
    other_genesis = Domain(CHAIN_ID, bytes(32))
    moved = {
        "epoch": vote(SECOND, epoch=1),
        "height": vote(SECOND, height=2),
        "view": vote(SECOND, view=1),
        "phase": vote(SECOND, Phase.COMMIT),
    }
    second_fails = [
        replace(good, second_signature=signed(vote(SECOND), KEYS[0])),
        replace(good, second_signature=signed(vote(SECOND), domain=other_chain)),
        replace(good, second_signature=signed(vote(SECOND), domain=other_genesis)),
        replace(good, second_signature=good.first_signature),
        replace(good, second_signature=good.second_signature[:-1]),
        replace(good, second_signature=good.second_signature + b"\0"),
        replace(good, second_signature=b""),
        replace(good, second_hash=b"\x0c" * 32),
        *(replace(good, second_signature=signed(each)) for each in moved.values()),
    ]
    for bad in second_fails:
        with refused("InvalidEvidence", which=2):
            submit(chain, bad)
    for bad in (
        replace(good, first_signature=bytes(64)),
        replace(good, view=7),
        replace(good, epoch=3),
        replace(good, phase=3),
        replace(good, node_key=bytes(KEYS[2].verify_key)),
    ):
        with refused("InvalidEvidence", which=1):
            submit(chain, bad)
    same = replace(good, second_hash=FIRST, second_signature=good.first_signature)
    for bad in (same, replace(good, phase=0), replace(good, phase=5), replace(good, height=99)):
        with refused("InvalidEvidence", which=0):
            submit(chain, bad)
    with refused("UnknownNodeKey"):
        submit(chain, equivocation(vote(FIRST), vote(SECOND), SigningKey(b"eve".ljust(32))))
    with refused("NotAMember"):
        submit(chain, good, "eve")
    assert chain.view(consortium_votes.proposal_count()) == 0


places = st.tuples(st.integers(0, 1), st.integers(1, 2), st.integers(0, 2), st.sampled_from(list(Phase)))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    first=places, second=places, hashes=st.tuples(st.sampled_from((FIRST, SECOND)), st.sampled_from((FIRST, SECOND)))
)
def test_one_who_signs_one_hash_a_place_cannot_be_framed(
    street_of_validators: Street,
    first: tuple[int, int, int, Phase],
    second: tuple[int, int, int, Phase],
    hashes: tuple[bytes, bytes],
) -> None:
    """Whatever two of its votes are put together, in whatever place: only two hashes of one place are taken."""
    one = vote(hashes[0], first[3], epoch=first[0], height=first[1], view=first[2])
    two = vote(hashes[1], second[3], epoch=second[0], height=second[1], view=second[2])
    evidence = equivocation(one, two)
    chain = street_of_validators.fresh()
    chain.begin_block()
    if first == second and hashes[0] != hashes[1]:
        submit(chain, evidence)
    else:
        with refused("InvalidEvidence"):
            submit(chain, evidence)


def test_a_key_that_was_rotated_away_is_still_blamed(chain: Street) -> None:
    chain.next_block()
    fresh = SigningKey(b"dan's new one".ljust(32))
    height = chain.height - 1
    message = consortium_votes.ready_bytes(CHAIN_ID, block_hash(0), height, block_hash(height))
    rotation = consortium_votes.rotate_node_key(bytes(fresh.verify_key), height, bytes(fresh.sign(message).signature))
    chain.consortium("dan-member", rotation)
    proved = submit(chain, equivocation(vote(FIRST), vote(SECOND))).only(consortium_events.EquivocationProved)
    assert (proved.account, proved.node_key) == (account("dan-member"), DAN)
    assert proved.proposal > 0


def test_the_accused_cannot_take_the_motion_against_it_away(chain: Street) -> None:
    own = chain.consortium("dan-member", consortium_votes.propose_removal(account("dan-member")))
    friendly = int.from_bytes(own.output, "big")
    evidence = equivocation(vote(FIRST), vote(SECOND))
    proved = submit(chain, evidence, "dan").only(consortium_events.EquivocationProved)
    assert proved.proposal != friendly  # which its proposer could withdraw
    chain.consortium("dan-member", consortium_votes.withdraw_proposal(friendly))
    with refused("RestsOnEvidence", proposal=proved.proposal, evidence=evidence.evidence_id):
        chain.consortium("dan-member", consortium_votes.withdraw_proposal(proved.proposal))
    chain.consortium("dan-member", consortium_votes.propose_removal(account("dan-member")))
    again = equivocation(vote(FIRST, view=1), vote(SECOND, view=1))
    assert submit(chain, again).only(consortium_events.EquivocationProved).proposal == proved.proposal


def test_a_motion_that_ran_out_is_opened_again_by_new_evidence(chain: Street) -> None:
    first = submit(chain, equivocation(vote(FIRST), vote(SECOND))).only(consortium_events.EquivocationProved)
    chain.state.execution_context._timestamp += 7 * 86_400 + 1
    again = equivocation(vote(FIRST, view=1), vote(SECOND, view=1))
    second = submit(chain, again).only(consortium_events.EquivocationProved)
    assert second.proposal not in (0, first.proposal)


def test_a_prefix_of_another_message_is_no_vote(chain: Street) -> None:
    """What a node key signs beside votes, and votes cut or shifted by bytes, never verifies as a vote."""
    message = vote_bytes(DOMAIN, vote(SECOND))
    ready = consortium_votes.ready_bytes(CHAIN_ID, block_hash(0), 1, SECOND)
    good = equivocation(vote(FIRST), vote(SECOND))
    for other in (message[:-1], message + b"\0", b"\0" + message, message[16:], ready, ready.ljust(113, b"\0"), SECOND):
        forged = bytes(KEYS[3].sign(other).signature)
        with refused("InvalidEvidence", which=2):
            submit(chain, replace(good, second_signature=forged))
    vote_as_ready = signed(vote(SECOND))
    with refused("NotReady"):
        chain.consortium("dan-member", consortium_votes.rotate_node_key(b"\x09" * 32, 0, vote_as_ready))


def test_one_who_has_left_is_put_on_record_and_nothing_more(chain: Street) -> None:
    chain.consortium("dan-member", consortium_votes.leave())
    proved = submit(chain, equivocation(vote(FIRST), vote(SECOND))).only(consortium_events.EquivocationProved)
    assert proved.proposal == 0
