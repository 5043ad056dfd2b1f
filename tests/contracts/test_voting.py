"""Consortium: one member, one vote; what passes acts once a block, and everything else is refused by name."""

from __future__ import annotations

import pytest
from nacl.signing import SigningKey

from contracts import layout, system
from contracts.bindings import consortium, consortium_events, consortium_votes
from contracts.bindings.consortium_events import ProposalKind, ProposalState
from contracts.bindings.consortium_votes import Proposal
from tests.contracts.street import CHAIN_ID, HOUSES, Sent, Street, account, block_hash, genesis, hexed, refused
from tests.long import short_or_long

PERIOD_S = 7 * 86_400
EVE_KEY = SigningKey(b"eve".ljust(32))
EVE = bytes(EVE_KEY.verify_key)
ENDPOINT = "127.0.0.1:30309"


@pytest.fixture
def chain(founded: Street) -> Street:
    """A street in block 1, whose consortium knows the genesis hash."""
    street = founded.fresh()
    street.begin_block()
    return street


def admit(street: Street, name: str = "eve", sender: str = "ann-member", key: bytes = EVE) -> int:
    return number(street.consortium(sender, consortium_votes.propose_admission(account(name), key, name, ENDPOINT)))


def remove(street: Street, name: str, sender: str = "ann-member") -> int:
    return number(street.consortium(sender, consortium_votes.propose_removal(account(name))))


def number(sent: Sent) -> int:
    return int.from_bytes(sent.output, "big")


def vote(street: Street, proposal: int, *names: str) -> Sent:
    for name in names:
        sent = street.consortium(name, consortium_votes.vote(proposal))
    return sent


def readiness(height: int, key: SigningKey = EVE_KEY, chain_id: int = CHAIN_ID) -> bytes:
    message = consortium_votes.ready_bytes(chain_id, block_hash(0), height, block_hash(height))
    return bytes(key.sign(message).signature)


def prove(street: Street, proposal: int, sender: str = "dan-member") -> Sent:
    data = consortium_votes.prove_readiness(proposal, street.height - 1, readiness(street.height - 1))
    return street.consortium(sender, data)


def shown(street: Street, proposal: int) -> Proposal:
    return street.view(consortium_votes.proposal(proposal))


def members(street: Street) -> list[bytes]:
    return [member.account for member in layout.members(street.storage)]


def test_an_admission_passes_with_more_than_half_and_acts_when_the_candidate_is_ready(chain: Street) -> None:
    chain.next_block()
    proposal = admit(chain)
    assert chain.view(consortium_votes.votes_needed()) == 3
    vote(chain, proposal, "bob-member")
    assert shown(chain, proposal).state is ProposalState.OPEN
    passed = vote(chain, proposal, "cat-member").only(consortium_events.ProposalPassed)
    assert (passed.votes, passed.members) == (3, 4)
    assert shown(chain, proposal).state is ProposalState.PASSED
    assert len(members(chain)) == 4
    sent = prove(chain, proposal)
    assert sent.only(consortium_events.ProposalEnacted).from_height == chain.height + 2
    joined = sent.only(consortium_events.MemberAdmitted)
    assert (joined.account, joined.node_key, joined.epoch) == (account("eve"), EVE, 1)
    member = layout.members(chain.storage)[4]
    assert (member.name, member.endpoint, member.since_epoch) == ("eve", ENDPOINT, 1)
    assert layout.vouching_member(chain.storage, account("eve")) == account("eve")
    assert chain.view(consortium.current_epoch()) == 0
    assert chain.view(consortium_votes.newest_epoch()) == consortium_votes.NewestEpoch(1, chain.height + 2, proposal)
    chain.next_block()
    chain.next_block()
    assert chain.view(consortium.current_epoch()) == 1


def test_readiness_may_come_before_the_votes(chain: Street) -> None:
    chain.next_block()
    proposal = admit(chain)
    prove(chain, proposal)
    with refused("AlreadyReady", proposal=proposal):
        prove(chain, proposal)
    vote(chain, proposal, "bob-member")
    assert vote(chain, proposal, "cat-member").all(consortium_events.MemberAdmitted)


