"""The private market before delivery: who may offer, what funds a session, and how a trade is recorded."""

from __future__ import annotations

from typing import Any

import pytest

from agents.private.openings import BudgetTooSmall, Opening, allocation, allowance, drawn
from contracts import private_window, system
from contracts.artifact import load_artifact
from contracts.bindings import privacy_registry, private_market
from contracts.bindings.private_market import (
    SessionFunded,
    SessionOffered,
    SessionState,
    Side,
    TradeAllocated,
    TradeAllowed,
    TradeState,
)
from privacy.envelopes import anonymous_sender
from privacy.secp256k1 import SECP256K1
from tests.contracts import registered
from tests.contracts.private_street import (
    HOUSES,
    MARKET,
    PENALTY,
    WINDOW,
    Trader,
    Window,
    allocate,
    arguments,
    founded,
    fund,
    genesis,
    mutations,
    offer,
    offer_data,
    offered,
    quantity,
    refused_somehow,
    send,
    trade,
    traded,
)
from tests.contracts.street import CLOSE_S, DEADLINE, HOUR_S, ZERO_S, Street, account, hexed, refused
from tests.privacy.keys import random_bytes

G = SECP256K1


@pytest.fixture
def street() -> Street:
    return founded().fresh().at(WINDOW - 1)


@pytest.fixture
def window() -> Window:
    return offered().fresh(WINDOW - 1)


# -- offers


def test_an_offer_opens_a_session_of_which_nobody_knows_whose_it_is(street: Street) -> None:
    ann = Trader("ann")
    event = offer(street, ann, Side.SELL).only(SessionOffered)
    assert event == SessionOffered(WINDOW, ann.session, ann.randomness("contact")[:32], Side.SELL, 200, ann.nullifier)
    session = street.view(private_market.session_of(ann.session))
    assert (session.window, session.side, session.tick, session.state) == (WINDOW, Side.SELL, 200, SessionState.OFFERED)
    assert street.view(private_market.sessions_of(WINDOW)) == (ann.session,)
    until_s = ZERO_S + (WINDOW + 2 * DEADLINE + 3) * HOUR_S
    assert private_window.session_until(street.storage, ann.session) == until_s
    assert private_window.session_until(street.storage, account("ann")) == 0


def test_the_chain_reads_slot_0() -> None:
    storage: Any = load_artifact("PrivateMarket").storage_layout
    slots = {entry["label"]: (int(entry["slot"]), entry["offset"]) for entry in storage["storage"]}
    assert slots["_sessionUntil"] == (private_window.SESSIONS_SLOT, 0) == (0, 0)


def test_only_the_hash_of_scope_and_nullifier_offers(street: Street) -> None:
    ann, bob = Trader("ann"), Trader("bob")
    data = offer_data(ann, Side.SELL)
    for caller in ("ann", ann.name, bob.caller, Trader("ann", WINDOW + 1).caller):
        with refused("NotAnonymous", expected=hexed(ann.caller)):
            send(street, caller, data)
    other = anonymous_sender(ann.scope, bob.nullifier)
    with refused("NotAnonymous", sender=hexed(ann.caller), expected=hexed(other)):
        send(street, ann.caller, offer_data(ann, Side.SELL, nullifier=bob.nullifier))
    for bent in (b"", ann.nullifier[:-1], ann.nullifier + b"\0", bytes(33)):
        with refused("NotAnonymous"):
            send(street, ann.caller, offer_data(ann, Side.SELL, nullifier=bent))
    send(street, ann.caller, data)


def test_a_member_offers_once_and_a_session_is_new(street: Street) -> None:
    ann, bob = Trader("ann"), Trader("bob")
    offer(street, ann, Side.SELL)
    other = offer_data(ann, Side.SELL, session=account("another"), consent=ann.consent("another"))
    with refused("OfferedBefore", sender=hexed(ann.caller)):
        send(street, ann.caller, other)
    again = offer_data(bob, Side.BUY, session=ann.session, consent=bob.consent(ann.name))
    with refused("SessionTaken", session=hexed(ann.session)):
        send(street, bob.caller, again)


