"""Market up to the delivery: infos, offers, allocation, escrow, and every refusal on the way."""

from __future__ import annotations

from typing import Any

import pytest

from contracts import system
from contracts.artifact import load_artifact
from contracts.bindings import fiat_token, market
from contracts.bindings.market_types import (
    EnergyAllocated,
    Info,
    InfoPublished,
    OfferMade,
    OfferWithdrawn,
    Parameters,
    Rails,
    Tariff,
    TradeState,
    TransactionAllowed,
)
from tests.contracts.street import CHAIN_ID, CLOSE_S, PUBLIC, SHARED, Refused, Street, account, genesis, hexed, refused

RETAIL = 287_000
PRICE = 200_000
DEPOSIT = (RETAIL - PRICE) // 1000 * 1000  # of an offer of 1,000 Wh at PRICE


def make(street: Street, seller: str = "ann", **changes: int) -> int:
    terms = {"window": 1, "energy_wh": 1000, "price_microeur_per_kwh": PRICE, "deposit_microeur": DEPOSIT} | changes
    return int.from_bytes(street.market(seller, market.make_offer(**terms)).output, "big")


def allocate(street: Street, offer_id: int, terms: dict[str, Any], signer: str = "bob", seller: str = "ann") -> bytes:
    given = {name: terms[name] for name in ("buyer", "energy_wh", "price_microeur_per_kwh", "negotiation_id")}
    data = market.allocate_energy(offer_id, **given, signature=street.sign(signer, terms))
    return street.market(seller, data).output


def terms(street: Street, energy_wh: int = 400, price: int = PRICE, nonce: int = 1) -> dict[str, Any]:
    return street.terms(1, "ann", "bob", energy_wh, price, nonce)


def test_an_agent_publishes_and_renews_its_info(street: Street) -> None:
    assert street.view(market.get_info(account("ann"))) is None
    sent = street.market("ann", market.publish_info(account("ann"), "tcp://127.0.0.1:9001", "gridpact-energy/1"))
    assert sent.only(InfoPublished).endpoint == "tcp://127.0.0.1:9001"
    street.at(2)
    street.market("ann", market.publish_info(account("ann"), "tcp://127.0.0.1:9002", "gridpact-energy/1"))
    info = Info(account("ann"), street.now_s, "tcp://127.0.0.1:9002", "gridpact-energy/1")
    assert street.view(market.get_info(account("ann"))) == info
    for endpoint, ontology in (("x" * 257, ""), ("", "x" * 257)):
        with refused("InfoTooLong", length_bytes=257, limit_bytes=256):
            street.market("ann", market.publish_info(account("ann"), endpoint, ontology))


def test_an_offer_locks_a_deposit(street: Street) -> None:
    data = market.make_offer(1, 1000, PRICE, DEPOSIT, buy_now_microeur_per_kwh=250_000)
    event = street.market("ann", data).only(OfferMade)
    assert event == OfferMade(1, 1, account("ann"), 1000, PRICE, 250_000, DEPOSIT)
    offer = street.view(market.get_offer(1))
    assert offer is not None
    assert (offer.seller, offer.left_wh, offer.deposit_microeur) == (account("ann"), 1000, DEPOSIT)
    assert street.view(market.locked_microeur()) == DEPOSIT
    assert street.view(fiat_token.balance_of(account("ann"))) == 100_000_000 - DEPOSIT
    assert street.view(market.get_offer(2)) is None
    assert street.books_hold()


def test_an_offer_is_for_the_next_window_before_the_close(street: Street) -> None:
    for window in (0, 2):
        with refused("NotTheNextWindow", window=window, next_window=1):
            make(street, window=window)
    street.at(0, CLOSE_S - 1)
    make(street)
    street.at(0, CLOSE_S)
    with refused("NegotiationClosed", window=1, elapsed_s=CLOSE_S, close_s=CLOSE_S):
        make(street)
    with refused("BeforeFirstWindow"):
        make(street.at(-1, 3599))


