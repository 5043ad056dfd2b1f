"""A private window from offer to settlement, by households that are killed at any point and started again."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from eth_keys.datatypes import PrivateKey

from agents.clock import ChainClock, Segment, Windows
from agents.home import Home
from agents.journal import Journal, Line, PrivateClosed, PrivateSent, Recorded, Skipped, read_journal
from agents.ledger import MarketView
from agents.market.mechanism import Terms
from agents.messaging import AgentContainer
from agents.private.memory import WindowMemory, remember_windows
from agents.private.outbox import Outbox
from agents.private.session import PublicSession, open_session
from agents.private.street import TradeShown, make_deal
from agents.private.window import Means, PrivateWindow, budget_microeur
from agents.trading.concession import ConcessionStrategy
from agents.trading.plan import Demand, Supply, Trading, WindowPlan
from agents.trading.strategy import Limits
from contracts.bindings.market_types import Parameters
from contracts.bindings.private_market import MAX_SALES, SessionState, Side, TradeState, cover_number
from contracts.tariffs import PRESETS
from tests.agents.private.fake_street import JOINT_KEY, FakeScribe, FakeStreet
from tests.agents.private.warp import run, wall_ms
from tests.agents.private.wires import Wires

CHAIN_ID, WINDOW, MONEY = 2016, 8, 50_000_000
WINDOWS = Windows(0, 3600, 900, 2400, 1200, 4)
START_S = WINDOWS.start_s(WINDOW - 1)
SELLER = WindowPlan(WINDOW, 200, 1_100, 0, (), Supply("surplus", 900, Limits(225_000, 140_000, 6)))
BUYERS = [
    WindowPlan(WINDOW, 400, 0, 0, (Demand("own use", 400, limits),), None)
    for limits in (Limits(140_000, 260_000, 5), Limits(130_000, 240_000, 6))
]
IDLE = WindowPlan(WINDOW, 300, 300, 0, (), None)
TRADING = Trading(Limits(140_000, 260_000, 5), Limits(225_000, 140_000, 6), None)  # the first buyer's, the seller's
PLANS = [SELLER, *BUYERS, IDLE]
AGREED = [(400, 174_000), (400, 191_000)]  # as tests/agents/private/test_negotiation.py has it by hand


class Killed(BaseException):
    """The household's process ended here."""


class MortalJournal(Journal):
    """A journal whose household is killed at one of its lines: before it is written, or right after."""

    def __init__(self, path: Path, last: int | None, *, written: bool) -> None:
        super().__init__(path)
        self._last = last
        self._written = written
        self._count = 0
        self.dead = asyncio.Event()

    def write(self, line: Line, *, durable: bool = False) -> None:
        if self.dead.is_set():
            raise Killed
        self._count += 1
        if self._count == self._last:
            self.dead.set()
            if self._written:
                super().write(line, durable=durable)
            raise Killed
        super().write(line, durable=durable)