def test_readiness_is_the_candidates_signature_over_a_recent_block_of_this_chain(chain: Street) -> None:
    for _ in range(300):
        chain.next_block()
    proposal = admit(chain)
    newest = chain.height - 1

    def attempt(height: int, signature: bytes, on: int = proposal) -> None:
        chain.consortium("bob-member", consortium_votes.prove_readiness(on, height, signature))

    for height in (newest - 256, newest + 1, 2**64 - 1):
        with refused("UnknownBlock", height=height, newest=newest):
            attempt(height, readiness(height % 2**32))
    wrong = (
        readiness(newest - 1),
        readiness(newest, SigningKey(b"mallory".ljust(32))),
        readiness(newest, chain_id=1),
        readiness(newest)[:-1],
        readiness(newest) + b"\0",
        b"",
    )
    for signature in wrong:
        with refused("NotReady", height=newest):
            attempt(newest, signature)
    with refused("NotAnAdmission"):
        attempt(newest, readiness(newest), remove(chain, "dan-member"))
    attempt(newest - 255, readiness(newest - 255))
    with refused("NotAMember"):
        chain.consortium("eve", consortium_votes.prove_readiness(proposal, newest, readiness(newest)))


def test_a_removed_member_votes_no_more_and_neither_do_its_votes(chain: Street) -> None:
    other = admit(chain)
    vote(chain, other, "dan-member")
    proposal = remove(chain, "dan-member")
    vote(chain, proposal, "bob-member")
    sent = vote(chain, proposal, "cat-member")
    gone = sent.only(consortium_events.MemberRemoved)
    assert (gone.account, gone.epoch) == (account("dan-member"), 1)
    assert account("dan-member") not in members(chain)
    assert shown(chain, other).votes == 1  # ann's; dan's is void
    for name in ("dan-member", "dan", "dan-meter"):
        assert layout.vouching_member(chain.storage, account(name)) is None
    with refused("NotAMember"):
        vote(chain, other, "dan-member")
    with refused("NoMember"):
        remove(chain, "dan-member")
    chain.next_block()
    assert chain.view(consortium_votes.votes_needed()) == 2
    back = number(
        chain.consortium(
            "ann-member", consortium_votes.propose_admission(account("dan-member"), bytes([4]) * 32, "dan", ENDPOINT)
        )
    )
    assert shown(chain, back).state is ProposalState.OPEN  # with its own old key it may come back


def test_others_may_vouch_for_the_accounts_of_one_who_left(chain: Street) -> None:
    chain.consortium("dan-member", consortium_votes.leave())
    chain.consortium("ann-member", consortium.vouch(account("dan")))
    assert layout.vouching_member(chain.storage, account("dan")) == account("ann-member")
    assert chain.view(consortium.vouched_count(account("dan-member"))) == 2


def test_an_admitted_account_that_somebody_vouched_for_becomes_its_own(chain: Street) -> None:
    chain.next_block()
    chain.consortium("bob-member", consortium.vouch(account("eve")))
    before = chain.view(consortium.vouched_count(account("bob-member")))
    proposal = admit(chain)
    prove(chain, proposal)
    vote(chain, proposal, "bob-member", "cat-member")
    assert layout.vouching_member(chain.storage, account("eve")) == account("eve")
    assert chain.view(consortium.vouched_count(account("bob-member"))) == before - 1


def test_one_change_a_block_and_the_rest_in_turn(chain: Street) -> None:
    chain.next_block()
    ids = [remove(chain, "dan-member"), remove(chain, "cat-member"), admit(chain)]
    prove(chain, ids[2])
    vote(chain, ids[0], "bob-member", "cat-member")
    vote(chain, ids[1], "bob-member")  # of three members two are enough
    vote(chain, ids[2], "bob-member")
    assert [shown(chain, each).state for each in ids] == [
        ProposalState.ENACTED,
        ProposalState.QUEUED,
        ProposalState.QUEUED,
    ]
    assert chain.view(consortium_votes.queue_length()) == 2
    assert chain.pending()
    begun = chain.next_block()
    assert begun is not None
    assert begun.only(consortium_events.MemberRemoved).epoch == 2
    begun = chain.next_block()
    assert begun is not None
    assert begun.only(consortium_events.MemberAdmitted).epoch == 3
    assert not chain.pending()
    assert members(chain) == [account("ann-member"), account("bob-member"), account("eve")]


