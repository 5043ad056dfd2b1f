"""The market's recent windows, as the page and `grid_overview` show them.

On an open street contracts and their energy are public. On a private street energy and prices are hidden, and all that
there is to count is sessions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from contracts.bindings import market, private_market
from contracts.bindings.abi import MalformedAnswer, View
from contracts.bindings.market_types import Trade, TradeState
from node.rpc.blocks import call_environment
from node.rpc.formats import Tag
from node.rpc.reads import Reader

LOOK_BACK = 48  # windows: two days of hours
MAX_TRADES = 500  # of a window, at 0.4 ms each; of one with more the energy is not added up
SLICE_S = 1.0  # for one reading; what there was no time for is read at the next
CALL_GAS = 10_000_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Schedule:
    """When windows begin, in chain seconds, and whether the street hides its amounts."""

    zero_s: int
    length_s: int
    private: bool

    @classmethod
    def of(cls, genesis: Mapping[str, Any]) -> Schedule:
        """Return what a genesis file says."""
        table = genesis["schedule"]
        return cls(table["window_zero_s"], table["window_length_s"], "privacy" in genesis)

    def window_at(self, chain_s: int) -> int:
        """Return the window of a chain second, −1 for all time before window 0."""
        return max(-1, (chain_s - self.zero_s) // self.length_s)


@dataclass(frozen=True, slots=True)
class WindowRow:
    """A window: what was made for it, and how much of that is settled.

    `entries` are contracts that bind both sides, or sessions on a private street; `energy_wh` is what the contracts
    are about, None where it is hidden or there are too many to add up.
    """

    window: int
    entries: int
    settled: int
    energy_wh: int | None

    def final(self, current: int) -> bool:
        """Return whether nothing will change any more: contracts are made before a window begins."""
        return self.window <= current and self.entries == self.settled


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows that were read, and whether all were that should be."""

    rows: tuple[WindowRow, ...]
    complete: bool


def read_windows(reader: Reader, schedule: Schedule, chain_time_s: int, known: Iterable[int]) -> Windows | None:
    """Return what is not known yet of the newest windows, the newest first; None without a market that answers.

    Args:
        reader: what to read from.
        schedule: the street's.
        chain_time_s: the chain's time now.
        known: windows that need not be read.
    """
    current, skip = schedule.window_at(chain_time_s), frozenset(known)
    until = time.monotonic() + SLICE_S
    rows: list[WindowRow] = []
    with reader.store.read() as view:
        state, environment = call_environment(view, reader.rule_book, Tag.LATEST, chain_time_s, next_block=False)

        def ask(question: View[T]) -> T:
            found = reader.executor.call(
                state, environment, sender=bytes(20), to=question.to, data=question.data, gas=CALL_GAS
            )
            if not found.success:
                raise _NoAnswer
            return question.decode(found.output)

        for window in range(current + 1, max(-1, current - LOOK_BACK), -1):
            if window in skip:
                continue
            if time.monotonic() > until:
                return Windows(tuple(rows), complete=False)
            try:
                rows.append(private_row(ask, window, current) if schedule.private else open_row(ask, window))
            except (_NoAnswer, MalformedAnswer):
                return None
    return Windows(tuple(rows), complete=True)


class _NoAnswer(Exception):
    """The market is not there, or is not the one whose interface we know."""


def open_row(ask: Callable[[View[Any]], Any], window: int) -> WindowRow:
    """Return a window of the open market; `ask` runs a call and returns what it gives."""
    trades: list[Trade] = []
    total = 1
    while len(trades) < min(total, MAX_TRADES):
        page = ask(market.get_trades(window, len(trades)))
        trades += page.trades
        total = page.total
        if not page.trades:
            break
    binding = [trade for trade in trades if trade.state in (TradeState.ALLOWED, TradeState.SETTLED)]
    settled = sum(trade.state is TradeState.SETTLED for trade in binding)
    if total > len(trades):
        return WindowRow(window, total, settled, None)
    return WindowRow(window, len(binding), settled, sum(trade.energy_wh for trade in binding))


def private_row(ask: Callable[[View[Any]], Any], window: int, current: int) -> WindowRow:
    """Return a window of the private market; a session that was never funded counts as settled once it is over."""
    sessions = len(ask(private_market.sessions_of(window)))
    still = ask(private_market.window_state(window)).open if window < current else sessions
    return WindowRow(window, sessions, sessions - still, None)
