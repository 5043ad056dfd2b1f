"""A light, steady load of transfers on four validators, and how long each took until a validator had committed it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from benchmarks.presigned import TokenSenders, batch_body
from benchmarks.transfers import Run
from devnet.processes import log_path

SUBSCRIBE = {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]}
RECEIPT_PATIENCE_S = 20.0  # after a phase, for what is still on its way
POLL_S = 0.1


@dataclass(slots=True)
class Phase:
    """What was seen while one load was on.

    Args:
        name: of the load.
        begin, end: wall seconds since 1970.
        sent: hash, validator, monotonic seconds and submission of each transfer.
        waits_ms: of each transfer, until the validator that it was sent to had committed it.
        lost: transfers without a receipt, or that no validator took.
        rounds_ms: of each height and validator, from the first proposal to the durable block; and those of the
            loaded validator alone.
    """

    name: str
    begin: float = 0.0
    end: float = 0.0
    sent: list[tuple[str, int, float, asyncio.Task[None]]] = field(default_factory=list)
    waits_ms: list[float] = field(default_factory=list)
    lost: int = 0
    rounds_ms: list[float] = field(default_factory=list)
    own_rounds_ms: list[float] = field(default_factory=list)


class Probe:
    """Sends transfers to all validators in turn, and hears of every validator's new heads.

    Args:
        run: the token on the chain; nobody else sends from its accounts.
        senders: of it.
        rate_per_s: transfers.
    """

    def __init__(self, run: Run, senders: TokenSenders, rate_per_s: float) -> None:
        self._run, self._senders, self._pause_s = run, senders, 1 / rate_per_s
        self.heads: list[dict[int, float]] = [{} for _ in run.nodes]  # when each was heard of, by height

    @classmethod
    @asynccontextmanager
    async def listening(cls, session: aiohttp.ClientSession, run: Run, rate_per_s: float) -> AsyncIterator[Probe]:
        """Yield a probe whose subscriptions are older than all others."""
        probe = cls(run, await run.signers(), rate_per_s)
        sockets = [await session.ws_connect(node.url) for node in run.nodes]
        for socket in sockets:
            await socket.send_json(SUBSCRIBE)
            await socket.receive_json()
        tasks = [asyncio.create_task(probe._listen(number, socket)) for number, socket in enumerate(sockets)]
        try:
            yield probe
        finally:
            for task in tasks:
                task.cancel()
            for socket in sockets:
                await socket.close()

    async def _listen(self, number: int, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            at = time.monotonic()
            self.heads[number][int(json.loads(message.data)["params"]["result"]["number"], 16)] = at

    async def measure(self, name: str, seconds: float) -> Phase:
        """Send for so long; return what is to be settled."""
        phase = Phase(name, begin=time.time())
        started = time.monotonic()
        for number, signed in enumerate(self._senders.next_transfers(round(seconds / self._pause_s))):
            await asyncio.sleep(max(0.0, started + number * self._pause_s - time.monotonic()))
            target = number % len(self._run.nodes)
            post = asyncio.create_task(self._run.nodes[target].post(batch_body([signed])))
            phase.sent.append((signed.hash, target, time.monotonic(), post))
        phase.end = time.time()
        return phase

    async def settle(self, phase: Phase) -> None:
        """Find out, when nobody else asks any more, how long the transfers of a phase took."""
        done = await asyncio.gather(*(post for _, _, _, post in phase.sent), return_exceptions=True)
        failed = [each for each in done if isinstance(each, BaseException)]
        heights = await self._heights([each for each, _, _, _ in phase.sent])
        for each, target, at, _ in phase.sent:
            seen = self.heads[target].get(heights.get(each, -1))
            if seen is not None:
                phase.waits_ms.append(1_000 * (seen - at))
        phase.lost = max(len(failed), len(phase.sent) - len(phase.waits_ms))

    async def _heights(self, hashes: list[str]) -> dict[str, int]:
        """Return the height that each was committed at, once every validator has told of it; without those lost."""
        deadline, found = time.monotonic() + RECEIPT_PATIENCE_S, dict[str, int]()
        while time.monotonic() < deadline:
            open_ = [each for each in hashes if each not in found]
            if open_:
                receipts = await self._run.nodes[-1].batch([("eth_getTransactionReceipt", [each]) for each in open_])
                found |= {
                    each: int(receipt["blockNumber"], 16)
                    for each, receipt in zip(open_, receipts, strict=True)
                    if receipt is not None
                }
            last = max(found.values(), default=0)
            if len(found) == len(hashes) and all(max(heads, default=0) >= last for heads in self.heads):
                break
            await asyncio.sleep(POLL_S)
        return found


def add_rounds(root: Path, phases: list[Phase], loaded: int) -> None:
    """Add to phases what the validators' logs tell of the rounds in them.

    Args:
        root: of the devnet.
        phases: in the order of time.
        loaded: the validator that the load is on.
    """
    for index in range(4):
        for at, round_ms in _rounds(log_path(root, f"node-{index}")):
            for phase in phases:
                if phase.begin <= at < phase.end:
                    phase.rounds_ms.append(round_ms)
                    if index == loaded:
                        phase.own_rounds_ms.append(round_ms)


def _rounds(path: Path) -> Iterator[tuple[float, float]]:
    """Yield (wall seconds, milliseconds) of every round that a log tells of."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if '"message": "committed"' in line:
                row = json.loads(line)
                if row["round_ms"] is not None:
                    yield row["time"], row["round_ms"]
