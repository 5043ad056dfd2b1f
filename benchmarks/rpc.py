"""What clients of one validator cost the chain: consensus latency with them over that without, in one run.

Four validators commit a light, steady load of transfers. In turn nobody else asks anything ("idle"), and one validator
has a thousand WebSocket subscribers of `newHeads` and 200 reads a second ("loaded"); with `--hostile`, in place of
these, one bad client after the other. A round lasts from a height's first proposal to its durable block, as each
validator logs it; a transfer from before it is sent until the validator that it was sent to tells of its block.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import aiohttp

from benchmarks import machine
from benchmarks.committed import percentile
from benchmarks.results import Result, show
from benchmarks.rpc_clients import MIX, REQUESTS_PER_S, Load, Tally, Target, everyday, run
from benchmarks.rpc_hostile import HOSTILE
from benchmarks.rpc_probe import Phase, Probe, add_rounds
from benchmarks.transfers import throughput
from benchmarks.validators import SETTING, four_validators, token_on
from devnet.processes import running
from devnet.run import Devnet
from node.rpc.pool import READERS

RPC_PORT = 20_845
LOADED = 0  # the validator that has the clients
TRANSFERS_PER_S = 5.0
WARM_TRANSFERS = 400  # before the clock starts: code is warm, there is something to read
WARM_CALLS = 20  # at once, so that every reading process has started
IDLE, EVERYDAY = "idle", "loaded"
BAR = 1.5
END_PATIENCE_S = 10.0
JIFFIES_PER_S = os.sysconf("SC_CLK_TCK")


class Clients:
    """The process that holds the clients."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    @classmethod
    @contextmanager
    def started(cls, target: Target, loads: Mapping[str, Load]) -> Iterator[Clients]:
        """Yield the process; it ends with the block."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        child = context.Process(target=run, args=(target, dict(loads), theirs), daemon=True)
        child.start()
        theirs.close()
        try:
            yield cls(ours)
        finally:
            ours.close()
            child.join(END_PATIENCE_S)
            child.kill()

    async def begin(self, name: str) -> None:
        """Put a load on, and return when it is."""
        self._pipe.send(name)
        await asyncio.to_thread(self._pipe.recv)

    async def end(self) -> Tally:
        """Take the load off, and return what it saw."""
        self._pipe.send(None)
        tally: Tally = await asyncio.to_thread(self._pipe.recv)
        return tally


async def measure(
    devnet: Devnet, plan: Sequence[tuple[str, float]], loads: Mapping[str, Load], rate_per_s: float, subscribers: int
) -> tuple[list[Phase], dict[str, list[Tally]], dict[str, float]]:
    """Run phases.

    Args:
        devnet: four validators.
        plan: (name of a load, or "idle"; seconds).
        loads: by name.
        rate_per_s: transfers.
        subscribers: how many, where the load has some.

    Returns:
        The phases; what clients saw, by load; the loaded validator's processor time by load, as a share of one core.
    """
    tallies: dict[str, list[Tally]] = {}
    used: dict[str, float] = {}
    async with aiohttp.ClientSession() as session:
        token = await token_on(devnet, session)
        await throughput(token, WARM_TRANSFERS)
        block = await token.nodes[LOADED].call("eth_getBlockByNumber", "latest", False)
        holders = tuple(sender.address.lower() for sender in token.senders)
        target = Target(token.nodes[LOADED].url, token.token, holders, tuple(block["transactions"]), subscribers)
        for _ in range(READERS + 1):  # one starts at a time
            calls = [token.nodes[LOADED].call("eth_call", {"to": token.token}, "latest") for _ in range(WARM_CALLS)]
            await asyncio.gather(*calls, return_exceptions=True)  # the token takes no call without data
        pid = running(devnet.place.root)[f"node-{LOADED}"]
        phases = []
        with Clients.started(target, loads) as clients:
            async with Probe.listening(session, token, rate_per_s) as probe:
                for name, seconds in plan:
                    if name != IDLE:
                        await clients.begin(name)
                    before = _cpu_s(pid)
                    phase = await probe.measure(name, seconds)
                    used[name] = used.get(name, 0.0) + _cpu_s(pid) - before
                    phases.append(phase)
                    tally = Tally() if name == IDLE else await clients.end()
                    await probe.settle(phase)
                    if name != IDLE:
                        tally.heads_ms = [
                            1_000 * (at - probe.heads[LOADED][height])
                            for height, at in tally.last_heard.items()
                            if height in probe.heads[LOADED]
                        ]
                        tallies.setdefault(name, []).append(tally)
                    print(_line(phase), flush=True)
    add_rounds(devnet.place.root, phases, LOADED)
    return phases, tallies, {name: used[name] / _seconds(phases, name) for name in used}


def _seconds(phases: Sequence[Phase], name: str) -> float:
    return sum(phase.end - phase.begin for phase in phases if phase.name == name)


def _cpu_s(pid: int) -> float:
    """Return the processor time that a process has used, without those that it started."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / JIFFIES_PER_S


