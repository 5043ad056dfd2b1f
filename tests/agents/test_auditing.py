"""Auditors give parts of closed sums, once, if everything they see agrees; and a private street in one process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from eth_hash.auto import keccak

from agents.auditing.auditor import Auditor
from agents.auditing.configuration import AuditorConfig, load_auditor, render_auditor
from agents.configuration import load_household, load_operator, render_operator
from agents.devices.sealing import MeterSeal
from agents.errors import AgentError, ConfigError
from agents.household import Household
from agents.journal import JOURNAL_NAME, Journal, PartGoing, Problem, Quarter, SumsFound, WindowClosing, lines_of
from agents.keys import create_key
from agents.operator import Operator
from contracts.bindings import sealed_meters
from contracts.bindings.events import decode_log
from contracts.bindings.sealed_meters import BalanceOpened, PartGiven, SealedAttested
from contracts.system import SEALED_METERS
from privacy.commitment import opens
from tests.agents.fake_node import FakeNode, serve
from tests.agents.test_live import NAMES, make_node, stop, until, write_household, write_operator
from tests.agents.test_live import account as live_account
from tests.agents.test_live import key as live_key
from tests.contracts.street import CHAIN_ID, HOUSES, Street, account, genesis, key
from tests.contracts.test_sealed_meters import AUDITORS, JOINT_KEY, SHARES, G, parts_of, seal, sealing

ENOUGH_S = 20.0


def events(node: FakeNode, kind: type[Any]) -> list[Any]:
    """The events of a kind on a node's chain, in order."""
    found = []
    for log in node.logs:
        topics = [bytes.fromhex(topic[2:]) for topic in log["topics"]]
        event = decode_log(bytes.fromhex(log["address"][2:]), topics, bytes.fromhex(log["data"][2:]))
        if isinstance(event, kind):
            found.append(event)
    return found


def write_auditor(folder: Path, number: int, url: str, **changes: Any) -> AuditorConfig:
    """The configuration of an auditor by its number from 1."""
    folder.mkdir(parents=True)
    (folder / "passphrase").write_text("x\n", encoding="ascii")
    account_key = key(AUDITORS[number - 1]).to_bytes()
    create_key(folder / "auditor-key.json", b"x", private_key=account_key, work_factor=2)
    share = SHARES[number - 1].to_bytes(32, "big")
    create_key(folder / "share.json", b"x", private_key=share, work_factor=2)
    (folder / "auditor.toml").write_text(render_auditor(rpc=url), encoding="utf-8")
    return replace(load_auditor(folder / "auditor.toml"), **changes)


