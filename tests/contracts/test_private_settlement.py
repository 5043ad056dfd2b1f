"""Settlement of a private window: by whom, when, and that nothing else than what the meter read can be settled."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from agents.private.openings import NOTHING, BudgetTooSmall, Purchase, Sale, drawn, heard, settlement, tell
from contracts import system
from contracts.bindings import private_market, sealed_meters
from contracts.bindings.private_market import (
    IMPORT_WEIGHT,
    RowsPrepared,
    SessionForfeited,
    SessionSettled,
    SessionState,
    Side,
    TradeDefaulted,
    TradeDelivered,
    TradeState,
)
from contracts.bindings.shielded_pool import NoteMade
from privacy.auditors import Ciphertext, decrypt_partially, find_amount, open_together
from privacy.commitment import opens, value_base
from privacy.secp256k1 import SECP256K1
from tests.contracts.private_street import (
    HOUSES,
    READINGS,
    TARIFF,
    WINDOW,
    Trader,
    Window,
    arguments,
    delivered,
    found_notes,
    founded,
    hear,
    member_of,
    mutations,
    offered,
    refused_somehow,
    rows_of,
    send,
    settle,
    settle_data,
    traded,
)
from tests.contracts.registered import keys_of
from tests.contracts.street import CHAIN_ID, DEADLINE, Street, hexed, refused
from tests.contracts.test_sealed_meters import AUDITORS, JOINT_KEY, SHARES, attest
from tests.privacy.keys import random_bytes

G = SECP256K1
SELLERS_LAST = WINDOW + DEADLINE + 1
LAST = WINDOW + 2 * DEADLINE + 2
H = value_base(G)
SHIFT = 1 << 24


@pytest.fixture
def window() -> Window:
    return delivered().fresh(WINDOW + 1)


@cache
def sold() -> Window:
    """The sellers have settled."""
    window = delivered().fresh(WINDOW + 1)
    window.settle("ann", "dan")
    window.street.keep()
    return window


@pytest.fixture
def bought() -> Window:
    return sold().fresh(WINDOW + 1)


# -- rows


def test_rows_are_prepared_once_a_window_is_closed() -> None:
    street = traded().fresh(WINDOW + 1).street
    with refused("WindowNotReady", window=WINDOW):
        send(street, "anyone", private_market.prepare(WINDOW))
    late = delivered().fresh(WINDOW + 1).street
    with refused("PreparedBefore", window=WINDOW):
        send(late, "anyone", private_market.prepare(WINDOW))
    state = late.view(private_market.window_state(WINDOW))
    assert (state.prepared, state.members, state.open, state.paid) == (True, 8, 6, False)
    for house, (ring_key, trace_key, read) in zip(HOUSES, rows_of(late), strict=True):
        assert (ring_key, trace_key) == keys_of(house).points[:2]
        member = member_of(late, Trader(house), READINGS.get(house, (0, 0)))
        both = member.export_wh + IMPORT_WEIGHT * member.import_wh
        assert opens(G, read, both, G.scalar(member.export_blinding + IMPORT_WEIGHT * member.import_blinding))


def test_a_window_without_a_ring_is_not_prepared() -> None:
    street = founded().fresh().at(1)
    attest(street, "ann", 0, 10)
    street.at(1 + DEADLINE).send("anyone", system.SEALED_METERS, sealed_meters.close_window(0))
    with refused("RingTooSmall", members=0):
        send(street, "anyone", private_market.prepare(0))


def test_who_has_no_reading_has_none_in_the_rows() -> None:
    street = founded().fresh().at(WINDOW + 1)
    attest(street, "bob", 4 * WINDOW, 10)
    street.at(WINDOW + 1 + DEADLINE).send("anyone", system.SEALED_METERS, sealed_meters.close_window(WINDOW))
    assert send(street, "anyone", private_market.prepare(WINDOW)).only(RowsPrepared).members == 8
    nothing = [G.is_identity(read) for _, _, read in rows_of(street)]
    assert nothing == [house != "bob" for house in HOUSES]


# -- what a settlement does


def test_a_short_seller_is_paid_for_what_it_delivered_and_the_buyer_gets_the_rest_back(window: Window) -> None:
    street, ann, bob, cat = window.street, *(window.traders[house] for house in ("ann", "bob", "cat"))
    before = ann.balance.amount
    made, sent = settle(street, ann, READINGS["ann"])
    assert [each.amount for each in made.delivered] == [1000, 300]
    assert made.owed_microeur == 287 * 50
    assert made.remainder.amount == before + 220 * 1000 + 200 * 300 - 287 * 50
    for event, opening in zip(sent.all(TradeDelivered), made.delivered, strict=True):
        assert event.delivered == opening.hidden(JOINT_KEY)
        found = street.view(private_market.trade_of(event.trade_id))
        assert (found.state, found.delivered.to_bytes()) == (TradeState.DELIVERED, event.delivered[:33])
    hear(sent, ann, bob)
    hear(sent, ann, cat)
    assert cat.purchases[window.trades["ann", "cat"]].delivered == made.delivered[1]
    before = cat.balance.amount
    made, _ = settle(street, cat, READINGS["cat"])
    assert made.owed_microeur == 287 * 200 + 30 * 300 - 123 * 20
    assert made.remainder.amount == before + 200 * 100 - made.owed_microeur


def test_what_is_left_is_a_note_of_the_member_alone(window: Window) -> None:
    street, dan = window.street, window.traders["dan"]
    made, sent = settle(street, dan, READINGS["dan"])
    (note,) = found_notes("dan", sent)
    assert (note.opening.amount, note.opening.blinding) == (made.remainder.amount, made.remainder.blinding)
    assert not any(found_notes(house, sent) for house in HOUSES if house != "dan")
    event = sent.only(SessionSettled)
    assert (event.session, event.key) == (dan.session, G.point_to_bytes(note.output.key))
    session = street.view(private_market.session_of(dan.session))
    assert session.state is SessionState.SETTLED
    # the bond of the trade that nobody allowed came back, and the auditors read of the note what its owner does
    assert made.remainder.amount == 50_000_000 + 190 * 500 + 123 * 100
    sealed = sent.only(NoteMade).note[140:]
    ciphertext = Ciphertext(*(G.point_from_bytes_checked(sealed[at : at + 33]) for at in (0, 33)))
    parts = {at: G.multiply(SHARES[at - 1], ciphertext.ephemeral) for at in (1, 3)}
    difference = G.subtract(open_together(G, ciphertext, parts), G.multiply(G.scalar(50_000_000), H))
    assert find_amount(G, difference, 1 << 20) == made.remainder.amount - 50_000_000


def test_a_buyer_that_uses_less_resells_to_the_grid(bought: Window) -> None:
    eva = bought.traders["eva"]
    before = eva.balance.amount
    made, _ = settle(bought.street, eva, READINGS["eva"])
    assert made.owed_microeur == 30 * 420 - 123 * 80
    assert made.remainder.amount == before - made.owed_microeur


def test_who_does_not_trade_settles_with_the_grid_alone(window: Window) -> None:
    made, _ = settle(window.street, window.traders["fred"], READINGS["fred"])
    assert made.owed_microeur == 287 * 250 - 123 * 30
    assert window.street.view(private_market.window_state(WINDOW)).open == 5


def test_a_budget_that_is_too_small_settles_nothing(window: Window) -> None:
    street = offered().fresh(WINDOW - 1).street
    assert street.view(private_market.window_state(WINDOW)).open == 6
    fred = window.traders["fred"]
    poor = replace(fred, balance=replace(fred.balance, amount=1000))
    with pytest.raises(BudgetTooSmall, match="settlement: the balance would be -67060 micro-euro"):
        settle_data(window.street, poor, READINGS["fred"])


# -- what a buyer is told


def test_what_is_told_opens_or_is_nothing() -> None:
    opening, key, trade_id = drawn("x", 300, random_bytes("x")), bytes(32), b"\1" * 32
    told, hidden = tell(key, trade_id, opening), opening.hidden(JOINT_KEY)
    assert len(told) == 72
    assert heard(key, trade_id, told, hidden, JOINT_KEY) == opening
    for bad in (b"", told[:-1], told + b"\0", bytes(72), b"\xff" * 72, bytes((told[0] ^ 1,)) + told[1:]):
        assert heard(key, trade_id, bad, hidden, JOINT_KEY) is None
    assert heard(b"\1" + key[1:], trade_id, told, hidden, JOINT_KEY) is None
    assert heard(key, bytes(32), told, hidden, JOINT_KEY) is None
    assert heard(key, trade_id, told, drawn("y", 300, random_bytes("y")).hidden(JOINT_KEY), JOINT_KEY) is None


def test_a_buyer_that_was_told_nonsense_gives_up_that_purchase_and_settles(window: Window) -> None:
    """It loses the price of that purchase, and nothing else."""
    street, ann, cat = window.street, window.traders["ann"], window.traders["cat"]
    lying = replace(ann, sales=[replace(sale, key=random_bytes("lie")[:32]) for sale in ann.sales])
    _, sent = settle(street, lying, READINGS["ann"])
    hear(sent, ann, cat)
    assert cat.purchases[window.trades["ann", "cat"]].delivered is None
    before = cat.balance.amount
    made, settled = settle(street, cat, READINGS["cat"])
    assert settled.only(SessionSettled).declined == 1
    assert made.owed_microeur == 287 * 500 - 123 * 20
    assert made.remainder.amount == before - made.owed_microeur
    # what it gave up is the operator's: (180 + 20) for each of 100 Wh
    assert owed_in(street) == 287 * 50 + made.owed_microeur + 200 * 100


def test_no_purchase_is_given_up_that_is_not_there(bought: Window) -> None:
    data = settle_data(bought.street, bought.traders["eva"], READINGS["eva"]).data
    (given,) = arguments("settle", data)
    changed = private_market.INTERFACE.call("settle", (*given[:3], 2, *given[4:]))
    with refused("WrongLength", what="declined", length=2):
        send(bought.street, bought.traders["eva"].name, changed)


# -- who and when


def test_buyers_wait_for_their_sellers(window: Window) -> None:
    street, bob = window.street, window.traders["bob"]
    data = settle_data(street, bob, READINGS["bob"]).data
    with refused("SellerNotSettled", trade_id=window.trades["ann", "bob"]):
        send(street, bob.name, data)
    window.settle("ann", "bob")


def test_nobody_settles_twice_nor_before_the_window_is_prepared(window: Window) -> None:
    ann = window.traders["ann"]
    made, _ = settle(window.street, ann, READINGS["ann"])
    with refused("WrongSessionState", session=hexed(ann.session), state=SessionState.SETTLED):
        send(window.street, ann.name, made.data)
    with refused("WrongSessionState", state=SessionState.NONE):
        send(window.street, "ann", made.data)
    with refused("WindowNotReady", window=WINDOW):
        send(traded().fresh(WINDOW + 1).street, ann.name, made.data)


def test_a_seller_that_is_late_is_in_default(window: Window) -> None:
    street, ann, bob = window.street, window.traders["ann"], window.traders["bob"]
    trade_id = window.trades["ann", "bob"]
    assert street.view(private_market.last_for(WINDOW, Side.SELL)) == SELLERS_LAST
    with refused("TooEarly", window=WINDOW, from_window=SELLERS_LAST + 1):
        send(street.at(SELLERS_LAST), "anyone", private_market.default(trade_id))
    with refused("WindowNotReady", window=WINDOW):
        send(traded().fresh(LAST).street, "anyone", private_market.default(trade_id))
    late = settle_data(street, ann, READINGS["ann"]).data
    street.at(SELLERS_LAST + 1)
    with refused("SaleOverdue", trade_id=trade_id):
        send(street, ann.name, late)
    event = send(street, "anyone", private_market.default(trade_id)).only(TradeDefaulted)
    assert event == TradeDefaulted(trade_id, WINDOW, bob.session)
    with refused("WrongTradeState", trade_id=trade_id, state=TradeState.DEFAULTED):
        send(street, "anyone", private_market.default(trade_id))
    # the buyer knows how the quantity opens: escrow and bond are its own, and all its energy is the grid's
    before = bob.balance.amount
    made, _ = settle(street, bob, READINGS["bob"])
    assert made.owed_microeur == 287 * 1200
    assert made.remainder.amount == before + 220 * 1000 - made.owed_microeur
    # the seller gets back what its other trades did not bind, and sells its export to the grid
    send(street, "anyone", private_market.default(window.trades["ann", "cat"]))
    before = ann.balance.amount
    ann.sales.clear()
    made, _ = settle(street, ann, READINGS["ann"])
    assert made.remainder.amount == before - 287 * 50 + 123 * 1300


def test_who_never_settles_forfeits_its_balance_to_the_operator(window: Window) -> None:
    street, traders = window.street, window.traders
    window.settle("dan")
    with refused("TooEarly", from_window=LAST + 1):
        send(street.at(LAST), "anyone", private_market.forfeit(traders["fred"].session))
    data = settle_data(street, traders["fred"], READINGS["fred"]).data
    street.at(LAST + 1)
    with refused("TooLate", window=WINDOW, last_window=LAST):
        send(street, traders["fred"].name, data)
    before = owed_in(street)
    event = send(street, "anyone", private_market.forfeit(traders["fred"].session)).only(SessionForfeited)
    assert event == SessionForfeited(WINDOW, traders["fred"].session)
    assert owed_in(street) - before == 50_000_000
    with refused("WrongSessionState", state=SessionState.FORFEITED):
        send(street, "anyone", private_market.forfeit(traders["fred"].session))
    # eva never settled either: its balance, and what dan did not deliver of its purchase, which is nothing
    before = owed_in(street)
    send(street, "anyone", private_market.forfeit(traders["eva"].session))
    assert owed_in(street) - before == 50_000_000 - 190 * 500
    # ann is in default, which comes first; bob's escrow and ann's bond are bob's, who has forfeited
    for house in ("ann", "bob"):
        with refused("SaleOverdue", trade_id=window.trades["ann", "bob"]):
            send(street, "anyone", private_market.forfeit(traders[house].session))
    for buyer in ("bob", "cat"):
        send(street, "anyone", private_market.default(window.trades["ann", buyer]))
    for house in ("ann", "bob", "cat"):
        send(street, "anyone", private_market.forfeit(traders[house].session))
    forfeited = 5 * 50_000_000 - 190 * 500
    assert owed_in(street) == forfeited - 123 * 100
    assert street.view(private_market.window_state(WINDOW)).open == 0


def test_a_forfeit_takes_the_bonds_of_trades_that_nobody_allowed(window: Window) -> None:
    street, dan = window.street, window.traders["dan"]
    street.at(LAST + 1)
    send(street, "anyone", private_market.default(window.trades["dan", "eva"]))
    send(street, "anyone", private_market.forfeit(dan.session))
    assert owed_in(street) == 50_000_000 - 20 * 500


# -- attacks


def test_nobody_settles_with_anothers_meter(window: Window) -> None:
    """Bob's meter, in ann's session: the nullifier is not that of ann's offer."""
    street, ann, bob = window.street, window.traders["ann"], window.traders["bob"]
    ann.sales.clear()
    fred = window.traders["fred"]
    made = settlement(
        fred.place, member_of(street, bob, READINGS["bob"]), fred.balance, [], [], [], TARIFF, 20, bob.payee, bytes(32)
    )
    with refused("NotTheReading", session=hexed(fred.session)):
        send(street, fred.name, made.data)
    (given,) = arguments("settle", made.data)
    own = bytes.fromhex(fred.nullifier.hex())
    changed = private_market.INTERFACE.call("settle", (*given[:7], own + given[7][33:]))
    with refused("NotTheReading"):
        send(street, fred.name, changed)


