"""What the agents of one household share: its account, its clock, its view of the market, its journal."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from eth_keys.datatypes import PrivateKey

from agents.clock import ChainClock, Windows
from agents.journal import BadEnvelope, Journal, Line, Problem
from agents.ledger import MarketView
from agents.messaging import AgentContainer
from agents.trading.strategy import Strategy
from contracts.bindings.market_types import Parameters, Rails, Tariff

MAX_BAD_ENVELOPES = 20  # journal lines of refused messages in a window: garbage must not fill the disk


@dataclass(slots=True)
class Home:
    """Shared by a household's agents; `neighbours` are the accounts with a certified meter, its own among them."""

    key: PrivateKey
    account: bytes
    chain_id: int
    clock: ChainClock
    windows: Windows
    tariffs: Sequence[Tariff]
    terms: Parameters
    strategy: Strategy
    journal: Journal
    view: MarketView
    container: AgentContainer
    neighbours: Collection[bytes]
    _bad: dict[int, int] = field(default_factory=dict)

    def write(self, line: Line, *, durable: bool = False) -> None:
        """Append a line to the journal at the chain time of now."""
        self.journal.write(replace(line, at_s=int(self.clock.now_s())), durable=durable)

    def problem(self, what: str, reason: object) -> None:
        """Note something that failed and that the agents go on without."""
        self.write(Problem(what=what, reason=str(reason)[:500]))

    def bad_envelope(self, agent: str, reason: str) -> None:
        """Note a refused message, at most MAX_BAD_ENVELOPES a window."""
        window = self.windows.window_at(self.clock.now_s())
        count = self._bad.get(window, 0)
        self._bad = {window: count + 1}
        if count < MAX_BAD_ENVELOPES:
            self.write(BadEnvelope(agent=agent, reason=reason[:200]))

    def tariff(self, window: int) -> Tariff:
        """Return the tariff of a window."""
        return next(tariff for tariff in reversed(self.tariffs) if tariff.valid_from_window <= max(window, 0))

    def rails(self, window: int) -> Rails:
        """Return between which prices the window is traded."""
        return self.tariff(window).rails

    async def tell(self, account: bytes, agent: str, content: dict[str, Any]) -> None:
        """Send a message to another household's agent; one that cannot be reached now does not get it."""
        endpoint = self.view.endpoints.get(account)
        if endpoint is not None:
            await self.container.deliver(endpoint, agent, content)

    async def sleep_until(self, chain_s: float) -> None:
        """Return when the chain clock shows `chain_s` or later."""
        while (wall_s := self.clock.wall_until_s(chain_s)) > 0:  # noqa: ASYNC110 - it waits for a clock, not for an event
            await asyncio.sleep(wall_s)


def hexed(data: bytes) -> str:
    """Return data as journals and messages write it."""
    return f"0x{data.hex()}"