class Chain:
    """A street an hour and a half in, whose transactions a test sends itself."""

    def __init__(self) -> None:
        street = Street({**genesis(), "sealing": sealing()})
        self.node = FakeNode(street, 1, time.time_ns() // 1_000_000 - 5_400_000)

    def send(self, sender: str, data: bytes) -> None:
        """Mine one transaction to the sealed meters."""
        self.node.height += 1
        self.node.street.state.execution_context._timestamp = self.node.now_s()
        digest = f"0x{keccak(data + sender.encode()).hex()}"
        fields = {"gas": 9_000_000, "to": SEALED_METERS, "data": data}
        self.node._execute(digest, f"0x{account(sender).hex()}", fields)
        assert self.node.receipts[digest]["status"] == "0x1", self.node.failures

    def attest(self, houses: tuple[str, ...] = HOUSES) -> None:
        """All quarters of window 0: 10 Wh imported by everyone in each."""
        for house in houses:
            for quarter in range(4):
                zero = seal(house, quarter, 0, is_export=True)
                self.send(f"{house}-meter", sealed_meters.attest(quarter, seal(house, quarter, 10), zero))

    def close(self) -> None:
        """Close window 0."""
        self.send("anyone", sealed_meters.close_window(0))


@pytest.fixture
def chain() -> Chain:
    return Chain()


async def run_until(auditor: Auditor, done: Callable[[], bool]) -> None:
    """Run an auditor until something has come about."""
    task = asyncio.create_task(auditor.run())
    deadline = time.monotonic() + ENOUGH_S
    try:
        while not done() and not task.done():
            assert time.monotonic() < deadline, "it never came about"
            await asyncio.sleep(0.02)
        if task.done():
            await task
    finally:
        await stop([task])


def audit(chain: Chain, folder: Path, done: Callable[[], bool], number: int = 1, **changes: Any) -> None:
    """Run one auditor against a chain until something has come about."""

    async def scenario() -> None:
        url, close = await serve(chain.node)
        try:
            await run_until(Auditor(write_auditor(folder, number, url, **changes)), done)
        finally:
            await close()

    asyncio.run(scenario())


def refused(folder: Path) -> str:
    """Why an auditor gives no part, as its journal says."""
    problems = lines_of(folder / JOURNAL_NAME, Problem)
    return "; ".join(f"{line.what}: {line.reason}" for line in problems)


# -- one auditor


def test_an_auditor_gives_its_part_of_a_closed_window_once(chain: Chain, tmp_path: Path) -> None:
    chain.attest()
    chain.close()
    audit(chain, tmp_path / "a", lambda: len(events(chain.node, PartGiven)) == 1)
    (part,) = events(chain.node, PartGiven)
    assert (part.window, part.auditor) == (0, 1)
    assert [part.import_part, part.export_part] == [G.point_to_bytes(p.point) for p in parts_of(chain.node.street, 1)]
    height = chain.node.height
    later = [0]

    def waited() -> bool:
        later[0] += 1
        return later[0] > 30

    audit(chain, tmp_path / "again", waited)
    assert (len(events(chain.node, PartGiven)), chain.node.height) == (1, height)
    assert lines_of(tmp_path / "again" / JOURNAL_NAME, PartGoing) == []


def test_the_auditor_whose_part_is_enough_opens_the_sums(chain: Chain, tmp_path: Path) -> None:
    chain.attest()
    chain.close()
    audit(chain, tmp_path / "a", lambda: len(events(chain.node, PartGiven)) == 1, number=3)
    audit(chain, tmp_path / "b", lambda: bool(events(chain.node, BalanceOpened)), number=2)
    assert events(chain.node, BalanceOpened) == [BalanceOpened(0, 160, 0, (2, 3))]
    assert lines_of(tmp_path / "a" / JOURNAL_NAME, SumsFound) == []
    (found,) = lines_of(tmp_path / "b" / JOURNAL_NAME, SumsFound)
    assert (found.import_wh, found.export_wh, found.auditors) == (160, 0, [2, 3])


def test_nothing_is_given_of_an_open_window(chain: Chain, tmp_path: Path) -> None:
    chain.attest()
    looks = [0]

    def waited() -> bool:
        looks[0] += 1
        return looks[0] > 30

    audit(chain, tmp_path / "a", waited)
    assert events(chain.node, PartGiven) == []
    assert lines_of(tmp_path / "a" / JOURNAL_NAME, PartGoing) == []


def test_nothing_is_given_of_a_sum_of_too_few_meters(chain: Chain, tmp_path: Path) -> None:
    """The sum of one meter is that meter's reading."""
    chain.attest(("ann", "bob", "cat"))
    chain.node.wall_start_ms -= 5 * 3_600_000
    chain.close()
    audit(chain, tmp_path / "a", lambda: "3 meters are in its sums, expected at least 4" in refused(tmp_path / "a"))
    assert events(chain.node, PartGiven) == []


def test_nothing_is_given_of_sums_that_are_not_those_of_the_readings(chain: Chain, tmp_path: Path) -> None:
    """A node that dresses one reading as the sum would learn it with a second auditor's part."""
    chain.attest()
    chain.close()
    one = seal("ann", 0, 10).points[:66] + seal("ann", 0, 0, is_export=True).points[:66]
    lie = f"0x{(32).to_bytes(32, 'big').hex()}{len(one).to_bytes(32, 'big').hex()}{one.hex():0<320}"
    asked = f"0x{sealed_meters.sums(0).data.hex()}"

    class Lying(FakeNode):
        def answer(self, method: str, params: list[Any]) -> Any:
            told = method == "eth_call" and params[0]["data"] == asked
            return lie if told else FakeNode.answer(self, method, params)

    chain.node = Lying(**{each.name: getattr(chain.node, each.name) for each in fields(chain.node)})
    audit(chain, tmp_path / "a", lambda: "other sums than the readings add up to" in refused(tmp_path / "a"))
    assert events(chain.node, PartGiven) == []


def test_nothing_is_given_before_other_members_nodes_say_the_same(chain: Chain, tmp_path: Path) -> None:
    chain.attest()
    other = Chain()
    other.attest()
    chain.close()
    looks = [0]

    async def scenario() -> None:
        (url, close), (witness, end) = await serve(chain.node), await serve(other.node)
        try:

            def waited() -> bool:
                looks[0] += 1
                return looks[0] > 30

            config = write_auditor(tmp_path / "a", 1, url, confirm=(witness,))
            await run_until(Auditor(config), waited)
            assert events(chain.node, PartGiven) == []
            other.close()
            await run_until(Auditor(config), lambda: bool(events(chain.node, PartGiven)))
        finally:
            await close()
            await end()

    asyncio.run(scenario())
    assert len(events(chain.node, PartGiven)) == 1


def test_nothing_is_given_of_other_sums_than_those_once_promised(chain: Chain, tmp_path: Path) -> None:
    chain.attest()
    chain.close()

    async def scenario() -> None:
        url, close = await serve(chain.node)
        config = write_auditor(tmp_path / "a", 1, url)
        journal = Journal(config.directory / JOURNAL_NAME)
        journal.write(PartGoing(window=0, sums="00" * 132))
        journal.close()
        try:
            await run_until(Auditor(config), lambda: "a part of other sums was given before" in refused(tmp_path / "a"))
        finally:
            await close()

    asyncio.run(scenario())
    assert events(chain.node, PartGiven) == []


def test_who_is_not_an_auditor_of_the_window_gives_nothing(chain: Chain, tmp_path: Path) -> None:
    chain.attest()
    chain.close()

    async def scenario() -> None:
        url, close = await serve(chain.node)
        config = write_auditor(tmp_path / "a", 1, url)
        config.share.unlink()
        create_key(config.share, b"x", private_key=SHARES[1].to_bytes(32, "big"), work_factor=2)
        try:
            await run_until(Auditor(config), lambda: "are not among those of the window" in refused(tmp_path / "a"))
        finally:
            await close()

    asyncio.run(scenario())
    assert events(chain.node, PartGiven) == []


def test_a_chain_without_sealed_meters_has_no_auditors(tmp_path: Path) -> None:
    chain = Chain()
    del chain.node.street.genesis["sealing"]
    with pytest.raises(AgentError, match="expected a chain with sealed meters"):
        audit(chain, tmp_path / "a", lambda: False)


@pytest.mark.parametrize(
    ("replace_", "by", "message"),
    [
        ("least_meters = 4", "least_meters = 1", "a whole number from 2 to 128"),
        ("confirm = []", 'confirm = [""]', "a list of strings that are not empty"),
        ('share = "share.json"', "", "auditor.share"),
        ("[auditor]", "[auditor]\nshares = 2", "no such key"),
    ],
)
def test_a_wrong_configuration_names_the_key(tmp_path: Path, replace_: str, by: str, message: str) -> None:
    text = render_auditor(rpc="http://127.0.0.1:1")
    assert replace_ in text
    (tmp_path / "auditor.toml").write_text(text.replace(replace_, by, 1), encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_auditor(tmp_path / "auditor.toml")


# -- a whole street


def make_private_node(scale: int) -> FakeNode:
    node = make_node(scale)
    return FakeNode(Street({**node.street.genesis, "sealing": sealing()}), scale, node.wall_start_ms)


def test_a_private_street_is_metered_and_balanced_and_nobody_reads_a_meter(tmp_path: Path) -> None:
    """Four households, one of which loses power within a window and returns; the operator, the feeder, two auditors."""

    async def scenario() -> FakeNode:
        node = make_private_node(scale=1800)
        url, close = await serve(node)
        configs = {}
        for name in NAMES:
            write_household(tmp_path / name, name, url)
            path = tmp_path / name / "household.toml"
            text = path.read_text().replace("attest_quarters = 4\n", f'private = true\nwire = "../wire-{name}"\n')
            path.write_text(text)
            configs[name] = load_household(path)
        write_operator(tmp_path / "operator", url)
        wires = [f"../wire-{name}" for name in NAMES]
        text = render_operator(rpc=url, private=True, wires=wires)
        (tmp_path / "operator" / "operator.toml").write_text(text)
        create_key(tmp_path / "operator" / "feeder-key.json", b"x", private_key=key("feeder").to_bytes(), work_factor=2)
        running = {name: asyncio.create_task(Household(config).run()) for name, config in configs.items()}
        operator = load_operator(tmp_path / "operator" / "operator.toml")
        tasks = [asyncio.create_task(Operator(operator).run())]
        tasks += [asyncio.create_task(Auditor(write_auditor(tmp_path / f"a{n}", n, url)).run()) for n in (1, 3)]
        try:
            await until(node, 0, 2000)
            running["L16"].cancel()
            with suppress(asyncio.CancelledError):
                await running["L16"]
            running["L16"] = asyncio.create_task(Household(configs["L16"]).run())
            deadline = time.monotonic() + ENOUGH_S
            while not (events(node, BalanceOpened) and node.street.view(sealed_meters.balance_of(0)).fed):
                assert time.monotonic() < deadline, "the window was never opened"
                await asyncio.sleep(0.05)
        finally:
            await stop([*tasks, *running.values()])
            await close()
        return node

    node = asyncio.run(scenario())
    assert node.failures == []
    quarters = {
        name: {q.quarter: q for q in lines_of(tmp_path / name / JOURNAL_NAME, Quarter) if q.window == 0}
        for name in NAMES
    }
    assert all(sorted(rows) == [0, 1, 2, 3] for rows in quarters.values())
    balance = node.street.view(sealed_meters.balance_of(0))
    rows = [row for mine in quarters.values() for row in mine.values()]
    assert balance.import_wh == sum(row.import_wh for row in rows)
    assert balance.export_wh == sum(row.export_wh for row in rows)
    assert balance.export_wh > 0
    assert abs(balance.losses_wh - 15 * balance.import_wh / 1000) <= 2
    given = [(part.window, part.auditor) for part in events(node, PartGiven)]
    assert len(given) == len(set(given))
    assert {line.window for line in lines_of(tmp_path / "operator" / JOURNAL_NAME, WindowClosing)} >= {0}
    for event in events(node, SealedAttested):
        if event.quarter < 4:
            _is_sealed_as_its_household_knows(event, quarters)
    for name in NAMES:
        reading = node.street.view(sealed_meters.sealed_reading(live_account(name), 0))
        meter = MeterSeal(live_key(f"{name}m"), CHAIN_ID)
        commitment = G.point_from_bytes_checked(reading.import_wh)
        total = sum(row.import_wh for row in quarters[name].values())
        assert opens(G, commitment, total, meter.sum_of_blindings(range(4), is_export=False))


def _is_sealed_as_its_household_knows(event: SealedAttested, quarters: dict[str, dict[int, Quarter]]) -> None:
    """What is on the chain follows from the key and the journal: also what was attested around the restart."""
    name = next(name for name in NAMES if live_account(f"{name}m") == event.meter)
    row = quarters[name][event.quarter]
    meter = MeterSeal(live_key(f"{name}m"), CHAIN_ID)
    for points, energy_wh, is_export in (
        (event.import_points, row.import_wh, False),
        (event.export_points, row.export_wh, True),
    ):
        assert points == meter.seal(JOINT_KEY, event.quarter, energy_wh, is_export=is_export).points


@pytest.mark.parametrize("private", [True, False])
def test_an_agent_is_as_private_as_its_street(tmp_path: Path, private: bool) -> None:
    async def scenario() -> None:
        node = make_node(1) if private else make_private_node(1)
        url, close = await serve(node)
        household = replace(write_household(tmp_path / "L16", "L16", url), private=private)
        operator = replace(write_operator(tmp_path / "operator", url), private=private)
        try:
            with pytest.raises(AgentError, match=r"household\.private"):
                await Household(household).run()
            with pytest.raises(AgentError, match=r"operator\.private"):
                await Operator(operator).run()
        finally:
            await close()

    asyncio.run(scenario())