@pytest.mark.parametrize("reading", [(250, 31), (249, 30), (0, 0), (251, 30), (250, 29)])
def test_nothing_is_settled_but_what_the_meter_read(window: Window, reading: tuple[int, int]) -> None:
    """Signed against rows in which the meter reads it."""
    street, fred = window.street, window.traders["fred"]
    true = member_of(street, fred, READINGS["fred"])
    imported, exported = reading
    lie = G.scalar(exported - 30 + IMPORT_WEIGHT * (imported - 250))
    rows = list(true.rows)
    ring_key, trace_key, read = rows[true.index]
    rows[true.index] = (ring_key, trace_key, G.sum((read, G.multiply(lie, H))))
    member = replace(true, import_wh=imported, export_wh=exported, rows=tuple(rows))
    made = settlement(fred.place, member, fred.balance, [], [], [], TARIFF, 20, fred.payee, bytes(32))
    with refused("NotTheReading", session=hexed(fred.session)):
        send(street, fred.name, made.data)


def test_imports_are_not_exports(window: Window) -> None:
    """250 Wh less of import are 250 · 2^40 Wh of export, which is out of every range."""
    street, fred = window.street, window.traders["fred"]
    member = member_of(street, fred, READINGS["fred"])
    swapped = replace(member, import_wh=0, export_wh=30 + 250 * IMPORT_WEIGHT)
    with pytest.raises(ValueError, match="amount"):
        settlement(fred.place, swapped, fred.balance, [], [], [], TARIFF, 20, fred.payee, bytes(32))


