"""Who makes place for whom, what is replaced, what is too old, and what an operator can set."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from node.chain.transaction import Transaction
from node.mempool import Mempool, PoolLimits, PoolRejected
from node.mempool.dropped import MAX_REMEMBERED, Departures, Dropped, Reason
from node.mempool.pool import LIFETIMES_EVERY_S
from tests.mempool.street import HEAD, RULES, Street, member, sender, transaction

A, B, C, D = map(sender, range(4))


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


class Pool:
    """A pool over a street of two members; the first vouches for A, B and C, the second for D."""

    def __init__(self, **limits: Any) -> None:
        self.clock = Clock()
        self.street = Street(2)
        for each in (A, B, C, D):
            self.street.vouch(each, member(each == D))
            self.street.hold(each, nonce=0, balance=10**9)
        self.mempool = Mempool(PoolLimits(**limits), self.clock)

    def add(self, *transactions: Transaction, local: bool = False) -> None:
        for tx in transactions:
            self.mempool.add(tx, self.street, RULES, HEAD, local=local)

    def commit(self, *transactions: Transaction) -> None:
        for tx in transactions:
            self.street.execute(tx)
        self.mempool.commit(transactions, self.street, HEAD)

    def nonces(self, of: bytes) -> list[int]:
        account = self.mempool.account(of)
        return [] if account is None else sorted(account.entries)

    def reasons(self, transactions: Iterable[Transaction]) -> list[Reason | None]:
        found = [self.mempool.departures.find(tx.hash) for tx in transactions]
        return [None if each is None else each.reason for each in found]


def run(of: bytes, *nonces: int, **options: Any) -> list[Transaction]:
    return [transaction(of, nonce, **options) for nonce in nonces]


# -- who makes place


def test_queued_makes_place_before_executable_the_longest_silent_account_first_and_there_the_furthest_ahead() -> None:
    pool = Pool(member_slots=5)
    pool.add(*run(A, 5, 7), *run(B, 3), *run(C, 0, 1))
    pool.add(*run(C, 2))
    assert pool.reasons(run(A, 7)) == [Reason.EVICTED]
    pool.add(*run(C, 3))
    assert (pool.nonces(A), pool.nonces(B), pool.nonces(C)) == ([], [3], [0, 1, 2, 3])
    pool.add(*run(B, 0))
    assert (pool.nonces(B), pool.nonces(C)) == ([0], [0, 1, 2, 3])
    with pytest.raises(PoolRejected, match="txpool is full: 5 transactions, 500 bytes of member 0xa0a0"):
        pool.add(*run(C, 4))


def test_what_is_queued_takes_no_place_of_what_others_queued() -> None:
    pool = Pool(member_slots=2)
    pool.add(*run(A, 5, 7))
    with pytest.raises(PoolRejected, match="txpool is full"):
        pool.add(*run(B, 9))
    assert pool.nonces(A) == [5, 7]


def test_own_clients_take_the_place_of_others_never_the_other_way_round() -> None:
    pool = Pool(member_slots=3)
    pool.add(*run(A, 0, 1, 4))
    pool.add(*run(B, 2), local=True)  # queued, for queued
    assert (pool.nonces(A), pool.nonces(B)) == ([0, 1], [2])
    pool.add(*run(B, 0), local=True)  # executable, for its own queued
    assert (pool.nonces(A), pool.nonces(B)) == ([0, 1], [0])
    pool.add(*run(B, 1, 2), local=True)  # executable, for executable
    assert (pool.nonces(A), pool.nonces(B)) == ([], [0, 1, 2])
    for tx in (*run(A, 0), *run(C, 3)):
        with pytest.raises(PoolRejected, match="txpool is full"):
            pool.add(tx)
    assert pool.nonces(B) == [0, 1, 2]


def test_what_comes_earlier_makes_no_place_for_what_is_further_ahead_of_its_own_account() -> None:
    pool = Pool(member_slots=1)
    pool.add(*run(A, 5))
    with pytest.raises(PoolRejected, match="txpool is full"):
        pool.add(*run(A, 9), local=True)
    pool.add(*run(A, 3), local=True)
    assert pool.nonces(A) == [3]


def test_where_there_are_no_locals_own_clients_are_as_others() -> None:
    pool = Pool(member_slots=2, no_locals=True)
    pool.add(*run(A, 0, 1))
    with pytest.raises(PoolRejected, match="txpool is full"):
        pool.add(*run(B, 0), local=True)
    assert list(pool.mempool.local()) == []


def test_accounts_that_are_named_are_own_wherever_they_come_from() -> None:
    pool = Pool(member_slots=2, locals=frozenset({B}))
    pool.add(*run(A, 0, 1))
    pool.add(*run(B, 0))
    assert (pool.nonces(A), list(pool.mempool.local())) == ([0], run(B, 0))


def test_another_members_room_is_never_touched() -> None:
    pool = Pool(member_slots=2)
    pool.add(*run(D, 3, 4))
    pool.add(*run(A, 0, 1), local=True)
    with pytest.raises(PoolRejected, match="txpool is full"):
        pool.add(*run(A, 2), local=True)
    assert pool.nonces(D) == [3, 4]


def test_bytes_are_bounded_too_and_nothing_goes_for_what_cannot_come_in() -> None:
    pool = Pool(member_bytes=1_000)
    pool.add(*run(A, 3, 4, 5, size=200), *run(B, 0, size=350))
    with pytest.raises(PoolRejected, match="txpool is full"):
        pool.add(transaction(C, 0, size=700))
    assert pool.nonces(A) == [3, 4, 5]
    pool.add(transaction(C, 0, size=400))
    assert (pool.nonces(A), pool.mempool.size) == ([3], 950)


def test_an_accounts_queue_is_bounded_and_what_is_nearer_takes_the_place_of_what_is_further() -> None:
    pool = Pool(account_slots=10, account_queue=2)
    pool.add(*run(A, 4, 6))
    with pytest.raises(PoolRejected, match="account limit exceeded: pooled 2 txs, 2 queued"):
        pool.add(*run(A, 7))
    pool.add(*run(A, 5))
    assert pool.nonces(A) == [4, 5]
    pool.add(*run(A, 0, 1, 2, 3))
    assert (pool.mempool.pending, pool.mempool.queued) == (6, 0)
    with pytest.raises(PoolRejected, match="nonce too high: next nonce 0, tx nonce 10, at most 10 wait"):
        pool.add(*run(A, 10))
    pool.mempool.drop(transaction(A, 1))  # four fall back behind the gap; two are too many
    assert pool.nonces(A) == [0, 2, 3]
    assert pool.reasons(run(A, 1, 4, 5)) == [Reason.INVALID, Reason.EVICTED, Reason.EVICTED]


def test_members_who_join_make_the_parts_of_all_smaller() -> None:
    pool = Pool(global_slots=8)
    pool.add(*run(A, 0, 1, 2), *run(B, 5))
    with pytest.raises(PoolRejected, match="txpool is full"):
        pool.add(*run(B, 6))
    pool.street.seats(4)
    pool.commit()
    assert (pool.nonces(A), pool.nonces(B)) == ([0, 1], [])
    assert pool.mempool.departures.counts == {Reason.EVICTED: 2}


# -- what replaces what


def test_at_price_zero_a_client_replaces_after_a_while_and_a_peer_passes_it_on() -> None:
    pool, peer = Pool(), Pool()
    first, second = [*run(A, 0), transaction(A, 0, salt=1)]
    for each in (pool, peer):
        each.add(first)
    pool.clock.now_s += 7
    with pytest.raises(PoolRejected, match=r"replacement transaction underpriced: .* or try again in 3 s"):
        pool.add(second, local=True)
    pool.clock.now_s += 3
    pool.add(second, local=True)
    assert pool.reasons([first]) == [Reason.REPLACED]
    peer.clock.now_s += 4
    with pytest.raises(PoolRejected, match="underpriced"):
        peer.add(second)
    peer.clock.now_s += 5  # it took the first one a little later
    peer.add(second)
    with pytest.raises(PoolRejected, match="underpriced"):
        peer.add(first)


def test_at_a_price_a_replacement_costs_a_tenth_more_and_one_wei_replaces_nothing() -> None:
    pool = Pool()
    pool.add(transaction(A, 0))
    pool.add(transaction(A, 0, price=1))
    pool.clock.now_s += 1_000
    for price in (0, 1):
        with pytest.raises(PoolRejected, match="replacement transaction underpriced: max_fee_per_gas"):
            pool.add(transaction(A, 0, price=price, salt=1))
    pool.add(transaction(A, 0, price=2))
    bumped = Pool(price_bump=50)
    bumped.add(transaction(A, 0, price=100))
    with pytest.raises(PoolRejected, match="underpriced"):
        bumped.add(transaction(A, 0, price=149))
    bumped.add(transaction(A, 0, price=150))


def test_what_waits_can_be_paid_together() -> None:
    pool = Pool()
    pool.add(transaction(A, 0, value=6 * 10**8))
    with pytest.raises(PoolRejected, match="balance 1000000000, queued cost 600000000, tx cost 500000000, overshot 1"):
        pool.add(transaction(A, 1, value=5 * 10**8))
    pool.add(transaction(A, 1, value=10**8))
    pool.clock.now_s += 60
    with pytest.raises(PoolRejected, match="queued cost 700000000, tx bumped 400000000, overshot 100000000"):
        pool.add(transaction(A, 0, value=10**9, salt=2))


# -- what leaves


def test_what_cannot_be_executed_leaves_after_its_lifetime_unless_it_is_own() -> None:
    pool = Pool(lifetime_s=3_600)
    pool.add(*run(A, 0, 2), *run(C, 1))
    pool.add(*run(B, 1), local=True)
    pool.clock.now_s += 3_599
    pool.add(*run(C, 4))
    pool.commit()
    assert pool.mempool.queued == 4
    pool.clock.now_s += LIFETIMES_EVERY_S
    pool.commit()
    assert (pool.nonces(A), pool.nonces(B), pool.nonces(C)) == ([0], [1], [1, 4])
    assert pool.reasons(run(A, 2)) == [Reason.EXPIRED]


def test_a_nonce_that_was_used_otherwise_is_told() -> None:
    pool = Pool()
    pool.add(*run(A, 0, 1))
    other = transaction(A, 0, salt=9)
    pool.commit(other)
    assert pool.nonces(A) == [1]
    found = pool.mempool.departures.find(transaction(A, 0).hash)
    assert found is not None
    assert (found.reason, found.by) == (Reason.STALE, other.hash)
    pool.commit(*run(A, 1))
    assert len(pool.mempool) == 0
    assert pool.mempool.departures.find(transaction(A, 1).hash) is None


def test_what_nobody_answers_for_leaves_and_frees_its_room() -> None:
    pool = Pool(member_slots=2)
    pool.add(*run(A, 0, 1))
    pool.street.vouch(A, None)
    pool.commit()
    assert pool.reasons(run(A, 0, 1)) == [Reason.UNVOUCHED] * 2
    pool.add(*run(B, 0, 1))


def test_who_is_vouched_for_by_another_is_in_the_other_room() -> None:
    pool = Pool(member_slots=2)
    pool.add(*run(A, 0, 1), *run(D, 0))
    pool.street.vouch(A, member(1))
    pool.commit()
    assert pool.nonces(A) == [0]
    assert pool.reasons(run(A, 1)) == [Reason.EVICTED]
    pool.add(*run(B, 0, 1))
    assert len(pool.mempool) == 4


def test_who_comes_into_a_fuller_room_keeps_no_longer_a_queue_than_any() -> None:
    pool = Pool(member_bytes=1_000, account_queue=2)
    pool.add(transaction(A, 0, size=600), *run(A, 1, 2, 3), transaction(D, 0, size=500))
    pool.street.vouch(A, member(1))
    pool.commit()
    assert pool.nonces(A) == [1, 2]
    assert pool.reasons([transaction(A, 0, size=600), *run(A, 3)]) == [Reason.EVICTED] * 2


def test_a_balance_that_comes_back_makes_executable_again() -> None:
    pool = Pool()
    spend = transaction(A, 1, value=6 * 10**8)
    pool.add(transaction(A, 0), spend)
    pool.street.hold(A, nonce=0, balance=10**8)
    pool.commit(transaction(A, 0))
    assert (pool.mempool.pending, pool.mempool.queued) == (0, 1)
    assert pool.mempool.pending_nonce(A, 1) == 1
    pool.street.hold(A, nonce=1, balance=10**9)
    pool.commit()
    assert (pool.mempool.pending, pool.mempool.queued) == (1, 0)


def test_the_head_may_be_ahead_of_what_the_pool_was_told() -> None:
    pool = Pool(account_queue=2)
    pool.add(*run(A, 0, 1, 2, 3))
    for tx in run(A, 0, 1, 2):
        pool.street.execute(tx)
    pool.add(*run(A, 4))
    assert pool.nonces(A) == [3, 4]
    pool.mempool.commit(run(A, 0, 1, 2), pool.street, HEAD)
    assert (pool.nonces(A), pool.mempool.pending) == ([3, 4], 2)
    assert not pool.mempool.departures.counts


def test_departures_are_bounded() -> None:
    departures = Departures()
    for number in range(MAX_REMEMBERED + 3):
        departures.note(number.to_bytes(32, "big"), Dropped(A, 0, Reason.EVICTED, "", 0.0))
    assert len(departures) == MAX_REMEMBERED
    assert departures.find(bytes(32)) is None
    assert departures.counts[Reason.EVICTED] == MAX_REMEMBERED + 3