def _line(phase: Phase) -> str:
    return f"{phase.name}: {spread(phase.waits_ms)}" + (f"; {phase.lost} lost" if phase.lost else "")


def spread(times_ms: Sequence[float]) -> str:
    """Return the median, the 99th percentile and the longest of some times."""
    if not times_ms:
        return "nothing"
    ordered = sorted(times_ms)
    return (
        f"p50 {statistics.median(ordered):.1f} ms, p99 {percentile(ordered, 0.99):.1f} ms, "
        f"longest {ordered[-1]:.1f} ms of {len(ordered):,}"
    )


def gather(phases: Sequence[Phase], name: str) -> Phase:
    """Return all phases with a load as one."""
    found = [phase for phase in phases if phase.name == name]
    return Phase(
        name,
        waits_ms=[each for phase in found for each in phase.waits_ms],
        lost=sum(phase.lost for phase in found),
        rounds_ms=[each for phase in found for each in phase.rounds_ms],
        own_rounds_ms=[each for phase in found for each in phase.own_rounds_ms],
    )


def p99(times_ms: Sequence[float]) -> float:
    """Return the 99th percentile; nan of nothing."""
    return percentile(sorted(times_ms), 0.99) if times_ms else float("nan")


def everyday_result(phases: Sequence[Phase], tallies: Sequence[Tally], used: Mapping[str, float], about: str) -> Result:
    """Return the figure: the worse of what rounds and transfers take at the 99th percentile, loaded over idle."""
    loaded, idle = gather(phases, EVERYDAY), gather(phases, IDLE)
    beside = {}
    ratios = []
    for what, before, after in (
        ("rounds of all four validators", idle.rounds_ms, loaded.rounds_ms),
        ("rounds of the loaded validator", idle.own_rounds_ms, loaded.own_rounds_ms),
        ("a transfer, until its validator told of it", idle.waits_ms, loaded.waits_ms),
    ):
        ratios.append(p99(after) / p99(before))
        beside[f"{what}, idle"] = spread(before)
        beside[f"{what}, loaded"] = (
            f"{spread(after)}; p50 {statistics.median(after) / statistics.median(before):.2f}×, p99 {ratios[-1]:.2f}×"
        )
    by_method = {name: [each for tally in tallies for each in tally.waits_ms[name]] for name in MIX}
    waits = [each for found in by_method.values() for each in found]
    seconds = _seconds(phases, EVERYDAY)
    errors: Counter[str] = sum((tally.errors for tally in tallies), Counter())
    beside["reads"] = f"{len(waits) / seconds:.0f}/s answered of {REQUESTS_PER_S}/s; {spread(waits)}"
    beside |= {f"reads, {name}": spread(found) for name, found in by_method.items()}
    beside["errors of reads"] = ", ".join(f"{number} × {name}" for name, number in errors.items()) or "none"
    beside["subscribers dropped"] = str(sum(tally.dropped for tally in tallies))
    beside["the last subscriber after the first"] = spread([each for tally in tallies for each in tally.heads_ms])
    beside["transfers lost"] = f"{idle.lost} idle, {loaded.lost} loaded"
    beside["the loaded validator's process"] = f"{used[IDLE]:.0%} of a core idle, {used[EVERYDAY]:.0%} loaded"
    what = "consensus latency with 1,000 subscribers and 200 reads/s at one validator over that without, p99"
    return Result("rpc", what, max(ratios), "×", f"≤ {BAR} ×", ratios, beside, about)


