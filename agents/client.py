"""A node that a person's commands talk to: which chain it serves is checked first, and what is sent is followed to its
receipt.

A transaction is tried as a call first, so that what a contract would refuse is never sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from eth_keys.datatypes import PrivateKey

from agents.chain import POLL_S, Call, Chain, NodeError, Sender
from agents.errors import AgentError
from contracts.bindings.abi import Event
from contracts.bindings.events import decode_log
from contracts.bindings.reverts import explain_revert

PATIENCE_S = 3.0  # of a question; a node that restarts is back by then
WAIT_S = 60.0  # for a receipt: several views of the slowest kind


class WrongChain(AgentError):
    """A node answers, but serves another chain than was meant."""

    def __init__(self, url: str, expected: str, found: str) -> None:
        super().__init__(f"node {url}: expected {expected}, found {found}")
        self.url = url


class Refused(AgentError):
    """A contract or the node does not do it; nothing was sent."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"{what}: {reason}; nothing was sent")
        self.what = what
        self.reason = reason


class Reverted(AgentError):
    """What was sent is in a block, and changed nothing."""

    def __init__(self, what: str, height: int, reason: str) -> None:
        super().__init__(f"{what}: refused in block {height}: {reason}; nothing has changed")
        self.what = what
        self.height = height


class NotCommitted(AgentError):
    """What was sent is in no block yet, or never will be."""

    def __init__(self, what: str, transaction: str, reason: str) -> None:
        super().__init__(f"{what}: sent as {transaction}, but {reason}; look first whether it came into a block")
        self.what = what
        self.transaction = transaction


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a transaction was for, at which height it is, its hash, and its events of system contracts."""

    what: str
    height: int
    transaction: str
    events: tuple[Event, ...]


class NodeClient:
    """One node's RPC; `connected` makes one.

    Args:
        chain: the node.
        chain_id: what it serves.
        sender: sends as an account; None to read only.
        wait_s: how long a receipt is waited for (wall seconds).
    """

    def __init__(self, chain: Chain, chain_id: int, sender: Sender | None, wait_s: float) -> None:
        self.chain = chain
        self.chain_id = chain_id
        self._sender = sender
        self._wait_s = wait_s

    async def transact(self, call: Call) -> Receipt:
        """Send a transaction and return what it did.

        Raises:
            Refused: the contract would refuse it now, or the node takes nothing from this account.
            Reverted: it was refused in a block, because something else came first.
            NotCommitted: it is in no block within the time.
            NodeUnreachable: the node does not answer.
        """
        what = call.what
        if self._sender is None:
            raise Refused(what, "no key to sign with")
        sender = self._sender
        try:
            await self._try(sender, call)
            (pending,) = await sender.send([call])
        except NodeError as error:
            raise Refused(what, reason_of(error)) from None
        try:
            async with asyncio.timeout(self._wait_s):
                while not pending.outcome.done():
                    await sender.watch()
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise NotCommitted(what, pending.hash, f"in no block after {self._wait_s:.0f} s: it may still be") from None
        answer = await self.chain.request("eth_getTransactionReceipt", pending.hash)
        if not isinstance(answer, dict):
            raise NotCommitted(what, pending.hash, "another transaction of this account took its place")
        receipt = _receipt(what, pending.hash, answer)
        if not pending.outcome.result():
            raise Reverted(what, receipt.height, await self._why(sender, call))
        return receipt

    async def _try(self, sender: Sender, call: Call) -> None:
        """Call what would be sent, as in the next block: only there is the newest block's hash known."""
        fields = {"from": _hex(sender.account), "to": _hex(call.to), "data": _hex(call.data), "gas": hex(call.gas)}
        await self.chain.request("eth_call", fields, "pending")

    async def _why(self, sender: Sender, call: Call) -> str:
        try:
            await self._try(sender, call)
        except NodeError as error:
            return reason_of(error)
        return "it would succeed now: it came too early or too late"


@asynccontextmanager
async def connected(
    url: str, *, key: PrivateKey | None = None, chain_id: int | None = None, wait_s: float = WAIT_S
) -> AsyncIterator[NodeClient]:
    """Connect to a node and check that it serves the chain that is meant.

    Args:
        url: http://HOST:PORT.
        key: the sending account's; None to read only.
        chain_id: the only one that will do; None for any.
        wait_s: how long a receipt is waited for (wall seconds).

    Raises:
        NodeUnreachable: nobody answers.
        WrongChain: it is no gridpact node, or one of another chain.
    """
    chain = Chain(url, patience_s=PATIENCE_S)
    try:
        told, consortium = await chain.try_batch([("eth_chainId", []), ("grid_consortium", [])])
        if isinstance(told, NodeError) or isinstance(consortium, NodeError) or not isinstance(told, str):
            found = "" if not isinstance(told, str) else f" on chain {int(told, 16)}"
            raise WrongChain(url, "a gridpact node", f"something that knows no consortium{found}")
        served = int(told, 16)
        if chain_id is not None and served != chain_id:
            raise WrongChain(url, f"chain {chain_id}", f"chain {served}")
        sender = None if key is None else Sender(chain, key, served)
        yield NodeClient(chain, served, sender, wait_s)
    finally:
        await chain.close()


def _receipt(what: str, transaction: str, answer: dict[str, Any]) -> Receipt:
    decoded = (_event(log) for log in answer["logs"])
    events = tuple(event for event in decoded if event is not None)
    return Receipt(what, int(answer["blockNumber"], 16), transaction, events)


def _event(log: dict[str, Any]) -> Event | None:
    topics = [bytes.fromhex(topic[2:]) for topic in log["topics"]]
    return decode_log(bytes.fromhex(log["address"][2:]), topics, bytes.fromhex(log["data"][2:]))


def reason_of(error: NodeError) -> str:
    """Return why a node refused, in a sentence."""
    return explain_revert(error.data) if error.data else error.message


def _hex(data: bytes) -> str:
    return f"0x{data.hex()}"
