"""P1, P2, P3: what four validators commit, how long a transfer takes, whether either decays; P1 beside other chains."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
from collections.abc import Mapping
from dataclasses import replace

import aiohttp

from benchmarks import machine, peers, transfers
from benchmarks.results import Result, show
from benchmarks.transfers import Throughput
from benchmarks.validators import ARTIFACT, SETTING, anonymous_bytes, four_validators, token_on
from devnet.run import Devnet

RPC_PORT = 20545
OURS = "gridpact, four validators"


async def measure(devnet: Devnet, runs: int, count: int, in_flight: int, rounds: int) -> dict[str, Result]:
    """Return P1, P2 and P3 by claim."""
    place = devnet.place
    async with aiohttp.ClientSession() as session:
        run = await token_on(devnet, session)
        await transfers.throughput(run, count // 4, in_flight=in_flight)  # code is warm, pools have been used
        waits = {senders: await transfers.latency(session, run, senders, rounds) for senders in (1, transfers.SENDERS)}
        sent, memory = [], []
        for _ in range(runs):
            sent.append(await transfers.throughput(run, count, in_flight=in_flight))
            memory.append([anonymous_bytes(place.root, index) / 1e6 for index in range(place.count)])
            print(f"run {len(sent)}: {sent[-1].per_second:,.0f} tx/s, {memory[-1]} MB", flush=True)
    about = f"{machine.describe(place.root)}; {SETTING}"
    return {"P1": committed(sent, about), "P2": waited(waits, about), "P3": decayed(sent, memory, about)}


def committed(sent: list[Throughput], about: str) -> Result:
    """Return P1 of runs."""
    rates = [each.per_second for each in sent]
    used = sum(each.generator_s for each in sent) / sum(each.seconds for each in sent)
    blocks = sum(each.blocks for each in sent)
    beside = {
        "load": f"{sent[0].load}; {blocks:,} blocks in all",
        "load generator": f"{used:.0%} of one core",
    }
    series = {OURS: list(enumerate(rates, start=1))}
    what = "committed ERC-20 transfers"
    return Result("P1", what, statistics.median(rates), "tx/s", "≥ 1,000", rates, beside, about, series)


def waited(waits: Mapping[int, list[float]], about: str) -> Result:
    """Return P2 of sorted milliseconds by how many senders took part."""
    beside = {}
    for senders, taken in waits.items():
        name = "one sender alone" if senders == 1 else f"{senders} senders at once"
        p50, p99 = statistics.median(taken), percentile(taken, 0.99)
        beside[name] = f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {taken[-1]:.1f} ms of {len(taken):,} transfers"
    most = waits[max(waits)]
    p50, p99 = statistics.median(most), percentile(most, 0.99)
    what = f"submit to receipt, one transfer in flight for each of {max(waits)} senders: p50, p99"
    return Result("P2", what, p50, "ms", "p50 ≤ 60 ms, p99 ≤ 150 ms", [p50, p99], beside, about)


def decayed(sent: list[Throughput], memory: list[list[float]], about: str) -> Result:
    """Return P3 of runs on one chain, and each validator's anonymous memory in MB after each."""
    rates = [each.per_second for each in sent]
    beside = {
        f"anonymous memory of each validator after run {number}, bar ≤ 250": f"{', '.join(f'{m:.0f}' for m in row)} MB"
        for number, row in enumerate(memory, start=1)
    }
    what = "the last run over the first on the same chain"
    return Result("P3", what, rates[-1] / rates[0], "", "≥ 0.95", rates, beside, about)


def percentile(ordered: list[float], share: float) -> float:
    """Return the value that this share of sorted values does not exceed."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def beside_peers(ours: Result, found: Mapping[str, list[Throughput] | str]) -> Result:
    """Return P1 with what other chains commit under the same generator, or why one was not measured."""
    text = {name: each if isinstance(each, str) else peers.line(each) for name, each in found.items()}
    rates = {
        name: [(float(number), one.per_second) for number, one in enumerate(each, start=1)]
        for name, each in found.items()
        if not isinstance(each, str)
    }
    return replace(ours, beside={**ours.beside, **text}, series={**ours.series, **rates})


def main() -> None:
    """Parse the command line, measure, and end the devnet whatever happens."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--transfers", type=int, default=30_000, help="of each run")
    parser.add_argument("--in-flight", type=int, default=transfers.IN_FLIGHT, help="transfers on their way at most")
    parser.add_argument("--latency-rounds", type=int, default=200, help="transfers of each sender")
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="without anvil, Hardhat and ganache")
    parser.add_argument("--keep", action="store_true", help="keep the figures in benchmarks/results")
    options = parser.parse_args()
    compiled = json.loads(ARTIFACT.read_text(encoding="utf-8"))
    busy = os.getloadavg()[0]
    with four_validators(RPC_PORT) as devnet:
        found = asyncio.run(measure(devnet, options.runs, options.transfers, options.in_flight, options.latency_rounds))
    if options.peers:
        others = asyncio.run(peers.measure(compiled, options.runs))
        found["P1"] = beside_peers(found["P1"], others)
    for result in found.values():
        result = replace(result, beside={**result.beside, "the machine's load average before": f"{busy:.1f}"})
        show(result, keep=options.keep)


if __name__ == "__main__":
    main()