def show_hostile(phases: Sequence[Phase], tallies: Mapping[str, Sequence[Tally]], used: Mapping[str, float]) -> None:
    """Print what each bad client did to the chain."""
    idle = gather(phases, IDLE)
    print(f"{'':44} {'round p50':>9} {'p99':>7} {'':>6} {'transfer p50':>12} {'p99':>7} {'':>6} lost  core  answers")
    for name in dict.fromkeys(phase.name for phase in phases):
        found = gather(phases, name)
        rounds, waits = found.rounds_ms, found.waits_ms
        answers = sum((Counter(tally.errors) for tally in tallies.get(name, ())), Counter[str]())
        told = ", ".join(f"{number:,} × {text}" for text, number in answers.most_common(3))
        print(
            f"{name:44} {statistics.median(rounds):9.1f} {p99(rounds):7.1f} {p99(rounds) / p99(idle.rounds_ms):5.2f}× "
            f"{statistics.median(waits):12.1f} {p99(waits):7.1f} {p99(waits) / p99(idle.waits_ms):5.2f}× "
            f"{found.lost:4} {used[name]:5.0%}  {told}"
        )


def main() -> None:
    """Parse the command line, measure, and end everything whatever happens."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hostile", action="store_true", help="bad clients in place of everyday ones")
    parser.add_argument("--only", metavar="WORD", default="", help="of the bad clients, those whose name has it")
    parser.add_argument("--phases", type=int, default=4, help="pairs of an idle and a loaded phase")
    parser.add_argument("--seconds", type=float, help="of a phase (default 20, with --hostile 10)")
    parser.add_argument("--subscribers", type=int, default=1_000)
    parser.add_argument("--transfers-per-s", type=float, help="on the chain meanwhile (default 5, with --hostile 10)")
    parser.add_argument("--rpc-port", type=int, default=RPC_PORT)
    parser.add_argument("--keep", action="store_true", help="keep the figures in benchmarks/results")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    loads: Mapping[str, Load] = {EVERYDAY: everyday}
    seconds, rate = options.seconds or 20.0, options.transfers_per_s or TRANSFERS_PER_S
    plan = [(IDLE, seconds), (EVERYDAY, seconds)] * options.phases
    if options.hostile:
        loads = {name: load for name, load in HOSTILE.items() if options.only in name}
        seconds, rate = options.seconds or 10.0, options.transfers_per_s or 2 * TRANSFERS_PER_S
        plan = [part for name in loads for part in ((IDLE, seconds / 2), (name, seconds))]
    busy, started = os.getloadavg()[0], time.monotonic()
    with four_validators(options.rpc_port) as devnet:
        phases, tallies, used = asyncio.run(measure(devnet, plan, loads, rate, options.subscribers))
        about = f"{machine.describe(devnet.place.root)}; {SETTING}"
    if options.hostile:
        show_hostile(phases, tallies, used)
        print(about)
    else:
        result = everyday_result(phases, tallies[EVERYDAY], used, about)
        load = f"{rate:g} transfers/s; {options.phases} times {seconds:g} s idle, then as long loaded"
        beside = {"load of the chain": load, **result.beside, "the machine's load average before": f"{busy:.1f}"}
        show(replace(result, beside=beside), keep=options.keep)
    print(f"took {time.monotonic() - started:.0f} s; the machine's load average before {busy:.1f}")


if __name__ == "__main__":
    main()