def test_a_settlement_of_another_window_or_session_or_chain_does_not_hold(window: Window) -> None:
    street, fred = window.street, window.traders["fred"]
    member = member_of(street, fred, READINGS["fred"])
    for place in (
        replace(fred.place, window=WINDOW + 1),
        replace(fred.place, session=window.traders["bob"].session),
        replace(fred.place, chain_id=1),
        replace(fred.place, joint_key=G.generator),
    ):
        made = settlement(place, member, fred.balance, [], [], [], TARIFF, 20, fred.payee, bytes(32))
        with refused("NotTheSameAmount", what="owed to the operator"):
            send(street, fred.name, made.data)


def test_a_settlement_cannot_be_copied(window: Window) -> None:
    street, fred, cat = window.street, window.traders["fred"], window.traders["cat"]
    window.settle("ann")
    made = settle_data(street, fred, READINGS["fred"])
    for copier in (cat, window.traders["eva"]):
        refused_somehow(street, copier.name, made.data)
    send(street, fred.name, made.data)


def test_what_was_delivered_is_at_most_what_was_agreed(window: Window) -> None:
    """More than agreed would be paid from nowhere: the shortage is out of range."""
    street, ann = window.street, window.traders["ann"]
    first = ann.sales[0]
    more = replace(first, quantity=replace(first.quantity, amount=1300))
    data = settle_data(street, replace(ann, sales=[more, ann.sales[1]]), READINGS["ann"]).data
    with refused("NotInRange", what="energy"):
        send(street, ann.name, data)
    other = Sale(first.trade_id, first.tick, drawn("other", 1000, random_bytes("other")), first.key)
    data = settle_data(street, replace(ann, sales=[other, ann.sales[1]]), READINGS["ann"]).data
    with refused("NotInRange", what="energy"):
        send(street, ann.name, data)


