"""Following the chain without a vote: certified blocks from members' RPC, handed to the driver, which believes none.

Blocks come in ranges, the next one while the present one is applied. Whoever is silent, or gives what the driver does
not take, is passed over for the next address; when all have been, longer and longer pauses follow.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from typing import Any, Protocol

import aiohttp

from consensus.codec import InvalidPeerMessage, decode_certificate, encode_message
from consensus.messages import CertifiedBlock

RANGE = 256  # blocks of a request; the member bounds their bytes
LOW = 128  # blocks in hand below which the next range is asked for
WINDOW = 32  # blocks handed over ahead of their turn, so that they are committed together
POLL_S = 0.5  # between questions when there is nothing new
FIRST_PAUSE_S, MAX_PAUSE_S = 1.0, 60.0  # after all addresses failed, doubled each time
TIMEOUT_S = 30.0
FAR = 16  # blocks in one range: then a member is asked how many more there are
MAX_HEIGHT = 2**63
MAX_ANSWER_BYTES = 16 * 1024 * 1024  # a MiB and a largest block in hexadecimal, certificates of 128 signers

log = logging.getLogger("sync")


class Chain(Protocol):
    """What the follower needs of its node; everything is called on the event loop."""

    @property
    def next_height(self) -> int:
        """The height that is decided next."""

    @property
    def follows(self) -> bool:
        """Whether blocks are wanted from here now."""

    def offer(self, payload: bytes) -> bool:
        """Hand over an encoded certified block; return whether the height that is open now has its block (already)."""


class _Useless(Exception):
    """An address gave nothing that can be used."""


class Follower:
    """One task; `run` until it is cancelled, `on_head` after every commit.

    Args:
        urls: RPC addresses of members, at least one; none of them is trusted.
        chain: the node.
    """

    def __init__(self, urls: Sequence[str], chain: Chain) -> None:
        self._urls = tuple(urls)
        self._chain = chain
        self._moved = asyncio.Event()
        self._at = 0
        self._failures = 0
        self.target_height = 0  # the highest block that was at hand, or that who gives blocks says it has
        self.answered = False  # the address that was asked last gave what can be used

    def on_head(self, _height: int) -> None:
        """Take note that the chain has moved on."""
        self._moved.set()

    async def run(self) -> None:
        """Follow for ever."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                pause_s = await self._once(session)
                await asyncio.sleep(pause_s)

    async def _once(self, session: aiohttp.ClientSession) -> float:
        """Ask the present address until it has no more; return for how long (seconds) to pause."""
        if not self._chain.follows:
            return POLL_S
        url = self._urls[self._at % len(self._urls)]
        try:
            await self._follow(session, url)
        except _Useless as error:
            self.answered = False
            self._at += 1
            self._failures += 1
            log.warning("cannot follow", extra={"url": url, "reason": str(error)})
            rounds = self._failures // len(self._urls)
            return 0.0 if rounds == 0 else min(FIRST_PAUSE_S * 2 ** min(rounds - 1, 16), MAX_PAUSE_S)
        self.answered = True
        return POLL_S

    async def _follow(self, session: aiohttp.ClientSession, url: str) -> None:
        """Apply ranges from `url` until it answers with none."""
        held: dict[int, bytes] = {}
        last = self._chain.next_height - 1  # the highest that has been fetched
        offered = last
        more = True
        coming: asyncio.Task[list[bytes]] | None = None
        try:
            while self._chain.follows and (more or held):
                height = self._chain.next_height
                held = {number: payload for number, payload in held.items() if number >= height}
                last = max(last, height - 1)
                if more and coming is None and len(held) < LOW:
                    coming = asyncio.create_task(self._fetch(session, url, last + 1))
                offered = self._hand_over(held, height, max(offered, height - 1))
                self._moved.clear()
                if coming is not None:
                    if not held:
                        await asyncio.wait((coming,))
                    if coming.done():
                        blocks, coming = coming.result(), None
                        held |= dict(enumerate(blocks, start=last + 1))
                        last += len(blocks)
                        self.target_height = max(last, await self._head(session, url) if len(blocks) > FAR else 0)
                        more = bool(blocks)
                        continue
                if height in held and self._chain.next_height == height:
                    await self._next(coming)
        finally:
            if coming is not None:
                coming.cancel()

    def _hand_over(self, held: dict[int, bytes], height: int, offered: int) -> int:
        """Offer what is in hand within the window; return the highest that was offered.

        The block of the open height is offered last: with those after it at hand they are committed together.
        """
        if height not in held:
            return offered
        most = min(height + WINDOW, max(held) + 1)
        for number in range(max(offered, height) + 1, most):
            self._chain.offer(held[number])
        if not self._chain.offer(held[height]):
            raise _Useless(f"its block of height {height} does not hold")
        self._failures = 0
        return max(offered, most - 1)

    async def _next(self, coming: asyncio.Task[list[bytes]] | None) -> None:
        """Wait until the chain has moved, or more has come."""
        moved = asyncio.create_task(self._moved.wait())
        try:
            await asyncio.wait((moved, *(() if coming is None else (coming,))), return_when=asyncio.FIRST_COMPLETED)
        finally:
            moved.cancel()

    async def _head(self, session: aiohttp.ClientSession, url: str) -> int:
        """Return the height that a member says it has, 0 if it says none; believed while it has more blocks."""
        request = {"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []}
        try:
            async with session.post(url, json=request) as response:
                answer = json.loads(await _read(response))
            return min(int(str(answer["result"]), 16), MAX_HEIGHT)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, RecursionError, KeyError, TypeError, _Useless):
            return 0

    async def _fetch(self, session: aiohttp.ClientSession, url: str, first: int) -> list[bytes]:
        """Return encoded certified blocks from height `first` on."""
        request = {"jsonrpc": "2.0", "id": 1, "method": "grid_getCertifiedBlocks", "params": [hex(first), RANGE]}
        try:
            async with session.post(url, json=request) as response:
                raw = await _read(response)
            answer = json.loads(raw)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _Useless(f"no answer ({type(error).__name__}: {error})") from None
        except (ValueError, RecursionError) as error:
            raise _Useless(f"no JSON ({error})") from None
        if not isinstance(answer, dict) or not isinstance(answer.get("result"), list):
            raise _Useless(f"answered {str(answer)[:200]}")
        rows = answer["result"][:RANGE]
        return [_decode(row, height) for height, row in enumerate(rows, start=first)]


async def _read(response: aiohttp.ClientResponse) -> bytes:
    parts, size = [], 0
    async for part in response.content.iter_chunked(1 << 16):
        parts.append(part)
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            raise _Useless(f"more than {MAX_ANSWER_BYTES} bytes in one answer")
    return b"".join(parts)


def _decode(row: Any, height: int) -> bytes:
    """Return the message that hands over a row of an answer."""
    try:
        body, certificate = (bytes.fromhex(str(row[name]).removeprefix("0x")) for name in ("body", "certificate"))
        block = CertifiedBlock(body, decode_certificate(certificate))
    except (KeyError, TypeError, ValueError, InvalidPeerMessage) as error:
        raise _Useless(f"no certified block in the place of height {height} ({error})") from None
    if block.height != height:
        raise _Useless(f"a block of height {block.height} in the place of height {height}")
    return encode_message(block)
