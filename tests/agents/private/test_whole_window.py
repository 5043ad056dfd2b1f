"""Eight households trade a window in private, over the real contracts, from their registration to their settlement."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from agents.chain import Chain, Sender
from agents.clock import ChainClock, Segment, Windows
from agents.devices.sealing import MeterSeal
from agents.home import Home
from agents.journal import Journal, Line, PrivateClosed, Problem, Recorded, Skipped, read_journal
from agents.ledger import MarketView
from agents.messaging import AgentContainer
from agents.private.bill import WindowBill, window_bills
from agents.private.trading import WALLET_NAME, PrivateTrading, Surroundings
from agents.trading.concession import ConcessionStrategy
from agents.trading.plan import Demand, Supply, Trading, WindowPlan
from agents.trading.strategy import Limits
from agents.wallet import store
from contracts import system
from contracts.bindings import fiat_token, private_market, sealed_meters
from contracts.bindings.market_types import Parameters
from contracts.bindings.private_market import SessionState
from privacy.secp256k1 import SECP256K1
from tests.agents.private.evm_street import EvmChain, EvmSender
from tests.agents.private.warp import run, wall_ms
from tests.contracts.private_street import HOUSES, MARGIN, PENALTY, TARIFF
from tests.contracts.private_street import genesis as private_genesis
from tests.contracts.street import CHAIN_ID, HOUR_S, ZERO_S, Street, account, key

WINDOW, MONEY = 2, 50_000_000
SCALE = 300
WINDOWS = Windows(ZERO_S, HOUR_S, 900, 2700, 600, 4)
SELLS = Supply("surplus", 900, Limits(225_000, 160_000, 6))
BUYS = [Demand("own use", 400, Limits(160_000, 260_000, 5)), Demand("own use", 300, Limits(150_000, 250_000, 6))]
TRADING = Trading(BUYS[0].limits, SELLS.limits, None)
READS = {"ann": (0, 800), "bob": (450, 0), "cat": (250, 0)}  # of window 2: ann falls short, bob uses more, cat less


@dataclass
class Lines:
    """A container in whose place messages are handed over at once."""

    agents: dict[str, dict[str, Any]] = field(default_factory=dict)

    def container(self, number: int) -> Any:
        container = AgentContainer(("127.0.0.1", 9000 + number))
        container.deliver = self._deliver  # type: ignore[method-assign]
        self.agents[f"tcp://127.0.0.1:{9000 + number}"] = container._agents
        return container

    async def _deliver(self, endpoint: str, agent: str, content: dict[str, Any]) -> bool:
        self.agents[endpoint][agent].handle_message(content, {"peer": endpoint})
        return True


def plan_of(house: str, window: int) -> WindowPlan:
    """What a household wants: in window 2 ann sells to bob and cat, in all others nobody anything."""
    demands = (BUYS[("bob", "cat").index(house)],) if house in ("bob", "cat") and window == WINDOW else ()
    return WindowPlan(window, 400, 0, 0, demands, SELLS if house == "ann" and window == WINDOW else None)


def readings(house: str, window: int) -> dict[int, tuple[int, int]]:
    imported, exported = READS.get(house, (100, 0)) if window == WINDOW else (100, 0)
    rows = {4 * window + quarter: (imported // 4, exported // 4) for quarter in range(3)}
    return rows | {4 * window + 3: (imported - imported // 4 * 3, exported - exported // 4 * 3)}


class Day:
    """The households, their meters, and the operator that closes windows."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lines = Lines()

    async def play(self) -> EvmChain:
        clock = ChainClock([Segment(0, ZERO_S, SCALE)], wall_ms)
        self.chain = EvmChain(Street(private_genesis()), clock)
        for house in HOUSES:
            mint = fiat_token.mint(account(house), MONEY, house.encode().ljust(32, b"\0"))
            self.chain.send("issuer", system.FIAT_TOKEN, mint)
        async with asyncio.TaskGroup() as tasks:
            living = [tasks.create_task(self._live(number, house)) for number, house in enumerate(HOUSES)]
            metering = tasks.create_task(self._meter())
            await self._until_settled()
            for task in (*living, metering):
                task.cancel()
        return self.chain

    def lines(self, house: str) -> list[Line]:
        return list(read_journal(self._folder / house / "journal.jsonl"))

    def bill(self, house: str) -> list[WindowBill]:
        """The household's bill, from its journal and wallet and what everyone sees."""
        file = store.open_wallet_file(self._folder / house / WALLET_NAME, b"x")
        for logged in self.chain.logs:
            if logged.height > file.wallet.height:
                file.wallet.learn(logged.height, logged.event)
        joint = SECP256K1.point_from_bytes_checked(self.chain.street.view(sealed_meters.joint_key_of(WINDOW)))
        return window_bills(
            self.lines(house),
            self.chain.logs,
            file.wallet,
            key(house),
            {WINDOW: joint},
            lambda window: tuple(map(sum, zip(*readings(house, window).values(), strict=True))),  # type: ignore[arg-type, return-value]
            lambda _: TARIFF,
        )

    async def _until_settled(self) -> None:
        clock = self.chain.clock
        while clock.now_s() < WINDOWS.start_s(WINDOW + 2):
            await asyncio.sleep(0.5)
            (state,) = await self.chain.read(private_market.window_state(WINDOW))
            if state.prepared and not state.open:
                await asyncio.sleep(1.0)
                return

    async def _live(self, number: int, house: str) -> None:
        folder = self._folder / house
        home = self._home(number, house, folder)
        around = Surroundings(
            home=home,
            chain=cast(Chain, self.chain),
            sender=cast(Sender, EvmSender(self.chain, key(house))),
            key=key(house),
            seal=MeterSeal(key(f"{house}-meter"), CHAIN_ID),
            directory=folder,
            passphrase=b"x",
            plan=lambda window: self._plan(house, window),
            readings=lambda window: readings(house, window),
            changed=self.chain.changed,
            reply_timeout_s=360,
            trading=TRADING,
        )
        private = PrivateTrading(around, {})
        self.chain.listeners.append(private.learn)
        await private.run()

    async def _plan(self, house: str, window: int) -> WindowPlan:
        return plan_of(house, window)

    async def _meter(self) -> None:
        """Attest every window when it is over, and close it."""
        clock = self.chain.clock
        for window in range(1_000):
            await asyncio.sleep(clock.wall_until_s(WINDOWS.start_s(window + 1) + 5))
            (joint,) = await self.chain.read(sealed_meters.joint_key_of(window))
            for house in HOUSES:
                seal = MeterSeal(key(f"{house}-meter"), CHAIN_ID)
                point = SECP256K1.point_from_bytes_checked(joint)
                for quarter, (imported, exported) in readings(house, window).items():
                    sealed = [
                        seal.seal(point, quarter, energy, is_export=is_export)
                        for is_export, energy in ((False, imported), (True, exported))
                    ]
                    self.chain.send(f"{house}-meter", system.SEALED_METERS, sealed_meters.attest(quarter, *sealed))
            self.chain.send("anyone", system.SEALED_METERS, sealed_meters.close_window(window))

    def _home(self, number: int, house: str, folder: Path) -> Home:
        return Home(
            key=key(house),
            account=account(house),
            chain_id=CHAIN_ID,
            clock=self.chain.clock,
            windows=WINDOWS,
            tariffs=(TARIFF,),
            terms=Parameters(PENALTY, MARGIN, 10),
            strategy=ConcessionStrategy(),
            journal=Journal(folder / "journal.jsonl"),
            view=MarketView(),
            container=self._lines.container(number),
            neighbours=frozenset(),
        )


