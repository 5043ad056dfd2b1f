"""Sends a session's transactions through the relays until they are in a block: each is written down before it is sent,
and goes out again, by other relays, while nobody has seen it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from eth_account import Account

from agents.chain import Call
from agents.errors import AgentError
from agents.home import Home, hexed
from agents.journal import PrivateSent
from agents.private.memory import Sent, WindowMemory
from agents.private.post import NoRelay, Post
from agents.private.session import Session
from agents.private.street import Street

RESEND_S = 120.0  # chain seconds: two relays and some blocks
MIN_RESEND_WALL_S = 1.0


class Outbox:
    """A household's.

    Args:
        home: its clock and journal.
        post: its way out.
        street: tells what is in blocks.
        changed: returns at the next news of the chain, or after so many wall seconds.
    """

    def __init__(self, home: Home, post: Post, street: Street, changed: Callable[[float], Awaitable[None]]) -> None:
        self._home = home
        self._post = post
        self._street = street
        self._changed = changed
        self._next: dict[bytes, int] = {}
        self._under_way: dict[bytes, int] = {}
        self._lock = asyncio.Lock()

    async def send(
        self, memory: WindowMemory, window: int, step: str, make: Callable[[], Awaitable[bytes]], until_s: float
    ) -> bool | None:
        """Send a transaction that has no nonce, the one of before a restart if there is one.

        Args:
            memory: of the window, which keeps it.
            window: whose it is.
            step: its name within the window.
            make: makes it.
            until_s: chain time after which it is of no use.

        Returns:
            Whether it succeeded; None if it is in no block by then.
        """
        if step not in memory.sent:
            self._keep(memory, window, step, Sent(await make(), -1))
        return await self._until_mined(memory.sent[step], None, until_s)

    async def call(
        self, memory: WindowMemory, session: Session, step: str, make: Callable[[], Awaitable[Call]], until_s: float
    ) -> bool | None:
        """Send a call by a session's account, as `send`; several may be under way and keep their order.

        Where its nonce was used by another transaction meanwhile, it is made and signed anew.
        """
        address = session.address
        self._under_way[address] = self._under_way.get(address, 0) + 1
        try:
            while True:
                async with self._lock:
                    sent = await self._signed(memory, session, step, make)
                mined = await self._until_mined(sent, address, until_s)
                if mined is None:
                    memory.sent.pop(step, None)
                if mined is not None or self._home.clock.now_s() >= until_s:
                    return mined
        finally:
            self._under_way[address] -= 1
            if not self._under_way[address]:
                self._next.pop(address, None)

    async def _signed(
        self, memory: WindowMemory, session: Session, step: str, make: Callable[[], Awaitable[Call]]
    ) -> Sent:
        """Return the step's transaction, signed with the session's next nonce if there is none yet."""
        address = session.address
        if address not in self._next or step not in memory.sent:
            self._next[address] = max(self._next.get(address, 0), await self._street.nonce(address))
        if step not in memory.sent:
            call, nonce = await make(), self._next[address]
            self._keep(memory, session.window, step, Sent(sign_call(session, self._home.chain_id, nonce, call), nonce))
        sent = memory.sent[step]
        self._next[address] = max(self._next[address], sent.nonce + 1)
        return sent

    def _keep(self, memory: WindowMemory, window: int, step: str, sent: Sent) -> None:
        line = PrivateSent(window=window, step=step, nonce=sent.nonce, transaction=hexed(sent.transaction))
        self._home.write(line, durable=True)
        memory.sent[step] = sent

    async def _until_mined(self, sent: Sent, address: bytes | None, until_s: float) -> bool | None:
        """Send until there is a receipt, it is too late, or another transaction of the account has its nonce."""
        clock, again_s = self._home.clock, 0.0
        while True:
            try:
                outcome = await self._street.outcome(sent.transaction)
                if outcome is not None or clock.now_s() >= until_s:
                    return outcome
                if address is not None and await self._street.nonce(address) > sent.nonce:
                    return await self._street.outcome(sent.transaction)
                if clock.now_s() >= again_s:
                    again_s = clock.now_s() + self._patience_s()
                    await self._post.submit(sent.transaction)
            except (AgentError, NoRelay, ValueError) as error:
                self._home.problem("a private transaction", error)
            await self._changed(clock.wall_until_s(min(again_s, until_s)))

    def _patience_s(self) -> float:
        """Return after how many chain seconds to send again."""
        clock = self._home.clock
        wall_s = clock.wall_until_s(clock.now_s() + RESEND_S)
        return RESEND_S if wall_s >= MIN_RESEND_WALL_S else RESEND_S * MIN_RESEND_WALL_S / max(wall_s, 1e-6)


def sign_call(session: Session, chain_id: int, nonce: int, call: Call) -> bytes:
    """Return a session's signed transaction of a call; gas is free."""
    signed = Account.sign_transaction(
        {
            "type": 2,
            "chainId": chain_id,
            "nonce": nonce,
            "to": call.to,
            "value": 0,
            "data": call.data,
            "gas": call.gas,
            "maxFeePerGas": 0,
            "maxPriorityFeePerGas": 0,
        },
        session.key.to_bytes(),
    )
    return bytes(signed.raw_transaction)
