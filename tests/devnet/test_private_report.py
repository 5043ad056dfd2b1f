"""A private day's report, from events and books that are written down by hand: what adds up, and what does not."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from eth_keys.datatypes import PrivateKey
from rich.console import Console

from agents.chain import LoggedEvent
from agents.journal import JOURNAL_NAME, Journal, Quarter
from agents.private.session import open_session
from agents.wallet.keys import keys_of
from agents.wallet.wallet import OwnedNote, Wallet
from contracts.bindings.abi import Event
from contracts.bindings.private_market import (
    OperatorPaid,
    SessionForfeited,
    SessionFunded,
    SessionOffered,
    SessionSettled,
    Side,
    TradeAllocated,
    TradeAllowed,
    TradeDefaulted,
    TradeDelivered,
    WindowState,
)
from contracts.bindings.shielded_pool import Collected, Deposited, Released
from devnet.accounts import derived_key
from devnet.auditors import devnet_auditors
from devnet.layout import CHAIN_ID, Options, Place, write_devnet
from devnet.private_day import is_settled
from devnet.private_report import Books, PrivateDay, make_private_day, print_private_day
from devnet.private_street import PrivateChain, opener_of
from devnet.processes import DevnetError
from devnet.scenario import find_scenario, load_scenario
from devnet.street import read_household
from privacy.auditors import encrypt
from privacy.secp256k1 import SECP256K1
from tests.privacy.keys import secret

SELLER, BUYER, LATE = 0, 1, 2
WINDOW, NEXT = 1, 2  # of the day, and the one after it
TICK, ENERGY_WH, DELIVERED_WH = 180, 400, 300
BUDGET, FIRST = 2_000_000, 50_000_000
PRICE = TICK * DELIVERED_WH
OWED = -30_000  # the operator pays for what is fed in
KEYS = {SELLER: b"\2" + b"s" * 32, BUYER: b"\2" + b"b" * 32}
TRADE = b"t" * 32
NOTHING = bytes(66)


def opened(hidden: bytes) -> int:
    """What an amount that is not hidden at all holds."""
    return int.from_bytes(hidden, "big")


def amount(number: int) -> bytes:
    return number.to_bytes(8, "big")


def session(index: int, window: int = WINDOW) -> bytes:
    return open_session(PrivateKey(derived_key(f"household {index}")), CHAIN_ID, window).address


def opening(index: int, window: int) -> list[Event]:
    account = session(index, window)
    return [SessionOffered(window, account, bytes(32), Side.BUY, 0, bytes(33)), SessionFunded(window, account, b"")]


def day_events() -> list[Event]:
    """Household 0 sells to household 1; household 2 has a session of the next window, which is open."""
    seller, buyer = session(SELLER), session(BUYER)
    return [
        Deposited(bytes(20), 3 * FIRST),
        *opening(SELLER, WINDOW),
        *opening(BUYER, WINDOW),
        TradeAllocated(TRADE, WINDOW, buyer, seller, TICK, amount(ENERGY_WH)),
        TradeAllowed(TRADE, WINDOW, buyer, seller),
        TradeDelivered(TRADE, WINDOW, buyer, amount(DELIVERED_WH), b""),
        SessionSettled(WINDOW, seller, b"", 0, KEYS[SELLER]),
        SessionSettled(WINDOW, buyer, b"", 0, KEYS[BUYER]),
        OperatorPaid(WINDOW, OWED, (1, 2)),
        Collected(bytes(20), -OWED),
        *opening(LATE, NEXT),
    ]


STATES = {
    WINDOW: WindowState(True, 8, 0, True, OWED, NOTHING),
    NEXT: WindowState(False, 8, 1, False, 0, NOTHING),
}
NOTES = {SELLER: FIRST + PRICE - OWED, BUYER: FIRST - PRICE, LATE: FIRST - BUDGET}
PAYOUTS = {SELLER: BUDGET + PRICE - OWED, BUYER: BUDGET - PRICE}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path / "devnet", replace(load_scenario(find_scenario("short")), windows=2), Options())
    write_devnet(made)
    for index in range(made.count):
        journal = Journal(made.household(index) / JOURNAL_NAME)
        for number in range(8):
            quantities: dict[str, Any] = dict.fromkeys(
                ("load_wh", "pv_wh", "charged_wh", "discharged_wh", "import_wh", "export_wh", "soc_wh"), 0
            )
            journal.write(Quarter(quarter=number, window=number // 4, **quantities))
        journal.close()
    return made


def books(place: Place) -> list[Books]:
    """Wallets that know everything: what came back, and the rest in one note."""
    found = []
    for index in range(place.count):
        wallet = Wallet(keys_of(bytes([index + 1]) * 32), CHAIN_ID, 10**9)
        parts = {KEYS.get(index, b"\2" * 33): PAYOUTS.get(index, 0)}
        parts[b"\3" * 33] = NOTES.get(index, 0) - PAYOUTS.get(index, 0)
        wallet.notes = {
            at: OwnedNote(at, 1, key.hex(), "", "", held, "") for at, (key, held) in enumerate(parts.items())
        }
        budgets = {WINDOW: BUDGET} if index in KEYS else {NEXT: BUDGET}
        key = PrivateKey(derived_key(f"household {index}"))
        found.append(Books(key, read_household(place, index), budgets, wallet))
    return found


def chain(place: Place, events: list[Event] | None = None, **changed: Any) -> PrivateChain:
    made = PrivateChain(
        9,
        tuple(LoggedEvent(1, event) for event in (day_events() if events is None else events)),
        STATES,
        {session(LATE, NEXT): amount(BUDGET)},
        {each.account: 0 for each in books(place)},
        3 * FIRST - OWED,
    )
    return replace(made, **changed)


def made(place: Place, shown: PrivateChain, current: int = 3) -> PrivateDay:
    return make_private_day(place, shown, books(place), opened, current)


def printed(place: Place, day: PrivateDay) -> str:
    console = Console(file=io.StringIO(), width=150)
    print_private_day(console, day)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_day_adds_up_and_every_line_is_printed(place: Place) -> None:
    day = made(place, chain(place))
    assert (day.flow_difference, day.holding_difference, day.problems()) == (0, 0, [])
    text = printed(place, day)
    for line in (
        "contracts: 1 (00:0 01:1), 0 trades of nothing beside them",
        "distinct prices: 1 (18.0 to 18.0 ct/kWh)",
        "contracted 0.40 kWh, delivered 0.30 kWh",
        "sessions: 2 of 2 funded ones settled, 2 offered, 2 hours of 4 households; 0 trades in default, 0 sessions",
        "operator, by window: 01:-0.030 = -0.030 €",
        "pool 150030000 = deposits 150000000 - withdrawals 0 - released 0 + collected 30000 micro-euro, difference 0",
        "pool 150030000 = notes 148030000 + locked in open sessions 2000000 + operator's totals not paid yet 0 "
        "micro-euro, difference 0",
    ):
        assert line in text, text


def test_a_household_pays_what_it_locked_less_what_came_back(place: Place) -> None:
    seller, buyer, late, _ = made(place, chain(place)).households
    assert (seller.with_market, buyer.with_market, late.with_market) == (-PRICE + OWED, PRICE, 0)
    assert (seller.settled, late.settled) == (1, 0)
    assert (buyer.contracted_wh, buyer.delivered_wh, late.contracted_wh) == (ENERGY_WH, DELIVERED_WH, 0)
    assert (late.locked_microeur, late.now_microeur) == (BUDGET, FIRST)


def test_money_that_nobody_holds_is_a_problem(place: Place) -> None:
    day = made(place, chain(place, pool_microeur=3 * FIRST - OWED + 5))
    assert day.flow_difference == day.holding_difference == 5
    assert len(day.problems()) == 2
    assert "difference 5" in printed(place, day)


def test_a_window_that_is_over_and_not_settled_is_a_problem(place: Place) -> None:
    last = NEXT + 2 * place.scenario.schedule["settlement_deadline_windows"] + 3
    assert made(place, chain(place), current=last).late == ()
    day = made(place, chain(place), current=last + 1)
    assert day.late == (NEXT,)
    assert day.problems() == [f"windows not settled in time: {NEXT}"]


@pytest.mark.parametrize(
    ("gone", "held"),
    [
        (0, DELIVERED_WH - DELIVERED_WH),
        (1, TICK * (ENERGY_WH - DELIVERED_WH)),  # the buyer has not settled: what was short is still for it
        (3, TICK * ENERGY_WH),  # nobody has: the escrow is the seller's or the buyer's
        (4, 0),  # not allowed: without a penalty there is no bond
    ],
)
def test_what_a_trade_holds_is_locked_until_its_sides_have_settled(place: Place, gone: int, held: int) -> None:
    """`gone` of the day's last steps of the trade have not happened."""
    events = day_events()
    steps = [each for each in events if isinstance(each, TradeAllowed | TradeDelivered | SessionSettled)]
    left = [each for each in events if each not in steps[len(steps) - gone :] or gone == 0]
    open_ = [session(LATE, NEXT)]
    open_ += [session(BUYER)] if gone else []
    open_ += [session(SELLER)] if gone > 1 else []
    day = made(place, chain(place, left, balances=dict.fromkeys(open_, amount(7))))
    assert day.locked == 7 * len(open_) + held


