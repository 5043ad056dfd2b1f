"""What the operator does for a private street: rows for settlements, and what is due when somebody does not settle.

Anyone may do it; the operator does. What it is owed is opened by the auditors, and paid by the contract.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field

from agents.attempts import MAX_ATTEMPTS, Attempts
from agents.chain import Call, Chain, Sender
from agents.clock import ChainClock, Windows
from agents.journal import Line, Problem
from contracts.bindings import private_market, sealed_meters
from contracts.bindings.private_market import SessionState, Side, TradeState
from contracts.system import PRIVATE_MARKET

PREPARE_GAS = 9_000_000  # 64 members' rows, read and stored
DEFAULT_GAS = 150_000
FORFEIT_GAS = 1_500_000
LATE_WINDOWS = 24  # how long after the last deadline it still clears what was left when it was away


@dataclass(slots=True)
class Clearing:
    """Prepares windows that no household prepared, and puts on record who did not settle.

    Args:
        chain: the node.
        clock: of the chain.
        windows: the schedule.
        sender: of the operator's account.
        write: into the journal.
    """

    chain: Chain
    clock: ChainClock
    windows: Windows
    sender: Sender
    write: Callable[[Line], None]
    _done: set[int] = field(default_factory=set)
    _attempts: Attempts = field(default_factory=Attempts)

    async def step(self) -> None:
        """Do what is due now for the windows that are over.

        Raises:
            NodeUnreachable, NodeError: the node does not answer, or does not take it; call again.
        """
        current = self.windows.window_at(self.clock.now_s())
        first = max(current - 2 * self.windows.settlement_deadline_windows - LATE_WINDOWS, 0)
        self._done = {window for window in self._done if window >= first}
        for window in range(first, current):
            if window not in self._done:
                await self._clear(window, current)

    async def _clear(self, window: int, current: int) -> None:
        state, balance, sessions = await self.chain.read(
            private_market.window_state(window),
            sealed_meters.balance_of(window),
            private_market.sessions_of(window),
        )
        if state.prepared and not state.open:
            self._done.add(window)
        elif not state.prepared and balance.closed and sessions and current > window + 1:
            await self._send(
                [Call(PRIVATE_MARKET, private_market.prepare(window), PREPARE_GAS, f"rows of window {window}")]
            )
        elif state.prepared:
            await self._send(await self._overdue(window, sessions, current))

    async def _overdue(self, window: int, sessions: Iterable[bytes], current: int) -> list[Call]:
        """Return the calls that end what should have been settled by now."""
        last_sale, last = await self.chain.read_all([private_market.last_for(window, s) for s in (Side.SELL, Side.BUY)])
        if current <= last_sale:
            return []
        found = await self.chain.read_all([private_market.session_of(account) for account in sessions])
        calls = []
        for account, session in zip(sessions, found, strict=True):
            trades = await self.chain.read_all([private_market.trade_of(trade) for trade in session.sales])
            overdue = [
                trade_id
                for trade_id, trade in zip(session.sales, trades, strict=True)
                if trade.state is TradeState.ALLOWED
            ]
            calls += [
                Call(PRIVATE_MARKET, private_market.default(trade), DEFAULT_GAS, f"sale in default, window {window}")
                for trade in overdue
            ]
            if current > last and session.state is SessionState.FUNDED and not overdue:
                what = f"forfeit of window {window}"
                calls.append(Call(PRIVATE_MARKET, private_market.forfeit(account), FORFEIT_GAS, what))
        return calls

    async def _send(self, calls: list[Call]) -> None:
        """Send the calls that are due."""
        due: dict[Hashable, Call] = {call.data: call for call in calls if self._attempts.due(call.data)}
        if not due:
            return
        await self._attempts.send(self.sender, due)
        for purpose, call in due.items():
            if self._attempts.count(purpose) == MAX_ATTEMPTS:
                self.write(Problem(what=call.what, reason=f"sent {MAX_ATTEMPTS} times"))
