"""Reading processes: what they see, what they may take, how they end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts import layout
from contracts.bindings import consortium_votes
from contracts.system import CONSORTIUM
from node.execution import Loop
from node.rpc.errors import INTERNAL_ERROR, LimitExceeded, RpcError
from node.rpc.pool import ReadPool
from node.rpc.protocol import Rendered, encode_result
from node.rpc.reads import ReadOrder
from node.rpc.server import RpcConfig
from node.rpc.worker import NICENESS
from tests.node.chains import OneChain
from tests.rpc import read_functions
from tests.rpc.harness import RunningNode

PATIENCE_S = 20
ENDLESS = {"data": "0x5b5f56", "gas": "0x40000000"}  # jumps back for ever


def pool_of(chain: OneChain, *, max_seconds: float = PATIENCE_S, **bounds: int) -> ReadPool:
    """A pool over a chain."""
    order = ReadOrder(
        database=chain.path,
        map_bytes=chain.store.map_bytes,
        rules=chain.genesis.content["rules"],
        chain_id=chain.genesis.chain_id,
        loop=Loop.INLINED,
        max_seconds=max_seconds,
        max_data_bytes=512 * 1024 * 1024,
    )
    return ReadPool(chain.store, order, **bounds)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """The loop that the pools live on."""
    with asyncio.Runner() as made:
        yield made


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneChain]:
    """A chain on disk."""
    made = OneChain(tmp_path_factory.mktemp("pool") / "chain")
    yield made
    made.close()


@pytest.fixture(scope="module")
def pool(runner: asyncio.Runner, chain: OneChain) -> Iterator[ReadPool]:
    """A pool of one process, which a test finds as the one before left it."""
    made = pool_of(chain, readers=1)
    yield made
    runner.run(made.close())


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    """A named pipe: a read waits for what is written into it."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


