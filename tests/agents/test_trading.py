from __future__ import annotations

import itertools

from agents.devices.meter import Contracted
from agents.market.mechanism import LESS_IS_LEFT, NOT_OPEN, SOLD_OUT, Terms
from agents.profiles import QuarterEnergy
from agents.trading.buyer import MAX_ATTEMPTS, Shopping, rank
from agents.trading.concession import ConcessionStrategy
from agents.trading.plan import (
    Demand,
    Hours,
    Outlook,
    StorageTrading,
    Supply,
    Trading,
    expected_soc_wh,
    make_plan,
    windows_until_charging,
)
from agents.trading.seller import asking_for
from agents.trading.strategy import Limits
from contracts.bindings.market_types import Offer, Parameters, Rails
from contracts.tariffs import PRESETS
from tests.agents.street_day import BATTERY, TRADING

RAILS = Rails(123_000, 287_000)
BUY, SELL = Limits(140_000, 255_000, 5), Limits(225_000, 140_000, 6)
ME = b"m" * 20


def offer(number: int, price: int, energy_wh: int = 500, seller: bytes = b"a" * 20) -> Offer:
    return Offer(number, seller, 8, energy_wh, 0, price, price, 0, 0)


def quarters(load_wh: int, pv_wh: int) -> tuple[QuarterEnergy, ...]:
    return (QuarterEnergy(load_wh, pv_wh),) * 4


def outlook(hour: int, load_wh: int, pv_wh: int, *, soc_wh: int = 0, own_need_wh: int = 0) -> Outlook:
    return Outlook(hour, hour, quarters(load_wh, pv_wh), own_need_wh, soc_wh, 3600)


def test_the_order_of_offers_is_total_and_does_not_depend_on_how_they_came() -> None:
    rows = [
        offer(1, 200_000),
        offer(2, 190_000),
        offer(3, 190_000, 600),
        offer(4, 190_000, seller=b"b" * 20),
        offer(5, 190_000),
    ]
    orders = {tuple(o.offer_id for o in sorted(p, key=rank)) for p in itertools.permutations(rows)}
    assert orders == {(3, 2, 5, 4, 1)}


def test_demands_are_served_in_order_and_every_offer_is_asked_once() -> None:
    shopping = Shopping((Demand("own use", 300, BUY), Demand("storage", 1000, BUY)), 10)
    offers = [offer(1, 190_000), offer(2, 200_000), offer(3, 180_000, seller=ME)]
    first = shopping.next_errand(offers, ME)
    assert first is not None
    assert (first.demand, first.offer.offer_id, first.wanted_wh) == (0, 1, 300)
    shopping.began(first)
    shopping.agreed(first, Terms(300, 180_000))
    second = shopping.next_errand(offers, ME)
    assert second is not None
    assert (second.demand, second.offer.offer_id, second.wanted_wh) == (1, 1, 1000)
    shopping.began(second)
    shopping.failed(second, SOLD_OUT)
    third = shopping.next_errand(offers, ME)
    assert third is not None
    assert third.offer.offer_id == 2
    shopping.began(third)
    shopping.failed(third, "no price between the two reserves")
    assert shopping.next_errand(offers, ME) is None
    assert shopping.open_wh() == 1000


def test_who_was_silent_not_open_or_has_less_is_asked_again() -> None:
    for reason, silent in (("no answer while calling", True), (LESS_IS_LEFT, False), (NOT_OPEN, False)):
        shopping = Shopping((Demand("own use", 300, BUY),), 10)
        for _ in range(MAX_ATTEMPTS):
            errand = shopping.next_errand([offer(1, 190_000)], ME)
            assert errand is not None
            shopping.began(errand)
            shopping.failed(errand, reason, silent=silent)
        assert shopping.next_errand([offer(1, 190_000)], ME) is None


def test_less_than_a_lot_is_not_wanted() -> None:
    shopping = Shopping((Demand("own use", 300, BUY),), 10, [291])
    assert shopping.next_errand([offer(1, 190_000)], ME) is None
    assert shopping.open_wh() == 0


