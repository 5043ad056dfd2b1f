"""A private window with real money: from deposits to notes and the operator, against the books of the open market."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from agents.market.settlement import GRID, OPERATOR, Contract, Registers, settle_window
from contracts import system
from contracts.bindings import fiat_token, private_market, shielded_pool
from contracts.bindings.market_types import Parameters
from contracts.bindings.private_market import OperatorPaid, Side
from contracts.bindings.shielded_pool import Collected, NoteMade, Released
from tests.contracts.private_street import (
    BUDGET,
    HOUSES,
    MARGIN,
    SIDES,
    TARIFF,
    WINDOW,
    Trader,
    Window,
    deliver,
    deposit,
    found_notes,
    founded,
    fund_from,
    hear,
    offer,
    send,
    settle,
    trade,
)
from tests.contracts.street import Street, account, refused
from tests.contracts.test_private_settlement import give_part, owed_in

DEPOSIT = 60_000_000
TRADES = (("ann", "bob", 1000, 200), ("ann", "cat", 400, 180), ("dan", "eva", 500, 190))
Readings = Mapping[str, tuple[int, int]]
SHORT: Readings = {  # ann is short for cat; eva uses less than dan delivers
    "ann": (50, 1300),
    "bob": (1200, 0),
    "cat": (500, 20),
    "dan": (0, 600),
    "eva": (420, 0),
    "fred": (250, 30),
    "gil": (99, 7),
}
SUNNY: Readings = dict.fromkeys(HOUSES, (0, 5000)) | {"bob": (1000, 0), "cat": (400, 0), "eva": (500, 0)}


def in_the_open(readings: Readings) -> int:
    """What the open market books for operator and grid together, without a penalty: here that is the buyer's."""
    contracts = [Contract(seller, buyer, energy_wh, 1000 * tick) for seller, buyer, energy_wh, tick in TRADES]
    registers = {house: Registers(*readings.get(house, (0, 0))) for house in HOUSES}
    books = settle_window(contracts, registers, TARIFF, Parameters(0, MARGIN, 10))
    return books.balance_microeur(GRID) + books.balance_microeur(OPERATOR)


def funded_window() -> Window:
    """All eight households have deposited, offered and funded their sessions from notes."""
    street = founded().fresh().fund(*HOUSES, "operator")
    for house in (*HOUSES, "operator"):
        street.send(house, system.FIAT_TOKEN, fiat_token.approve(system.SHIELDED_POOL))
    notes = {house: found_notes(house, deposit(street, house, [DEPOSIT - 1, 1])) for house in HOUSES}
    traders = {house: Trader(house) for house in HOUSES}
    for house, trader in traders.items():
        offer(street, trader, SIDES.get(house, Side.NONE))
        sent = fund_from(street, trader, notes[house])
        assert [note.opening.amount for note in found_notes(house, sent)] == [DEPOSIT - BUDGET, 0]
    return Window(street, traders, {})


def run(readings: Readings) -> tuple[Street, dict[str, int], int]:
    """Trade, deliver, settle; returns what each household's note holds, and what the operator is owed."""
    window = funded_window()
    street, traders = window.street, window.traders
    for seller, buyer, energy_wh, tick in TRADES:
        trade(street, traders[seller], traders[buyer], energy_wh, tick=tick)
    deliver(street, readings)
    paid = {}
    for house in ("ann", "dan", "bob", "cat", "eva", "fred", "gil", "hal"):
        made, sent = settle(street, traders[house], readings.get(house, (0, 0)))
        for other in traders.values():
            hear(sent, traders[house], other)
        (note,) = found_notes(house, sent)
        assert note.opening.amount == made.remainder.amount
        assert len(sent.all(NoteMade)) == 1
        paid[house] = note.opening.amount
    return street, paid, owed_in(street)


def pay(street: Street, total: int) -> OperatorPaid:
    """Let auditors 2 and 3 open the total, and anyone have it paid."""
    for auditor in (2, 3):
        sender, number, part, proof = give_part(street, auditor)
        send(street, sender, private_market.give_part(WINDOW, number, part, proof))
    sent = send(street, "anyone", private_market.pay_operator(WINDOW, total, [2, 3]))
    (moved,) = sent.all(Released) if total > 0 else sent.all(Collected)
    assert moved.amount == abs(total)
    return sent.only(OperatorPaid)


@pytest.mark.parametrize("readings", [SHORT, SUNNY], ids=["operator is paid", "operator pays"])
def test_households_and_operator_get_what_the_open_market_books(readings: Readings) -> None:
    street, paid, owed = run(readings)
    assert owed == in_the_open(readings)
    assert (owed > 0) == (readings is SHORT)
    assert sum(paid.values()) + owed == len(HOUSES) * BUDGET
    before = street.view(fiat_token.balance_of(account("operator")))
    assert pay(street, owed) == OperatorPaid(WINDOW, owed, (2, 3))
    assert street.view(fiat_token.balance_of(account("operator"))) == before + owed
    held = street.view(fiat_token.balance_of(system.SHIELDED_POOL))
    assert held == street.view(shielded_pool.balance()) == len(HOUSES) * DEPOSIT - owed
    state = street.view(private_market.window_state(WINDOW))
    assert (state.paid, state.total_microeur, state.open) == (True, owed, 0)
    with refused("OperatorPaidBefore", window=WINDOW):
        send(street, "anyone", private_market.pay_operator(WINDOW, owed, [2, 3]))


def test_each_household_gets_what_its_own_lines_say() -> None:
    """Ann is paid for what it delivered, and bears the penalty; cat buys from the grid what it did not get."""
    _, paid, _ = run(SHORT)
    change = {house: amount - BUDGET for house, amount in paid.items()}
    assert change == {
        "ann": 200 * 1000 + 180 * 300 - 20 * 100 - 287 * 50,
        "bob": -200 * 1000 - 287 * 200 - 30 * 1000,
        "cat": -180 * 300 + 20 * 100 - 287 * 200 - 30 * 300 + 123 * 20,
        "dan": 190 * 500 + 123 * 100,
        "eva": -190 * 500 - 30 * 420 + 123 * 80,
        "fred": -287 * 250 + 123 * 30,
        "gil": -287 * 99 + 123 * 7,
        "hal": 0,
    }