def test_what_has_become_impossible_is_void(chain: Street) -> None:
    first, second = remove(chain, "dan-member"), remove(chain, "dan-member", "bob-member")
    vote(chain, first, "bob-member")
    vote(chain, second, "ann-member")
    vote(chain, first, "cat-member")
    vote(chain, second, "cat-member")
    assert shown(chain, second).state is ProposalState.QUEUED
    begun = chain.next_block()
    assert begun is not None
    assert begun.only(consortium_events.ProposalVoid).proposal == second
    assert len(members(chain)) == 3


def test_votes_that_are_refused_say_why(chain: Street) -> None:
    proposal = admit(chain)
    with refused("NotAMember", sender=hexed(account("eve"))):
        vote(chain, proposal, "eve")
    with refused("AlreadyVoted", proposal=proposal):
        vote(chain, proposal, "ann-member")
    for unknown in (0, proposal + 1, 2**200):
        with refused("UnknownProposal", proposal=unknown, count=proposal):
            vote(chain, unknown, "bob-member")
    with refused("NotVoted"):
        chain.consortium("bob-member", consortium_votes.withdraw_vote(proposal))
    with refused("NotTheProposer", proposer=hexed(account("ann-member"))):
        chain.consortium("bob-member", consortium_votes.withdraw_proposal(proposal))
    chain.state.execution_context._timestamp += PERIOD_S
    vote(chain, proposal, "bob-member")
    chain.state.execution_context._timestamp += 1
    with refused("Expired", proposal=proposal):
        vote(chain, proposal, "cat-member")
    with refused("Expired"):
        prove(chain, proposal)
    with refused("CalledThroughContract"):
        chain.send("ann-member", system.CONSORTIUM, consortium_votes.vote(proposal), origin=account("eve"))


def test_votes_and_proposals_may_be_taken_back(chain: Street) -> None:
    proposal = admit(chain)
    vote(chain, proposal, "bob-member")
    taken = chain.consortium("bob-member", consortium_votes.withdraw_vote(proposal))
    assert taken.only(consortium_events.VoteWithdrawn).member == account("bob-member")
    assert shown(chain, proposal).votes == 1
    assert not chain.view(consortium_votes.has_voted(proposal, account("bob-member")))
    vote(chain, proposal, "bob-member")
    chain.consortium("ann-member", consortium_votes.withdraw_proposal(proposal))
    with refused("NotOpen", proposal=proposal, state=int(ProposalState.WITHDRAWN)):
        vote(chain, proposal, "cat-member")
    with refused("NotOpen"):
        chain.consortium("ann-member", consortium_votes.withdraw_proposal(proposal))


def test_what_passes_because_others_left_is_enacted_by_anyone(chain: Street) -> None:
    chain.next_block()
    proposal = admit(chain)
    prove(chain, proposal)
    vote(chain, proposal, "bob-member")
    with refused("NotPassed", proposal=proposal, votes=2, needed=3):
        chain.consortium("eve", consortium_votes.enact(proposal))
    chain.consortium("dan-member", consortium_votes.leave())
    chain.next_block()
    assert chain.consortium("eve", consortium_votes.enact(proposal)).all(consortium_events.MemberAdmitted)


def test_proposals_that_make_no_sense_are_refused(chain: Street) -> None:
    def propose(who: bytes, key: bytes = EVE, endpoint: str = ENDPOINT) -> None:
        chain.consortium("ann-member", consortium_votes.propose_admission(who, key, "eve", endpoint))

    with refused("ZeroAccount"):
        propose(bytes(20))
    with refused("AlreadyAMember"):
        propose(account("bob-member"))
    with refused("ZeroNodeKey"):
        propose(account("eve"), bytes(32))
    with refused("NodeKeyTaken", account=hexed(account("bob-member"))):
        propose(account("eve"), bytes([2]) * 32)
    with refused("InvalidEndpoint"):
        propose(account("eve"), EVE, "")
    with refused("NoSystemContract"):
        chain.consortium("ann-member", consortium_votes.propose_upgrade(account("eve"), system.MARKET))
    with refused("NoCode"):
        chain.consortium("ann-member", consortium_votes.propose_upgrade(system.MARKET, account("eve")))
    for name, value in (("block_gas_limit", 999_999), ("view_timeout_ms", 2**200), ("tea", 1)):
        with refused("InvalidRule", value=value if name != "tea" else 0):
            chain.consortium("ann-member", consortium_votes.propose_rule(name, value))