def test_what_an_offer_may_not_be(street: Street) -> None:
    with refused("NoMeter", household=hexed(account("eve"))):
        make(street, "eve")
    with refused("LotTooSmall", energy_wh=9, minimum_wh=10):
        make(street, energy_wh=9)
    for price in (122_000, 288_000):
        with refused("PriceOutsideRails", price_microeur_per_kwh=price, lowest_microeur_per_kwh=123_000):
            make(street, price_microeur_per_kwh=price)
    with refused("PriceOffTick", price_microeur_per_kwh=200_500, tick_microeur_per_kwh=1000):
        make(street, price_microeur_per_kwh=200_500)
    with refused("DepositTooSmall", given_microeur=DEPOSIT - 1, required_microeur=DEPOSIT):
        make(street, deposit_microeur=DEPOSIT - 1)
    with refused("BuyNowBelowPrice", buy_now_microeur_per_kwh=199_000):
        make(street, buy_now_microeur_per_kwh=199_000)
    with refused("PriceOutsideRails", price_microeur_per_kwh=288_000):
        make(street, buy_now_microeur_per_kwh=288_000)
    with refused("InsufficientFunds", needed_microeur=100_000_001, available_microeur=100_000_000):
        make(street, deposit_microeur=100_000_001)
    assert street.view(market.get_offers(1)).total == 0


def test_the_rails_themselves_are_prices(street: Street) -> None:
    make(street, price_microeur_per_kwh=123_000, deposit_microeur=164_000)
    make(street, price_microeur_per_kwh=287_000, deposit_microeur=0)


def test_a_household_makes_a_bounded_number_of_offers(street: Street) -> None:
    for _ in range(8):
        make(street)
    with refused("TooManyOffers", seller=hexed(account("ann")), window=1, limit=8):
        make(street)
    make(street, "bob")


def test_offers_are_read_in_pages(street: Street) -> None:
    for seller in ("ann", "bob", "cat"):
        make(street, seller)
    page = street.view(market.get_offers(1, 1, 50))
    assert page.total == 3
    assert [offer.seller for offer in page.offers] == [account("bob"), account("cat")]
    assert [offer.offer_id for offer in street.view(market.get_offers(1, 0, 2)).offers] == [1, 2]
    assert street.view(market.get_offers(1, 3)).offers == street.view(market.get_offers(2)).offers == ()


def test_a_page_is_bounded() -> None:
    houses = tuple(f"house{i}" for i in range(7))
    crowd = Street(genesis(houses=houses)).fund(*houses)
    for i in range(56):
        make(crowd, houses[i % 7])
    assert crowd.view(market.get_offers(1, 0, 10**30)).total == 56
    assert len(crowd.view(market.get_offers(1, 0, 10**30)).offers) == market.MAX_PAGE
    assert len(crowd.view(market.get_offers(1, market.MAX_PAGE)).offers) == 6


def test_a_seller_withdraws_what_is_left(street: Street) -> None:
    offer_id = make(street)
    with refused("NotTheSeller", offer_id=offer_id, seller=hexed(account("ann")), sender=hexed(account("bob"))):
        street.market("bob", market.withdraw_offer(offer_id))
    with refused("UnknownOffer", offer_id=7):
        street.market("ann", market.withdraw_offer(7))
    street.at(0, CLOSE_S)
    allocate(street, offer_id, terms(street, 400))
    event = street.market("ann", market.withdraw_offer(offer_id)).only(OfferWithdrawn)
    assert event.returned_microeur == DEPOSIT - 87 * 400
    offer = street.view(market.get_offer(offer_id))
    assert offer is not None
    assert (offer.left_wh, offer.deposit_microeur, offer.pledged_microeur) == (0, 87 * 400, 87 * 400)
    assert street.view(market.balance_of(account("ann"))) == DEPOSIT - 87 * 400
    assert street.market("ann", market.withdraw_offer(offer_id)).only(OfferWithdrawn).returned_microeur == 0
    assert street.books_hold()


