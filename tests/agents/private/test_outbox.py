"""Transactions of a session until they are in a block."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_keys.datatypes import PrivateKey
from hexbytes import HexBytes

from agents.chain import Call
from agents.clock import ChainClock, Segment
from agents.errors import AgentError
from agents.home import Home
from agents.journal import Journal, Line, PrivateSent, Problem, read_journal
from agents.private.memory import WindowMemory
from agents.private.outbox import RESEND_S, Outbox
from agents.private.post import NoRelay, Post
from agents.private.session import open_session
from agents.private.street import Street
from tests.agents.private.fake_street import FakeStreet
from tests.agents.private.test_window import START_S, WINDOWS, Scene
from tests.agents.private.warp import run, wall_ms

SESSION = open_session(PrivateKey(b"\x07" * 32), 2016, 8)
CALL = Call(b"m" * 20, b"data", 100_000, "call")


class Chain:
    """Says of a transaction what it is told to."""

    def __init__(self) -> None:
        self.mined: dict[bytes, bool] = {}
        self.count = 0
        self.sent: list[bytes] = []

    async def submit(self, transaction: bytes) -> None:
        self.sent.append(transaction)

    async def outcome(self, transaction: bytes) -> bool | None:
        return self.mined.get(transaction)

    async def nonce(self, account: bytes) -> int:
        return self.count


def nonce_of(transaction: bytes) -> int:
    return int(TypedTransaction.from_bytes(HexBytes(transaction)).as_dict()["nonce"])


def play(folder: Path, scenario: Callable[[Outbox, Chain, WindowMemory, Home], Awaitable[None]]) -> list[Line]:
    async def whole() -> None:
        scene = Scene(folder)
        scene.street = FakeStreet(ChainClock([Segment(0, START_S, 300)], wall_ms), WINDOWS, {})
        home = scene._home(0, Journal(folder / "journal.jsonl"))
        chain = Chain()
        outbox = Outbox(home, cast(Post, chain), cast(Street, chain), lambda wall_s: asyncio.sleep(max(wall_s, 0.001)))
        await scenario(outbox, chain, WindowMemory(), home)
        home.journal.close()

    run(whole)
    return list(read_journal(folder / "journal.jsonl"))


async def made() -> Call:
    return CALL


def test_what_nobody_mined_is_sent_again_and_then_given_up(tmp_path: Path) -> None:
    async def scenario(outbox: Outbox, chain: Chain, memory: WindowMemory, home: Home) -> None:
        until_s = home.clock.now_s() + 5 * 300
        assert await outbox.call(memory, SESSION, "settle", made, until_s) is None
        assert len(chain.sent) == 5, "once a second, which is longer than two minutes of the chain"
        assert len(set(chain.sent)) == 1
        assert memory.sent == {}, "its nonce is free again"

    (line,) = play(tmp_path, scenario)
    assert isinstance(line, PrivateSent)
    assert RESEND_S < 300


def test_a_call_whose_nonce_was_used_is_signed_anew(tmp_path: Path) -> None:
    async def scenario(outbox: Outbox, chain: Chain, memory: WindowMemory, home: Home) -> None:
        task = asyncio.create_task(outbox.call(memory, SESSION, "allow", made, home.clock.now_s() + 3_000))
        await asyncio.sleep(0.5)
        chain.count = 3
        await asyncio.sleep(3)
        assert [nonce_of(raw) for raw in sorted(set(chain.sent), key=nonce_of)] == [0, 3]
        chain.mined[chain.sent[-1]] = True
        assert await task is True

    assert [line.nonce for line in play(tmp_path, scenario) if isinstance(line, PrivateSent)] == [0, 3]


def test_calls_at_once_keep_their_order_and_are_told_apart(tmp_path: Path) -> None:
    async def scenario(outbox: Outbox, chain: Chain, memory: WindowMemory, home: Home) -> None:
        until_s = home.clock.now_s() + 3_000
        tasks = [asyncio.create_task(outbox.call(memory, SESSION, step, made, until_s)) for step in ("a", "b", "c")]
        await asyncio.sleep(0.5)
        assert {step: sent.nonce for step, sent in memory.sent.items()} == {"a": 0, "b": 1, "c": 2}
        for step, succeeded in (("a", True), ("b", False), ("c", True)):
            chain.mined[memory.sent[step].transaction] = succeeded
        assert await asyncio.gather(*tasks) == [True, False, True]

    play(tmp_path, scenario)


def test_a_restart_sends_the_same_bytes_and_troubles_are_noted(tmp_path: Path) -> None:
    async def scenario(outbox: Outbox, chain: Chain, memory: WindowMemory, home: Home) -> None:
        troubles: list[Exception] = [NoRelay("none"), AgentError("the node is away")]

        async def submit(transaction: bytes) -> None:
            if troubles:
                raise troubles.pop()
            chain.mined[transaction] = True

        chain.submit = submit  # type: ignore[method-assign]

        async def raw() -> bytes:
            return b"\x6e first"

        async def other() -> bytes:
            raise AssertionError("made again")

        assert await outbox.send(memory, 8, "offer", raw, home.clock.now_s() + 3_000)
        assert await outbox.send(memory, 8, "offer", other, home.clock.now_s() + 3_000)

    lines = play(tmp_path, scenario)
    assert [type(line) for line in lines] == [PrivateSent, Problem, Problem]
