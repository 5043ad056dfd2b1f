"""`make soak-kill`: four validators under full load, killed (SIGKILL) again and again, one, two or all four at once.

After every kill each victim is started again at once, must open its database, reach the height that was seen before,
and have the block of the others at a common height; the chain must grow. Now and then a victim is killed once more
while it starts. In the end every transfer that was seen in a block is in that block on every node, the heads are equal,
and the audit of all four databases is good.

    python -m benchmarks.soak.kill --count 100 --seed 1
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks import machine
from benchmarks.ethereum import Node
from benchmarks.soak.load import AWAY, BATCH, IN_FLIGHT, Chain, Load, blocks
from benchmarks.validators import devnet_in, token_on
from devnet.processes import DevnetError

RPC_PORT = 20845
VICTIMS = (1, 2, 4)  # how many fall at once …
WEIGHTS = (16, 3, 1)  # … and how often
AGAIN = 0.15  # the share of kills after which a victim is killed once more while it starts
MAX_PAUSE_S = 1.5  # from the chain's growth to the next kill
MAX_START_S = 2.0  # within which a starting victim is killed once more
BOUND_S = 120.0  # until a victim is back, and the chain grows: several view timeouts, on a loaded machine
POLL_S = 0.05
ASK_S = 5.0  # a node that does not answer within this is away
KILLS_A_LINE = 10
RECEIPTS = 1_000  # asked of every node in the end; the audit makes all of them again


@dataclass(slots=True)
class Tally:
    """What the kills did.

    Args:
        struck: how many kills there were, by the number of victims.
        again: how many of them killed a victim that was starting.
        back_s: from the start of the last victim until it is at the height that was seen before, one a kill.
    """

    struck: Counter[int] = field(default_factory=Counter)
    again: int = 0
    back_s: list[float] = field(default_factory=list)

    def line(self, load: Load, chain: Chain, seconds: float) -> str:
        """Return how far the run is."""
        sizes = ", ".join(f"{self.struck[size]} of {size}" for size in VICTIMS)
        return (
            f"{self.struck.total()} kills ({sizes} validators; {self.again} while starting) in {seconds:.0f} s: "
            f"height {chain.head}, {len(load.committed)} transfers committed, back after {self._back()}"
        )

    def _back(self) -> str:
        return f"{statistics.median(self.back_s):.1f} s, at most {max(self.back_s):.1f} s" if self.back_s else "-"


class Offended(Exception):
    """Something did not hold: there is no point in going on."""


class Soak:
    """One run.

    Args:
        root: the devnet's folder.
        rpc_port: of the first node.
        seed: of who is killed, and when.
        say: takes the lines to print.
    """

    def __init__(self, root: Path, rpc_port: int, seed: int, say: Callable[[str], None]) -> None:
        self._devnet = devnet_in(root, rpc_port)
        self._rng = random.Random(seed)
        self._say = say
        self._chain = Chain()
        self._tally = Tally()
        self._nodes: list[Node] = []

    def run(self, count: int) -> list[str]:
        """Kill `count` times; return what did not hold."""
        try:
            self._devnet.start()
            asyncio.run(self._run(count))
        except* (DevnetError, Offended) as found:
            for each in found.exceptions:
                self._chain.offend(str(each))
        finally:
            self._devnet.stop()
        if not self._chain.offences:
            self._audit()
        return self._chain.offences

    async def _run(self, count: int) -> None:
        timeout = aiohttp.ClientTimeout(total=ASK_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            run = await token_on(self._devnet, session)
            self._nodes = run.nodes
            load = Load(
                self._nodes, await run.signers(), self._chain, int(await self._nodes[0].call("eth_blockNumber"), 16)
            )
            started = time.monotonic()
            async with load.running():
                while self._tally.struck.total() < count:
                    await asyncio.sleep(self._rng.uniform(0, MAX_PAUSE_S))
                    await self._strike()
                    if self._tally.struck.total() % KILLS_A_LINE == 0:
                        self._say(self._tally.line(load, self._chain, time.monotonic() - started))
                seconds = time.monotonic() - started
                left = await load.drain(BOUND_S)
            if left:
                raise Offended(f"{left} transfers are not committed {BOUND_S:.0f} s after the last kill")
            await self._equal_heads()
            await self._check_kept(load)
            if len(load.committed) < IN_FLIGHT:
                raise Offended(f"{len(load.committed)} transfers were committed: there was no load")
            self._say(
                f"heads equal at height {self._chain.head}; all {len(load.committed)} transfers "
                f"({len(load.committed) / seconds:.0f} a second between the kills) on all {len(self._nodes)} nodes "
                "where they were first seen"
            )

    # -- a kill

    async def _strike(self) -> None:
        """Kill some validators, start them again, and wait until all is as it should be."""
        size = self._rng.choices(VICTIMS, WEIGHTS)[0]
        victims = self._rng.sample(range(len(self._nodes)), size)
        again = self._rng.random() < AGAIN
        start_s = self._rng.uniform(0, MAX_START_S)
        await asyncio.gather(*(self._height(index) for index in victims))  # what they say last must hold
        for index in victims:
            self._devnet.processes.kill(f"node-{index}")
        for index in victims:
            self._devnet.start_node(index)
        if again:
            await asyncio.sleep(start_s)
            again = await self._height(victims[0]) < 0  # it is still starting
        if again:
            self._devnet.processes.kill(f"node-{victims[0]}")
            self._devnet.start_node(victims[0])
        before, since = self._chain.head, time.monotonic()
        await self._until(f"nodes {victims} at height {before}", lambda: self._reached(victims, before))
        self._tally.back_s.append(time.monotonic() - since)
        await self._until(f"a block after height {before}", lambda: self._reached(victims, before + 1))
        await self._compare()
        self._tally.struck[size] += 1
        self._tally.again += again

    async def _until(self, what: str, ask: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        deadline = time.monotonic() + BOUND_S
        while not await ask():
            self._devnet.processes.check()
            self._stop_if_offended()
            if time.monotonic() > deadline:
                raise Offended(f"{what}: not within {BOUND_S:.0f} s")
            await asyncio.sleep(POLL_S)

    def _stop_if_offended(self) -> None:
        if self._chain.offences:
            raise Offended(self._chain.offences.pop())

    async def _reached(self, indexes: list[int], height: int) -> bool:
        return all([await self._height(index) >= height for index in indexes])

    async def _height(self, index: int) -> int:
        """Return a node's height, -1 if it does not answer; its block there is held against what was seen before."""
        node = self._nodes[index]
        try:
            block = await node.call("eth_getBlockByNumber", "latest", False)
        except AWAY:
            return -1
        self._chain.note(f"node {index}", int(block["number"], 16), block["hash"])
        return int(block["number"], 16)

    async def _compare(self) -> None:
        """Hold the nodes' blocks at the highest common height against each other."""
        common = min([await self._height(index) for index in range(len(self._nodes))])
        if common < 0:
            raise Offended("a node that was not killed does not answer")
        for index, node in enumerate(self._nodes):
            block = await node.call("eth_getBlockByNumber", hex(common), False)
            if block is None:
                raise Offended(f"node {index} has lost height {common}")
            self._chain.note(f"node {index}", common, block["hash"])
        self._stop_if_offended()

    # -- the end

    async def _equal_heads(self) -> None:
        """Wait until all nodes have the same head."""

        async def equal() -> bool:
            heads = [await self._height(index) for index in range(len(self._nodes))]
            return heads[0] >= self._chain.head and len(set(heads)) == 1

        await self._until("equal heads", equal)
        self._stop_if_offended()

    async def _check_kept(self, load: Load) -> None:
        """Every node has every block that was ever seen, and every transfer in the block in which it was seen."""
        for index, node in enumerate(self._nodes):
            kept: dict[str, int] = {}
            for first in range(1, self._chain.head + 1, BATCH):
                last = min(first + BATCH - 1, self._chain.head)
                for height, block in enumerate(await blocks(node, first, last), start=first):
                    if block is None:
                        raise Offended(f"node {index} has lost height {height}")
                    self._chain.note(f"node {index}", height, block["hash"])
                    kept |= dict.fromkeys(block["transactions"], height)
            lost = [each for each, height in load.committed.items() if kept.get(each) != height]
            if lost:
                raise Offended(f"node {index} has lost {len(lost)} transfers that were in a block: {lost[0]} …")
            asked = self._rng.sample(sorted(load.committed), min(RECEIPTS, len(load.committed)))
            for first in range(0, len(asked), BATCH):
                part = asked[first : first + BATCH]
                receipts = await node.batch([("eth_getTransactionReceipt", [each]) for each in part])
                for each, receipt in zip(part, receipts, strict=True):
                    if receipt is None or (receipt["status"], int(receipt["blockNumber"], 16)) != ("0x1", kept[each]):
                        raise Offended(f"node {index} has another receipt of {each}, at height {kept[each]}: {receipt}")
        self._stop_if_offended()

    def _audit(self) -> None:
        """Audit all databases, from the genesis file alone."""
        for index, verdict in enumerate(self._devnet.audit()):
            self._say(f"node-{index}: {verdict}")
            if not verdict.startswith("audit: ok"):
                self._chain.offend(f"audit of node {index}: {verdict}")


def main() -> int:
    """Parse the command line, kill, and say whether everything held; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100, help="kills")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        soak = Soak(Path(folder) / "devnet", RPC_PORT, options.seed, lambda line: print(line, flush=True))
        offences = soak.run(options.count)
        print(machine.describe(Path(folder)))
    for offence in offences:
        print(f"soak-kill: {offence}")
    if not offences:
        print(f"soak-kill: ok, {options.count} kills, seed {options.seed}")
    return 1 if offences else 0


if __name__ == "__main__":
    sys.exit(main())