@dataclass
class Scene:
    """Four members and their window; `kill` says who is killed at which line, and whether that is written."""

    folder: Path
    kill: tuple[int, int, bool] | None = None
    for_good: bool = False
    operator_closes: bool = True
    wires: Wires = field(default_factory=lambda: Wires(len(PLANS)))

    async def play(self) -> FakeStreet:
        asyncio.get_running_loop().set_exception_handler(_but_for_the_killed)
        clock = ChainClock([Segment(0, START_S, 300)], wall_ms)
        wallets = dict.fromkeys(range(len(PLANS)), MONEY)
        self.street = FakeStreet(clock, WINDOWS, wallets, operator_closes=self.operator_closes)
        for agent in self.wires.agents:
            agent._submit = self.street.submit
            agent._pause = self._pause
        await asyncio.gather(*(self._live(number) for number in range(len(PLANS))))
        return self.street

    def lines(self, number: int) -> list[Line]:
        return list(read_journal(self.folder / f"{number}.jsonl"))

    async def _pause(self, chain_s: float) -> None:
        await asyncio.sleep(chain_s / 300)

    async def _live(self, number: int) -> None:
        """Run a household's window; if it is killed, start it again from its journal."""
        killed = self.kill is not None and self.kill[0] == number
        _, last, written = self.kill if self.kill and killed else (0, None, False)
        while True:
            journal = MortalJournal(self.folder / f"{number}.jsonl", last, written=written)
            life = asyncio.create_task(self._one_life(number, journal))
            death = asyncio.create_task(journal.dead.wait())
            await asyncio.wait([life, death], return_when=asyncio.FIRST_COMPLETED)
            if not journal.dead.is_set():
                death.cancel()
                journal.close()
                return await life
            life.cancel()
            await asyncio.gather(life, return_exceptions=True)
            self.wires.mails[number].close_session(WINDOW)
            journal.close()
            if self.for_good:
                return None
            last = None
            await asyncio.sleep(0.2)

    async def _one_life(self, number: int, journal: Journal) -> None:
        memory = remember_windows(read_journal(journal.path)).get(WINDOW, WindowMemory())
        if memory.closed:
            return
        home = self._home(number, journal)
        means = Means(
            home=home,
            street=self.street,
            scribe=FakeScribe(number, self.street),
            post=self.wires.post(number),
            outbox=Outbox(home, self.wires.post(number), self.street, self.street.changed),
            mail=self.wires.mails[number],
            changed=self.street.changed,
            reply_timeout_s=360,
            trading=TRADING,
        )
        window = PrivateWindow(means, open_session(home.key, CHAIN_ID, WINDOW), memory)
        if home.clock.now_s() < WINDOWS.start_s(WINDOW):
            await window.trade(PLANS[number])
        await window.settle()

    def _home(self, number: int, journal: Journal) -> Home:
        key = PrivateKey(bytes([number + 1]) * 32)
        return Home(
            key=key,
            account=key.public_key.to_canonical_address(),
            chain_id=CHAIN_ID,
            clock=self.street.clock,
            windows=WINDOWS,
            tariffs=(PRESETS["shared-connection"],),
            terms=Parameters(0, 0, 10),
            strategy=ConcessionStrategy(),
            journal=journal,
            view=MarketView(),
            container=AgentContainer(("127.0.0.1", 0)),
            neighbours=frozenset(),
        )