def test_a_member_has_a_bounded_number_of_open_proposals(chain: Street) -> None:
    for i in range(8):
        admit(chain, f"guest {i}", key=bytes([100 + i]) * 32)
    with refused("TooManyOpen", limit=8):
        admit(chain)
    chain.consortium("ann-member", consortium_votes.withdraw_proposal(3))
    admit(chain)
    chain.state.execution_context._timestamp += PERIOD_S + 1
    admit(chain, "late", key=bytes([120]) * 32)
    page = chain.view(consortium_votes.get_proposals(2, 3))
    assert [each.account for each in page] == [account(f"guest {i}") for i in (1, 2, 3)]
    assert chain.view(consortium_votes.get_proposals(11, 3)) == ()
    assert chain.view(consortium_votes.proposal_count()) == 10


def test_the_last_member_stays(chain: Street) -> None:
    for name in ("dan-member", "cat-member", "bob-member"):
        chain.consortium(name, consortium_votes.leave())
        chain.next_block()
    assert members(chain) == [account("ann-member")]
    with refused("LastMember"):
        chain.consortium("ann-member", consortium_votes.leave())
    with refused("LastMember"):
        remove(chain, "ann-member")


def test_a_member_waits_in_the_queue_once(chain: Street) -> None:
    chain.consortium("dan-member", consortium_votes.leave())
    chain.consortium("cat-member", consortium_votes.leave())
    with refused("AlreadyQueued"):
        chain.consortium("cat-member", consortium_votes.leave())


def test_a_friends_motions_do_not_let_a_member_wait_in_the_queue_twice(chain: Street) -> None:
    chain.consortium("dan-member", consortium_votes.leave())
    chain.consortium("cat-member", consortium_votes.leave())
    chain.consortium("ann-member", consortium_votes.propose_removal(account("cat-member")))
    with refused("AlreadyQueued"):
        chain.consortium("cat-member", consortium_votes.leave())


def test_a_queue_that_never_runs_empty_costs_no_more_to_empty(chain: Street) -> None:
    """Two members that change their keys in turn keep the queue filled; the node's call at the end stays as cheap."""

    def rotate(name: str) -> None:
        key = SigningKey(f"{name} {chain.height}".encode().ljust(32))
        data = consortium_votes.rotate_node_key(
            bytes(key.verify_key), chain.height - 1, readiness(chain.height - 1, key)
        )
        chain.consortium(name, data)

    def emptied() -> int:
        while (sent := chain.next_block()) is not None:
            gas = sent.gas_used
        return gas

    chain.next_block()
    rotate("ann-member")
    rotate("bob-member")
    once = emptied()
    rotate("ann-member")
    rotate("bob-member")
    for i in range(60):
        rotate(("cat-member", "bob-member")[i % 2])
        chain.next_block()
        assert chain.pending()
    assert emptied() <= once + 5_000
    assert chain.view(consortium_votes.queue_length()) == 0
    rotate("ann-member")
    rotate("bob-member")  # and it works again from its start
    begun = chain.next_block()
    assert begun is not None
    assert begun.only(consortium_events.NodeKeyRotated).account == account("bob-member")


