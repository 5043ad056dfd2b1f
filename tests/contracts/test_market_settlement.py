"""Settlement: once, by anyone, complete or after the deadline; order of filling, debts, deposits, readings."""

from __future__ import annotations

import pytest

from contracts import system
from contracts.bindings import erc20, fiat_token, market, meter_registry
from contracts.bindings.abi import View
from contracts.bindings.market_types import (
    Cash,
    CashKind,
    DebtBooked,
    ReadingsTaken,
    TradeState,
    TransactionMade,
    WindowSettled,
)
from tests.contracts.street import (
    DEADLINE,
    HOUSES,
    Street,
    account,
    by_kind,
    cash_of,
    hexed,
    refused,
)

PRICE = 200_000


@pytest.fixture
def traded(street: Street) -> tuple[Street, bytes]:
    """Ann sold bob 1,000 Wh of window 1; it is window 2, nothing is attested."""
    trade_id = street.contract(1, "ann", "bob", 1000, PRICE)
    return street.at(2), trade_id


def attest_exact(street: Street) -> None:
    street.attest("ann", 1, exported=1000)
    street.attest("bob", 1, imported=1000)


def test_an_exact_delivery_moves_the_price_and_the_tokens(traded: tuple[Street, bytes]) -> None:
    street, trade_id = traded
    attest_exact(street)
    sent = street.market("eve", market.make_transaction(trade_id))
    assert sent.only(TransactionMade) == TransactionMade(trade_id, 1, account("bob"), account("ann"), 1000, 1000, 1000)
    assert [move.value for move in sent.all(erc20.Transfer)] == [1000, 1000, 1000]
    assert [line.kind for line in sent.all(Cash)] == [CashKind.TRADE, CashKind.TRADE]
    assert not sent.all(DebtBooked)
    trade = street.view(market.get_trade(trade_id))
    assert trade is not None
    assert (trade.state, trade.delivered_wh) == (TradeState.SETTLED, 1000)
    assert street.view(market.balance_of(account("ann"))) == 200_000 + 87_000
    assert street.view(market.locked_microeur()) == 0
    street.market("ann", market.pay_out(287_000))
    assert street.view(fiat_token.balance_of(account("ann"))) == 100_200_000
    assert street.books_hold()


def test_settlement_twice_is_refused(traded: tuple[Street, bytes]) -> None:
    street, trade_id = traded
    attest_exact(street)
    street.settle(1, [trade_id], ("ann", "bob"))
    before = [street.view(market.balance_of(account(house))) for house in HOUSES]
    with refused("AlreadySettled", trade_id=trade_id):
        street.market("ann", market.make_transaction(trade_id))
    with refused("WindowAlreadySettled", window=1, household=hexed(account("ann"))):
        street.market("ann", market.settle_window(1, account("ann")))
    assert [street.view(market.balance_of(account(house))) for house in HOUSES] == before


def test_settlement_waits_for_the_readings(traded: tuple[Street, bytes]) -> None:
    street, trade_id = traded
    street.attest("bob", 1, imported=1000)
    street.send("ann-meter", system.METER_REGISTRY, meter_registry.attest_batch(4, [0, 0, 0], [400, 400, 0]))
    for call in (market.make_transaction(trade_id), market.settle_window(1, account("ann"))):
        with refused("ReadingsIncomplete", window=1, household=hexed(account("ann")), quarters=3, quarters_needed=4):
            street.market("ann", call)
    street.send("ann-meter", system.METER_REGISTRY, meter_registry.attest(7, 0, 200))
    street.market("ann", market.make_transaction(trade_id))


def test_a_neighbours_silence_delays_only_the_contract_with_it(traded: tuple[Street, bytes]) -> None:
    street, trade_id = traded
    street.attest("bob", 1, imported=1000)
    street.market("bob", market.settle_window(1, account("bob")))
    with refused("ReadingsIncomplete", household=hexed(account("ann"))):
        street.market("bob", market.make_transaction(trade_id))


def test_after_the_deadline_missing_quarters_count_as_zero(traded: tuple[Street, bytes]) -> None:
    street, trade_id = traded
    street.attest("bob", 1, imported=1000)
    street.send("ann-meter", system.METER_REGISTRY, meter_registry.attest_batch(4, [0, 0], [150, 150]))
    street.at(1 + DEADLINE, 3599)
    with refused("ReadingsIncomplete", settleable_from_window=1 + DEADLINE + 1):
        street.market("ann", market.make_transaction(trade_id))
    street.at(1 + DEADLINE + 1)
    sent = street.market("ann", market.make_transaction(trade_id))
    taken = {event.household: event for event in sent.all(ReadingsTaken)}
    assert taken[account("ann")] == ReadingsTaken(1, account("ann"), 0, 300, False)
    assert taken[account("bob")].complete
    assert sent.only(TransactionMade).delivered_wh == 300

    street.send("ann-meter", system.METER_REGISTRY, meter_registry.attest(6, 0, 5000))
    lines = street.settle(1, [], ("ann", "bob"))
    assert lines == []  # the late quarter is on record, but the window's readings were taken
    assert street.view(market.get_position(1, account("ann"))).export_wh == 300
    assert street.books_hold()


def test_a_household_without_contracts_is_billed(street: Street) -> None:
    street.at(1)
    street.attest("dan", 0, imported=400, exported=100)
    sent = street.market("eve", market.settle_window(0, account("dan")))
    assert sent.only(WindowSettled) == WindowSettled(0, account("dan"), 100, 400)
    lines = sent.all(Cash)
    assert by_kind(lines, account("dan")) == {CashKind.SURPLUS: 12_300, CashKind.GRID_PURCHASE: -114_800}
    assert cash_of(lines, system.GRID) == 102_500
    assert street.view(fiat_token.balance_of(account("dan"))) == 100_000_000 - 102_500
    assert street.view(market.balance_of(account("dan"))) == 0
    assert street.books_hold()


