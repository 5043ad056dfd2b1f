from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from agents.market.settlement import GRID, OPERATOR, Contract, Registers, settle_window
from agents.market.tariff import why_no_trade
from contracts import system
from contracts.bindings.market_types import CashKind, Parameters
from contracts.tariffs import PRESETS
from tests.contracts.street import SHARED, Street, account, by_kind, genesis

HOUSES = ("ann", "bob", "cat", "dan")
TERMS = Parameters(7_000, 10_000, 10)
ENERGY = st.integers(0, 3_000)
CONTRACTS = st.lists(
    st.tuples(st.permutations(HOUSES), st.integers(10, 2_000), st.integers(123, 287)).map(
        lambda row: Contract(row[0][0], row[0][1], row[1], row[2] * 1000)
    ),
    max_size=6,
)
READINGS = st.fixed_dictionaries({house: st.builds(Registers, ENERGY, ENERGY) for house in HOUSES})


@given(CONTRACTS, READINGS)
def test_every_settlement_adds_up_to_zero(contracts: list[Contract], readings: dict[str, Registers]) -> None:
    books = settle_window(contracts, readings, PRESETS["shared-connection"], TERMS)
    assert sum(line.amount_microeur for line in books.lines) == 0
    assert all(0 <= wh <= c.energy_wh for wh, c in zip(books.delivered_wh, contracts, strict=True))


@given(READINGS)
def test_without_contracts_it_is_retail_and_feed_in(readings: dict[str, Registers]) -> None:
    tariff = PRESETS["shared-connection"]
    books = settle_window([], readings, tariff, TERMS)
    for house, registers in readings.items():
        assert books.balance_microeur(house) == 123 * registers.export_wh - 287 * registers.import_wh
    assert books.balance_microeur(OPERATOR) == 10 * sum(r.import_wh for r in readings.values())


@settings(max_examples=5, deadline=None)
@given(
    st.lists(st.tuples(st.permutations(HOUSES), st.integers(10, 2_000), st.integers(123, 287)), min_size=1, max_size=3),
    READINGS,
)
def test_it_books_what_the_contract_books(
    rows: list[tuple[list[str], int, int]], readings: dict[str, Registers]
) -> None:
    street = _founded().fresh().fund()
    contracts, trades = [], []
    for nonce, (houses, energy_wh, tick) in enumerate(rows):
        contracts.append(Contract(houses[0], houses[1], energy_wh, tick * 1000))
        trades.append(street.contract(1, houses[0], houses[1], energy_wh, tick * 1000, nonce))
    street.at(2)
    for house, registers in readings.items():
        street.attest(house, 1, imported=registers.import_wh, exported=registers.export_wh)
    lines = street.settle(1, trades, HOUSES)
    books = settle_window(contracts, readings, SHARED, TERMS)
    parties = {house: account(house) for house in HOUSES} | {GRID: system.GRID, OPERATOR: account("operator")}
    for name, address in parties.items():
        ours: dict[CashKind, int] = {}
        for line in books.lines:
            if line.party == name:
                ours[line.kind] = ours.get(line.kind, 0) + line.amount_microeur
        assert ours == by_kind(lines, address)


_STREETS: list[Street] = []


def _founded() -> Street:
    if not _STREETS:
        _STREETS.append(Street(genesis(penalty=7_000, margin=10_000)))
    return _STREETS[0]


def test_the_presets_add_up_to_retail() -> None:
    for tariff in PRESETS.values():
        assert tariff.retail_microeur_per_kwh == 287_000
        assert tariff.feed_in_microeur_per_kwh == 123_000
    assert why_no_trade(PRESETS["shared-connection"]) is None
    reason = why_no_trade(PRESETS["public-grid"])
    assert reason is not None
    assert "at most 71000" in reason
    assert "123000 (feed-in)" in reason