def test_one_who_was_removed_comes_back_with_its_key_and_its_accounts(chain: Street) -> None:
    before = chain.view(consortium.vouched_count(account("dan-member")))
    chain.next_block()
    data = consortium_votes.rotate_node_key(EVE, chain.height - 1, readiness(chain.height - 1))
    chain.consortium("dan-member", data)
    chain.next_block()
    chain.consortium("dan-member", consortium_votes.leave())
    chain.consortium("ann-member", consortium.vouch(account("dan-member")))  # a household now, no member
    assert layout.vouching_member(chain.storage, account("dan-member")) == account("ann-member")
    with refused("NotAMember"):
        chain.consortium("dan-member", consortium_votes.leave())
    chain.next_block()
    with refused("NodeKeyTaken"):
        admit(chain, "mallory")
    proposal = admit(chain, "dan-member")
    prove(chain, proposal, "cat-member")
    joined = vote(chain, proposal, "bob-member").only(consortium_events.MemberAdmitted)
    assert (joined.account, joined.node_key, joined.epoch) == (account("dan-member"), EVE, 3)
    for name in ("dan-member", "dan", "dan-meter"):
        assert layout.vouching_member(chain.storage, account(name)) == account("dan-member")
    assert chain.view(consortium.vouched_count(account("dan-member"))) == before


def test_a_node_key_is_rotated_without_losing_the_seat(chain: Street) -> None:
    chain.next_block()
    height = chain.height - 1
    data = consortium_votes.rotate_node_key(EVE, height, readiness(height))
    rotated = chain.consortium("bob-member", data).only(consortium_events.NodeKeyRotated)
    assert (rotated.old_key, rotated.new_key, rotated.epoch) == (bytes([2]) * 32, EVE, 1)
    assert layout.members(chain.storage)[1].node_key == EVE
    assert chain.view(consortium.member_by_node_key(bytes([2]) * 32)) == account("bob-member")
    with refused("NodeKeyTaken"):
        admit(chain, "mallory", key=bytes([2]) * 32)
    with refused("NodeKeyTaken"):
        chain.consortium("cat-member", data)
    with refused("NotReady"):
        other = bytes(SigningKey(b"other".ljust(32)).verify_key)
        chain.consortium("cat-member", consortium_votes.rotate_node_key(other, height, readiness(height)))


def test_rules_act_two_blocks_later_and_code_with_the_next(chain: Street) -> None:
    chain.next_block()
    rule = number(chain.consortium("ann-member", consortium_votes.propose_rule("block_gas_limit", 12_000_000)))
    assert shown(chain, rule).kind is ProposalKind.RULE
    sent = vote(chain, rule, "bob-member", "cat-member")
    assert sent.only(consortium_events.RuleChanged).from_height == chain.height + 2
    assert layout.rule_changes(chain.storage) == [layout.RuleChange(chain.height + 2, "block_gas_limit", 12_000_000)]
    assert not chain.pending()
    upgrade = number(chain.consortium("ann-member", consortium_votes.propose_upgrade(system.MARKET, system.FIAT_TOKEN)))
    sent = vote(chain, upgrade, "bob-member", "cat-member")
    assert sent.only(consortium_events.CodeChanged).target == system.MARKET
    assert chain.pending()
    assert layout.due_upgrades(chain.storage) == [(system.MARKET, system.FIAT_TOKEN)]
    chain.next_block()
    assert not chain.pending()
    assert layout.due_upgrades(chain.storage) == []


def test_only_the_node_begins_a_block(chain: Street) -> None:
    with refused("NotTheSystem"):
        chain.begin_block(account("ann-member"))
    assert chain.view(consortium_votes.genesis_hash()) == block_hash(0)


def test_a_hundred_members_are_the_most() -> None:
    founders = short_or_long((*HOUSES, *(f"house {number}" for number in range(5, 98))), HOUSES)
    chain = Street(genesis(houses=founders))
    chain.begin_block()
    for i in range(100 - len(founders)):
        chain.next_block()
        candidate, key = account(f"guest {i}"), SigningKey(i.to_bytes(32, "big"))
        data = consortium_votes.propose_admission(candidate, bytes(key.verify_key), "x", "h:1")
        proposal = number(chain.consortium("ann-member", data))
        data = consortium_votes.prove_readiness(proposal, chain.height - 1, readiness(chain.height - 1, key))
        chain.consortium("ann-member", data)
        for member in layout.members(chain.storage)[1:]:
            sent = chain.send(member.account, system.CONSORTIUM, consortium_votes.vote(proposal))
            if sent.all(consortium_events.ProposalPassed):
                break
        assert sent.only(consortium_events.MemberAdmitted).account == candidate
    assert len(members(chain)) == 100
    with refused("TooManyMembers", limit=100):
        admit(chain)
