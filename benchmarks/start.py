"""P9: `gridpact devnet up` in a fresh folder, until the first transaction that a user sends is committed.

Households and operator start beside, as they do by default; the user waits for the first node's RPC alone.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import aiohttp

from benchmarks import machine
from benchmarks.ethereum import Node, accounts, sign
from benchmarks.results import Result, show
from benchmarks.validators import GRIDPACT

RPC_PORT = 20645
RUNS = 3
BOUND_S = 60.0  # then something is broken


async def commit_one() -> None:
    """Send one transfer as soon as a node answers, and return when it has a receipt."""
    (sender,) = accounts(1)
    async with asyncio.timeout(BOUND_S), aiohttp.ClientSession() as session:
        node = Node(session, f"http://127.0.0.1:{RPC_PORT}")
        while True:
            try:
                chain_id = int(await node.call("eth_chainId"), 16)
                break
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.01)
        raw = sign(sender, chain_id=chain_id, nonce=0, to="0x" + "11" * 20, data="0x")
        sent = await node.call("eth_sendRawTransaction", raw)
        while await node.call("eth_getTransactionReceipt", sent) is None:
            await asyncio.sleep(0.01)


def measure() -> float:
    """Return the seconds of one start."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        data = Path(folder) / "devnet"
        started = time.perf_counter()
        try:
            words = [GRIDPACT, "devnet", "up", "--detach", "--rpc-port", str(RPC_PORT), "--data", str(data)]
            with subprocess.Popen(words, stdout=subprocess.DEVNULL) as up:
                asyncio.run(commit_one())
                taken = time.perf_counter() - started
            if up.returncode:
                raise subprocess.CalledProcessError(up.returncode, words)
            return taken
        finally:
            subprocess.run([GRIDPACT, "devnet", "down", "--data", str(data)], check=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="keep the figures in benchmarks/results")
    options = parser.parse_args()
    runs = [measure() for _ in range(RUNS)]
    what = "devnet up in a fresh folder, to the first committed transaction"
    about = machine.describe(Path.cwd())
    show(Result("P9", what, statistics.median(runs), "s", "≤ 6 s", runs, {}, about), keep=options.keep)


if __name__ == "__main__":
    main()
