"""The follower: blocks from RPC servers, honest and not, into a driver that believes none of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from consensus.codec import decode_message
from consensus.messages import CertifiedBlock
from node.sync import follower as module
from node.sync.follower import Follower
from tests.rpc.harness import RunningNode

HEIGHTS = 60


class Taker:
    """A chain that takes certified blocks in order, with those handed over ahead of their turn, and no false one."""

    def __init__(self, good: dict[int, bytes]) -> None:
        self.next_height = 1
        self.follows = True
        self.follower: Follower | None = None
        self.refused = 0
        self._good = good
        self._held: dict[int, CertifiedBlock] = {}
        self.reached = asyncio.Event()
        self.goal = 0

    def offer(self, payload: bytes) -> bool:
        block = decode_message(payload, max_body_bytes=1 << 20)
        assert isinstance(block, CertifiedBlock)
        assert block.height < self.next_height + module.WINDOW
        self._held[block.height] = block
        if block.height == self.next_height and not self._take():
            return False
        while self._take():
            pass
        return True

    def _take(self) -> bool:
        """Commit the block of the open height, if it is at hand and is the right one."""
        block = self._held.pop(self.next_height, None)
        if block is None:
            return False
        if block.certificate.block_hash != self._good[self.next_height]:
            self.refused += 1
            return False
        self.next_height += 1
        if self.next_height > self.goal:
            self.reached.set()
        if self.follower is not None:
            asyncio.get_running_loop().call_soon(self.follower.on_head, self.next_height - 1)
        return True


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A node with some heights."""
    node = RunningNode(tmp_path_factory.mktemp("sync") / "chain", open_accounts=True)
    for _ in range(HEIGHTS):
        node.mine()
    yield node
    node.close()


def hashes(member: RunningNode) -> dict[int, bytes]:
    """Return the hashes of a member's blocks by height."""
    with member.backend.store.read() as view:
        return {height: view.header(height).hash for height in range(1, view.head_height + 1)}


def rows(member: RunningNode) -> list[dict[str, str]]:
    """Return all that the member serves."""
    found: list[dict[str, str]] = member.result("grid_getCertifiedBlocks", "0x1", 256)
    return found


async def lying(answer: Callable[[int], Any]) -> tuple[web.AppRunner, str]:
    """Start a server whose answer to a request from a height on is `answer(height)`."""

    async def post(request: web.Request) -> web.Response:
        asked = await request.json()
        return web.json_response(answer(int(asked["params"][0], 16) if asked["params"] else -1))

    application = web.Application()
    application.router.add_post("/", post)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


async def follow(chain: Taker, *urls: str, goal: int = HEIGHTS) -> None:
    """Follow until the chain has reached the goal."""
    chain.goal = goal
    chain.follower = Follower(urls, chain)
    task = asyncio.create_task(chain.follower.run())
    try:
        await asyncio.wait_for(chain.reached.wait(), 30)
    finally:
        task.cancel()


