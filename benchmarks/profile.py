"""Where the CPU time of one committed transfer goes, over all four validators.

py-spy samples the stacks of the validators under full load; each stack belongs to the room of the code that its
innermost telling frame is in: an encoder or a hash counts for whoever calls it. The shares of a thread's samples are
scaled to the CPU time that the kernel counted for it.

py-spy starts what it samples, so it needs no root where only ancestors may trace (`ptrace_scope` 1).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import aiohttp

from benchmarks import machine, transfers
from benchmarks.results import Result, show
from benchmarks.validators import SETTING, four_validators, token_on
from devnet.processes import running
from devnet.run import Devnet

RPC_PORT = 21045
RATE = 50  # samples a second: every one holds the process up for a moment
OTHER = "event loop, sockets, the rest"
CALLERS = ""  # encoders: their time is the caller's
# The first prefix that a frame's file has; the innermost frame that has one decides.
ROOMS = (
    ("node/chain/rlp.py", CALLERS),
    ("node/state/account.py", CALLERS),
    ("node/chain/transaction.py", "decode, recover senders"),
    ("node/chain/", "roots, headers, both chains"),
    ("node/state/", "roots, headers, both chains"),
    ("node/execution/", "execution"),
    ("eth/", "execution"),
    ("node/storage/", "LMDB"),
    ("node/driver/wal.py", "write-ahead log"),
    ("node/driver/", "consensus"),
    ("node/ports.py", "consensus"),
    ("consensus/", "consensus"),
    ("node/p2p/", "gossip, p2p, TLS"),
    ("node/gossip.py", "gossip, p2p, TLS"),
    ("aiohttp/_websocket/", "gossip, p2p, TLS"),
    ("ssl.py", "gossip, p2p, TLS"),
    ("asyncio/sslproto.py", "gossip, p2p, TLS"),
    ("node/rpc/", "JSON-RPC"),
    ("node/mempool/", "pool, admission"),
    ("node/admission.py", "pool, admission"),
    ("node/snapshot/", "snapshots"),
    ("node/log.py", "logging"),
    ("logging/", "logging"),
)
WAITING = ("_worker (concurrent/futures/thread.py",)  # a thread that takes its next work from a queue
SERVING = ("Runner.run (", *WAITING)  # what a stack has once the process serves: imports and start do not count
_THREAD = re.compile(r"^thread \((\d+)\)")
_FILE = re.compile(r"\(([^()]*?)(?::\d+)?\)$")


def room(frames: Sequence[str]) -> str:
    """Return the room that a stack's time belongs to; the frames are outermost first, "function (file:line)"."""
    for frame in reversed(frames):
        found = _FILE.search(frame)
        if found:
            name = next((name for prefix, name in ROOMS if found[1].startswith(prefix)), CALLERS)
            if name != CALLERS:
                return name
    return OTHER


def rooms_by_thread(lines: Iterable[str], threads: Mapping[int, float]) -> dict[int, Counter[str]]:
    """Count samples by room for each thread.

    Args:
        lines: of py-spy's raw format: frames joined by semicolons, a space, how many samples.
        threads: the threads that count, by their numbers in the kernel.
    """
    found: dict[int, Counter[str]] = {}
    for line in lines:
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        numbers = [int(match[1]) for frame in frames if (match := _THREAD.match(frame))]
        if not numbers or numbers[-1] not in threads or frames[-1].startswith(WAITING):
            continue
        if any(frame.startswith(SERVING) for frame in frames):
            found.setdefault(numbers[-1], Counter())[room(frames)] += int(count)
    return found


def seconds_by_room(samples: Mapping[int, Counter[str]], threads: Mapping[int, float]) -> dict[str, float]:
    """Return each room's CPU seconds, the largest first: a thread's seconds, shared out by its samples.

    Args:
        samples: by thread and room.
        threads: CPU seconds by thread; those of a thread without a sample are nobody's.
    """
    found: Counter[str] = Counter()
    for thread, seconds in threads.items():
        counts = samples.get(thread, Counter({OTHER: 1}))
        for name, count in counts.items():
            found[name] += seconds * count / counts.total()  # type: ignore[assignment]
    return dict(found.most_common())


def thread_seconds(pids: Iterable[int]) -> dict[int, float]:
    """Return the CPU seconds of every thread of these processes."""
    tick = os.sysconf("SC_CLK_TCK")
    found = {}
    for pid in pids:
        for path in Path(f"/proc/{pid}/task").iterdir():
            fields = (path / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            found[int(path.name)] = (int(fields[11]) + int(fields[12])) / tick
    return found


async def load(devnet: Devnet, count: int) -> dict[int, float]:
    """Send transfers, after some that do not count; return the CPU seconds of each of the validators' threads."""
    place = devnet.place
    pids = [running(place.root)[f"node-{index}"] for index in range(place.count)]
    async with aiohttp.ClientSession() as session:
        run = await token_on(devnet, session)
        await transfers.throughput(run, count // 10)
        before = thread_seconds(pids)
        await transfers.throughput(run, count)
        after = thread_seconds(pids)
    return {thread: seconds - before.get(thread, 0.0) for thread, seconds in after.items()}


def sampled(count: int) -> tuple[dict[str, float], int]:
    """Run validators and load under py-spy; return CPU seconds by room, and how many samples they rest on."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        raw, threads_file = Path(folder) / "stacks", Path(folder) / "threads"
        spy = [_py_spy(), "record", "--subprocesses", "--threads", "--format", "raw", "--rate", str(RATE)]
        inside = [sys.executable, "-m", "benchmarks.profile", "--inside", str(threads_file), "--transfers", str(count)]
        subprocess.run([*spy, "--output", str(raw), "--", *inside], check=True, stdout=subprocess.DEVNULL)
        threads = {int(number): seconds for number, seconds in json.loads(threads_file.read_text()).items()}
        samples = rooms_by_thread(raw.read_text(encoding="utf-8").splitlines(), threads)
    return seconds_by_room(samples, threads), sum(counts.total() for counts in samples.values())


def _py_spy() -> str:
    path = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if path is None:
        sys.exit("expected py-spy: python -m pip install --require-hashes -r requirements-bench.lock")
    return path


def main() -> None:
    """Profile, print, and keep what is to be kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transfers", type=int, default=20_000)
    parser.add_argument("--inside", type=Path, metavar="FILE", help="what py-spy runs: threads' seconds go here")
    parser.add_argument("--keep", action="store_true", help="keep the figures in benchmarks/results")
    options = parser.parse_args()
    if options.inside:
        with four_validators(RPC_PORT) as devnet:
            options.inside.write_text(json.dumps(asyncio.run(load(devnet, options.transfers))))
        return
    seconds, samples = sampled(options.transfers)
    micro = {name: each / options.transfers * 1e6 for name, each in seconds.items()}
    total = sum(micro.values())
    beside = {name: f"{each:.0f} µs, {each / total:.0%}" for name, each in micro.items()}
    beside["samples"] = f"{samples:,} in {options.transfers:,} transfers"
    what = "CPU time of one committed transfer, all four validators together, under py-spy"
    about = f"{machine.describe(Path.cwd())}; {SETTING}"
    series = {name: [(0.0, each)] for name, each in micro.items()}
    show(Result("profile", what, total, "µs", "", [total], beside, about, series), keep=options.keep)


if __name__ == "__main__":
    main()