def test_an_allocation_carries_the_buyers_acceptance(street: Street) -> None:
    offer_id = make(street)
    street.at(0, CLOSE_S)
    agreed = terms(street)
    data = market.allocate_energy(
        offer_id, account("bob"), 400, PRICE, agreed["negotiation_id"], street.sign("bob", agreed)
    )
    sent = street.market("ann", data)
    trade_id = market.acceptance_digest(chain_id=CHAIN_ID, **agreed)
    assert sent.output == trade_id
    assert sent.only(EnergyAllocated) == EnergyAllocated(
        trade_id, 1, account("bob"), account("ann"), offer_id, 400, PRICE, agreed["negotiation_id"]
    )
    trade = street.view(market.get_trade(trade_id))
    assert trade is not None
    assert (trade.state, trade.buyer, trade.energy_wh) == (TradeState.ALLOCATED, account("bob"), 400)
    page = street.view(market.get_trades(1))
    assert (page.trades, page.total) == ((trade,), 1)
    assert street.view(market.get_trade(bytes(32))) is None


def test_the_digest_is_the_contracts(street: Street) -> None:
    agreed = terms(street)
    view = market.INTERFACE.view(bytes, "acceptanceDigest", *agreed.values())
    assert street.view(view) == market.acceptance_digest(chain_id=CHAIN_ID, **agreed)


def test_what_an_allocation_may_not_be(street: Street) -> None:
    offer_id = make(street)
    agreed = terms(street)
    street.at(0, CLOSE_S)
    with refused("UnknownOffer", offer_id=99):
        allocate(street, 99, agreed)
    with refused("NotTheSeller"):
        allocate(street, offer_id, street.terms(1, "cat", "bob", 400, PRICE), seller="cat")
    with refused("SellerIsBuyer"):
        allocate(street, offer_id, street.terms(1, "ann", "ann", 400, PRICE), "ann")
    with refused("NoMeter", household=hexed(account("eve"))):
        allocate(street, offer_id, street.terms(1, "ann", "eve", 400, PRICE), "eve")
    with refused("LotTooSmall", energy_wh=9):
        allocate(street, offer_id, terms(street, 9))
    with refused("OfferExhausted", offer_id=offer_id, wanted_wh=1001, left_wh=1000):
        allocate(street, offer_id, terms(street, 1001))
    with refused("PriceOutsideRails"):
        allocate(street, offer_id, terms(street, price=300_000))
    with refused("AcceptanceNotByBuyer", buyer=hexed(account("bob")), signer=hexed(account("cat"))):
        allocate(street, offer_id, agreed, "cat")
    allocate(street, offer_id, agreed)
    with refused("AlreadyAllocated"):
        allocate(street, offer_id, agreed)
    with refused("OfferExhausted", left_wh=600):
        allocate(street, offer_id, terms(street, 601, nonce=2))


@pytest.mark.parametrize(
    "change",
    [
        {"energy_wh": 401},
        {"price_microeur_per_kwh": PRICE + 1000},
        {"negotiation_id": bytes(32)},
        {"window": 2},
        {"seller": account("cat")},
    ],
)
def test_an_acceptance_of_other_terms_is_refused(street: Street, change: dict[str, Any]) -> None:
    offer_id = make(street)
    street.at(0, CLOSE_S)
    agreed = terms(street)
    given = {name: agreed[name] for name in ("buyer", "energy_wh", "price_microeur_per_kwh", "negotiation_id")}
    for signature in (street.sign("bob", agreed | change), b"", bytes(65), bytes(200)):
        with refused("AcceptanceNotByBuyer"):
            street.market("ann", market.allocate_energy(offer_id, **given, signature=signature))


def test_agreements_are_recorded_in_the_margin_only(street: Street) -> None:
    offer_id = make(street)
    agreed = terms(street)
    for elapsed_s in (0, CLOSE_S - 1, CLOSE_S + 600, 3599):
        street.at(0, elapsed_s)
        with refused("OutsideRecordingMargin", window=1, elapsed_s=elapsed_s, from_s=CLOSE_S, until_s=CLOSE_S + 600):
            allocate(street, offer_id, agreed)
    street.at(1, CLOSE_S)
    with refused("NotTheNextWindow", window=1, next_window=2):
        allocate(street, offer_id, agreed)
    street.at(0, CLOSE_S)
    trade_id = allocate(street, offer_id, agreed)
    for elapsed_s in (CLOSE_S + 600, 3599):
        street.at(0, elapsed_s)
        with refused("OutsideRecordingMargin"):
            street.market("bob", market.allow_transaction(trade_id))
    street.at(0, CLOSE_S + 599)
    street.market("bob", market.allow_transaction(trade_id))


