"""Agents against a small node with the real contracts: four households and the operator, in one process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from eth_hash.auto import keccak
from eth_keys.datatypes import PrivateKey
from web3._utils.http_session_manager import HTTPSessionManager

from agents.chain import Call, Chain, NodeError, NodeUnreachable, Sender
from agents.clock import ChainClock, Windows
from agents.configuration import HouseholdConfig, OperatorConfig, load_household, load_operator, render_operator
from agents.household import Household, NotRegistered
from agents.journal import Contract, Line, NoTrade, Problem, Quarter, Recorded, Settled, Started, read_journal
from agents.keys import create_key
from agents.operator import Operator
from agents.statement import make_statement
from contracts.bindings import erc20, fiat_token, market, meter_registry
from contracts.bindings.market_types import TradeState
from contracts.system import FIAT_TOKEN, MARKET
from contracts.tariffs import PRESETS
from tests.agents.fake_node import FakeNode, serve
from tests.agents.street_day import DATA, WINDOW_ZERO_S
from tests.contracts.street import CHAIN_ID, Street, genesis, hexed

NAMES = ("L16", "L31", "L6", "L7")
NOON_S = WINDOW_ZERO_S + 14 * 3600
STOP_S = 30
START_MS = 4_000  # until window 0 begins: four households and the operator start in a fraction of it


def key(name: str) -> PrivateKey:
    return PrivateKey(keccak(name.encode()))


def account(name: str) -> bytes:
    return bytes(key(name).public_key.to_canonical_address())


def limits(table: str, opening: int, reserve: int, rounds: int) -> str:
    return f"[strategy.{table}]\nopening = {opening}\nreserve = {reserve}\nrounds = {rounds}\n"


STRATEGIES = {
    "L16": limits("buy", 130_000, 255_000, 5) + limits("sell", 225_000, 140_000, 6),
    "L31": limits("buy", 140_000, 245_000, 4) + limits("sell", 240_000, 155_000, 7),
    "L6": limits("buy", 140_000, 260_000, 5),
    "L7": limits("buy", 130_000, 240_000, 6),
}


def make_node(scale: int, tariff: str = "shared-connection") -> FakeNode:
    content = genesis()
    content["schedule"] |= {"window_zero_s": NOON_S, "recording_margin_s": 900}
    content["operator"] = hexed(account("operator"))
    content["issuers"] = [content["operator"]]
    content["meters"] = [
        {"meter": hexed(account(f"{n}m")), "household": hexed(account(n)), "connection": n, "max_power_w": 25_000}
        for n in NAMES
    ]
    preset = PRESETS[tariff]
    content["tariffs"] = [{name: getattr(preset, name) for name in type(preset).__dataclass_fields__}]
    return FakeNode(Street(content), scale, time.time_ns() // 1_000_000 + START_MS)


def write_household(folder: Path, name: str, url: str) -> HouseholdConfig:
    folder.mkdir()
    (folder / "passphrase").write_text("x\n", encoding="ascii")
    create_key(folder / "household-key.json", b"x", private_key=key(name).to_bytes(), work_factor=2)
    create_key(folder / "meter-key.json", b"x", private_key=key(f"{name}m").to_bytes(), work_factor=2)
    (folder / "household.toml").write_text(
        f'[household]\nname = "{name}"\nconnection = "LV4.101-{name}"\nrpc = "{url}"\nlisten = "127.0.0.1:0"\n'
        'key = "household-key.json"\nmeter_key = "meter-key.json"\npassphrase_file = "passphrase"\n'
        f'attest_quarters = 4\n[profiles]\ndata = "{DATA}"\n[strategy]\n{STRATEGIES[name]}',
        encoding="utf-8",
    )
    return load_household(folder / "household.toml")


def write_operator(folder: Path, url: str) -> OperatorConfig:
    folder.mkdir()
    (folder / "passphrase").write_text("x\n", encoding="ascii")
    create_key(folder / "operator-key.json", b"x", private_key=key("operator").to_bytes(), work_factor=2)
    (folder / "operator.toml").write_text(render_operator(rpc=url), encoding="utf-8")
    return load_operator(folder / "operator.toml")


async def until(node: FakeNode, window: int, elapsed_s: int = 0) -> None:
    """Return when the node's clock shows a moment."""
    moment = NOON_S + window * 3600 + elapsed_s
    while node.now_s() < moment:
        await asyncio.sleep(0.02)


