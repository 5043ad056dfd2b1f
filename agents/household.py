"""A household: one container with its meter, sun, battery, buyer and seller agents, beside its own node.

It keeps its cadence by the chain clock: quarters are read and attested as they end, every window is traded in the
window before it. What comes too late is left out and noted; what fails is noted and tried again with the next window.
Killed and started again it continues from the chain and its journal.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from agents.chain import RETRY_S, Call, Chain, NodeError, NodeUnreachable, Sender
from agents.clock import ChainClock, Windows
from agents.configuration import HouseholdConfig
from agents.devices.agents import BatteryAgent, MeterAgent, PvAgent
from agents.devices.attesting import OpenAttester, SealedAttester
from agents.devices.load import Load
from agents.devices.meter import Reading
from agents.devices.pv import Pv
from agents.devices.sealing import MeterSeal
from agents.devices.wire import Wire
from agents.errors import AgentError
from agents.follower import Follower
from agents.forecast import make_forecaster
from agents.home import Home, hexed
from agents.journal import JOURNAL_NAME, Forecast, Journal, Recorded, Settled, Skipped, Started, Window, read_journal
from agents.keys import load_key, read_passphrase
from agents.ledger import KEPT_WINDOWS, MarketView
from agents.market.ontology import ONTOLOGY
from agents.messaging import AgentContainer, endpoint_text
from agents.private.memory import remember_windows
from agents.private.trading import PrivateTrading, Surroundings
from agents.profiles import QUARTER_S, DataDirectory
from agents.replay import Memory, remember
from agents.trading.buyer_agent import BuyerAgent
from agents.trading.plan import WindowPlan
from agents.trading.planner import Planner
from agents.trading.seller_agent import SellerAgent
from agents.trading.strategy import load_strategy
from agents.trading.window import Trader
from contracts.bindings import erc20, fiat_token, market, meter_registry
from contracts.bindings.abi import Event, View
from contracts.bindings.market_types import OfferMade, Tariff, TradeState, TransactionAllowed, WindowSettled
from contracts.system import FIAT_TOKEN, MARKET, PRIVATE_MARKET, SEALED_METERS, SHIELDED_POOL

logger = logging.getLogger("gridpact.agents")

SETUP_GAS = 300_000
SETTLE_GAS = 400_000
MAX_METERS = 200
KEPT_QUARTERS = 1_000  # readings that a private settlement may still ask for: more than any deadline
MAX_CATCH_UP_QUARTERS = 96  # a meter that was away for longer begins anew with the current window
TRADE_GRACE_S = 0.3  # wall seconds after a window's end that its trading may take to wind up
LATE_WINDOWS = 3  # a window that the operator has not settled by then is settled by the household itself


class NotRegistered(AgentError):
    """The chain does not know this household's meter."""

    def __init__(self, name: str, meter: bytes, expected: str) -> None:
        super().__init__(f"{name}: meter {hexed(meter)}: expected {expected}")
        self.name = name
        self.meter = meter


