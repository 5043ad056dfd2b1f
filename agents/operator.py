"""The microgrid operator: an account of its own without a vote. It issues money at the start against receipts,
settles every window for everyone, and watches the street's balance. Where meters are sealed it closes the windows.

Source: Mezquita et al., "Towards a Blockchain-Based Peer-to-Peer Energy Marketplace", section 4.4 (MGO; external
issuers of fiat).
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from eth_hash.auto import keccak

from agents.balancing import Balancing, Feeder
from agents.chain import Call, Chain, NodeError, NodeUnreachable, Pending, Sender
from agents.clock import ChainClock, Windows
from agents.configuration import OperatorConfig
from agents.devices.feeder import FeederMeter
from agents.devices.wire import Wire
from agents.errors import AgentError
from agents.follower import Follower
from agents.home import hexed
from agents.journal import JOURNAL_NAME, Funded, Journal, Line, Problem, Settlement, StreetBalance
from agents.keys import load_key, read_passphrase
from agents.ledger import KEPT_WINDOWS, MarketView
from agents.private.clearing import Clearing
from contracts.bindings import fiat_token, market, meter_registry
from contracts.bindings.market_types import TradeState
from contracts.system import FIAT_TOKEN, MARKET, METER_REGISTRY, SEALED_METERS, SHIELDED_POOL

logger = logging.getLogger("gridpact.agents")

MAX_METERS = 200
MINT_GAS = 200_000
TRADE_GAS = 400_000
HOUSEHOLD_GAS = 250_000
MAX_SETTLEMENT_GAS = 6_000_000  # of one transaction: more trades go into several
MAX_ATTEMPTS = 5  # at one window: what the contract refuses five times, a person must look at
IDLE_S = 1.0


class Operator:
    """The operator's process, from start to cancellation."""

    def __init__(self, config: OperatorConfig) -> None:
        self._config = config
        self._key = load_key(config.key, read_passphrase(config.passphrase_file))
        self._chain = Chain(config.rpc)
        self._view = MarketView()
        self._journal = Journal(config.directory / JOURNAL_NAME)
        self._under_way: dict[int, list[Pending]] = {}
        self._balanced: set[int] = set()
        self._attempts: dict[int, int] = {}
        self._clock: ChainClock | None = None
        self._balancing: Balancing | None = None

    async def run(self) -> None:
        """Run until cancelled.

        Raises:
            AgentError: the node cannot be reached at the start.
        """
        try:
            await self._start()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follower.run())
                tasks.create_task(self._balancing.run() if self._balancing else self._settle_for_ever())
        finally:
            await self._chain.close()
            self._journal.close()

    async def _start(self) -> None:
        genesis, clock = await self._chain.batch([("grid_genesis", []), ("grid_clock", [])])
        private = self._config.private
        if private != ("sealing" in genesis):
            raise AgentError("operator.private: expected true where the genesis file has sealed meters, and only there")
        self._windows = Windows(**genesis["schedule"])
        self._clock = ChainClock.from_rpc(clock)
        self._sender = Sender(self._chain, self._key, int(genesis["chain_id"]))
        feeder = self._feeder(int(genesis["chain_id"]))
        senders = [self._sender, feeder.sender] if feeder else [self._sender]
        self._follower = Follower(
            self._chain,
            self._view,
            [SEALED_METERS] if private else [MARKET, METER_REGISTRY],
            senders,
            on_event=lambda event: None,
            on_problem=self._problem,
        )
        self._follower.height = await self._chain.height()
        (meters,) = await self._chain.read(meter_registry.get_meters(0, MAX_METERS))
        self._households = tuple(sorted(row.household for row in meters))
        if private:
            count = len(self._households) * self._windows.quarters
            clearing = (
                Clearing(self._chain, self._clock, self._windows, self._sender, self._write)
                if "privacy" in genesis
                else None
            )
            self._balancing = Balancing(
                self._chain,
                self._clock,
                self._windows,
                self._follower,
                self._sender,
                feeder,
                count,
                self._write,
                clearing,
            )
        else:
            await self._catch_up()
        await self._fund()
        if "privacy" in genesis:
            await self._fund_feed_in()

    def _feeder(self, chain_id: int) -> Feeder | None:
        config = self._config.feeder
        if config is None:
            return None
        key = load_key(config.key, read_passphrase(self._config.passphrase_file))
        meter = FeederMeter([Wire(path) for path in config.wires], self._windows.quarters, config.losses_permille)
        return Feeder(meter, Sender(self._chain, key, chain_id))

    async def _catch_up(self) -> None:
        """Read trades, readings and settlements of the newest windows: what happened while the operator was away."""
        current = max(self._current(), 0)
        windows = range(max(current - KEPT_WINDOWS, 0), current + 2)
        self._first_window = windows.start
        for page in await self._chain.read_all([market.get_trades(w) for w in windows]):
            self._view.learn_trades(page.trades)
        keys = [(w, household) for w in windows for household in self._households]
        positions = await self._chain.read_all([market.get_position(w, household) for w, household in keys])
        for (w, household), position in zip(keys, positions, strict=True):
            if position.settled:
                self._view.settled.setdefault(w, set()).add(household)
        quarters = [
            (w, household, w * self._windows.quarters + i)
            for w, household in keys
            for i in range(self._windows.quarters)
            if w <= current
        ]
        readings = await self._chain.read_all([meter_registry.quarter_reading(h, q) for _, h, q in quarters])
        for (w, household, quarter), reading in zip(quarters, readings, strict=True):
            if reading is not None:
                rows = self._view.readings.setdefault(w, {}).setdefault(household, {})
                rows[quarter] = (reading.import_wh, reading.export_wh)

    async def _fund(self) -> None:
        """Issue every household its first money, once: the receipt serves once."""
        amount = self._config.fund_microeur
        if not amount:
            return
        receipts = [keccak(b"gridpact/first-money" + household) for household in self._households]
        used = await self._chain.read_all([fiat_token.receipt_used(receipt) for receipt in receipts])
        open_ = [(h, r) for h, r, done in zip(self._households, receipts, used, strict=True) if not done]
        calls = [
            Call(FIAT_TOKEN, fiat_token.mint(h, amount, r), MINT_GAS, f"issue money to {hexed(h)}") for h, r in open_
        ]
        if calls:
            await self._sender.send(calls)
        for household, receipt in open_:
            self._write(Funded(household=hexed(household), amount_microeur=amount, receipt=hexed(receipt)))

    async def _fund_feed_in(self) -> None:
        """Let the pool take what the operator owes of a window, and have as much as all households got at first."""
        amount, receipt = self._config.fund_microeur * len(self._households), keccak(b"gridpact/first-money/operator")
        used, allowed = await self._chain.read(
            fiat_token.receipt_used(receipt), fiat_token.allowance(self._sender.account, SHIELDED_POOL)
        )
        calls = []
        if amount and not used:
            data = fiat_token.mint(self._sender.account, amount, receipt)
            calls.append(Call(FIAT_TOKEN, data, MINT_GAS, "issue money for feed-in"))
        if allowed < amount:
            calls.append(Call(FIAT_TOKEN, fiat_token.approve(SHIELDED_POOL), MINT_GAS, "let the pool take feed-in"))
        if calls:
            await self._sender.send(calls)

    async def _settle_for_ever(self) -> None:
        while True:
            try:
                for window in range(self._first_window, self._current()):
                    await self._settle(window)
                self._forget()
            except (NodeError, NodeUnreachable) as error:
                self._problem("settling", error)
            except Exception as error:  # the street's settlement goes on without what failed, and says so
                logger.exception("settling failed")
                self._problem("settling", f"{type(error).__name__}: {error}")
            await self._follower.changed(IDLE_S)

    async def _settle(self, window: int) -> None:
        """Settle a window once all its readings are there, or the deadline has passed."""
        done = self._view.settled.get(window, set())
        open_households = [h for h in self._households if h not in done]
        under_way = self._under_way.get(window, [])
        if not open_households or any(not pending.outcome.done() for pending in under_way):
            return
        if self._attempts.get(window, 0) >= MAX_ATTEMPTS:
            return
        complete = self._complete(window)
        if complete:
            self._balance(window)
        elif self._current() <= window + self._windows.settlement_deadline_windows:
            return
        trades = [t for t in self._view.trades_in(window) if t.state is TradeState.ALLOWED]
        calls = [(market.make_transaction(t.trade_id), TRADE_GAS) for t in trades]
        calls += [(market.settle_window(window, h), HOUSEHOLD_GAS) for h in open_households]
        self._attempts[window] = self._attempts.get(window, 0) + 1
        alone = any(not pending.outcome.result() for pending in under_way)
        self._under_way[window] = await self._sender.send(_transactions(window, calls, alone=alone))
        self._write(Settlement(window=window, trades=len(trades), households=len(open_households)))

    def _complete(self, window: int) -> bool:
        readings = self._view.readings.get(window, {})
        return all(len(readings.get(h, {})) == self._windows.quarters for h in self._households)

    def _balance(self, window: int) -> None:
        """Write down the street's exchange with the grid: netted between households in each quarter, never across."""
        if window in self._balanced:
            return
        self._balanced.add(window)
        readings = self._view.readings[window]
        nets: dict[int, int] = {}
        for rows in readings.values():
            for quarter, (import_wh, export_wh) in rows.items():
                nets[quarter] = nets.get(quarter, 0) + import_wh - export_wh
        self._write(
            StreetBalance(
                window=window,
                meters=len(readings),
                import_wh=sum(i for rows in readings.values() for i, _ in rows.values()),
                export_wh=sum(e for rows in readings.values() for _, e in rows.values()),
                grid_import_wh=sum(max(net, 0) for net in nets.values()),
                grid_export_wh=sum(max(-net, 0) for net in nets.values()),
            )
        )

    def _forget(self) -> None:
        current = self._current()
        self._view.forget_before(current)
        self._first_window = max(self._first_window, current - KEPT_WINDOWS)
        self._under_way = {w: rows for w, rows in self._under_way.items() if w >= self._first_window}
        self._attempts = {w: n for w, n in self._attempts.items() if w >= self._first_window}
        self._balanced = {w for w in self._balanced if w >= self._first_window}

    def _problem(self, what: str, reason: object) -> None:
        self._write(Problem(what=what, reason=str(reason)[:500]))

    def _write(self, line: Line) -> None:
        at_s = int(self._clock.now_s()) if self._clock else 0
        self._journal.write(replace(line, at_s=at_s))

    def _current(self) -> int:
        return self._windows.window_at(self._clock.now_s()) if self._clock else -1


def _transactions(window: int, calls: list[tuple[bytes, int]], *, alone: bool) -> list[Call]:
    """Return the calls as transactions: together in as few as fit, or alone after a common one was refused."""
    what = f"settle window {window}"
    if alone:
        return [Call(MARKET, data, gas, what) for data, gas in calls]
    groups: list[list[tuple[bytes, int]]] = [[]]
    for data, gas in calls:
        if sum(used for _, used in groups[-1]) + gas > MAX_SETTLEMENT_GAS:
            groups.append([])
        groups[-1].append((data, gas))
    return [
        Call(MARKET, market.multicall([data for data, _ in group]), sum(gas for _, gas in group), what)
        for group in groups
        if group
    ]