def test_defaults_and_forfeits_are_counted_and_escrow_is_the_buyers(place: Place) -> None:
    seller, buyer = session(SELLER), session(BUYER)
    events = [each for each in day_events() if not isinstance(each, TradeDelivered | SessionSettled)]
    events += [TradeDefaulted(TRADE, WINDOW, buyer), SessionForfeited(WINDOW, seller)]
    day = made(place, chain(place, events, balances={buyer: amount(1)}))
    assert day.locked == 1 + TICK * ENERGY_WH
    assert day.forfeited == 1
    assert "1 trades in default, 1 sessions forfeited" in printed(place, day)


def test_a_total_that_is_not_paid_is_owed(place: Place) -> None:
    states = {**STATES, WINDOW: WindowState(True, 8, 0, False, 0, amount(123))}
    events = [each for each in day_events() if not isinstance(each, OperatorPaid | Collected)]
    events.append(Released(bytes(20), 0))
    day = made(place, chain(place, events, states=states))
    assert day.owed == {WINDOW: 123}


def test_a_window_is_settled_when_nothing_is_open_and_the_operator_is_paid() -> None:
    assert is_settled(WindowState(False, 0, 0, False, 0, NOTHING))  # nothing was ever locked
    assert is_settled(STATES[WINDOW])
    assert not is_settled(STATES[NEXT])
    assert not is_settled(WindowState(True, 8, 0, False, 0, b"\2" + bytes(65)))


@pytest.mark.parametrize("value", [0, 7, 70_000, -70_000])
def test_the_auditors_shares_open_an_amount(value: int) -> None:
    auditors = devnet_auditors(CHAIN_ID)
    sealed = encrypt(SECP256K1, auditors.joint_key, value, secret(f"rho {value}")).to_bytes(SECP256K1)
    assert opener_of(auditors)(bytes(33) + sealed) == value


def test_what_is_not_sealed_to_the_auditors_is_refused() -> None:
    auditors = devnet_auditors(CHAIN_ID)
    other = SECP256K1.multiply_generator(secret("another key"))
    sealed = encrypt(SECP256K1, other, 1, secret("rho")).to_bytes(SECP256K1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("devnet.private_street.BOUNDS", (1 << 8,))
        with pytest.raises(DevnetError, match="no amount below 256"):
            opener_of(auditors)(sealed)