class Household:
    """One household's agents, from start to cancellation."""

    def __init__(self, config: HouseholdConfig) -> None:
        self._config = config
        self._passphrase = read_passphrase(config.passphrase_file)
        self._key = load_key(config.key, self._passphrase)
        self._meter_key = load_key(config.meter_key, self._passphrase)
        self._profile = DataDirectory(config.data).profile(
            config.connection, grid=config.grid, shift_weeks=config.load_shift_weeks
        )
        self._strategy = load_strategy(config.strategy)
        self._chain = Chain(config.rpc)
        self._forecasts: dict[int, Forecast] = {}
        self._readings: dict[int, list[Reading]] = {}
        self._registers: dict[int, tuple[int, int]] = {}  # what the meter read, by quarter
        self._private: PrivateTrading | None = None

    async def run(self) -> None:
        """Run until cancelled.

        Raises:
            AgentError: the node cannot be reached, does not know this household, or the address is in use.
        """
        journal = Journal(self._config.directory / JOURNAL_NAME)
        memory = remember(read_journal(journal.path))
        try:
            self._home = await self._make_home(journal)
            await self._live(memory)
        finally:
            await self._chain.close()
            journal.close()

    async def _live(self, memory: Memory) -> None:
        home, private = self._home, self._config.private
        try:
            await self._assemble(memory)
            await home.container.start()
            home.container.on_ready()
            self._follower.height = await self._chain.height()
            if not private:
                await self._introduce()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follower.run())
                tasks.create_task(self._for_ever("meter", self._meter_step))
                if not private:
                    tasks.create_task(self._for_ever("trading", self._trading_step))
                if self._private is not None:
                    tasks.create_task(self._private.run())
        finally:
            if home.container.running:
                await home.container.shutdown()

    async def _make_home(self, journal: Journal) -> Home:
        genesis, clock = await self._chain.batch([("grid_genesis", []), ("grid_clock", [])])
        windows = Windows(**genesis["schedule"])
        self._has_private_market = "privacy" in genesis
        if self._config.private != ("sealing" in genesis):
            found = "has no sealed meters" if self._config.private else "has sealed meters"
            raise AgentError(f"household.private: expected what the genesis file says, which {found}")
        if windows.quarter_length_s != QUARTER_S:
            raise AgentError(f"schedule.quarter_length_s: expected {QUARTER_S} as in the profiles")
        meters, terms = await self._chain.read(meter_registry.get_meters(0, MAX_METERS), market.parameters())
        account = self._key.public_key.to_canonical_address()
        meter = self._meter_key.public_key.to_canonical_address()
        mine = next((row for row in meters if row.meter == meter), None)
        if mine is None or mine.household != account:
            found = f"bound to {hexed(mine.household)}" if mine else "not certified"
            raise NotRegistered(
                self._config.name, meter, f"a certified meter of household {hexed(account)}, but it is {found}"
            )
        return Home(
            key=self._key,
            account=account,
            chain_id=int(genesis["chain_id"]),
            clock=ChainClock.from_rpc(clock),
            windows=windows,
            tariffs=tariffs_of(genesis),
            terms=terms,
            strategy=self._strategy,
            journal=journal,
            view=MarketView(),
            container=AgentContainer(self._config.listen),
            neighbours=frozenset(row.household for row in meters),
        )

    async def _assemble(self, memory: Memory) -> None:
        """Create the agents as the journal and the chain say that they were."""
        home, config, container = self._home, self._config, self._home.container
        self._sender = Sender(self._chain, self._key, home.chain_id)
        meter_sender = Sender(self._chain, self._meter_key, home.chain_id)
        seal = MeterSeal(self._meter_key, home.chain_id)
        attester = (
            SealedAttester(self._chain, seal, home.windows)
            if config.private
            else OpenAttester(self._chain, meter_sender.account, home.windows)
        )
        attested = await attester.next_quarter()
        first = max(attested, memory.next_quarter or 0)
        soc_wh = config.start_soc_wh if memory.soc_wh is None else memory.soc_wh
        pv = container.register(PvAgent(home, Pv(self._profile)), "pv")
        battery = BatteryAgent(home, config.battery, soc_wh) if config.battery else None
        if battery is not None:
            container.register(battery, "battery")
        self._meter = container.register(
            MeterAgent(
                home,
                Load(self._profile),
                pv,
                battery,
                attester=attester,
                sender=meter_sender,
                wire=Wire(config.wire) if config.wire else None,
                next_quarter=first,
                attest_quarters=config.attest_quarters,
            ),
            "meter",
        )
        for quarter in range(attested, first):
            if quarter in memory.quarters:
                line = memory.quarters[quarter]
                self._meter.expect(quarter, line.import_wh, line.export_wh)
        self._registers = {line.quarter: (line.import_wh, line.export_wh) for line in memory.quarters.values()}
        self._remember_window(memory)
        self._follower = Follower(
            self._chain,
            home.view,
            [SEALED_METERS, PRIVATE_MARKET, SHIELDED_POOL] if config.private else [MARKET],
            [self._sender, meter_sender],
            on_event=self._on_event,
            on_problem=home.problem,
        )
        planner = Planner(
            home,
            self._profile,
            config.trading,
            config.battery,
            make_forecaster(config.forecast, self._profile),
            meter=self._meter,
            on_forecast=lambda line: self._forecasts.__setitem__(line.window, line),
        )
        if config.private:
            self._assemble_private(planner, seal)
        else:
            self._assemble_open(planner, memory)
        self._traded = self._current() - 1
        self._write_started(memory, first, soc_wh)

    def _assemble_open(self, planner: Planner, memory: Memory) -> None:
        home, config, container = self._home, self._config, self._home.container
        self._buyer = container.register(BuyerAgent(home), "buyer")
        self._buyer.signed = memory.signed
        self._seller = container.register(SellerAgent(home), "seller")
        self._seller.agreements = memory.agreements
        self._trader = Trader(
            home,
            planner,
            buyer=self._buyer,
            seller=self._seller,
            sender=self._sender,
            follower=self._follower,
            offers_wait_s=config.offers_wait_s,
            reply_timeout_s=config.reply_timeout_s,
            bought_wh=memory.bought_wh,
        )

    def _assemble_private(self, planner: Planner, seal: MeterSeal) -> None:
        """Create the private side; a street may have sealed meters without a private market."""
        home, config = self._home, self._config
        if not self._has_private_market:
            return

        async def plan(window: int) -> WindowPlan:
            await self._until_measured((window - 1) * home.windows.quarters)
            return planner.plan(window)

        around = Surroundings(
            home=home,
            chain=self._chain,
            sender=self._sender,
            key=self._key,
            seal=seal,
            directory=config.directory,
            passphrase=self._passphrase,
            plan=plan,
            readings=self._readings_of,
            changed=self._follower.changed,
            reply_timeout_s=config.reply_timeout_s,
            trading=config.trading,
        )
        self._private = PrivateTrading(around, remember_windows(read_journal(home.journal.path)))

    def _readings_of(self, window: int) -> dict[int, tuple[int, int]]:
        """Return what the meter read of a window, by quarter."""
        quarters = self._home.windows.quarters
        found = range(window * quarters, (window + 1) * quarters)
        return {quarter: self._registers[quarter] for quarter in found if quarter in self._registers}

    def _write_started(self, memory: Memory, first: int, soc_wh: int) -> None:
        home, config = self._home, self._config
        home.write(
            Started(
                name=config.name,
                household=hexed(home.account),
                meter=hexed(self._meter_key.public_key.to_canonical_address()),
                forecast=config.forecast,
                strategy=config.strategy,
                soc_wh=soc_wh,
                next_quarter=first,
                restart=memory.started,
            )
        )

    def _remember_window(self, memory: Memory) -> None:
        """Take up the readings of the window that a restart fell into, and the forecasts."""
        quarters = self._home.windows.quarters
        window = self._meter.next_quarter // quarters
        for quarter in range(window * quarters, self._meter.next_quarter):
            line = memory.quarters.get(quarter)
            if line is not None:
                reading = Reading(
                    load_wh=line.load_wh,
                    pv_wh=line.pv_wh,
                    charged_wh=line.charged_wh,
                    discharged_wh=line.discharged_wh,
                    import_wh=line.import_wh,
                    export_wh=line.export_wh,
                    soc_wh=line.soc_wh,
                )
                self._readings.setdefault(window, []).append(reading)
        self._forecasts = {w: line for w, line in memory.forecasts.items() if w >= window}

    async def _introduce(self) -> None:
        """Read the market's state, publish how to reach the agents (step 1), and let the market take the household's
        money."""
        home = self._home
        current = max(self._current(), 0)
        windows = range(max(current - KEPT_WINDOWS, 0), current + 2)
        for page in await self._chain.read_all([market.get_offers(w) for w in (current, current + 1)]):
            home.view.learn_offers(page.offers)
        for trades in await self._chain.read_all([market.get_trades(w) for w in windows]):
            home.view.learn_trades(trades.trades)
        for w, position in zip(
            windows, await self._chain.read_all([market.get_position(w, home.account) for w in windows]), strict=True
        ):
            if position.settled:
                home.view.settled.setdefault(w, set()).add(home.account)
        neighbours = sorted(home.neighbours)
        infos = await self._chain.read_all([market.get_info(account) for account in neighbours])
        for account, info in zip(neighbours, infos, strict=True):
            if info is not None:
                home.view.endpoints[account] = info.endpoint
        endpoint = endpoint_text(home.container.addr)
        calls = []
        if home.view.endpoints.get(home.account) != endpoint:
            data = market.publish_info(home.account, endpoint, ONTOLOGY)
            calls.append(Call(MARKET, data, SETUP_GAS, "publish how to reach the agents"))
        allowance: View[int] = fiat_token.allowance(home.account, MARKET)
        (allowed,) = await self._chain.read(allowance)
        if allowed < erc20.UNLIMITED // 2:
            calls.append(Call(FIAT_TOKEN, fiat_token.approve(MARKET), SETUP_GAS, "let the market take money"))
        if calls:
            await self._sender.send(calls)

    async def _for_ever(self, what: str, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await step()
            except (NodeError, NodeUnreachable) as error:
                self._home.problem(what, error)
                await asyncio.sleep(RETRY_S)
            except Exception as error:  # a household goes on without what failed, and says so
                logger.exception("%s failed", what)
                self._home.problem(what, f"{type(error).__name__}: {error}")
                await asyncio.sleep(RETRY_S)

    async def _meter_step(self) -> None:
        """Read the quarters that are over, attest them, and sleep until the next one ends."""
        home, meter = self._home, self._meter
        over = home.windows.quarters_over(home.clock.now_s())
        if over - meter.next_quarter > MAX_CATCH_UP_QUARTERS:
            meter.skip_to(over // home.windows.quarters * home.windows.quarters)
        while meter.next_quarter < over:
            quarter, reading = meter.read_quarter()
            self._registers[quarter] = (reading.import_wh, reading.export_wh)
            self._window_line(quarter, reading)
        await meter.attest()
        end_s = home.windows.window_zero_s + (meter.next_quarter + 1) * home.windows.quarter_length_s
        await home.sleep_until(end_s)

    def _window_line(self, quarter: int, reading: Reading) -> None:
        """Collect the quarters of a window and write it down when it is over."""
        home = self._home
        window, within = divmod(quarter, home.windows.quarters)
        readings = self._readings.setdefault(window, [])
        readings.append(reading)
        if within + 1 < home.windows.quarters:
            return
        del self._readings[window]
        self._registers = {q: row for q, row in self._registers.items() if q > quarter - KEPT_QUARTERS}
        contracted = home.view.contracted(window, home.account)
        trades = [t for t in home.view.binding(window) if home.account in (t.seller, t.buyer)]
        energy_wh = sum(trade.energy_wh for trade in trades)
        paid = sum(trade.price_microeur_per_kwh * trade.energy_wh for trade in trades)
        forecast = self._forecasts.pop(window, None)
        home.write(
            Window(
                window=window,
                made_wh=sum(r.pv_wh for r in readings),
                used_wh=sum(r.load_wh for r in readings),
                charged_wh=sum(r.charged_wh for r in readings),
                discharged_wh=sum(r.discharged_wh for r in readings),
                import_wh=sum(r.import_wh for r in readings),
                export_wh=sum(r.export_wh for r in readings),
                soc_wh=reading.soc_wh,
                sold_wh=contracted.sold_wh,
                bought_wh=contracted.bought_wh,
                contracted_wh=energy_wh,
                price_microeur_per_kwh=paid // energy_wh if energy_wh else 0,
                forecast_wh=forecast.pv_wh - forecast.load_wh if forecast else None,
                forecast_load_wh=forecast.load_wh if forecast else None,
                forecast_pv_wh=forecast.pv_wh if forecast else None,
            )
        )

    async def _trading_step(self) -> None:
        """Trade in the current window for the next one, once, and sleep until the next window begins."""
        home = self._home
        current = self._current()
        for missed in range(self._traded + 1, current):
            if missed >= 0:
                home.write(Skipped(window=missed + 1, step="trading", reason="the agents were late"))
        if current >= 0 and current > self._traded:
            self._traded = current
            end_s = home.windows.start_s(current + 1)
            await self._until_measured(current * home.windows.quarters)
            await self._settle_late(current - LATE_WINDOWS)
            try:
                limit_s = home.clock.wall_until_s(end_s) + TRADE_GRACE_S
                async with asyncio.timeout(limit_s):
                    await self._trader.trade(current + 1)
            except TimeoutError:
                home.write(Skipped(window=current + 1, step="trading", reason="the window ended"))
            home.view.forget_before(current)
            self._seller.close_books(current - 1)
        self._traded = max(self._traded, current)
        await home.sleep_until(home.windows.start_s(current + 1))

    async def _until_measured(self, quarter: int) -> None:
        """Wait for the meter: a plan rests on all quarters that are over."""
        while self._meter.next_quarter < quarter:  # noqa: ASYNC110 - the meter's step is due at this very instant
            await asyncio.sleep(0.005)

    async def _settle_late(self, window: int) -> None:
        """Settle an own window that nobody settled: anyone may, the operator usually does."""
        home = self._home
        if window < 0 or home.account in home.view.settled.get(window, set()):
            return
        calls = [
            Call(MARKET, market.make_transaction(trade.trade_id), SETTLE_GAS, f"settle a trade of window {window}")
            for trade in home.view.trades_in(window)
            if trade.state is TradeState.ALLOWED and home.account in (trade.seller, trade.buyer)
        ]
        own = market.settle_window(window, home.account)
        await self._sender.send([*calls, Call(MARKET, own, SETTLE_GAS, f"settle window {window}")])

    def _on_event(self, event: Event) -> None:
        home = self._home
        if self._private is not None:
            self._private.learn(event)
        match event:
            case OfferMade() if event.seller == home.account:
                self._trader.offer_made(event)
            case TransactionAllowed() if home.account in (event.seller, event.buyer):
                trade = home.view.trades.get(event.window, {}).get(event.trade_id)
                if trade is not None:
                    selling = event.seller == home.account
                    home.write(
                        Recorded(
                            window=event.window,
                            role="seller" if selling else "buyer",
                            peer=hexed(event.buyer if selling else event.seller),
                            trade=hexed(event.trade_id),
                            energy_wh=trade.energy_wh,
                            price_microeur_per_kwh=trade.price_microeur_per_kwh,
                        )
                    )
            case WindowSettled() if event.household == home.account:
                received = home.view.cash_microeur.get(event.window, {}).get(home.account, 0)
                home.write(Settled(window=event.window, received_microeur=received))
            case _:
                pass

    def _current(self) -> int:
        return self._home.windows.window_at(self._home.clock.now_s())


def tariffs_of(genesis: Mapping[str, Any]) -> tuple[Tariff, ...]:
    """Return the tariffs of a genesis file in the order of their windows."""
    names = Tariff.__dataclass_fields__
    rows = [Tariff(**{name: row[name] for name in names}) for row in genesis["tariffs"]]
    return tuple(sorted(rows, key=lambda tariff: tariff.valid_from_window))
