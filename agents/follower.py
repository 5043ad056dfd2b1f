"""Follows a node: new heights, the system contracts' events, and the receipts of what its senders sent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from agents.chain import POLL_S, Chain, Sender
from agents.errors import AgentError
from agents.ledger import MarketView
from contracts.bindings.abi import Event

logger = logging.getLogger("gridpact.agents")


class Follower:
    """Keeps a view up to date.

    Args:
        chain: the node.
        view: what is kept.
        addresses: the contracts whose events count.
        senders: whose pending transactions are watched.
        on_event: called for every event after the view has learnt it.
        on_problem: called with a transaction that was refused and why, and once when the node stops answering.
    """

    def __init__(
        self,
        chain: Chain,
        view: MarketView,
        addresses: Sequence[bytes],
        senders: Sequence[Sender],
        *,
        on_event: Callable[[Event], None],
        on_problem: Callable[[str, object], None],
    ) -> None:
        self._chain = chain
        self._view = view
        self._addresses = addresses
        self._senders = senders
        self._on_event = on_event
        self._on_problem = on_problem
        self._news = asyncio.Event()
        self.height = -1

    async def run(self) -> None:
        """Follow for ever from `height` + 1; a node that does not answer is asked again."""
        silent = False
        while True:
            try:
                await self._look()
                silent = False
            except Exception as error:  # a node that answers nonsense for a while must not end the agents
                if not silent:
                    if not isinstance(error, AgentError):
                        logger.exception("following the chain failed")
                    self._on_problem("following the chain", f"{type(error).__name__}: {error}")
                silent = True
            await asyncio.sleep(POLL_S)

    async def changed(self, timeout_s: float) -> None:
        """Return at the next news of the chain, or after `timeout_s` wall seconds."""
        try:
            async with asyncio.timeout(max(timeout_s, 0.001)):
                await self._news.wait()
        except TimeoutError:
            pass

    async def _look(self) -> None:
        height = await self._chain.height()
        if height <= self.height:
            if any(sender.pending for sender in self._senders):
                await self._watch(resend_only=True)
            return
        for logged in await self._chain.events(self._addresses, self.height + 1, height):
            self._view.learn(logged.event)
            self._on_event(logged.event)
        self.height = height
        await self._watch()
        self._news.set()
        self._news = asyncio.Event()

    async def _watch(self, *, resend_only: bool = False) -> None:
        for sender in self._senders:
            for decided in await sender.watch(resend_only=resend_only):
                if not decided.outcome.result():
                    self._on_problem(decided.call.what, await self._chain.explain(decided.sender, decided.call))
