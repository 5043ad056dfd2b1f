"""A node as the agents see it: its public JSON-RPC through web3.py, and nothing else.

Reads and transactions go in batches. Whatever the node does (restart, refuse, lose its pool), a sender goes on: it
keeps what it sent until there is a receipt, sends it again meanwhile, and reads its nonce anew when the node says
that it does not fit.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast, overload

from aiohttp import ClientError, ClientTimeout
from eth_account import Account
from eth_keys.datatypes import PrivateKey
from web3 import AsyncHTTPProvider
from web3.types import RPCEndpoint

from agents.errors import AgentError
from contracts.bindings.abi import Event, View
from contracts.bindings.events import decode_log
from contracts.bindings.reverts import explain_revert

REQUEST_TIMEOUT_S = 10.0
CLOSE_PATIENCE_S = 2.0
RETRY_S = 0.1
POLL_S = 0.1
RESEND_S = 2.0
MAX_BATCH = 100  # requests of one batch, well below what a node takes
MAX_LOG_RANGE = 500  # blocks of one log query

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")


class NodeUnreachable(AgentError):
    """The node did not answer in time."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"node {url}: expected an answer ({reason})")
        self.url = url


class NodeError(AgentError):
    """The node refused a request; `data` is revert data if there is any."""

    def __init__(self, method: str, code: int, message: str, data: bytes = b"") -> None:
        super().__init__(f"{method}: {message} ({code})")
        self.method = method
        self.code = code
        self.message = message
        self.data = data


@dataclass(frozen=True, slots=True)
class Call:
    """A transaction to send: where to, with what calldata, the most gas, and what it is for."""

    to: bytes
    data: bytes
    gas: int
    what: str


@dataclass(slots=True)
class Pending:
    """A transaction that `sender` sent; `outcome` is True when it succeeded, False when it reverted or will never be
    mined."""

    sender: bytes
    call: Call
    nonce: int
    raw: str
    hash: str
    sent_at: float
    outcome: asyncio.Future[bool]


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """An event of a system contract and the height that it is of."""

    height: int
    event: Event