def test_who_has_no_meter_is_not_settled(street: Street) -> None:
    with refused("NoMeter", household=hexed(account("eve"))):
        street.market("eve", market.settle_window(0, account("eve")))


def test_what_was_never_allowed_is_not_settled_and_its_deposit_returns(street: Street) -> None:
    offer_id = street.offer("ann", 1, 1000, PRICE)
    trade_id = street.allocate(offer_id, street.terms(1, "ann", "bob", 400, PRICE), "ann", "bob")
    street.at(2)
    attest_exact(street)
    with refused("NeverAllowed", trade_id=trade_id):
        street.market("ann", market.make_transaction(trade_id))
    with refused("UnknownTrade"):
        street.market("ann", market.make_transaction(bytes(32)))
    lines = street.settle(1, [], ("ann", "bob"))
    assert by_kind(lines, account("ann")) == {CashKind.SURPLUS: 123_000}
    assert street.view(market.locked_microeur()) == 0
    assert street.view(market.balance_of(account("ann"))) == 123_000 + 87_000
    offer = street.view(market.get_offer(offer_id))
    assert offer is not None
    assert offer.deposit_microeur == offer.pledged_microeur == 0
    street.market("ann", market.withdraw_offer(offer_id))
    assert street.books_hold()


def test_contracts_fill_in_the_order_recorded(street: Street) -> None:
    first = street.contract(1, "ann", "bob", 600, PRICE, nonce=1)
    second = street.contract(1, "ann", "cat", 500, PRICE, nonce=2)
    third = street.contract(1, "dan", "cat", 300, PRICE, nonce=3)
    street.at(2)
    street.attest("ann", 1, exported=800)
    street.attest("dan", 1, exported=300)
    street.attest("bob", 1, imported=600)
    street.attest("cat", 1, imported=700)
    lines = street.settle(1, [third, second, first], HOUSES)
    delivered = {t.trade_id: t.delivered_wh for t in street.view(market.get_trades(1)).trades}
    assert delivered == {first: 600, second: 200, third: 200}
    assert by_kind(lines, account("ann"))[CashKind.SHORTAGE] == -287 * 300
    assert by_kind(lines, account("cat"))[CashKind.UNUSED] == 123 * 100
    assert sum(line.amount_microeur for line in lines) == 0
    assert street.books_hold()


def test_lack_of_funds_books_a_debt_and_stops_nothing(street: Street) -> None:
    street.send("dan", system.FIAT_TOKEN, fiat_token.approve(system.MARKET, 50_000))
    street.at(1)
    street.attest("dan", 0, imported=1000)
    sent = street.market("operator", market.settle_window(0, account("dan")))
    assert sent.only(DebtBooked) == DebtBooked(account("dan"), 0, 237_000)
    assert street.view(market.balance_of(account("dan"))) == -237_000
    assert street.view(market.available_to(account("dan"))) == 0
    assert street.books_hold()
    with refused("InsufficientFunds", party=hexed(account("dan")), available_microeur=0):
        street.market("dan", market.make_offer(2, 100, PRICE, 87_000))
    with refused("BalanceTooSmall", balance_microeur=-237_000):
        street.market("dan", market.pay_out(1))
    street.send("dan", system.FIAT_TOKEN, fiat_token.approve(system.MARKET))
    street.market("dan", market.make_offer(2, 100, PRICE, 87_000))
    assert street.view(market.balance_of(account("dan"))) == 0
    assert street.view(fiat_token.balance_of(account("dan"))) == 100_000_000 - 50_000 - 237_000 - 87_000
    assert street.books_hold()


def test_a_creditor_takes_out_what_debtors_paid_in(street: Street) -> None:
    street.offer("bob", 1, 1000, PRICE)
    street.at(1)
    street.attest("ann", 0, exported=1000)
    street.market("ann", market.settle_window(0, account("ann")))
    assert street.view(market.balance_of(account("ann"))) == 123_000
    assert street.view(market.balance_of(system.GRID)) == -123_000
    with refused("NotPaidInYet", wanted_microeur=123_000, available_microeur=0):
        street.market("ann", market.pay_out(123_000))
    with refused("BalanceTooSmall"):
        street.market("operator", market.pay_out_grid(1))
    street.market("bob", market.pay_in(system.GRID, 123_000))
    street.market("ann", market.pay_out(123_000))
    assert street.books_hold()


def test_a_balance_pays_before_the_wallet(street: Street) -> None:
    street.at(1)
    street.attest("ann", 0, exported=1000)
    street.market("ann", market.settle_window(0, account("ann")))
    street.market("ann", market.make_offer(2, 1000, PRICE, 87_000))
    assert street.view(fiat_token.balance_of(account("ann"))) == 100_000_000
    assert street.view(market.balance_of(account("ann"))) == 36_000
    assert street.books_hold()


def test_a_sellers_deposit_covers_its_largest_shortage(street: Street) -> None:
    trade_id = street.contract(1, "ann", "bob", 1000, 123_000)
    street.send("ann", system.FIAT_TOKEN, erc20.transfer(account("eve"), street.view(wallet("ann"))))
    street.at(2)
    street.attest("ann", 1)
    street.attest("bob", 1, imported=1000)
    sent = street.market("operator", market.make_transaction(trade_id))
    assert not sent.all(DebtBooked)
    assert not sent.all(erc20.Transfer)
    assert street.view(market.balance_of(account("ann"))) == 0
    assert street.books_hold()


def wallet(house: str) -> View[int]:
    return fiat_token.balance_of(account(house))