def _but_for_the_killed(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    if not isinstance(context.get("exception"), Killed):
        loop.default_exception_handler(context)


def play(scene: Scene) -> FakeStreet:
    return run(scene.play)


def traded(street: FakeStreet) -> list[tuple[int, int]]:
    return sorted((terms.energy_wh, terms.price) for terms in street.terms.values() if terms.energy_wh)


def covers(street: FakeStreet) -> list[TradeShown]:
    return [trade for trade in street.window[WINDOW].trades if not street.terms[trade.trade_id].energy_wh]


def states(street: FakeStreet) -> set[SessionState]:
    return {session.state for session in street.window[WINDOW].sessions}


def test_a_window_is_traded_and_settled(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    street = play(scene)
    assert traded(street) == AGREED
    assert len(street.terms) == len(covers(street)) + len(AGREED) == MAX_SALES
    assert states(street) == {SessionState.SETTLED}
    assert len(street.window[WINDOW].sessions) == len(PLANS)
    assert {trade.state for trade in street.window[WINDOW].trades} == {TradeState.DELIVERED}
    assert (street.money, street.locked) == (MONEY * len(PLANS), {})
    paid = {number: MONEY - money for number, money in street.wallets.items()}
    assert paid == {0: -146_000, 1: 76_400, 2: 69_600, 3: 0}
    for number in range(len(PLANS)):
        lines = scene.lines(number)
        assert [line.outcome for line in lines if isinstance(line, PrivateClosed)] == ["settled"]
        assert not [line for line in lines if isinstance(line, Skipped)]
    recorded = [line for line in scene.lines(0) if isinstance(line, Recorded)]
    assert sorted((line.energy_wh, line.price_microeur_per_kwh) for line in recorded) == AGREED
    assert set(street.refusals) <= {"prepared before"}


def lines_of_a_life(number: int) -> int:
    """How many lines a household writes that nobody kills, and one more."""
    return {0: 21, 1: 15, 3: 7}[number]


@pytest.mark.parametrize("written", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("number", "last"), [(number, last + 1) for number in (0, 1, 3) for last in range(lines_of_a_life(number))]
)
def test_a_household_killed_at_any_line_loses_nothing(tmp_path: Path, number: int, last: int, written: bool) -> None:
    scene = Scene(tmp_path, kill=(number, last, written))
    street = play(scene)
    assert street.money == MONEY * len(PLANS)
    assert street.locked == {}, "what was locked is settled"
    assert len(street.funds) == len(set(street.funds)), "a session is funded once"
    assert states(street) <= {SessionState.SETTLED, SessionState.OFFERED}
    assert {trade.state for trade in street.window[WINDOW].trades} <= {TradeState.DELIVERED, TradeState.ALLOCATED}
    assert set(traded(street)) <= {*AGREED, (100, 191_000), (100, 174_000)}
    assert len(street.terms) <= MAX_SALES
    for member in range(len(PLANS)):
        assert [line for line in scene.lines(member) if isinstance(line, PrivateClosed)]
        sent = [line for line in scene.lines(member) if isinstance(line, PrivateSent)]
        assert len({line.transaction for line in sent if line.step == "fund"}) <= 1
        recorded = [line.trade for line in scene.lines(member) if isinstance(line, Recorded)]
        assert len(recorded) == len(set(recorded)), "a trade is news once"


def test_a_window_has_as_many_sales_of_each_seller_and_only_real_ones_are_written_down(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    street = play(scene)
    assert len(covers(street)) == MAX_SALES - len(AGREED)
    assert {trade.state for trade in covers(street)} == {TradeState.DELIVERED}
    prices = [street.terms[trade.trade_id].price for trade in covers(street)]
    assert all(130_000 <= price <= 225_000 for price in prices), "between offers of two policies"
    steps = [line.step.split()[0] for line in scene.lines(0) if isinstance(line, PrivateSent)]
    assert Counter(steps)["allocate"] == len(AGREED)
    assert Counter(steps)["cover"] == len(covers(street))
    numbers = {"0x" + trade.trade_id.hex() for trade in covers(street)}
    for number in range(len(PLANS)):
        told = [line for line in scene.lines(number) if not isinstance(line, PrivateSent)]
        assert not any(trade in repr(told) for trade in numbers)


@pytest.mark.parametrize("written", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("last", range(10, 17))
def test_a_seller_killed_while_it_records_makes_no_cover_twice(tmp_path: Path, last: int, written: bool) -> None:
    scene = Scene(tmp_path, kill=(0, last, written))
    street = play(scene)
    assert traded(street) == AGREED
    assert len(street.terms) == MAX_SALES
    assert {trade.state for trade in street.window[WINDOW].trades} == {TradeState.DELIVERED}
    assert not set(street.refusals) - {"prepared before"}


def test_a_buyer_ignores_what_looks_like_a_cover_and_is_not_of_nothing(tmp_path: Path) -> None:
    seller, buyer = (open_session(PrivateKey(bytes([number + 1]) * 32), CHAIN_ID, WINDOW) for number in (0, 1))

    async def scenario() -> tuple[FakeStreet, list[bytes]]:
        scene = Scene(tmp_path)
        playing = asyncio.create_task(scene.play())
        await asyncio.sleep(2_430 / 300)
        public = PublicSession(buyer.address, buyer.contact_key, 140_000)
        number = cover_number(CHAIN_ID, WINDOW, seller.address, buyer.address, 5)
        forged = [
            make_deal(CHAIN_ID, JOINT_KEY, seller, public, agreement, Terms(energy_wh, 191_000), Side.SELL)
            for agreement, energy_wh in ((number, 1), (bytes(32), 0))
        ]
        for deal in forged:
            trade, to, energy_wh = deal.trade_id.hex(), buyer.address.hex(), deal.terms.energy_wh
            scene.street._allocate(seller.address, WINDOW, trade, to, energy_wh, 191_000)
        return await playing, [deal.trade_id for deal in forged]

    street, forged = run(scenario)
    found = {trade.trade_id: trade.state for trade in street.window[WINDOW].trades}
    assert {found.pop(trade) for trade in forged} == {TradeState.ALLOCATED}
    assert street.wallets[1] == MONEY - 76_400


def test_an_operator_that_does_not_close_the_window_makes_no_seller_late(tmp_path: Path) -> None:
    street = play(Scene(tmp_path, operator_closes=False))
    assert WINDOW in street.closed
    assert states(street) == {SessionState.SETTLED}
    assert {trade.state for trade in street.window[WINDOW].trades} == {TradeState.DELIVERED}
    assert set(street.refusals) <= {"prepared before", "closed before"}


def test_a_buyer_gets_its_escrow_back_from_a_seller_that_never_returns(tmp_path: Path) -> None:
    def is_recorded(line: Line) -> bool:
        return isinstance(line, Recorded)

    last = next(i for i, line in enumerate(baseline(tmp_path / "whole", 0), start=1) if is_recorded(line))
    (tmp_path / "killed").mkdir()
    scene = Scene(tmp_path / "killed", kill=(0, last, True), for_good=True)
    street = play(scene)
    assert TradeState.DEFAULTED in {trade.state for trade in street.window[WINDOW].trades}
    assert {number: street.wallets[number] for number in (1, 2, 3)} == {1: MONEY, 2: MONEY, 3: MONEY}
    assert list(street.locked.values()) == [MONEY - street.wallets[0]]


def baseline(folder: Path, number: int) -> list[Line]:
    folder.mkdir()
    scene = Scene(folder)
    play(scene)
    return scene.lines(number)


def test_who_has_too_little_money_says_that_it_wants_nothing(tmp_path: Path) -> None:
    async def scenario() -> FakeStreet:
        scene = Scene(tmp_path)
        playing = asyncio.create_task(scene.play())
        await asyncio.sleep(0)
        scene.street.wallets[1] = 1_000
        scene.street.wallets[2] = 0
        return await playing

    street = run(scenario)
    sessions = {street.owners[each.public.address]: each for each in street.window[WINDOW].sessions}
    assert {number: (each.side, each.state) for number, each in sessions.items()} == {
        0: (Side.SELL, SessionState.SETTLED),
        1: (Side.NONE, SessionState.SETTLED),
        2: (Side.NONE, SessionState.OFFERED),
        3: (Side.NONE, SessionState.SETTLED),
    }
    assert (traded(street), street.locked) == ([], {})
    skipped = [line.reason for line in read_journal(tmp_path / "1.jsonl") if isinstance(line, Skipped)]
    assert skipped == [f"a budget of {(3_000 + 3 * 400) * 287 + 400 * 260} micro-euro: 1000 can be locked"]


def test_a_budget_covers_what_may_be_owed(tmp_path: Path) -> None:
    async def scenario() -> list[int]:
        scene = Scene(tmp_path)
        scene.street = FakeStreet(ChainClock([Segment(0, START_S, 300)], wall_ms), WINDOWS, {})
        home = scene._home(0, Journal(tmp_path / "journal.jsonl"))
        return [budget_microeur(home, plan) for plan in (IDLE, BUYERS[0], SELLER)]

    grid = 3_000 * 287
    assert run(scenario) == [grid, grid + 3 * 400 * 287 + 400 * 260, grid]
