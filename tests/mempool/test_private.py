"""Calls, transfers and sessions in the pool: rooms of their own, nothing replaced, and what is over leaves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from node.admission import Kind
from node.chain.header import Header
from node.chain.transaction import InvalidTransaction, Transaction
from node.mempool import Mempool, PoolRejected
from node.mempool import limits as bounds
from node.rules import Rules
from privacy import envelopes
from tests.execution.signing import signed
from tests.execution.states import DictState
from tests.node.private_street import HEAD, NEXT, Street, decoded, parent_in
from tests.node.samples import account_key, address_of
from tests.privacy import envelopes as made

RULES = Rules(version=1, chain_id=made.CHAIN_ID)
CALLS = [decoded(made.signed_call(index=index)) for index in range(4)]
TRANSFERS = [decoded(made.signed_transfer(((0, at), (1, at)), name=f"pool {at}")) for at in range(4)]
KEY = account_key("session")
SESSION = address_of(KEY)
STREET = Street(sessions={SESSION: HEAD.timestamp + 10})
STATE = STREET.state()


def add(pool: Mempool, *transactions: Transaction, state: DictState = STATE, parent: Header = HEAD) -> None:
    for tx in transactions:
        assert pool.add(tx, state, RULES, parent)


def order(pool: Mempool, state: DictState = STATE, parent: Header = HEAD) -> list[Transaction]:
    return list(pool.executable(state, parent))


def session_transaction(nonce: int) -> Transaction:
    return decoded(signed(KEY, 2, nonce=nonce, gas=60_000, price=0, tip=0, value=0))


def test_shares_take_turns_and_keep_the_order_of_arrival() -> None:
    pool = Mempool()
    calls, transfers = CALLS[::-1], TRANSFERS[::-1]
    add(pool, *transfers, session_transaction(0), session_transaction(1), *calls)
    found = order(pool)
    assert [tx.type for tx in found] == [2, 0x6E, 0x6F, 2, 0x6E, 0x6F, 0x6E, 0x6F, 0x6E, 0x6F]
    assert [tx for tx in found if tx.type == 0x6E] == calls
    assert [tx for tx in found if tx.type == 0x6F] == transfers
    assert pool.has_executable(STATE, HEAD)


def test_a_member_has_one_call_waiting_and_none_replaces_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Mempool()
    add(pool, CALLS[0])
    monkeypatch.setattr(envelopes, "call_holds", None)
    with pytest.raises(PoolRejected, match="already known"):
        add(pool, CALLS[0])
    for again in (made.signed_call(index=0, gas_limit=500_000), made.signed_call(index=0, data=b"other")):
        with pytest.raises(PoolRejected, match="nullifier already used by a transaction that waits"):
            add(pool, decoded(again))
    assert order(pool) == [CALLS[0]]


def test_a_note_waits_in_one_transfer_alone() -> None:
    pool = Mempool()
    add(pool, TRANSFERS[0])
    sharing = decoded(made.signed_transfer(((2, 7), (1, 0)), name="sharing"))
    with pytest.raises(PoolRejected, match="note already spent by a transaction that waits"):
        add(pool, sharing)
    same = decoded(made.signed_transfer(((0, 0), (1, 0)), name="pool 0", gas_limit=1_600_000))
    with pytest.raises(PoolRejected, match="already used by a transaction that waits"):
        add(pool, same)
    pool.drop(TRANSFERS[0])
    add(pool, sharing)
    assert len(pool) == 1


def test_rooms_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (Kind.ANONYMOUS, Kind.SHIELDED, Kind.SESSION):
        monkeypatch.setitem(bounds.BOUNDS, kind, (2, 10**6))
    pool = Mempool()
    add(pool, *CALLS[:2], *TRANSFERS[:2], session_transaction(0), session_transaction(1))
    for tx, who in (
        (CALLS[2], "anonymous calls"),
        (TRANSFERS[2], "transfers of notes"),
        (session_transaction(2), "session 0x"),
    ):
        with pytest.raises(PoolRejected, match=f"txpool is full: 2 transactions, .* bytes of {who}"):
            add(pool, tx)
    large = decoded(made.signed_call(data=bytes(bounds.MAX_PRIVATE_BYTES)))
    with pytest.raises(PoolRejected, match="oversized data"):
        add(pool, large)
    assert len(pool) == 6
    monkeypatch.setattr("node.mempool.pool.check_admissible", None)  # proofs are not looked at if there is no room
    for tx in (CALLS[2], TRANSFERS[2]):
        with pytest.raises(PoolRejected, match="txpool is full"):
            add(pool, tx)


def test_bounds_are_those_of_the_page() -> None:
    assert bounds.BOUNDS[Kind.ANONYMOUS] == (256, 256 * 16 * 1024)
    assert bounds.BOUNDS[Kind.SHIELDED] == (1_024, 1_024 * 16 * 1024)
    assert bounds.BOUNDS[Kind.SESSION][0] == 64


def test_a_wrong_proof_leaves_nothing() -> None:
    pool = Mempool()
    fields = bytearray(CALLS[0].raw)
    fields[-1] ^= 1
    with pytest.raises(InvalidTransaction, match="invalid ring signature"):
        add(pool, decoded(bytes(fields)))
    assert len(pool) == 0
    add(pool, CALLS[0])


def test_what_was_committed_leaves_and_what_used_the_same_does_too() -> None:
    pool = Mempool()
    add(pool, *CALLS[:2], *TRANSFERS[:3])
    image = made.spent_row(0, made.own_spend(0, 1, "pool 1"))[4:37]
    after = replace(STREET, spent=[image], nonces={CALLS[0].sender: 1, TRANSFERS[0].sender: 1}).state()
    pool.commit([CALLS[0], TRANSFERS[0]], after, NEXT)
    assert order(pool, after, NEXT) == [CALLS[1], TRANSFERS[2]]
    with pytest.raises(InvalidTransaction, match="nullifier already used in window 5"):
        add(pool, decoded(made.signed_call(index=0, data=b"other")), state=after)
    with pytest.raises(InvalidTransaction, match="note already spent"):
        add(pool, TRANSFERS[1], state=after)


def test_what_expired_or_whose_window_or_ring_has_passed_leaves() -> None:
    late = decoded(made.signed_call(index=5, expiry_height=NEXT.number))
    lasting = decoded(made.signed_transfer(((2, 4), (2, 5)), name="lasting"))
    short = decoded(made.signed_transfer(((2, 6), (2, 7)), name="short", expiry_height=NEXT.number))
    for street, parent, left in (
        (STREET, NEXT, [CALLS[0], lasting]),
        (STREET, parent_in(5, NEXT.number), [lasting]),
        (replace(STREET, versions=[(0, made.ring_rows(9))]), NEXT, [lasting]),
        (STREET, parent_in(4, 40), []),
    ):
        pool = Mempool()
        add(pool, CALLS[0], late, lasting, short)
        pool.commit([], street.state(), parent)
        assert order(pool, street.state(), parent) == left
        assert len(pool) == len(left)


def test_a_session_that_is_over_leaves() -> None:
    pool = Mempool()
    add(pool, session_transaction(0), session_transaction(1))
    later = parent_in(5)
    assert order(pool, parent=later) == []
    assert not pool.has_executable(STATE, later)
    pool.commit([], STATE, later)
    assert len(pool) == 0
    with pytest.raises(InvalidTransaction, match="sender not admitted"):
        add(pool, session_transaction(0), parent=later)
