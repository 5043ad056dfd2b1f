"""Whatever was contracted and metered: lines sum to zero, no energy token stays, books hold, bills are the rule's."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import system
from contracts.bindings import market
from contracts.bindings.market_types import Cash, Tariff
from tests.contracts.street import HOUSES, Street, account, cash_of, genesis

RETAIL, FEED_IN, LOCAL, PENALTY, MARGIN = 287, 123, 20, 15, 10  # micro-euro per Wh
TARIFF = Tariff(0, 70_000, 67_000, 150_000, LOCAL * 1000, FEED_IN * 1000)
FOUNDED = Street(genesis((TARIFF,), penalty=PENALTY * 1000, margin=MARGIN * 1000))
WALLET_EURO = 1  # little enough that debts happen

energies_wh = st.integers(10, 3000)
readings_wh = st.integers(0, 5000)


@dataclass(frozen=True, slots=True)
class Agreed:
    """A contract of the test: price in micro-euro per Wh."""

    seller: str
    buyer: str
    energy_wh: int
    price: int
    allowed: bool


@st.composite
def contracts(draw: st.DrawFn) -> list[Agreed]:
    agreed = []
    for _ in range(draw(st.integers(0, 5))):
        seller, buyer = draw(st.permutations(HOUSES))[:2]
        price = draw(st.integers(FEED_IN, RETAIL - LOCAL))
        agreed.append(Agreed(seller, buyer, draw(energies_wh), price, draw(st.booleans())))
    return agreed


def filled(reading_wh: int, before_wh: int, energy_wh: int) -> int:
    return max(0, min(energy_wh, reading_wh - before_wh))


def expected_cash(deals: list[Agreed], exports: dict[str, int], imports: dict[str, int]) -> dict[bytes, int]:
    """The rule of docs/settlement.md, written down a second time."""
    cash = dict.fromkeys([*(account(house) for house in HOUSES), account("operator"), system.GRID], 0)
    sold, bought = dict.fromkeys(HOUSES, 0), dict.fromkeys(HOUSES, 0)

    def move(payer: bytes, payee: bytes, amount: int) -> None:
        cash[payer] -= amount
        cash[payee] += amount

    for deal in deals:
        seller, buyer = account(deal.seller), account(deal.buyer)
        e = filled(exports[deal.seller], sold[deal.seller], deal.energy_wh)
        m = filled(imports[deal.buyer], bought[deal.buyer], deal.energy_wh)
        sold[deal.seller] += deal.energy_wh
        bought[deal.buyer] += deal.energy_wh
        move(buyer, seller, deal.price * deal.energy_wh)
        move(seller, system.GRID, (RETAIL - MARGIN) * (deal.energy_wh - e))
        move(seller, account("operator"), (MARGIN + PENALTY) * (deal.energy_wh - e))
        move(system.GRID, buyer, FEED_IN * (deal.energy_wh - m))
        move(buyer, system.GRID, LOCAL * min(e, m))
    for house in HOUSES:
        purchase = max(0, imports[house] - bought[house])
        move(system.GRID, account(house), FEED_IN * max(0, exports[house] - sold[house]))
        move(account(house), system.GRID, (RETAIL - MARGIN) * purchase)
        move(account(house), account("operator"), MARGIN * purchase)
    return cash


def trade(street: Street, wishes: list[Agreed]) -> tuple[list[Agreed], list[bytes]]:
    """Try all contracts; return those that bind, in the order recorded (a household may lack the funds)."""
    bound, numbers = [], []
    for i, deal in enumerate(wishes):
        required = (RETAIL - deal.price + PENALTY) * deal.energy_wh
        if street.view(market.available_to(account(deal.seller))) < required:
            continue
        offer_id = street.offer(deal.seller, 1, deal.energy_wh, deal.price * 1000)
        terms = street.terms(1, deal.seller, deal.buyer, deal.energy_wh, deal.price * 1000, i)
        trade_id = street.allocate(offer_id, terms, deal.seller, deal.buyer)
        escrow = deal.price * deal.energy_wh
        if deal.allowed and street.view(market.available_to(account(deal.buyer))) >= escrow:
            street.market(deal.buyer, market.allow_transaction(trade_id))
            bound.append(deal)
            numbers.append(trade_id)
    return bound, numbers


@settings(max_examples=60, deadline=None)
@given(
    wishes=contracts(),
    exports=st.fixed_dictionaries(dict.fromkeys(HOUSES, readings_wh)),
    imports=st.fixed_dictionaries(dict.fromkeys(HOUSES, readings_wh)),
    order=st.randoms(use_true_random=False),
)
def test_cash_sums_to_zero_and_no_token_stays(
    wishes: list[Agreed], exports: dict[str, int], imports: dict[str, int], order: object
) -> None:
    street = FOUNDED.fresh().fund(euro=WALLET_EURO)
    bound, numbers = trade(street, wishes)
    assert street.books_hold()
    street.at(2)
    for house in HOUSES:
        street.attest(house, 1, imported=imports[house], exported=exports[house])
    calls = [market.make_transaction(number) for number in numbers]
    calls += [market.settle_window(1, account(house)) for house in HOUSES]
    order.shuffle(calls)  # type: ignore[attr-defined]
    lines: list[Cash] = []
    for call in calls:
        settled = street.market("eve", call).all(Cash)
        assert sum(line.amount_microeur for line in settled) == 0
        assert street.books_hold()
        lines += settled
    assert street.view(market.locked_microeur()) == 0
    expected = expected_cash(bound, exports, imports)
    assert {party: cash_of(lines, party) for party in expected} == expected