def test_surplus_is_sold_and_a_deficit_bought() -> None:
    trading = Trading(BUY, SELL, None)
    sunny = make_plan(outlook(12, 50, 300), trading, None, RAILS, 10)
    assert sunny.supply == Supply("surplus", 1000, SELL)
    assert sunny.demands == ()
    dark = make_plan(outlook(20, 50, 0), trading, None, RAILS, 10)
    assert (dark.supply, dark.demands) == (None, (Demand("own use", 200, BUY),))
    still = make_plan(outlook(20, 2, 0), trading, None, RAILS, 10)
    assert (still.supply, still.demands) == (None, ())


def test_limits_that_no_price_between_the_rails_allows_trade_nothing() -> None:
    empty = PRESETS["public-grid"].rails
    for hour, load_wh, pv_wh in ((12, 50, 300), (20, 50, 0)):
        plan = make_plan(outlook(hour, load_wh, pv_wh), Trading(BUY, SELL, None), None, empty, 10)
        assert (plan.supply, plan.demands) == (None, ())
    dear = Trading(Limits(100_000, 120_000, 3), Limits(400_000, 300_000, 3), None)
    assert make_plan(outlook(12, 50, 300), dear, None, RAILS, 10).supply is None
    assert make_plan(outlook(20, 50, 0), dear, None, RAILS, 10).demands == ()


def test_the_battery_buys_at_noon_and_sells_in_the_evening() -> None:
    trading = TRADING["L7"]
    assert trading.storage is not None
    noon = make_plan(outlook(12, 20, 0, soc_wh=1_370), trading, BATTERY, RAILS, 10)
    assert [(d.purpose, d.energy_wh) for d in noon.demands] == [("own use", 80), ("storage", 6_800)]
    full = make_plan(outlook(12, 20, 0, soc_wh=13_000), trading, BATTERY, RAILS, 10)
    assert [d.energy_wh for d in full.demands] == [80, BATTERY.chargeable_wh(13_000)]
    evening = make_plan(outlook(19, 20, 0, soc_wh=7_000, own_need_wh=400), trading, BATTERY, RAILS, 10)
    assert evening.supply == Supply("storage", BATTERY.dischargeable_wh(7_000) - 80 - 400, trading.storage.sell)
    assert evening.demands == ()
    night = make_plan(outlook(3, 20, 0, soc_wh=7_000), trading, BATTERY, RAILS, 10)
    assert (night.supply, night.demands) == (None, ())
    empty = make_plan(outlook(20, 20, 0, soc_wh=1_370, own_need_wh=400), trading, BATTERY, RAILS, 10)
    assert (empty.supply, [d.energy_wh for d in empty.demands]) == (None, [80])


def test_own_sun_fills_the_own_battery_first() -> None:
    storage = StorageTrading(Hours(7, 16), Hours(17, 23), BUY, SELL)
    plan = make_plan(outlook(12, 0, 500, soc_wh=13_000), Trading(BUY, SELL, storage), BATTERY, RAILS, 10)
    room = BATTERY.chargeable_wh(13_000)
    assert plan.supply == Supply("surplus", 2000 - room, SELL)
    assert plan.demands == ()


def test_until_when_a_battery_serves_its_household() -> None:
    assert windows_until_charging(TRADING["L7"], 19, 24) == 11
    assert windows_until_charging(TRADING["L7"], 6, 24) == 0
    assert windows_until_charging(TRADING["L16"], 6, 24) == 0


def test_the_charge_state_is_projected_with_what_is_contracted() -> None:
    soc = expected_soc_wh(BATTERY, 5_000, quarters(20, 0), Contracted(bought_wh=1_080), 0, 900)
    assert soc == 5_000 + 4 * (250 * 950 // 1000)
    rest = expected_soc_wh(BATTERY, 5_000, quarters(20, 0)[2:], Contracted(sold_wh=1_000), 2, 900)
    assert rest == 5_000 - 2 * -(-270 * 1000 // 950)
    assert expected_soc_wh(None, 0, quarters(20, 0), Contracted(), 0, 900) == 0


def test_an_offer_carries_the_deposit_that_the_market_asks_for() -> None:
    tariff = PRESETS["shared-connection"]
    asking = asking_for(
        Supply("surplus", 1_000, SELL), ConcessionStrategy(), RAILS, tariff, Parameters(5_000, 10_000, 10)
    )
    assert (asking.price_microeur_per_kwh, asking.deposit_microeur) == (225_000, 62_000 + 5_000)