class Chain:
    """One node's RPC.

    Args:
        url: http://HOST:PORT.
        patience_s: how long a request is repeated (wall seconds) when the node does not answer.
    """

    def __init__(self, url: str, patience_s: float = 30.0) -> None:
        self.url = url
        self._patience_s = patience_s
        self._asking: set[asyncio.Future[list[Any]]] = set()
        timeout = ClientTimeout(total=REQUEST_TIMEOUT_S)
        self._provider = AsyncHTTPProvider(url, {"timeout": timeout}, exception_retry_configuration=None)

    async def close(self) -> None:
        """Close the connections, once what is asked is answered or has been given its time."""
        if self._asking:
            await asyncio.wait(self._asking, timeout=CLOSE_PATIENCE_S)
        await self._provider.disconnect()

    async def request(self, method: str, *params: Any) -> Any:
        """Return the result of one request.

        Raises:
            NodeUnreachable: no answer within the patience.
            NodeError: the node refused it.
        """
        return (await self.batch([(method, list(params))]))[0]

    async def batch(self, requests: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        """Return the results of several requests, in their order; raises as `request` for the first that fails."""
        results = await self.try_batch(requests)
        for result in results:
            if isinstance(result, NodeError):
                raise result
        return results

    async def try_batch(self, requests: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        """Return the results of several requests, a NodeError in the place of each that the node refused.

        Raises:
            NodeUnreachable: no answer within the patience.
        """
        results: list[Any] = []
        for first in range(0, len(requests), MAX_BATCH):
            results += await self._try_one_batch(requests[first : first + MAX_BATCH])
        return results

    async def _try_one_batch(self, requests: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        until = time.monotonic() + self._patience_s
        while True:
            try:
                answers = await self._ask(requests)
                break
            except (ClientError, OSError, TimeoutError, ValueError) as error:
                if time.monotonic() >= until:
                    raise NodeUnreachable(self.url, f"{type(error).__name__}: {error}") from None
                await asyncio.sleep(RETRY_S)
        return [_result(method, answer) for (method, _), answer in zip(requests, answers, strict=True)]

    async def _ask(self, requests: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        """Ask, and finish asking even if the caller is cancelled.

        web3.py takes one lock of the whole process for every request, in a thread: a request that is cancelled while
        it waits for it takes it for ever, and nothing in the process is answered again.
        """
        asking = asyncio.ensure_future(self._ask_whole(requests))
        self._asking.add(asking)
        asking.add_done_callback(self._asked)
        return await asyncio.shield(asking)

    def _asked(self, asking: asyncio.Future[list[Any]]) -> None:
        self._asking.discard(asking)
        if not asking.cancelled():
            asking.exception()  # the caller may have been cancelled: nobody else takes note of it

    async def _ask_whole(self, requests: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        if len(requests) == 1:
            method, params = requests[0]
            return [await self._provider.make_request(RPCEndpoint(method), params)]
        batch = [(RPCEndpoint(method), params) for method, params in requests]
        answers: Any = await self._provider.make_batch_request(batch)
        if not isinstance(answers, list) or len(answers) != len(requests):
            raise ValueError(f"{len(requests)} requests, answered {str(answers)[:200]}")
        return answers

    @overload
    async def read(self, a: View[A], /) -> tuple[A]: ...
    @overload
    async def read(self, a: View[A], b: View[B], /) -> tuple[A, B]: ...
    @overload
    async def read(self, a: View[A], b: View[B], c: View[C], /) -> tuple[A, B, C]: ...
    async def read(self, *views: View[Any]) -> tuple[Any, ...]:
        """Return what the views say now, in one batch."""
        return tuple(await self.read_all(views))

    async def read_all(self, views: Sequence[View[A]]) -> list[A]:
        """Return what many views of a kind say now, in one batch."""
        calls = [("eth_call", [{"to": _hex(v.to), "data": _hex(v.data)}, "latest"]) for v in views]
        answers = await self.batch(calls)
        return [view.decode(_bytes(answer)) for view, answer in zip(views, answers, strict=True)]

    async def height(self) -> int:
        """Return the newest height."""
        return int(await self.request("eth_blockNumber"), 16)

    async def explain(self, sender: bytes, call: Call) -> str:
        """Return why a transaction was refused: what calling it again over the newest state says."""
        fields = {"from": _hex(sender), "to": _hex(call.to), "data": _hex(call.data), "gas": hex(call.gas)}
        try:
            await self.request("eth_call", fields, "latest")
        except NodeError as error:
            return explain_revert(error.data) if error.data else error.message
        except NodeUnreachable as error:
            return str(error)
        return "it would succeed now: it came too early or too late"

    async def events(
        self, addresses: Sequence[bytes], first: int, last: int, topics: Sequence[str | list[str] | None] = ()
    ) -> list[LoggedEvent]:
        """Return the system contracts' events of the heights first … last, in order."""
        found: list[LoggedEvent] = []
        while first <= last:
            end = min(last, first + MAX_LOG_RANGE - 1)
            query = {"address": [_hex(a) for a in addresses], "fromBlock": hex(first), "toBlock": hex(end)}
            logs = await self.request("eth_getLogs", {**query, "topics": list(topics)} if topics else query)
            for log in logs:
                known = decode_log(
                    _bytes(log["address"]), [_bytes(topic) for topic in log["topics"]], _bytes(log["data"])
                )
                if known is not None:
                    found.append(LoggedEvent(int(log["blockNumber"], 16), known))
            first = end + 1
        return found


class Sender:
    """Sends an account's transactions in order and follows them to their receipts.

    Args:
        chain: the node.
        key: the account's.
        chain_id: signed into every transaction.
    """

    def __init__(self, chain: Chain, key: PrivateKey, chain_id: int) -> None:
        self._chain = chain
        self._key = key.to_bytes()
        self._chain_id = chain_id
        self.account: bytes = key.public_key.to_canonical_address()
        self._nonce: int | None = None
        self._lock = asyncio.Lock()
        self.pending: list[Pending] = []

    async def send(self, calls: Sequence[Call]) -> list[Pending]:
        """Sign and send calls in order and return them as pending; `watch` finds their outcomes.

        Raises:
            NodeUnreachable: the node did not answer.
            NodeError: the node refuses the first of them even with a fresh nonce.
        """
        async with self._lock:
            for attempt in range(2):
                if self._nonce is None:
                    count = await self._chain.request("eth_getTransactionCount", _hex(self.account), "pending")
                    self._nonce = max([int(count, 16), *(pending.nonce + 1 for pending in self.pending)])
                batch = [self._sign(call, self._nonce + i) for i, call in enumerate(calls)]
                answers = await self._chain.try_batch([("eth_sendRawTransaction", [p.raw]) for p in batch])
                refused = next((answer for answer in answers if _refused(answer)), None)
                if refused is None:
                    self._nonce += len(batch)
                    self.pending += batch
                    return batch
                self._nonce = None
                if attempt or answers[0] is not refused:
                    # Those before the refused one are on their way: keep them, report the rest as failed.
                    accepted = [p for p, answer in zip(batch, answers, strict=True) if not _refused(answer)]
                    self.pending += accepted
                    if not accepted:
                        raise refused
                    for pending in batch:
                        if pending not in accepted:
                            pending.outcome.set_result(False)
                    return batch
        raise AssertionError("unreachable")

    async def watch(self, *, resend_only: bool = False) -> list[Pending]:
        """Look for receipts of what is pending and send again what waits long; return those whose outcome is known now.

        Args:
            resend_only: there is no new height, so that receipts are asked for only of what waits long.
        """
        late = [p for p in self.pending if time.monotonic() - p.sent_at > RESEND_S]
        waiting = late if resend_only else list(self.pending)
        if not waiting:
            return []
        receipts = await self._chain.try_batch([("eth_getTransactionReceipt", [p.hash]) for p in waiting])
        decided = []
        for pending, receipt in zip(waiting, receipts, strict=True):
            if isinstance(receipt, dict):
                pending.outcome.set_result(int(receipt["status"], 16) == 1)
                decided.append(pending)
        self.pending = [p for p in self.pending if not p.outcome.done()]
        late = [p for p in late if not p.outcome.done()]
        if late:
            decided += await self._send_again(late)
        return decided

    async def _send_again(self, late: list[Pending]) -> list[Pending]:
        answers = await self._chain.try_batch([("eth_sendRawTransaction", [p.raw]) for p in late])
        dead = []
        for pending, answer in zip(late, answers, strict=True):
            pending.sent_at = time.monotonic()
            if isinstance(answer, NodeError) and "nonce too low" in answer.message.lower():
                (receipt,) = await self._chain.try_batch([("eth_getTransactionReceipt", [pending.hash])])
                mined = isinstance(receipt, dict) and int(receipt["status"], 16) == 1
                pending.outcome.set_result(mined)
                dead.append(pending)
        if dead:
            self._nonce = None
        self.pending = [p for p in self.pending if not p.outcome.done()]
        return dead

    def _sign(self, call: Call, nonce: int) -> Pending:
        signed = Account.sign_transaction(
            {
                "type": 2,
                "chainId": self._chain_id,
                "nonce": nonce,
                "to": call.to,
                "value": 0,
                "data": call.data,
                "gas": call.gas,
                "maxFeePerGas": 0,
                "maxPriorityFeePerGas": 0,
            },
            self._key,
        )
        raw = cast(bytes, signed.raw_transaction)
        outcome: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        return Pending(self.account, call, nonce, _hex(raw), _hex(bytes(signed.hash)), time.monotonic(), outcome)


def _refused(answer: Any) -> bool:
    return isinstance(answer, NodeError) and "known" not in answer.message.lower()


def _result(method: str, answer: Any) -> Any:
    error = answer.get("error") if isinstance(answer, dict) else {"message": f"malformed answer {str(answer)[:100]}"}
    if not error:
        return answer.get("result")
    data = error.get("data")
    raw = data if isinstance(data, str) and data.startswith("0x") else "0x"
    return NodeError(method, int(error.get("code", 0)), str(error.get("message", "")), _bytes(raw))


def _hex(data: bytes) -> str:
    return f"0x{data.hex()}"


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