async def stop(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    _, running = await asyncio.wait(tasks, timeout=STOP_S)
    assert not running, f"cancelled, but still running: {running}"


def journal(folder: Path) -> list[Line]:
    return list(read_journal(folder / "journal.jsonl"))


def of(lines: list[Line], kind: type[Any]) -> list[Any]:
    return [line for line in lines if isinstance(line, kind)]


def test_a_street_trades_is_metered_and_settled(tmp_path: Path) -> None:
    async def scenario() -> FakeNode:
        node = make_node(scale=1200)
        url, close = await serve(node)
        configs = {name: write_household(tmp_path / name, name, url) for name in NAMES}
        tasks = [asyncio.create_task(Operator(write_operator(tmp_path / "operator", url)).run())]
        running = {name: asyncio.create_task(Household(config).run()) for name, config in configs.items()}
        try:
            # Window 1 is traded; then one household loses power in the middle of negotiating window 2 and returns.
            await until(node, 1, 1500)
            running["L16"].cancel()
            with suppress(asyncio.CancelledError):
                await running["L16"]
            running["L16"] = asyncio.create_task(Household(configs["L16"]).run())
            await until(node, 3, 1800)
            statement = await make_statement(configs["L6"])
            assert len(statement.rows) == 3
        finally:
            await stop([*tasks, *running.values()])
            await close()
        return node

    node = asyncio.run(scenario())
    assert node.failures == []
    lines = {name: journal(tmp_path / name) for name in NAMES}
    recorded = {line.trade for name in NAMES for line in of(lines[name], Recorded)}
    traded = {line.window for name in NAMES for line in of(lines[name], Recorded)}
    assert traded >= {1, 3}
    agreed = {line.trade for name in NAMES for line in of(lines[name], Contract) if line.window in (1, 3)}
    assert {trade for trade in agreed if trade not in recorded} == set()
    started = of(lines["L16"], Started)
    assert [line.restart for line in started] == [False, True]
    for name in NAMES:
        quarters = [line.quarter for line in of(lines[name], Quarter)]
        assert quarters == list(range(len(quarters))), name
        assert {line.window for line in of(lines[name], Settled)} >= {0, 1}, name
        (next_quarter,) = [node.street.view(meter_registry.next_quarter(account(f"{name}m")))]
        assert next_quarter >= 12
    _check_books(node, lines)


def _check_books(node: FakeNode, lines: dict[str, list[Line]]) -> None:
    view = node.street.view
    trades = [t for w in range(2) for t in view(market.get_trades(w)).trades]
    assert trades
    assert {trade.state for trade in trades} <= {TradeState.SETTLED, TradeState.ALLOCATED}
    for window in (0, 1):
        for name in NAMES:
            attested = view(meter_registry.window_reading(account(name), window))
            mine = [line for line in of(lines[name], Quarter) if line.window == window]
            assert attested.import_wh == sum(line.import_wh for line in mine)
            assert attested.export_wh == sum(line.export_wh for line in mine)
    parties = [account(name) for name in NAMES] + [account("operator"), market_grid()]
    balances = sum(view(market.balance_of(party)) for party in parties)
    assert view(fiat_token.balance_of(MARKET)) == balances + view(market.locked_microeur())


def market_grid() -> bytes:
    return keccak(b"gridpact/party/grid")[:20]


def test_the_public_grid_trades_nothing_and_the_journal_says_why(tmp_path: Path) -> None:
    async def scenario() -> None:
        node = make_node(scale=2400, tariff="public-grid")
        url, close = await serve(node)
        task = asyncio.create_task(Household(write_household(tmp_path / "L16", "L16", url)).run())
        try:
            await until(node, 2, 600)
        finally:
            await stop([task])
            await close()

    asyncio.run(scenario())
    lines = journal(tmp_path / "L16")
    reasons = [line.reason for line in of(lines, NoTrade)]
    assert len(reasons) >= 2
    assert all("no trade pays both sides" in reason for reason in reasons)
    assert of(lines, Contract) == of(lines, Problem) == []


def test_a_household_that_the_chain_does_not_know_is_told_so(tmp_path: Path) -> None:
    async def scenario() -> None:
        node = make_node(scale=1)
        url, close = await serve(node)
        config = write_household(tmp_path / "L16", "L16", url)
        (tmp_path / "stranger").mkdir()
        create_key(tmp_path / "stranger" / "meter-key.json", b"x", work_factor=2)
        try:
            with pytest.raises(NotRegistered, match="but it is not certified"):
                await Household(replace(config, meter_key=tmp_path / "stranger" / "meter-key.json")).run()
        finally:
            await close()

    asyncio.run(scenario())


def test_requests_that_are_cancelled_leave_the_others_answered() -> None:
    """Cancelled while they all wait for web3.py's lock, which is one for the whole process."""

    async def scenario() -> int:
        node = make_node(scale=1)
        url, close = await serve(node)
        chains = [Chain(url, patience_s=2.0) for _ in range(8)]
        lock = HTTPSessionManager._lock
        try:
            lock.acquire()
            asking = [asyncio.create_task(chain.height()) for chain in chains]
            await asyncio.sleep(0.1)
            for task in asking:
                task.cancel()
            await asyncio.wait(asking)
            lock.release()
            async with asyncio.timeout(5):
                return await chains[0].height()
        finally:
            for chain in chains:
                await chain.close()
            await close()

    assert asyncio.run(scenario()) == 0


def test_a_sender_survives_what_a_node_does(tmp_path: Path) -> None:
    async def scenario() -> None:
        node = make_node(scale=1)
        url, close = await serve(node)
        chain = Chain(url, patience_s=0.2)
        sender = Sender(chain, key("L16"), CHAIN_ID)
        approve = Call(FIAT_TOKEN, fiat_token.approve(MARKET), 100_000, "approve")
        wrong = Call(MARKET, market.withdraw_offer(99), 100_000, "withdraw")
        try:
            sent = await sender.send([approve, wrong])
            node.mine()
            assert await sender.watch() == sent
            assert [pending.outcome.result() for pending in sent] == [True, False]
            # Another process used the account meanwhile: the nonce is read again.
            node.nonces[hexed(account("L16"))] += 3
            (again,) = await sender.send([approve])
            assert again.nonce == 5
            # The node restarts and forgets its pool: what waits is sent again.
            node.pool.clear()
            node.nonces[hexed(account("L16"))] = 5
            again.sent_at -= 10
            assert await sender.watch() == []
            node.mine()
            assert await sender.watch() == [again]
            node.refuse = True
            with pytest.raises(NodeError, match="the pool is full"):
                await sender.send([approve])
            assert await chain.read(fiat_token.allowance(account("L16"), MARKET)) == (erc20.UNLIMITED,)
        finally:
            await close()
        with pytest.raises(NodeUnreachable, match="expected an answer"):
            await chain.height()
        await chain.close()

    asyncio.run(scenario())


def test_the_clock_maps_wall_to_chain_and_back() -> None:
    now = [1_000]
    answer = {"segments": [[1_000, 100, 10], [2_000, 110, 100]]}
    clock = ChainClock.from_rpc(answer, lambda: now[0])
    assert clock.now_s() == 100
    assert clock.wall_until_s(210) == 2.0
    now[0] = 0
    assert clock.now_s() == 100
    now[0] = 1_500
    assert clock.now_s() == 105
    now[0] = 3_000
    assert (clock.now_s(), clock.wall_until_s(150), clock.wall_until_s(310)) == (210, 0, 1.0)
    with pytest.raises(ValueError, match="grid_clock: expected"):
        ChainClock.from_rpc({"segments": [[1, 2]]})
    windows = Windows(100, 3600, 900, 2700, 900, 4)
    assert [windows.window_at(s) for s in (99, 100, 3699, 3700)] == [-1, 0, 0, 1]
    assert [windows.quarters_over(s) for s in (0, 999, 1000, 3700)] == [0, 0, 1, 4]