def test_nobody_offers_with_the_session_of_another(street: Street) -> None:
    """Who sees an offer coming could name its session first, and the member's one call would be lost."""
    ann, bob = Trader("ann"), Trader("bob")
    for consent in (ann.consent(), bob.consent(), b"", bytes(65), ann.consent()[:-1], ann.consent() + b"\0"):
        with refused("NotTheSession", session=hexed(ann.session)):
            send(street, bob.caller, offer_data(bob, Side.BUY, session=ann.session, consent=consent))
    with refused("NotTheSession", session=hexed(bytes(20))):
        send(street, ann.caller, offer_data(ann, Side.SELL, session=bytes(20), consent=bytes(65)))
    with refused("NotTheSession"):
        send(street, ann.caller, offer_data(ann, Side.SELL, consent=Trader("ann", WINDOW + 1).consent(ann.name)))
    offer(street, ann, Side.SELL)


def test_offers_are_for_the_next_window_in_the_first_half_of_negotiation(street: Street) -> None:
    ann = Trader("ann")
    data = offer_data(ann, Side.SELL)
    for now in (WINDOW - 2, WINDOW, WINDOW + 1):
        with refused("NotTradedNow", window=WINDOW, traded_window=now + 1):
            send(street.at(now), ann.caller, data)
    with refused("OffersClosed", elapsed_s=CLOSE_S // 2, close_s=CLOSE_S // 2):
        send(street.at(WINDOW - 1, CLOSE_S // 2), ann.caller, data)
    send(street.at(WINDOW - 1, CLOSE_S // 2 - 1), ann.caller, data)


def test_an_offer_adds_up(street: Street) -> None:
    ann = Trader("ann")
    with refused("InvalidOffer", reason="a contact key"):
        send(street, ann.caller, offer_data(ann, Side.SELL, contact_key=bytes(32)))
    for side, tick in ((Side.NONE, 200), (Side.BUY, 0)):
        with refused("InvalidOffer", reason="a tick if there is a side"):
            send(street, ann.caller, offer_data(ann, side, tick=tick))
    for tick in (122, 258):
        with refused("PriceOutsideRails", price_microeur_per_kwh=tick * 1000):
            send(street, ann.caller, offer_data(ann, Side.SELL, tick=tick))
    send(street, ann.caller, offer_data(ann, Side.NONE))


def test_a_ring_of_seven_trades_in_the_open() -> None:
    street = founded().fresh()
    street.send("hal", system.PRIVACY_REGISTRY, privacy_registry.leave())
    ann = Trader("ann")
    with refused("RingTooSmall", window=WINDOW, members=7, needed=8):
        offer(street, ann, Side.SELL)
    with refused("RingTooSmall", members=0):
        offer(street, Trader("ann", 1), Side.SELL)


def test_no_private_window_where_no_trade_pays() -> None:
    content = genesis()
    content["tariffs"][0]["local_charges_microeur_per_kwh"] = 217_000
    ann = Trader("ann")
    street = Street(content)
    for house in HOUSES:
        registered.register(street, house)
    with refused("NoTradePays", window=WINDOW):
        offer(street, ann, Side.NONE)


# -- budgets


def test_the_pool_brings_the_budget_that_the_offer_named(street: Street) -> None:
    ann, bob = Trader("ann"), Trader("bob")
    offer(street, ann, Side.SELL)
    offer(street, bob, Side.BUY)
    data = private_market.fund(ann.session, WINDOW, ann.lock())
    with refused("NotThePool", sender=hexed(ann.session)):
        send(street, ann.name, data)
    for session, at, lock in (
        (bob.session, WINDOW, ann.lock()),
        (ann.session, WINDOW, ann.lock(1)),
        (ann.session, WINDOW, ann.lock()[:-1]),
        (ann.session, WINDOW, ann.lock() + b"\0"),
        (ann.session, WINDOW, b""),
        (account("nobody"), WINDOW, ann.lock()),
    ):
        with refused("NotTheBudget", session=hexed(session), window=at):
            send(street, system.SHIELDED_POOL, private_market.fund(session, at, lock))
    with refused("NotTradedNow", window=WINDOW + 1):
        send(street, system.SHIELDED_POOL, private_market.fund(ann.session, WINDOW + 1, ann.lock()))
    sent = send(street, system.SHIELDED_POOL, data)
    assert sent.only(SessionFunded) == SessionFunded(WINDOW, ann.session, ann.lock())
    assert street.view(private_market.balance_of(ann.session)) == ann.lock()
    assert street.view(private_market.window_state(WINDOW)).open == 1
    with refused("NotTheBudget"):
        send(street, system.SHIELDED_POOL, data)


# -- trades


def test_bond_and_price_leave_hidden_balances(window: Window) -> None:
    street, ann, bob = window.street, window.traders["ann"], window.traders["bob"]
    before = ann.balance, bob.balance
    trade_id = allocate(street, ann, bob, 1000)
    found = street.view(private_market.trade_of(trade_id))
    assert (found.seller, found.buyer, found.tick) == (ann.session, bob.session, 200)
    assert found.amount.to_bytes() == quantity(ann, bob, 1000).hidden(ann.place.joint_key)
    agreed = ann.bonds[-1]
    made = allowance(bob.place, trade_id, 200, agreed, bob.balance, bob.randomness("allow"))
    assert send(street, bob.name, made.data).only(TradeAllowed).trade_id == trade_id
    assert [ann.balance.amount, made.balance.amount] == [before[0].amount - 20_000, before[1].amount - 200_000]
    for trader, opening in ((ann, ann.balance), (bob, made.balance)):
        raw = street.view(private_market.balance_of(trader.session))
        assert raw[:33] == G.point_to_bytes(opening.commitment)
    assert street.view(private_market.trade_of(trade_id)).state is TradeState.ALLOWED


def test_allocations_are_by_funded_sellers_to_funded_buyers_in_the_trading_window(window: Window) -> None:
    street, traders = window.street, window.traders
    ann, bob, dan, fred = (traders[house] for house in ("ann", "bob", "dan", "fred"))
    gil = Trader("gil")
    offer(street, gil, Side.BUY)

    def allocated(seller: Trader, buyer: bytes, tick: int = 200) -> None:
        agreed = drawn("quantity", 10, random_bytes("q"))
        made = allocation(seller.place, buyer, tick, agreed, ann.balance, PENALTY // 1000, random_bytes("allocate"))
        send(street, seller.name, made.data)

    with refused("WrongSide", session=hexed(bob.session)):
        allocated(bob, bob.session)
    with refused("WrongSide", session=hexed(fred.session)):
        allocated(fred, bob.session)
    with refused("WrongSide", session=hexed(dan.session)):
        allocated(ann, dan.session)
    with refused("WrongSessionState", session=hexed(gil.session), state=SessionState.OFFERED):
        allocated(ann, gil.session)
    with refused("WrongSessionState", session=hexed(account("nobody")), state=SessionState.NONE):
        allocated(ann, account("nobody"))
    for tick in (122, 258, 65_535):
        with refused("PriceOutsideRails"):
            allocated(ann, bob.session, tick)
    street.at(WINDOW)
    with refused("NotTradedNow", window=WINDOW):
        allocated(ann, bob.session)


def test_a_trade_is_allocated_once_and_allowed_once_by_its_buyer(window: Window) -> None:
    street, traders = window.street, window.traders
    ann, bob, cat = (traders[house] for house in ("ann", "bob", "cat"))
    before = ann.balance
    trade_id = allocate(street, ann, bob, 1000)
    agreed = ann.bonds[-1]
    again = allocation(ann.place, bob.session, 200, agreed, before, PENALTY // 1000, ann.randomness("again"))
    with refused("TradeTaken", trade_id=trade_id):
        send(street, ann.name, again.data)
    proof = allowance(cat.place, trade_id, 200, agreed, cat.balance, cat.randomness("allow"))
    with refused("NotTheTradesBuyer", trade_id=trade_id, sender=hexed(cat.session)):
        send(street, cat.name, proof.data)
    own = allowance(bob.place, trade_id, 200, agreed, bob.balance, bob.randomness("allow"))
    with refused("NotTradedNow"):
        send(street.at(WINDOW), bob.name, own.data)
    send(street.at(WINDOW - 1), bob.name, own.data)
    with refused("WrongTradeState", trade_id=trade_id, state=TradeState.ALLOWED):
        send(street, bob.name, own.data)
    with refused("WrongTradeState", state=TradeState.NONE):
        send(street, bob.name, private_market.allow(bytes(32), b""))


def test_nobody_escrows_what_it_has_not(window: Window) -> None:
    """300 kWh at 200 are 60 euro, of a budget of 50."""
    street, ann, bob = window.street, window.traders["ann"], window.traders["bob"]
    trade_id = allocate(street, ann, bob, 300_000)
    agreed = ann.bonds[-1]
    with pytest.raises(BudgetTooSmall, match="price: the balance would be -10000000 micro-euro"):
        allowance(bob.place, trade_id, 200, agreed, bob.balance, bob.randomness("allow"))
    richer = Opening(bob.balance.amount * 2, bob.balance.blinding, bob.balance.rho)
    data = allowance(bob.place, trade_id, 200, agreed, richer, bob.randomness("allow")).data
    with refused("NotInRange", what="balance"):
        send(street, bob.name, data)
    with pytest.raises(BudgetTooSmall, match="bond"):
        allocation(ann.place, bob.session, 200, quantity(ann, bob, 3_000_000), ann.balance, 20, random_bytes("x"))


def test_a_session_has_so_many_sales_and_purchases() -> None:
    window = offered().fresh(WINDOW - 1)
    street, traders = window.street, window.traders
    sellers = [traders["ann"], traders["dan"]]
    for number in range(private_market.MAX_SALES):
        for seller in sellers:
            if number + 6 * sellers.index(seller) < private_market.MAX_PURCHASES:
                trade(street, seller, traders["bob"], 10 + number)
            else:
                allocate(street, seller, traders["bob"], 10 + number)
    with refused("TooManyTrades", session=hexed(sellers[0].session), limit=6):
        allocate(street, sellers[0], traders["cat"], 10)
    late = allowance(
        traders["bob"].place,
        street.view(private_market.session_of(sellers[1].session)).sales[5],
        200,
        sellers[1].bonds[-1],
        traders["bob"].balance,
        random_bytes("late"),
    )
    with refused("TooManyTrades", session=hexed(traders["bob"].session), limit=8):
        send(street, traders["bob"].name, late.data)


def test_no_argument_of_a_trade_can_be_bent(window: Window) -> None:
    street, ann, bob = window.street, window.traders["ann"], window.traders["bob"]
    agreed = quantity(ann, bob, 1000)
    made = allocation(ann.place, bob.session, 200, agreed, ann.balance, PENALTY // 1000, ann.randomness("allocate"))
    interface = private_market.INTERFACE
    values = arguments("allocate", made.data)
    for place in range(2, 6):
        for bent in mutations(values[place]):
            changed = [*values[:place], bent, *values[place + 1 :]]
            refused_somehow(street, ann.name, interface.call("allocate", *changed))
    for swapped in ([*values[:4], values[5], values[4]], [values[0], 201, *values[2:]], [account("x"), *values[1:]]):
        refused_somehow(street, ann.name, interface.call("allocate", *swapped))
    dan = window.traders["dan"]
    refused_somehow(street, dan.name, made.data)  # copied by another session
    send(street, ann.name, made.data)
    own = allowance(bob.place, made.trade_id, 200, agreed, bob.balance, bob.randomness("allow"))
    trade_id, proof = arguments("allow", own.data)
    for bent in mutations(proof):
        refused_somehow(street, bob.name, private_market.allow(trade_id, bent))
    send(street, bob.name, own.data)


def test_a_quantity_is_what_the_auditors_would_read_and_in_range(window: Window) -> None:
    street, ann, bob = window.street, window.traders["ann"], window.traders["bob"]
    honest, other = quantity(ann, bob, 1000), drawn("other", 1001, random_bytes("other"))
    made = allocation(ann.place, bob.session, 200, honest, ann.balance, PENALTY // 1000, ann.randomness("a"))
    wrong = allocation(ann.place, bob.session, 200, other, ann.balance, PENALTY // 1000, ann.randomness("a"))
    interface = private_market.INTERFACE
    values, others = (arguments("allocate", each.data) for each in (made, wrong))
    mixed = values[2][:33] + others[2][33:]
    with refused("NotTheSameAmount", what="quantity"):
        send(street, ann.name, interface.call("allocate", *values[:2], mixed, *values[3:]))
    with refused("NotInRange", what="quantity"):
        send(street, ann.name, interface.call("allocate", *values[:4], others[4], values[5]))
    with refused("NotInRange", what="balance"):
        send(street, ann.name, interface.call("allocate", *values[:5], others[5]))
    with refused("WrongLength", what="quantity", length=98):
        send(street, ann.name, interface.call("allocate", *values[:2], values[2][:-1], *values[3:]))


def test_without_a_penalty_there_is_no_bond() -> None:
    content = genesis()
    content["market"]["penalty_microeur_per_kwh"] = 0
    street = Street(content)
    for house in HOUSES:
        registered.register(street, house)
    ann, bob = Trader("ann"), Trader("bob")
    for trader, side in ((ann, Side.SELL), (bob, Side.BUY)):
        offer(street, trader, side)
        fund(street, trader)
    agreed = quantity(ann, bob, 1000)
    made = allocation(ann.place, bob.session, 200, agreed, ann.balance, 0, ann.randomness("allocate"))
    values = arguments("allocate", made.data)
    with refused("WrongLength", what="no bond", length=1):
        send(street, ann.name, private_market.INTERFACE.call("allocate", *values[:5], b"\0"))
    sent = send(street, ann.name, made.data)
    assert sent.only(TradeAllocated).quantity == agreed.hidden(ann.place.joint_key)
    assert street.view(private_market.balance_of(ann.session)) == ann.lock()
    assert street.view(private_market.penalty()) == 0


@pytest.mark.parametrize(
    ("penalty", "operator", "reason"),
    [
        (500, hexed(account("operator")), "the penalty is a multiple of the tick"),
        (65_536_000, hexed(account("operator")), "the penalty is too large"),
        (0, hexed(bytes(20)), "a zero address"),
    ],
)
def test_terms_that_do_not_add_up_are_refused(penalty: int, operator: str, reason: str) -> None:
    content = genesis()
    content["market"]["penalty_microeur_per_kwh"] = penalty
    content["operator"] = operator
    init_code = dict(system.genesis_deployments(content))[MARKET]
    with refused("InvalidTerms", reason=reason):
        founded().fresh().deploy(init_code, account("elsewhere"))


def test_what_the_genesis_file_says_can_be_read() -> None:
    street = traded().fresh(WINDOW).street
    assert street.view(private_market.registry()) == system.PRIVACY_REGISTRY
    assert street.view(private_market.pool()) == system.SHIELDED_POOL
    assert street.view(private_market.sealed_meters()) == system.SEALED_METERS
    assert street.view(private_market.operator()) == account("operator")
    assert street.view(private_market.penalty()) == PENALTY
    assert street.view(private_market.schedule()).settlement_deadline_windows == DEADLINE
    assert street.view(private_market.current_window()).window == WINDOW
    assert street.view(private_market.tariff_at(WINDOW)).local_charges_microeur_per_kwh == 30_000
    assert street.view(private_market.rails(WINDOW)).highest_microeur_per_kwh == 257_000
