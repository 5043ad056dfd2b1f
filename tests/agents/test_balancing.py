"""The operator of a private street closes windows and feeds the feeder's reading in, in time or late; late meters."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from eth_keys.datatypes import PrivateKey

from agents.attempts import MAX_ATTEMPTS
from agents.balancing import Balancing, Feeder
from agents.chain import Call, Chain, Sender
from agents.clock import ChainClock, Windows
from agents.devices.attesting import SealedAttester
from agents.devices.feeder import FeederMeter
from agents.devices.sealing import MeterSeal
from agents.devices.wire import Wire
from agents.follower import Follower
from agents.journal import Line, WindowClosing
from agents.ledger import MarketView
from contracts.bindings import sealed_meters
from contracts.bindings.sealed_meters import FeederAttested, WindowClosed
from contracts.system import SEALED_METERS
from tests.agents.fake_node import serve
from tests.agents.test_auditing import Chain as PrivateChain
from tests.agents.test_auditing import events
from tests.contracts.street import CHAIN_ID, HOUSES, account, key

HOUR_MS = 3_600_000


class Office:
    """The operator's balancing against a chain, step by step."""

    def __init__(self, private: PrivateChain, url: str, wires: list[Wire]) -> None:
        self.chain, self.lines = Chain(url), list[Line]()
        self.private = private
        windows = Windows(**private.node.street.genesis["schedule"])
        start = windows.window_zero_s
        self.clock = ChainClock.from_rpc({"segments": [[0, start, 1]]}, lambda: 1000 * (private.node.now_s() - start))
        self.senders = [Sender(self.chain, key(name), CHAIN_ID) for name in ("operator", "feeder")]
        feeder = Feeder(FeederMeter(wires, windows.quarters, 15), self.senders[1])
        follower = Follower(
            self.chain, MarketView(), [], self.senders, on_event=lambda _: None, on_problem=lambda *_: None
        )
        expected = len(HOUSES) * windows.quarters
        self.balancing = Balancing(
            self.chain, self.clock, windows, follower, self.senders[0], feeder, expected, self.lines.append
        )

    async def step(self) -> None:
        """Step, and learn what became of it."""
        await self.balancing.step()
        self.private.node.mine()
        for sender in self.senders:
            await sender.watch()


def in_office(private: PrivateChain, wires: list[Wire], act: Callable[[Office], Awaitable[None]]) -> Office:
    async def scenario() -> Office:
        url, close = await serve(private.node)
        office = Office(private, url, wires)
        try:
            await act(office)
        finally:
            await office.chain.close()
            await close()
        return office

    return asyncio.run(scenario())


def test_a_window_is_closed_once_when_all_is_there(tmp_path: Path) -> None:
    private, wire = PrivateChain(), Wire(tmp_path / "wire")
    private.attest(HOUSES[:-1])

    async def act(office: Office) -> None:
        await office.step()
        assert events(private.node, WindowClosed) == []
        private.attest(HOUSES[-1:])
        for _ in range(3):
            await office.step()

    office = in_office(private, [wire], act)
    assert [(e.window, e.quarters) for e in events(private.node, WindowClosed)] == [(0, 16)]
    assert [(line.window, line.quarters) for line in office.lines if isinstance(line, WindowClosing)] == [(0, 16)]
    assert events(private.node, FeederAttested) == []


def test_a_window_is_closed_late_without_what_is_missing(tmp_path: Path) -> None:
    """And the feeder attests what flowed by so far; a window of which nothing is attested stays open."""
    private, wire = PrivateChain(), Wire(tmp_path / "wire")
    private.attest(HOUSES[:1])
    wire.flow(0, 1000, 0)

    async def act(office: Office) -> None:
        await office.step()
        assert events(private.node, WindowClosed) == events(private.node, FeederAttested) == []
        private.node.wall_start_ms -= 4 * HOUR_MS
        for _ in range(3):
            await office.step()

    in_office(private, [wire], act)
    assert [(e.window, e.quarters) for e in events(private.node, WindowClosed)] == [(0, 4)]
    assert events(private.node, FeederAttested)[0] == FeederAttested(0, 1015, 0)


def test_the_feeder_attests_a_window_as_soon_as_all_of_it_flowed(tmp_path: Path) -> None:
    private, wires = PrivateChain(), [Wire(tmp_path / name) for name in "ab"]
    for quarter in range(4):
        wires[0].flow(quarter, 0, 300)
        wires[1].flow(quarter, 200, 0)

    async def act(office: Office) -> None:
        for _ in range(3):
            await office.step()

    in_office(private, wires, act)
    assert events(private.node, FeederAttested) == [FeederAttested(0, 0, 4 * 97)]


def test_what_is_refused_again_and_again_is_left_alone(tmp_path: Path) -> None:
    private, wire = PrivateChain(), Wire(tmp_path / "wire")

    async def act(office: Office) -> None:
        for quarter in range(4):
            wire.flow(quarter, 1, 0)
        office.balancing.feeder = Feeder(FeederMeter([wire], 4, 15), office.senders[0])  # not the feeder's account
        for _ in range(MAX_ATTEMPTS + 3):
            await office.step()

    in_office(private, [wire], act)
    assert len(private.node.failures) == MAX_ATTEMPTS


def test_a_late_meter_leaves_closed_windows_out() -> None:
    private = PrivateChain()
    private.attest(HOUSES[1:])
    private.node.wall_start_ms -= 4 * HOUR_MS
    private.close()
    windows = Windows(**private.node.street.genesis["schedule"])

    async def scenario() -> tuple[int, list[Call]]:
        url, close = await serve(private.node)
        chain = Chain(url)
        meter = PrivateKey(key("ann-meter").to_bytes())
        attester = SealedAttester(chain, MeterSeal(meter, CHAIN_ID), windows)
        try:
            return await attester.next_quarter(), await attester.calls([(4, 7, 0), (5, 0, 9)], None)
        finally:
            await chain.close()
            await close()

    quarter, calls = asyncio.run(scenario())
    assert quarter == 4
    assert [call.to for call in calls] == [SEALED_METERS] * 2
    for call in calls:
        private.send("ann-meter", call.data)
    assert private.node.street.view(sealed_meters.next_quarter(account("ann-meter"))) == 6
