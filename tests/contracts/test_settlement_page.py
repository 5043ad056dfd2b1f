"""docs/settlement.md, read and settled: every number of its tables comes out of the contracts to the micro-euro."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from contracts import system
from contracts.bindings import market
from contracts.bindings.market_types import Cash, Tariff, TransactionMade
from tests.contracts.street import CLOSE_S, SHARED, Street, account, cash_of, genesis

PAGE = (Path(__file__).parents[2] / "docs" / "settlement.md").read_text(encoding="utf-8")
CASES = ("seller short", "seller long", "buyer short", "buyer long")


def section(title: str) -> str:
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def rows(text: str, columns: int) -> list[list[str]]:
    """The rows of the section's tables of so many columns, without their heads."""
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return [row for row in table if len(row) == columns and row[0] not in ("case", "line") and row[0][:3] != "---"]


def number(text: str) -> int:
    return int(text.replace(",", "").replace("−", "-"))


def pairs(lines: list[Cash], names: dict[bytes, str]) -> list[tuple[str, str, str, int]]:
    """The lines two by two: kind, payer, payee, amount."""
    found = []
    for payer, payee in zip(lines[::2], lines[1::2], strict=True):
        assert (payer.kind, payer.amount_microeur) == (payee.kind, -payee.amount_microeur)
        found.append((payer.kind.name, names[payer.party], names[payee.party], payee.amount_microeur))
    return found


FOUR = section("The four deviations, in numbers")
TWO = section("Two contracts, a shortage, a penalty and local charges")


@pytest.fixture(scope="module")
def founded_four() -> Street:
    return Street(genesis((SHARED,), margin=10_000))


def test_the_page_has_the_four_cases() -> None:
    assert tuple(row[0] for row in rows(FOUR, 8)) == CASES


@pytest.mark.parametrize("case", CASES)
def test_a_deviation_settles_as_the_page_says(founded_four: Street, case: str) -> None:
    (summary,) = [row for row in rows(FOUR, 8) if row[0] == case]
    exported, imported, delivered, *totals = (number(cell) for cell in summary[1:])
    street = founded_four.fresh().fund()
    trade_id = street.contract(1, "ann", "bob", 1000, 200_000)
    street.at(2)
    street.attest("ann", 1, exported=exported)
    street.attest("bob", 1, imported=imported)
    sent = street.market("operator", market.make_transaction(trade_id))
    assert sent.only(TransactionMade).delivered_wh == delivered
    lines = sent.all(Cash) + street.settle(1, [], ("ann", "bob"))

    parties = [account("ann"), account("bob"), account("operator"), system.GRID]
    assert [cash_of(lines, party) for party in parties] == totals
    assert sum(totals) == 0
    names = dict(zip(parties, ("seller", "buyer", "operator", "grid"), strict=True))
    written = [(row[1], row[2], row[3], number(row[4])) for row in rows(FOUR, 6) if row[0] == case]
    assert pairs(lines, names) == written
    assert street.books_hold()


def test_every_how_on_the_page_multiplies_to_its_amount() -> None:
    checked = 0
    for row in rows(FOUR, 6) + rows(TWO, 5):
        left, right = (number(part) for part in row[-1].split("×"))
        assert left * right == number(row[-2])
        checked += 1
    assert checked == 17


def test_two_contracts_settle_as_the_page_says() -> None:
    tariff = Tariff(0, 70_000, 67_000, 150_000, 30_000, 123_000)
    street = Street(genesis((tariff,), penalty=20_000, margin=10_000)).fund()
    offer_id = street.offer("ann", 1, 1000, 180_000)
    trades = []
    for buyer, energy_wh, price in (("bob", 600, 200_000), ("cat", 400, 180_000)):
        terms = street.terms(1, "ann", buyer, energy_wh, price)
        trades.append(street.allocate(offer_id, terms, "ann", buyer))
    street.at(0, CLOSE_S)
    for buyer, trade_id in zip(("bob", "cat"), trades, strict=True):
        street.market(buyer, market.allow_transaction(trade_id))
    street.at(2)
    street.attest("ann", 1, exported=700)
    street.attest("bob", 1, imported=600)
    street.attest("cat", 1, imported=400)
    lines = street.settle(1, trades, ("ann", "bob", "cat"))

    parties = [account("ann"), account("bob"), account("cat"), account("operator"), system.GRID]
    names = dict(zip(parties, ("seller", "first", "second", "operator", "grid"), strict=True))
    assert pairs(lines, names) == [(row[0], row[1], row[2], number(row[3])) for row in rows(TWO, 5)]
    totals = re.search(r"Seller (\S+), first buyer (\S+), second buyer (\S+), operator (\S+), grid (\S+): sum 0", TWO)
    assert totals is not None
    assert [cash_of(lines, party) for party in parties] == [number(text) for text in totals.groups()]
    assert [trade.delivered_wh for trade in street.view(market.get_trades(1)).trades] == [600, 100]
    assert street.books_hold()