def reading_processes() -> set[int]:
    """The reading processes that this process has now."""
    lists = Path("/proc/self/task").glob("*/children")
    children = [int(word) for found in lists for word in found.read_text().split()]
    return {pid for pid in children if b"node.rpc.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()}


def wait_for_end(pid: int) -> None:
    """Wait until a process, whoever its parent is, has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([descriptor], [], [], PATIENCE_S)[0], "it still runs"
    finally:
        os.close(descriptor)


def test_votes_come_before_reads(runner: asyncio.Runner, chain: OneChain) -> None:
    async def job() -> int:
        pool = pool_of(chain, readers=1)
        try:
            return await pool.run(read_functions.niceness)
        finally:
            await pool.close()

    assert runner.run(job()) == min(19, os.nice(0) + NICENESS)


def test_a_read_sees_what_was_committed_a_moment_ago(runner: asyncio.Runner, chain: OneChain, pool: ReadPool) -> None:
    async def job() -> None:
        for _ in range(5):
            height = chain.mine().sealed.header.number
            assert await pool.run(read_functions.head_height) == height

    runner.run(job())


def test_a_process_renders_what_may_be_large(runner: asyncio.Runner, chain: OneChain, pool: ReadPool) -> None:
    found = runner.run(pool.render(read_functions.head_height))
    assert isinstance(found, Rendered)
    assert encode_result(1, found) == f'{{"jsonrpc":"2.0","id":1,"result":{chain.height}}}'


def test_a_reader_learns_the_rules_that_were_voted(runner: asyncio.Runner, chain: OneChain, pool: ReadPool) -> None:
    async def job() -> None:
        assert await pool.run(read_functions.gas_limit_at, 100) == 10_000_000
        calls = [consortium_votes.propose_rule("block_gas_limit", 12_000_000), *[consortium_votes.vote(1)] * 2]
        for member, call in enumerate(calls):
            chain.mine(chain.transaction(f"household {member}", CONSORTIUM, call))
        with chain.store.read() as view:
            (change,) = layout.rule_changes(view.state.storage)
        assert await pool.run(read_functions.gas_limit_at, change.from_height - 1) == 10_000_000
        assert await pool.run(read_functions.gas_limit_at, change.from_height) == 12_000_000

    runner.run(job())


@pytest.mark.parametrize("kind", read_functions.ERRORS)
def test_errors_arrive_as_they_were_raised(runner: asyncio.Runner, pool: ReadPool, kind: str) -> None:
    raised = read_functions.ERRORS[kind]
    with pytest.raises(type(raised)) as caught:
        runner.run(pool.run(read_functions.fail, kind))
    found = caught.value
    attributes = {key: value for key, value in vars(found).items() if key != "__notes__"}
    assert type(found) is type(raised)
    assert (str(found), found.args, attributes) == (str(raised), raised.args, vars(raised))
    notes = getattr(found, "__notes__", [])
    assert ["in fail" in note for note in notes] == ([True] if kind == "own fault" else [])  # where, for the log


# -- bounds


def test_a_read_that_holds_the_interpreter_holds_only_its_own_process(runner: asyncio.Runner, chain: OneChain) -> None:
    async def job() -> None:
        pool = pool_of(chain, max_seconds=1, readers=1)
        held = asyncio.create_task(pool.run(read_functions.hold_the_interpreter))
        ticks = 0
        while not held.done():
            await asyncio.sleep(0)
            ticks += 1
        with pytest.raises(LimitExceeded, match="the read took longer than 1 s"):
            await held
        assert ticks > 1_000

    runner.run(job())


def test_a_call_that_takes_too_long_is_ended_and_other_requests_go_on(tmp_path: Path) -> None:
    running = RunningNode(tmp_path / "chain", RpcConfig(port=0, max_read_s=1), block_gas_limit=1 << 30)

    async def job() -> None:
        call = asyncio.create_task(asyncio.to_thread(running.error, "eth_call", ENDLESS))
        answered = 0
        while not call.done():
            assert await asyncio.to_thread(running.result, "eth_blockNumber") == "0x0"
            answered += 1
        assert await call == {"code": -32005, "message": "limit exceeded: the read took longer than 1 s"}
        assert answered > 20

    asyncio.run(job())
    assert running.result("eth_call", {"data": "0x60015f5260205ff3"}) == "0x" + "00" * 31 + "01"
    running.close()


def test_too_many_reads_are_refused_at_once(runner: asyncio.Runner, chain: OneChain, fifo: Path) -> None:
    async def job() -> None:
        pool = pool_of(chain, readers=1, max_waiting=2)
        before = await pool.run(read_functions.process_id)
        first = asyncio.create_task(pool.run(read_functions.wait_for, fifo))
        with await asyncio.to_thread(fifo.open, "w") as go_on:  # opens once it is being read
            others = [asyncio.create_task(pool.run(read_functions.allocate, number)) for number in (1, 2)]
            await asyncio.sleep(0)
            with pytest.raises(LimitExceeded, match="busy with 3 reads"):
                await pool.run(read_functions.head_height)
            for gone in (first, others.pop()):  # they give their places back; what is read is read to its end
                gone.cancel()
                await asyncio.gather(gone, return_exceptions=True)
            others += [asyncio.create_task(pool.run(read_functions.allocate, number)) for number in (3, 4)]
            await asyncio.sleep(0)
            go_on.write("go on")
        assert [await other for other in others] == [bytes(1), bytes(3), bytes(4)]
        assert await pool.run(read_functions.process_id) == before
        await pool.close()

    runner.run(job())


def test_a_long_read_does_not_hold_the_others_and_closing_ends_both(
    runner: asyncio.Runner, chain: OneChain, fifo: Path
) -> None:
    before = reading_processes()

    async def job() -> None:
        pool = pool_of(chain)
        first = [pool.run(read_functions.process_id) for _ in range(3)]
        assert len(set(await asyncio.gather(*first))) == 1  # while one starts, no other does
        long = asyncio.create_task(pool.run(read_functions.wait_for, fifo))
        with await asyncio.to_thread(fifo.open, "w"):
            other = await pool.run(read_functions.process_id)
            assert os.getpgid(other) != os.getpgid(0)  # a Ctrl-C does not reach it
            assert len(reading_processes() - before) == 2
            assert not long.done()
            await pool.close()
        with pytest.raises(asyncio.CancelledError):
            await long

    runner.run(job())
    assert reading_processes() <= before


# -- life and death


def test_a_process_that_dies_while_it_reads_is_replaced(
    runner: asyncio.Runner, chain: OneChain, pool: ReadPool
) -> None:
    before = runner.run(pool.run(read_functions.process_id))
    with pytest.raises(RpcError, match="the reading process ended with status -9; try again") as caught:
        runner.run(pool.run(read_functions.die_while_reading, signal.SIGKILL))
    assert caught.value.code == INTERNAL_ERROR
    assert str(before) not in chain.store._environment.readers()  # holds no page back
    assert runner.run(pool.run(read_functions.process_id)) != before


def test_the_status_of_a_process_that_ends_is_its_own(runner: asyncio.Runner, pool: ReadPool) -> None:
    with pytest.raises(RpcError, match="the reading process ended with status 7; try again"):
        runner.run(pool.run(read_functions.hang_up_and_end, 7))


def test_a_process_that_was_killed_meanwhile_is_replaced_and_nobody_hears_of_it(
    runner: asyncio.Runner, pool: ReadPool
) -> None:
    before = runner.run(pool.run(read_functions.process_id))
    os.kill(before, signal.SIGKILL)
    wait_for_end(before)
    assert runner.run(pool.run(read_functions.process_id)) != before


def test_a_process_that_hangs_is_killed(
    runner: asyncio.Runner, pool: ReadPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = runner.run(pool.run(read_functions.process_id))
    os.kill(before, signal.SIGSTOP)  # its own alarm does not end it now
    with monkeypatch.context() as patch:
        patch.setattr("node.rpc.pool.GRACE_S", 0.1 - PATIENCE_S)
        with pytest.raises(RpcError, match="ended with status -9"):
            runner.run(pool.run(read_functions.head_height))
    assert runner.run(pool.run(read_functions.process_id)) != before


def test_a_read_that_takes_too_much_memory_costs_only_its_process(runner: asyncio.Runner, pool: ReadPool) -> None:
    before = runner.run(pool.run(read_functions.process_id))
    with pytest.raises(RpcError, match="response too large"):
        runner.run(pool.run(read_functions.allocate, 40 << 20))
    assert runner.run(pool.run(read_functions.process_id)) == before
    with pytest.raises(LimitExceeded, match="the read took more memory than 512 MiB"):
        runner.run(pool.run(read_functions.allocate, 1 << 30))
    assert runner.run(pool.run(read_functions.process_id)) != before


def test_a_process_that_cannot_start_is_an_error(
    runner: asyncio.Runner, chain: OneChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(chain.path / "nothing"))
    with pytest.raises(RpcError, match=r"no reading process can start: .*No such file"):
        runner.run(pool_of(chain).run(read_functions.head_height))


ORPHANING = """
import asyncio, itertools, sys
from pathlib import Path
from tests.node.chains import OneChain
from tests.rpc import read_functions
from tests.rpc.test_pool import pool_of

async def job(folder, busy):
    pool = pool_of(OneChain(folder / "chain"), max_seconds=1, readers=1)
    print(await pool.run(read_functions.process_id), flush=True)
    if busy:
        await pool.run(read_functions.wait_for, folder / "fifo")
    await asyncio.Event().wait()

asyncio.run(job(Path(sys.argv[1]), sys.argv[2] == "busy"))
"""


@pytest.mark.parametrize("state", ["idle", "busy"])
def test_a_process_does_not_outlive_its_node(tmp_path: Path, fifo: Path, state: str) -> None:
    with subprocess.Popen([sys.executable, "-c", ORPHANING, tmp_path, state], stdout=subprocess.PIPE) as node:
        assert node.stdout is not None
        reader = int(node.stdout.readline())
        with fifo.open("w") if state == "busy" else contextlib.nullcontext():
            node.kill()
            node.wait()
            wait_for_end(reader)


def test_cheap_reads_need_no_process(own_node: RunningNode) -> None:
    before = reading_processes()
    own_node.mine()
    nobody = "0x" + "11" * 20
    for method, *params in (
        ("eth_getBalance", nobody),
        ("eth_getTransactionCount", nobody),
        ("eth_getStorageAt", nobody, "0x0"),
        ("eth_getBlockByNumber", "latest", False),
        ("eth_getTransactionReceipt", "0x" + "11" * 32),
    ):
        own_node.result(method, *params)
    assert reading_processes() == before
    own_node.result("eth_call", {})
    assert len(reading_processes() - before) == 1
