import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.trading.concession import ConcessionStrategy
from agents.trading.strategy import Limits, Side, Situation, UnknownStrategy, load_strategy
from contracts.bindings.market_types import Rails

RAILS = Rails(123_000, 287_000)
PRICES = st.integers(123, 287).map(lambda tick: tick * 1000)


def price(side: Side, round_: int, limits: Limits, rails: Rails = RAILS) -> int:
    return ConcessionStrategy().price_microeur_per_kwh(Situation(side, round_, limits, rails))


def test_the_price_moves_linearly_from_opening_to_reserve() -> None:
    assert [price(Side.BUYER, k, Limits(140_000, 240_000, 5)) for k in range(7)] == [
        140_000,
        165_000,
        190_000,
        215_000,
        240_000,
        240_000,
        240_000,
    ]
    assert [price(Side.SELLER, k, Limits(225_000, 140_000, 6)) for k in range(6)] == [
        225_000,
        208_000,
        191_000,
        174_000,
        157_000,
        140_000,
    ]


def test_rounding_goes_towards_the_opening() -> None:
    assert price(Side.BUYER, 1, Limits(130_000, 140_000, 4)) == 133_000
    assert price(Side.SELLER, 1, Limits(140_000, 130_000, 4)) == 137_000


@given(PRICES, PRICES, st.integers(1, 50), st.integers(0, 60))
def test_a_price_is_on_the_tick_and_never_beyond_the_reserve(low: int, high: int, rounds: int, round_: int) -> None:
    low, high = min(low, high), max(low, high)
    bid = price(Side.BUYER, round_, Limits(low, high, rounds))
    ask = price(Side.SELLER, round_, Limits(high, low, rounds))
    assert low <= bid <= high
    assert low <= ask <= high
    assert bid % 1000 == ask % 1000 == 0
    assert price(Side.BUYER, rounds - 1, Limits(low, high, rounds)) == high


def test_acceptance_and_giving_up() -> None:
    strategy, limits = ConcessionStrategy(), Limits(140_000, 240_000, 5)
    assert strategy.accepts(Situation(Side.BUYER, 1, limits, RAILS, 165_000))
    assert not strategy.accepts(Situation(Side.BUYER, 1, limits, RAILS, 166_000))
    assert not strategy.accepts(Situation(Side.BUYER, 1, limits, RAILS))
    assert not strategy.gives_up(Situation(Side.BUYER, 4, limits, RAILS))
    assert strategy.gives_up(Situation(Side.BUYER, 5, limits, RAILS))


def test_strategies_are_found_by_entry_point() -> None:
    assert isinstance(load_strategy("concession"), ConcessionStrategy)
    with pytest.raises(UnknownStrategy, match="'oracle': expected one of concession"):
        load_strategy("oracle")
