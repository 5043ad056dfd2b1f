"""Attackers on a few simulated days: what the ledger hides, what it does not, and that a leak is found."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from random import Random

import pytest

from agents.private.cover import quota_of
from agents.trading.strategy import Limits
from benchmarks.anonymity.__main__ import Rate, attacked, halves, learner, personal, relayed
from benchmarks.anonymity.attackers import LEDGER_ALONE, Days, by_sun_and_quantities, by_sun_and_trades, registry_row
from benchmarks.anonymity.world import BUY, SCENARIO, SELL, Member, View, street_8, street_41, windows
from contracts.bindings.private_market import MAX_PURCHASES

SEED = 7
DAYS = range(100, 136)


@cache
def seen(street: str) -> tuple[Days, Days]:
    members = street_8() if street == "8" else street_41()
    return halves([list(windows(members, [day], SEED + day)) for day in DAYS], SEED)


def test_windows_are_the_same_from_the_same_seed_and_sessions_from_none() -> None:
    one, again = (list(windows(street_8(), [100], SEED)) for _ in range(2))
    other = list(windows(street_8(), [100], SEED + 1))
    assert one == again
    assert [view.names for view in one] != [view.names for view in other]
    assert sum(len(view.sold) for view in one) > 20


def test_the_street_is_as_the_data_say() -> None:
    assert sum(member.pv_w > 0 for member in street_41()) == 6
    assert len(street_41()) == 41
    assert sum(member.pv_w > 0 for member in street_8()) == 3


def test_every_view_shows_a_call_of_every_member_and_both_ends_of_every_trade() -> None:
    for view in windows(street_8(), [110], SEED):
        assert sorted(view.names) == sorted(member.name for member in street_8())
        for at, session in enumerate(view.sessions):
            assert (session.settled >= 0) == bool(session.trades)
            for other, price in session.trades:
                assert (at, price) in view.sessions[other].trades
                assert {session.side, view.sessions[other].side} == {"sell", "buy"}


@pytest.mark.parametrize("street", ["8", "41"])
def test_the_ledger_alone_names_nobody_better_than_a_coin(street: str) -> None:
    learnt, days = seen(street)
    for score in (*LEDGER_ALONE.values(), learner(learnt, SEED)):
        assert not attacked(days, score, SEED).exceeds


def named(view: View) -> View:
    """Return the window as it would be if sessions called in the order of the registry."""
    order = sorted(range(len(view.names)), key=lambda at: registry_row(view.names[at]))
    place = {at: new for new, at in enumerate(order)}
    sessions = tuple(
        replace(view.sessions[at], trades=tuple((place[other], price) for other, price in view.sessions[at].trades))
        for at in order
    )
    return replace(
        view,
        sessions=sessions,
        names=tuple(view.names[at] for at in order),
        sold_wh=tuple(view.sold_wh[at] for at in order),
    )


def test_a_leak_is_found() -> None:
    """Calls in the registry's order, prices of one's own, a first hop: each names the seller."""
    _, days = seen("8")
    leaking = [[named(view) for view in day] for day in days]
    found = attacked(leaking, LEDGER_ALONE["order of calls is the registry's"], SEED)
    assert found.exceeds
    assert found.rate > 0.99
    assert attacked(days, relayed(Random(SEED), relays=False), SEED).rate > 0.99
    assert not attacked(days, relayed(Random(SEED), relays=True), SEED).exceeds
    assert attacked(days, by_sun_and_quantities, SEED).rate > attacked(days, LEDGER_ALONE["a coin"], SEED).rate


def test_no_attacker_learns_from_the_order_in_which_the_truth_is_kept() -> None:
    """Where all sessions look alike, those who know the roofs are as good as a coin for any one of the sellers."""
    _, days = seen("8")
    assert not attacked(days, by_sun_and_trades, SEED).exceeds


def test_prices_of_ones_own_name_their_owner() -> None:
    members: tuple[Member, ...] = personal(street_8())
    learnt, days = halves([list(windows(members, [day], SEED + day)) for day in DAYS[:8]], SEED)
    assert attacked(days, learner(learnt, SEED), SEED).rate > 0.9


def test_a_rate_exceeds_when_its_interval_does() -> None:
    assert Rate(100, 0.5, 0.3, 0.05).exceeds
    assert not Rate(100, 0.5, 0.3, 0.08).exceeds  # one attacker's own interval ends at 0.34
    assert not Rate(100, 0.2, 0.3, 0.01).exceeds
    assert Rate(100, 0.99, 0.3, 0.025).text() == "0.990 [0.941, 1.000], expected 0.300"


def test_sellers_have_one_number_of_trades_and_buyers_no_more_than_they_may() -> None:
    for street in (street_8(), street_41()):
        for view in windows(street, [100], SEED):
            buyers = [session for session in view.sessions if session.side == "buy"]
            quota = quota_of(len(buyers), len(view.sellers))
            assert {len(view.sessions[at].trades) for at in view.sellers} == {quota.of_seller}
            assert max(len(session.trades) for session in buyers) <= MAX_PURCHASES


def test_the_experiment_has_the_limits_of_the_scenario_that_ships() -> None:
    assert (Limits(135_000, 250_000, 5), Limits(230_000, 150_000, 6)) == (BUY, SELL)
    assert [member.name for member in street_8()] == [plan.connection for plan in SCENARIO.households]