@pytest.fixture
def cheap_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(store.create_wallet_file.__kwdefaults__ or {}, "work_factor", 2)


def test_eight_households_trade_a_window_and_settle_it(tmp_path: Path, cheap_keys: None) -> None:
    day = Day(tmp_path)
    chain = run(day.play)
    states = {
        chain.street.view(private_market.session_of(address)).state
        for address in chain.street.view(private_market.sessions_of(WINDOW))
    }
    assert states == {SessionState.SETTLED}, chain.refusals
    sold = [line for line in day.lines("ann") if isinstance(line, Recorded)]
    assert sorted(line.energy_wh for line in sold) == [300, 400]
    for house in HOUSES:
        lines = day.lines(house)
        assert [line.outcome for line in lines if isinstance(line, PrivateClosed)] == ["settled"]
        assert not [line for line in lines if isinstance(line, (Problem, Skipped))]
    bills = {house: day.bill(house) for house in HOUSES}
    assert [each.window for each in bills["ann"]] == [WINDOW]
    (ann,), (bob,), (cat,), (dan,) = (bills[house] for house in ("ann", "bob", "cat", "dan"))
    agreed = {line.energy_wh: line.price_microeur_per_kwh for line in sold}
    assert (ann.sold_wh, ann.bought_wh, ann.fed_in_wh) == (700, 0, 100)
    assert (bob.bought_wh, bob.grid_wh) == (400, 50)
    assert (cat.bought_wh, cat.grid_wh, cat.fed_in_wh) == (300, 0, 50)
    assert (dan.bought_wh, dan.grid_wh) == (0, 100)
    assert ann.contracts_microeur == -(400 * agreed[400] + 300 * agreed[300]) // 1_000
    assert bob.contracts_microeur == 400 * agreed[400] // 1_000
    for (each,) in bills.values():  # what was locked and did not come back is made up of its parts, to the micro-euro
        assert each.penalties_microeur == 0
        assert each.paid_microeur == each.contracts_microeur + each.grid_microeur != 0
