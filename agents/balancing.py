"""The balance of a private street: windows closed when all is there or too late, and the feeder's reading beside.

Anyone may close a window; the operator does. What is opened of it is the auditors' affair.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from agents.attempts import Attempts
from agents.chain import Call, Chain, NodeError, NodeUnreachable, Sender
from agents.clock import ChainClock, Windows
from agents.devices.feeder import FeederMeter
from agents.follower import Follower
from agents.journal import Line, Problem, WindowClosing
from agents.ledger import KEPT_WINDOWS
from agents.private.clearing import Clearing
from contracts.bindings import sealed_meters
from contracts.bindings.sealed_meters import Balance
from contracts.system import SEALED_METERS

logger = logging.getLogger("gridpact.agents")

CLOSE_GAS = 150_000
FEEDER_GAS = 150_000
IDLE_S = 1.0


@dataclass(frozen=True, slots=True)
class Feeder:
    """The feeder's meter and who sends what it reads."""

    meter: FeederMeter
    sender: Sender


@dataclass(slots=True)
class Balancing:
    """Closes the windows of sealed meters, and lets the feeder's meter attest.

    Args:
        chain: the node.
        clock: of the chain.
        windows: the schedule.
        follower: tells of news.
        sender: of the operator's account.
        feeder: None if another does that.
        expected: how many quarters all meters together attest in a window.
        write: into the journal.
        clearing: of private trades; None on a street without.
    """

    chain: Chain
    clock: ChainClock
    windows: Windows
    follower: Follower
    sender: Sender
    feeder: Feeder | None
    expected: int
    write: Callable[[Line], None]
    clearing: Clearing | None = None
    _first: int = 0
    _attempts: Attempts = field(default_factory=Attempts)

    async def run(self) -> None:
        """Run until cancelled."""
        self._first = max(self._current() - KEPT_WINDOWS, 0)
        while True:
            try:
                await self.step()
                if self.clearing is not None:
                    await self.clearing.step()
            except (NodeError, NodeUnreachable) as error:
                self.write(Problem(what="balancing", reason=str(error)[:500]))
            except Exception as error:  # the street's balance goes on without what failed, and says so
                logger.exception("balancing failed")
                self.write(Problem(what="balancing", reason=f"{type(error).__name__}: {error}"[:500]))
            await self.follower.changed(IDLE_S)

    async def step(self) -> None:
        """Close what can be closed, and attest what the feeder's meter has read.

        Raises:
            NodeUnreachable, NodeError: the node does not answer, or does not take it; call again.
        """
        over = range(self._first, self._current())
        balances = await self.chain.read_all([sealed_meters.balance_of(window) for window in over])
        for window, balance in zip(over, balances, strict=True):
            late = self._current() > window + self.windows.settlement_deadline_windows
            if not balance.closed and (late or balance.quarters >= self.expected):
                await self._close(window, balance)
            if self.feeder is not None and not balance.fed:
                await self._feed(self.feeder, window, late=late)
            done = balance.closed and (balance.fed or self.feeder is None)
            if window == self._first and (done or self._current() > window + 2 * KEPT_WINDOWS):
                self._first += 1
                self._attempts.forget([("close", window), ("feed", window)])

    async def _close(self, window: int, balance: Balance) -> None:
        call = Call(SEALED_METERS, sealed_meters.close_window(window), CLOSE_GAS, f"close window {window}")
        if self._attempts.due(("close", window)):
            await self._attempts.send(self.sender, {("close", window): call})
            self.write(WindowClosing(window=window, quarters=balance.quarters, expected=self.expected))

    async def _feed(self, feeder: Feeder, window: int, *, late: bool) -> None:
        """Attest a window at the feeder, once all has flowed by, or as far as it did when it is late."""
        if not self._attempts.due(("feed", window)):
            return
        reading = feeder.meter.read(window)
        if reading.whole or late:
            data = sealed_meters.attest_feeder(window, reading.import_wh, reading.export_wh)
            call = Call(SEALED_METERS, data, FEEDER_GAS, f"feeder, window {window}")
            await self._attempts.send(feeder.sender, {("feed", window): call})

    def _current(self) -> int:
        return self.windows.window_at(self.clock.now_s())