def test_every_sale_that_was_allowed_is_settled_and_no_other(window: Window) -> None:
    street, ann, dan = window.street, window.traders["ann"], window.traders["dan"]
    for sales in ([], ann.sales[:1], [*ann.sales, dan.sales[0]]):
        data = settle_data(street, replace(ann, sales=list(sales)), READINGS["ann"]).data
        with refused("WrongLength", what="sales"):
            send(street, ann.name, data)
    (given,) = arguments("settle", settle_data(street, ann, READINGS["ann"]).data)
    changed = private_market.INTERFACE.call("settle", (*given[:4], given[4] + bytes(128), *given[5:]))
    with refused("WrongLength", what="sealings", length=512):
        send(street, ann.name, changed)


def test_a_buyer_counts_what_was_delivered_and_no_more(bought: Window) -> None:
    """Cat bought 400 Wh and got 300: neither energy nor money of the other hundred."""
    street, cat = bought.street, bought.traders["cat"]
    ((trade_id, purchase),) = cat.purchases.items()
    for lie in (
        Purchase(purchase.tick, purchase.quantity, purchase.quantity),
        Purchase(purchase.tick, purchase.quantity, NOTHING),
    ):
        data = settle_data(street, replace(cat, purchases={trade_id: lie}), READINGS["cat"]).data
        refused_somehow(street, cat.name, data)
    settle(street, cat, READINGS["cat"])