def test_a_lower_price_raises_the_deposit(street: Street) -> None:
    offer_id = make(street)
    street.at(0, CLOSE_S)
    allocate(street, offer_id, terms(street, 500, PRICE))
    assert street.view(market.locked_microeur()) == DEPOSIT
    allocate(street, offer_id, terms(street, 500, 150_000, nonce=2))
    assert street.view(market.locked_microeur()) == 87 * 500 + 137 * 500
    offer = street.view(market.get_offer(offer_id))
    assert offer is not None
    assert offer.deposit_microeur == offer.pledged_microeur == 87 * 500 + 137 * 500
    assert street.books_hold()


def test_the_buyer_escrows_the_price(street: Street) -> None:
    offer_id = make(street)
    street.at(0, CLOSE_S)
    trade_id = allocate(street, offer_id, terms(street))
    with refused("NotTheBuyer", trade_id=trade_id, buyer=hexed(account("bob")), sender=hexed(account("ann"))):
        street.market("ann", market.allow_transaction(trade_id))
    with refused("UnknownTrade", trade_id=bytes(32)):
        street.market("bob", market.allow_transaction(bytes(32)))
    event = street.market("bob", market.allow_transaction(trade_id)).only(TransactionAllowed)
    assert event == TransactionAllowed(trade_id, 1, account("bob"), account("ann"), 80_000)
    assert street.view(market.locked_microeur()) == DEPOSIT + 80_000
    assert street.view(fiat_token.balance_of(account("bob"))) == 100_000_000 - 80_000
    assert street.view(market.get_position(1, account("bob"))).bought_wh == 400
    assert street.view(market.get_position(1, account("ann"))).sold_wh == 400
    with refused("AlreadyAllowed", trade_id=trade_id):
        street.market("bob", market.allow_transaction(trade_id))
    assert street.books_hold()


def test_a_buyer_without_funds_cannot_escrow(street: Street) -> None:
    street.send("bob", system.FIAT_TOKEN, fiat_token.approve(system.MARKET, 79_999))
    offer_id = make(street)
    street.at(0, CLOSE_S)
    trade_id = allocate(street, offer_id, terms(street))
    with refused("InsufficientFunds", party=hexed(account("bob")), needed_microeur=80_000, available_microeur=79_999):
        street.market("bob", market.allow_transaction(trade_id))
    street.market("bob", market.pay_in(account("bob"), 1))
    street.send("bob", system.FIAT_TOKEN, fiat_token.approve(system.MARKET, 79_999))
    assert street.view(market.available_to(account("bob"))) == 80_000
    street.market("bob", market.allow_transaction(trade_id))
    assert street.books_hold()


def test_contracts_are_recorded_in_the_order_allowed(street: Street) -> None:
    offer_id = make(street)
    street.at(0, CLOSE_S)
    first = allocate(street, offer_id, terms(street, 300, nonce=1))
    second = allocate(street, offer_id, terms(street, 200, nonce=2))
    street.market("bob", market.multicall([market.allow_transaction(second), market.allow_transaction(first)]))
    trades = {trade.trade_id: trade for trade in street.view(market.get_trades(1)).trades}
    assert (trades[second].seller_before_wh, trades[second].buyer_before_wh) == (0, 0)
    assert (trades[first].seller_before_wh, trades[first].buyer_before_wh) == (200, 200)


def test_a_multicall_is_all_or_nothing(street: Street) -> None:
    good, bad = market.make_offer(1, 1000, PRICE, DEPOSIT), market.make_offer(1, 9, PRICE, DEPOSIT)
    with refused("LotTooSmall"):
        street.market("ann", market.multicall([good, bad]))
    assert street.view(market.get_offers(1)).total == 0