def test_all_blocks_come_in_order(member: RunningNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RANGE", 7)
    monkeypatch.setattr(module, "LOW", 4)
    monkeypatch.setattr(module, "POLL_S", 0.01)

    async def run() -> Taker:
        chain = Taker(hashes(member))
        await follow(chain, member.url)
        return chain

    chain = asyncio.run(run())
    assert (chain.next_height, chain.refused) == (HEIGHTS + 1, 0)


def test_how_far_there_is_to_go_is_known_while_there_are_blocks(
    member: RunningNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RANGE", 7)
    monkeypatch.setattr(module, "LOW", 4)
    monkeypatch.setattr(module, "FAR", 3)
    monkeypatch.setattr(module, "POLL_S", 0.01)
    seen = set()

    class Watched(Taker):
        def _take(self) -> bool:
            assert self.follower is not None
            seen.add(self.follower.target_height)
            return super()._take()

    chain = Watched(hashes(member))
    asyncio.run(follow(chain, member.url))
    assert seen == {HEIGHTS}


def test_who_boasts_is_believed_only_while_it_has_blocks(member: RunningNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_S", 0.001)
    monkeypatch.setattr(module, "FAR", 3)
    known = rows(member)

    def answer(height: int) -> Any:
        return {"result": "0xffff"} if height < 0 else {"result": known[height - 1 : HEIGHTS]}

    async def run() -> tuple[int, int]:
        runner, url = await lying(answer)
        chain = Taker(hashes(member))
        chain.goal, follower = HEIGHTS, Follower([url], chain)
        chain.follower = follower
        task = asyncio.create_task(follower.run())
        await asyncio.wait_for(chain.reached.wait(), 30)
        boasted = follower.target_height
        async with asyncio.timeout(10):
            while follower.target_height != HEIGHTS:
                await asyncio.sleep(0)
        task.cancel()
        await runner.cleanup()
        return boasted, follower.target_height

    assert asyncio.run(run()) == (0xFFFF, HEIGHTS)


def test_nothing_is_asked_while_nothing_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_S", 0.001)
    asked = 0

    def answer(_height: int) -> Any:
        nonlocal asked
        asked += 1
        return {"result": []}

    async def run() -> None:
        runner, url = await lying(answer)
        chain = Taker({})
        chain.follows = False
        task = asyncio.create_task(Follower([url], chain).run())
        for _ in range(20):
            await asyncio.sleep(0)
        assert asked == 0
        task.cancel()
        await runner.cleanup()

    asyncio.run(run())


def swapped(good: list[dict[str, str]], height: int) -> Any:
    return {"result": [good[(height + 5) % HEIGHTS], *good[height:]]}


def false_certificate(good: list[dict[str, str]], height: int) -> Any:
    row = dict(good[height - 1])
    at = 2 + 2 * 25  # the block hash within the certificate
    row["certificate"] = row["certificate"][:at] + "00" * 32 + row["certificate"][at + 64 :]
    return {"result": [row, *good[height : height + 20]]}


def false_later(good: list[dict[str, str]], height: int) -> Any:
    wrong = false_certificate(good, height + 3)["result"][0] if height + 3 <= HEIGHTS else good[-1]
    return {"result": [*good[height - 1 : height + 2], wrong, *good[height + 3 :]]}


LIES: dict[str, Callable[[list[dict[str, str]], int], Any]] = {
    "another height": swapped,
    "a false certificate": false_certificate,
    "a false certificate later on": false_later,
    "no list": lambda _g, _h: {"result": {"a": 1}},
    "an error": lambda _g, _h: {"error": {"code": 4444, "message": "pruned"}},
    "no object": lambda _g, _h: [1, 2],
    "rubbish in rows": lambda _g, _h: {"result": [1, None, "x"]},
    "no hexadecimal": lambda _g, _h: {"result": [{"body": "0xzz", "certificate": "0x00"}]},
    "a cut certificate": lambda g, h: {"result": [{"body": "0x", "certificate": g[h - 1]["certificate"][:80]}]},
    "far too much": lambda _g, _h: {"result": [], "padding": "x" * (module.MAX_ANSWER_BYTES + 1)},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_liar_is_passed_over(member: RunningNode, lie: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_S", 0.01)
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(module, "MAX_PAUSE_S", 0.02)
    good = rows(member)

    async def run() -> Taker:
        runner, url = await lying(lambda height: LIES[lie](good, height))
        chain = Taker(hashes(member))
        await follow(chain, url, "http://127.0.0.1:9", member.url)
        await runner.cleanup()
        return chain

    chain = asyncio.run(run())
    assert chain.next_height == HEIGHTS + 1
    assert bool(chain.refused) == lie.startswith("a false")


def test_when_all_fail_pauses_grow(member: RunningNode) -> None:
    async def run() -> list[float]:
        chain = Taker({})
        following = Follower(["http://127.0.0.1:9", "http://127.0.0.1:19"], chain)
        async with aiohttp.ClientSession() as session:
            return [await following._once(session) for _ in range(20)]

    pauses = asyncio.run(run())
    assert pauses[:6] == [0.0, 1.0, 1.0, 2.0, 2.0, 4.0]
    assert pauses == sorted(pauses)
    assert pauses[-1] == module.MAX_PAUSE_S