def test_a_balance_is_no_more_than_it_is(window: Window) -> None:
    street, fred = window.street, window.traders["fred"]
    richer = replace(fred, balance=replace(fred.balance, amount=2 * fred.balance.amount))
    with refused("NotInRange", what="balance"):
        send(street, fred.name, settle_data(street, richer, READINGS["fred"]).data)


def test_tariffs_are_those_of_the_window(window: Window) -> None:
    street, fred = window.street, window.traders["fred"]
    cheaper = replace(TARIFF, energy_microeur_per_kwh=69_000)
    with refused("NotTheSameAmount", what="owed to the operator"):
        send(street, fred.name, settle_data(street, fred, READINGS["fred"], tariff=cheaper).data)


def test_no_byte_of_a_settlement_can_be_another(window: Window) -> None:
    street, ann = window.street, window.traders["ann"]
    made = settle_data(street, ann, READINGS["ann"])
    (given,) = arguments("settle", made.data)
    for place, value in enumerate(given):
        for bent in mutations(value) if isinstance(value, bytes) else (1, 0x8000):
            changed = [*given[:place], bent, *given[place + 1 :]]
            refused_somehow(street, ann.name, private_market.INTERFACE.call("settle", tuple(changed)))
    assert street.view(private_market.balance_of(ann.session))[:33] == G.point_to_bytes(ann.balance.commitment)
    send(street, ann.name, made.data)