def test_money_is_paid_in_and_out(street: Street) -> None:
    street.market("ann", market.pay_in(account("bob"), 500))
    assert street.view(market.balance_of(account("bob"))) == 500
    with refused("BalanceTooSmall", wanted_microeur=501, balance_microeur=500):
        street.market("bob", market.pay_out(501))
    street.market("bob", market.pay_out(500))
    assert street.view(fiat_token.balance_of(account("bob"))) == 100_000_500
    for data in (market.pay_in(account("bob"), 0), market.pay_out(0)):
        with refused("ZeroAmount"):
            street.market("bob", data)
    with refused("NotTheOperator", sender=hexed(account("ann")), operator=hexed(account("operator"))):
        street.market("ann", market.pay_out_grid(1))
    street.market("ann", market.pay_in(system.GRID, 9))
    street.market("operator", market.pay_out_grid(9))
    assert street.view(fiat_token.balance_of(account("operator"))) == 9
    assert street.books_hold()


def test_the_tariff_is_the_delivery_windows() -> None:
    later = Tariff(3, 80_000, 67_000, 150_000, 10_000, 100_000)
    street = Street(genesis((SHARED, later))).fund()
    assert [street.view(market.tariff_at(w)) for w in (0, 2, 3, 9)] == [SHARED, SHARED, later, later]
    for window, tariff in ((2, SHARED), (3, later)):
        assert street.view(market.rails(window)) == tariff.rails
        parameters = street.view(market.parameters())
        required = market.INTERFACE.view(int, "depositRequired", window, 777, 200_000)
        assert street.view(required) == market.deposit_required(tariff, parameters, 777, 200_000)
    assert later.rails == Rails(100_000, 287_000)


def test_under_full_charges_nothing_trades_and_the_reason_is_said() -> None:
    street = Street(genesis((PUBLIC,))).fund()
    with refused("NoTradePays", window=1, lowest_microeur_per_kwh=123_000, highest_microeur_per_kwh=70_000):
        make(street)
    beyond = Tariff(0, 1000, 0, 0, 2000, 0)
    assert Street(genesis((beyond,))).view(market.rails(0)) == beyond.rails == Rails(0, 0)


def test_the_market_says_its_genesis(street: Street) -> None:
    assert street.view(market.parameters()) == Parameters(0, 0, 10)
    assert street.view(market.operator()) == account("operator")
    assert street.view(market.schedule()).negotiation_close_s == CLOSE_S
    assert street.at(2, 5).view(market.current_window()).elapsed_s == 5
    assert street.view(market.INTERFACE.view(bytes, "GRID")) == system.GRID
    assert street.view(market.INTERFACE.view(bytes, "meters")) == system.METER_REGISTRY


def change(content: dict[str, Any], key: str, values: dict[str, Any]) -> dict[str, Any]:
    table = content[key][0] if isinstance(content[key], list) else content[key]
    table |= values
    return content


@pytest.mark.parametrize(
    ("content", "error", "reason"),
    [
        (genesis(()), "InvalidTariff", "1 to 32"),
        (genesis((SHARED,) * 2), "InvalidTariff", "windows rise"),
        (change(genesis(), "tariffs", {"valid_from_window": 1}), "InvalidTariff", "the first begins at window 0"),
        (change(genesis(), "tariffs", {"feed_in_microeur_per_kwh": 1}), "InvalidTariff", "every part is"),
        (change(genesis(), "market", {"minimum_lot_wh": 0}), "InvalidParameters", "the smallest lot"),
        (genesis(penalty=500), "InvalidParameters", "penalty and margin"),
        (genesis(margin=288_000), "InvalidParameters", "the operator's margin"),
    ],
)
def test_wrong_genesis_parameters_are_refused(content: dict[str, Any], error: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason) as caught:
        Street(content)
    assert caught.value.error == error


def test_zero_addresses_are_refused(street: Street) -> None:
    schedule = (0, 3600, 900, 2700, 600, 4)
    tariffs = [tuple(getattr(SHARED, name) for name in Tariff.__dataclass_fields__)]
    for at, what in enumerate(("meters", "energy", "fiat", "operator")):
        addresses = [bytes(20) if i == at else bytes([1]) * 20 for i in range(4)]
        arguments = system.constructor_arguments("Market", schedule, tariffs, (0, 0, 10), *addresses)
        with refused("ZeroAddress", what=what):
            street.deploy(load_artifact("Market").bytecode + arguments, bytes([8]) * 20)
