"""From a message to its answer: decode, find the method, bind, run, encode; every failure is an answer too."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from node.errors import GridpactError
from node.rpc import (
    accounts,
    admin,
    debug,
    eth,
    eth_calls,
    eth_fees,
    eth_filters,
    eth_node,
    eth_send,
    eth_state,
    explain,
    grid,
    net,
    overview,
    stranger,
    txpool,
    web3,
)
from node.rpc.access import Unauthorized, allowed
from node.rpc.context import Context
from node.rpc.discover import namespace, with_discovery
from node.rpc.errors import INTERNAL_ERROR, PRUNED, RESPONSE_TOO_LARGE, TIMEOUT, LimitExceeded, RpcError
from node.rpc.methods import MethodTable
from node.rpc.protocol import Malformed, Request, decode_message, encode_error, encode_result
from node.rpc.turns import HeavyWork, Turnstile
from node.storage import NotKept, StateNotKept

LARGE_BYTES = 32 * 1024  # of a request: decoding it and taking its parameters may hold up the event loop

log = logging.getLogger("rpc")

TakeTokens = Callable[[int], bool]
"""Asks a connection's rate limit for so many requests."""

Observe = Callable[[str | None, int | None, float], None]
"""Told every answer: the method (None if there is none of that name), the error's code (None for a result), seconds."""


def _observe_nothing(_method: str | None, _code: int | None, _duration_s: float) -> None:
    """Count nothing."""


def all_methods() -> MethodTable:
    """Return every method that this software serves."""
    methods = MethodTable()
    for each in (
        admin,
        eth,
        eth_calls,
        eth_fees,
        eth_node,
        eth_send,
        eth_state,
        debug,
        explain,
        accounts,
        eth_filters,
        net,
        web3,
        txpool,
        grid,
        overview,
        stranger,
    ):
        methods.extend(each.table)
    return with_discovery(methods)


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """Answers messages.

    Args:
        methods: what can be called.
        max_batch: requests in a batch.
        max_response_bytes: of all answers to one message together.
        timeout_s: for one message; what is left of a batch then is answered as timed out.
        observe: told every answer.
        turnstile, heavy: of all messages.
    """

    methods: MethodTable
    max_batch: int
    max_response_bytes: int
    timeout_s: float
    observe: Observe = _observe_nothing
    turnstile: Turnstile = field(default_factory=Turnstile)
    heavy: HeavyWork = field(default_factory=HeavyWork)

    async def answer(self, raw: bytes | str, context: Context, take: TakeTokens) -> str | None:
        """Return the answer to a message as JSON; None if it holds nothing but notifications.

        The requests of a batch run one after the other, in order.
        """
        try:
            decode = partial(decode_message, raw, self.max_batch)
            message = decode() if len(raw) <= LARGE_BYTES else await self.heavy.run(decode)
            if not take(len(message.entries)):
                raise LimitExceeded("too many requests a second on this connection; slow down")
        except RpcError as error:
            return encode_error(None, error)
        large = len(raw) > LARGE_BYTES * len(message.entries)
        answers: list[str] = []
        deadline = asyncio.get_running_loop().time() + self.timeout_s
        room = self.max_response_bytes
        for entry in message.entries:
            answer = await self._answer(entry, context, room, deadline, large)
            if answer is not None:
                answers.append(answer)
                room -= len(answer)
        if not answers:
            return None
        return f"[{','.join(answers)}]" if message.batch else answers[0]

    async def _answer(
        self, entry: Request | Malformed, context: Context, room: int, deadline: float, large: bool
    ) -> str | None:
        if isinstance(entry, Malformed):
            self.observe(None, entry.error.code, 0.0)
            return encode_error(entry.id, entry.error)
        started, code = time.perf_counter(), None
        try:
            if room <= 0:
                raise RpcError(RESPONSE_TOO_LARGE, f"response too large: at most {self.max_response_bytes} bytes")
            answer = await self._run(entry, context, deadline, large)
            if len(answer) > room:
                raise RpcError(RESPONSE_TOO_LARGE, f"response too large: at most {self.max_response_bytes} bytes")
        except RpcError as error:
            code = error.code
            answer = encode_error(entry.id, error)
        name = entry.method if entry.method in self.methods else None
        self.observe(name, code, time.perf_counter() - started)
        return None if entry.notification else answer

    async def _run(self, request: Request, context: Context, deadline: float, large: bool) -> str:
        method = self.methods.find(request.method)
        if not allowed(namespace(method.name), context.namespaces):
            context.denied.append(method.name)
            raise Unauthorized(f"{method.name} needs a token with the namespace {namespace(method.name)}; see rpc.open")
        try:
            async with asyncio.timeout_at(deadline):
                await self.turnstile.enter()  # a deadline that has passed is seen before anything runs
                bind = partial(method.bind, request.params)
                arguments = await self.heavy.run(bind) if large else bind()
                return encode_result(request.id, await method.handler(context, *arguments))
        except RpcError:
            raise
        except TimeoutError:
            raise RpcError(TIMEOUT, f"request timed out after {self.timeout_s:g} s") from None
        except (NotKept, StateNotKept) as error:
            raise RpcError(PRUNED, f"pruned history unavailable: {error}") from None
        except GridpactError as error:
            log.exception("a request failed", extra={"method": request.method})
            raise RpcError(INTERNAL_ERROR, f"internal error: {error}") from None
        except Exception as error:
            log.exception("a request failed", extra={"method": request.method})
            reason = f"internal error in {request.method}: {type(error).__name__}; the node's log has more"
            raise RpcError(INTERNAL_ERROR, reason) from None