def test_every_point_is_one(window: Window) -> None:
    street, fred = window.street, window.traders["fred"]
    (given,) = arguments("settle", settle_data(street, fred, READINGS["fred"]).data)
    for at in range(0, 165, 33):
        for bad in (bytes(33), b"\4" + given[1][at + 1 : at + 33], b"\2" + b"\xff" * 32):
            residuals = given[1][:at] + bad + given[1][at + 33 :]
            with refused("NotPoints", what="residuals"):
                changed = (given[0], residuals, *given[2:])
                send(street, fred.name, private_market.INTERFACE.call("settle", changed))


# -- the operator


def owed_in(street: Street, window: int = WINDOW) -> int:
    """What the auditors find that a window owes the operator; from −16 euro on."""
    sealed = street.view(private_market.window_state(window)).sealed_total
    if not any(sealed):
        return 0
    points = [G.point_from_bytes_checked(sealed[at : at + 33]) for at in (0, 33)]
    parts = {at: G.multiply(SHARES[at - 1], points[0]) for at in (1, 2)}
    opened = open_together(G, Ciphertext(*points), parts)
    shifted = G.sum((opened, G.multiply(G.scalar(SHIFT), H)))
    found = find_amount(G, shifted, 1 << 29)
    assert found is not None
    return found - SHIFT


def give_part(street: Street, auditor: int, *, window: int = WINDOW) -> tuple[str, int, bytes, bytes]:
    """An auditor's part of the opening of a window's total."""
    sealed = street.view(private_market.window_state(window)).sealed_total
    request = private_market.request(CHAIN_ID, window)
    base = G.point_from_bytes_checked(sealed[:33])
    made = decrypt_partially(G, auditor, SHARES[auditor - 1], base, request, random_bytes("part"))
    return AUDITORS[auditor - 1], auditor, G.point_to_bytes(made.point), made.proof.to_bytes(G)


def test_the_total_is_opened_once_all_have_settled(bought: Window) -> None:
    street = bought.street
    with refused("SessionsOpen", window=WINDOW, open=4):
        send(street, "eve", private_market.give_part(WINDOW, 1, bytes(33), bytes(64)))
    with refused("SessionsOpen", open=4):
        send(street, "eve", private_market.pay_operator(WINDOW, 0, [1, 2]))
    with refused("WindowNotReady", window=WINDOW + 1):
        send(street, "eve", private_market.give_part(WINDOW + 1, 1, bytes(33), bytes(64)))
    bought.settle("bob", "cat", "eva", "fred")
    sender, auditor, part, proof = give_part(street, 1)
    for wrong, number in (("fay", 1), ("eve", 2), ("eve", 0), ("eve", 4), ("ann", 1)):
        with refused("NotAnAuditor"):
            send(street, wrong, private_market.give_part(WINDOW, number, part, proof))
    _, _, other, other_proof = give_part(street, 2)
    for bad_part, bad_proof in (
        (other, proof),
        (part, other_proof),
        *((bent, proof) for bent in mutations(part)),
        *((part, bent) for bent in mutations(proof)),
        (part + proof[:1], proof[1:]),
    ):
        with refused("InvalidOperatorPart", window=WINDOW, auditor=1):
            send(street, "eve", private_market.give_part(WINDOW, 1, bad_part, bad_proof))
    send(street, sender, private_market.give_part(WINDOW, auditor, part, proof))
    for by in ([1], [1, 2], [1, 1], [2, 1], [1, 2, 3]):
        with refused("NotEnoughParts", window=WINDOW, needed=2):
            send(street, "anyone", private_market.pay_operator(WINDOW, 0, by))
    sender, auditor, part, proof = give_part(street, 3)
    send(street, sender, private_market.give_part(WINDOW, auditor, part, proof))
    total = owed_in(street)
    for wrong_total in (total + 1, total - 1, 0, -total, -(1 << 63), (1 << 63) - 1):
        with refused("AnotherTotal", window=WINDOW, total_microeur=wrong_total):
            send(street, "anyone", private_market.pay_operator(WINDOW, wrong_total, [1, 3]))
