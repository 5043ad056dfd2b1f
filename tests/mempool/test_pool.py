"""The pool against a plain model, its bounds, its fairness and its words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.chain.transaction import InvalidTransaction, Transaction
from node.mempool import Mempool, PoolLimits, PoolRejected
from tests.node.chains import OneChain

TARGET = b"\x11" * 20


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneChain]:
    one = OneChain(Path(tmp_path_factory.mktemp("pool")) / "chain")
    yield one
    one.close()


def transaction(chain: OneChain, label: str, nonce: int, **options: Any) -> Transaction:
    chain.nonces[label] = nonce
    return chain.transaction(label, TARGET, **options)


def add(chain: OneChain, pool: Mempool, *transactions: Transaction) -> None:
    with chain.store.read() as view:
        for tx in transactions:
            pool.add(tx, view.state, chain.rule_book.rules_at(1), view.head)


def order(chain: OneChain, pool: Mempool) -> list[Transaction]:
    with chain.store.read() as view:
        return list(pool.executable(view.state, view.head))


def test_members_take_turns_however_many_accounts_they_vouch_for(chain: OneChain) -> None:
    pool = Mempool()
    busy = [transaction(chain, "household 0", n) for n in range(5)] + [
        transaction(chain, "meter 0", n) for n in range(5)
    ]
    quiet = [transaction(chain, "household 1", 0), transaction(chain, "household 1", 1)]
    add(chain, pool, *busy, *quiet)
    first_four = order(chain, pool)[:4]
    assert {tx.sender for tx in first_four if tx in quiet} == {quiet[0].sender}
    assert sum(tx in quiet for tx in first_four) == 2
    assert len(order(chain, pool)) == 12


def test_a_gap_waits_until_it_is_filled(chain: OneChain) -> None:
    pool = Mempool()
    add(chain, pool, transaction(chain, "household 0", 2), transaction(chain, "household 0", 1))
    assert order(chain, pool) == []
    first = transaction(chain, "household 0", 0)
    assert pool.pending_nonce(first.sender, 0) == 0
    add(chain, pool, first)
    assert [tx.nonce for tx in order(chain, pool)] == [0, 1, 2]
    assert pool.pending_nonce(first.sender, 0) == 3


@pytest.mark.parametrize(
    ("label", "options", "words"),
    [
        ("stranger", {}, "no member of the consortium vouches for"),
        ("household 0", {"gas": 20_999}, "intrinsic gas too low: gas 20999, minimum needed 21000"),
        ("household 0", {"gas": 10_000_001}, "exceeds block gas limit"),
        ("household 0", {"value": 10**30}, "insufficient funds for gas \\* price \\+ value"),
    ],
)
def test_what_no_block_could_contain_is_refused_in_ethereums_words(
    chain: OneChain, label: str, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidTransaction, match=words):
        add(chain, Mempool(), transaction(chain, label, 0, **options))


def test_a_creation_with_value_is_refused(chain: OneChain) -> None:
    chain.nonces["household 0"] = 0
    with pytest.raises(InvalidTransaction, match="carries no value"):
        add(chain, Mempool(), chain.transaction("household 0", None, b"\0", value=1))


def test_known_replaced_and_far_ahead(chain: OneChain) -> None:
    pool = Mempool()
    cheap = transaction(chain, "household 0", 0, price=100)
    add(chain, pool, cheap)
    with pytest.raises(PoolRejected, match="already known"):
        add(chain, pool, cheap)
    with pytest.raises(PoolRejected, match="replacement transaction underpriced"):
        add(chain, pool, transaction(chain, "household 0", 0, price=109))
    dear = transaction(chain, "household 0", 0, price=110)
    add(chain, pool, dear)
    assert order(chain, pool) == [dear]
    with pytest.raises(PoolRejected, match="nonce too high: next nonce 0, tx nonce 512"):
        add(chain, pool, transaction(chain, "household 0", 512))


def test_one_member_cannot_fill_anothers_room(chain: OneChain) -> None:
    pool = Mempool(PoolLimits(member_slots=3))
    add(chain, pool, *(transaction(chain, "household 0", n) for n in range(3)))
    with pytest.raises(PoolRejected, match="txpool is full"):
        add(chain, pool, transaction(chain, "meter 0", 0))
    add(chain, pool, transaction(chain, "household 1", 0))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["household 0", "meter 0", "household 1"]), st.integers(0, 6)), max_size=25))
def test_executable_is_what_a_plain_model_says(chain: OneChain, arrivals: list[tuple[str, int]]) -> None:
    pool, model = Mempool(), dict[str, set[int]]()
    for label, nonce in arrivals:
        known = model.setdefault(label, set())
        tx = transaction(chain, label, nonce)
        if nonce in known:
            with pytest.raises(PoolRejected):
                add(chain, pool, tx)
        else:
            add(chain, pool, tx)
            known.add(nonce)
    ready = sum(next(n for n in range(9) if n not in known) for known in model.values())
    ordered = order(chain, pool)
    assert len(ordered) == ready
    with chain.store.read() as view:
        pool.commit(ordered, view.state, view.head)
    assert len(pool) == sum(len(known) for known in model.values()) - ready
