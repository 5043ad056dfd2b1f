"""A node proves to the consortium what its driver found, once, with an account of its own."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from nacl.signing import SigningKey

from consensus.actions import ReportEvidence
from consensus.types import Domain, Epoch, Height, Phase, SignedVote, ValidatorSet, View, Vote, vote_bytes
from contracts import layout
from contracts.bindings import consortium
from contracts.system import CONSORTIUM
from node.chain.transaction import decode_transaction
from node.evidence import MAX_ATTEMPTS, QUIET_HEIGHTS, TURN_HEIGHTS, Reporter, report_transaction, reporter_account
from tests.node.chains import OneChain
from tests.node.samples import node_key, seed

ACCUSED = node_key(3)
KEY = bytes(ACCUSED.verify_key)
KEYS = tuple(sorted(bytes(node_key(i).verify_key) for i in range(4)))
VALIDATORS = ValidatorSet(Epoch(0), KEYS)
NEXT = KEYS[(KEYS.index(KEY) + 1) % 4]
SEED = seed("a validator")


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[OneChain]:
    made = OneChain(tmp_path / "chain")
    made.mine()  # block 1 tells the consortium the genesis hash
    yield made
    made.close()


class Pool:
    """Takes what the reporter sends."""

    def __init__(self) -> None:
        self.raws: list[bytes] = []

    def submit(self, raw: bytes) -> None:
        self.raws.append(raw)


def equivocation(chain: OneChain, view: int = 0, key: SigningKey = ACCUSED) -> ReportEvidence:
    domain = Domain(chain.genesis.chain_id, chain.genesis_hash)
    votes = []
    for block in (b"\1" * 32, b"\2" * 32):
        vote = Vote(Epoch(0), Height(1), View(view), Phase.COMMIT, block)
        votes.append(SignedVote(vote, bytes(key.verify_key), key.sign(vote_bytes(domain, vote)).signature))
    return ReportEvidence(*votes)


def head(chain: OneChain, reporter: Reporter) -> None:
    with chain.store.read() as view:
        reporter.on_head(view.head_height, view.state)


def made(chain: OneChain) -> tuple[Reporter, Pool]:
    pool = Pool()
    account = reporter_account(SEED)
    sign = partial(report_transaction, account, chain.genesis.chain_id)
    return Reporter(bytes.fromhex(account.address[2:]), sign, pool.submit), pool


def vouched(chain: OneChain, reporter: Reporter) -> None:
    chain.mine(chain.transaction("household 0", CONSORTIUM, consortium.vouch(reporter.address)))


def test_what_is_found_comes_on_record_with_a_motion_to_remove(chain: OneChain) -> None:
    reporter, pool = made(chain)
    vouched(chain, reporter)
    evidence = equivocation(chain)
    reporter.found(evidence, chain.height, VALIDATORS, NEXT)
    (waiting,) = reporter.pending
    head(chain, reporter)
    (raw,) = pool.raws
    done = chain.mine(decode_transaction(raw, chain.genesis.chain_id))
    assert done.sealed.receipts[0].status == 1
    with chain.store.read() as view:
        assert layout.evidence_recorded(view.state.storage, waiting.evidence_id)
    head(chain, reporter)
    assert reporter.pending == ()
    assert len(pool.raws) == 1


def test_the_others_wait_for_their_turn(chain: OneChain) -> None:
    reporter, pool = made(chain)
    vouched(chain, reporter)
    later = KEYS[(KEYS.index(KEY) + 2) % 4]
    reporter.found(equivocation(chain), chain.height, VALIDATORS, later)
    head(chain, reporter)
    assert pool.raws == []
    for _ in range(TURN_HEIGHTS):
        chain.mine()
    head(chain, reporter)
    assert len(pool.raws) == 1


def test_one_equivocation_is_enough_for_a_while(chain: OneChain) -> None:
    reporter, _ = made(chain)
    for view in range(5):
        reporter.found(equivocation(chain, view), 10 + view, VALIDATORS, NEXT)
    assert len(reporter.pending) == 1
    reporter.found(equivocation(chain, 9), 10 + QUIET_HEIGHTS, VALIDATORS, NEXT)
    assert len(reporter.pending) == 2


def test_without_a_voucher_it_is_kept_and_not_sent(chain: OneChain) -> None:
    reporter, pool = made(chain)
    reporter.found(equivocation(chain), chain.height, VALIDATORS, NEXT)
    head(chain, reporter)
    assert pool.raws == []
    assert len(reporter.pending) == 1
    vouched(chain, reporter)
    head(chain, reporter)
    assert len(pool.raws) == 1


def test_what_the_chain_refuses_is_given_up(chain: OneChain) -> None:
    reporter, pool = made(chain)
    vouched(chain, reporter)
    stranger = SigningKey(b"a stranger".ljust(32))
    reporter.found(equivocation(chain, key=stranger), chain.height, VALIDATORS, NEXT)
    for attempt in range(MAX_ATTEMPTS):
        head(chain, reporter)
        assert len(pool.raws) == attempt + 1
        done = chain.mine(decode_transaction(pool.raws[-1], chain.genesis.chain_id))
        assert done.sealed.receipts[0].status == 0
    head(chain, reporter)
    assert reporter.pending == ()


def test_the_reporter_account_comes_from_the_node_key_alone() -> None:
    assert reporter_account(SEED).address == reporter_account(SEED).address
    assert reporter_account(SEED).address != reporter_account(seed("another")).address
