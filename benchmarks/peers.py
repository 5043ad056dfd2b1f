"""Development chains of npm under the same load generator: anvil, Hardhat's node, ganache.

npm installs them, at fixed versions, into `benchmarks/peers/`; the product needs none of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks import transfers
from benchmarks.ethereum import MNEMONIC, Node

FOLDER = Path(__file__).with_name("peers")
PORT = 20745
FEE = 10**11  # wei a gas: above every chain's base fee
START_S = 60.0
MEMORY_BYTES = 64 << 30  # of address space, most of which is never touched
IN_FLIGHT = 3_000
RAISED_GAS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Peer:
    """A chain: its name with how it mines, the command, and the count of transfers that it is given.

    One that mines a transaction as it arrives takes the next nonce only, and a batch's requests in any order: its
    batches hold one transaction a sender.
    """

    name: str
    command: Sequence[str]
    count: int
    batch: int = transfers.BATCH


PEERS = (
    Peer("anvil, a block a second", ("anvil", "--silent", "--block-time", "1", "--port", str(PORT)), 5_000),
    Peer(
        "anvil, a block a second, gas limit 1,000 million",
        ("anvil", "--silent", "--block-time", "1", "--gas-limit", str(RAISED_GAS), "--port", str(PORT)),
        5_000,
    ),
    Peer("Hardhat node, a block a transaction", ("hardhat", "node", "--port", str(PORT)), 1_000, transfers.SENDERS),
    Peer(
        "ganache, a block a transaction",
        ("ganache", "--logging.quiet", "--wallet.mnemonic", MNEMONIC, "--server.port", str(PORT)),
        1_000,
        transfers.SENDERS,
    ),
)


def install() -> str:
    """Install the peers; return why that is not possible, empty if it is done."""
    try:
        subprocess.run(
            ["npm", "install", "--no-save", "--no-audit", "--no-fund"],
            cwd=FOLDER,
            check=True,
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        return "npm is not installed"
    except subprocess.CalledProcessError as error:
        return f"npm install: {error.stderr.strip()[-200:]}"
    return ""


@contextlib.contextmanager
def _running(peer: Peer) -> Iterator[None]:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))

    command = [str(FOLDER / "node_modules" / ".bin" / peer.command[0]), *peer.command[1:]]
    process = subprocess.Popen(
        command,
        cwd=FOLDER,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=limit,
        start_new_session=True,
    )
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def _answers() -> None:
    """Return when something listens.

    Raises:
        TimeoutError: nothing does in time.
    """
    async with asyncio.timeout(START_S):
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", PORT), 1):
                return
            await asyncio.sleep(0.1)


async def measure(compiled: Mapping[str, Any]) -> dict[str, str]:
    """Return what each peer committed a second, or why it could not be measured."""
    found = {}
    for peer in PEERS:
        try:
            with _running(peer):
                await _answers()
                async with aiohttp.ClientSession() as session:
                    nodes = [Node(session, f"http://127.0.0.1:{PORT}")]
                    run = await transfers.deploy(nodes, compiled, fee=FEE, in_flight=IN_FLIGHT, batch=peer.batch)
                    rates = [await transfers.throughput(run, peer.count) for _ in range(2)]
            found[peer.name] = f"{max(rate.per_second for rate in rates):,.0f} tx/s (the better of two runs, one node)"
        except Exception as error:  # a peer that cannot be measured is no reason to lose the others' figures
            found[peer.name] = f"not measured: {type(error).__name__}: {str(error)[:120]}"
    return found
