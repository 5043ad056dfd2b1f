"""Development chains of npm under the same load generator: anvil, Hardhat's node, ganache.

npm installs them into `.bench-peers/` as `benchmarks/peers/package-lock.json` says; the product needs none of them.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import aiohttp

from benchmarks import transfers
from benchmarks.ethereum import MNEMONIC, Node
from benchmarks.transfers import Throughput

FOLDER = Path(__file__).with_name("peers")  # what is installed: versions and checksums, no registry named
INSTALLED = Path.cwd() / ".bench-peers"
PORT = 20745
FEE = 10**13  # wei a gas: above any base fee that full blocks reach in these runs
START_S = 60.0
GIB = 1 << 30
HEAP_MIB = 4_096  # of a chain in JavaScript
RAISED_GAS = 1_000_000_000
TAIL_BYTES = 2_000  # of what a chain said before it ended


@dataclass(frozen=True, slots=True)
class Peer:
    """A chain: its name with how it mines, the command, its bound on address space, and how it is loaded.

    Args:
        in_flight: one with a block a second needs more on its way than a block holds.
        batch: one that mines a transaction as it arrives takes the next nonce only, and the requests of a batch in any
            order: it gets a transaction a request.
        transfers: of each run; more for one whose blocks are large, or a run would be a few of them.
    """

    name: str
    command: Sequence[str]
    address_bytes: int
    in_flight: int = transfers.IN_FLIGHT
    batch: int = transfers.BATCH
    transfers: int = 10_000


_ANVIL = ("anvil", "--silent", "--block-time", "1", "--port", str(PORT))
_RAISED = (*_ANVIL, "--gas-limit", str(RAISED_GAS))
_GANACHE = ("ganache", "--logging.quiet", "--wallet.mnemonic", MNEMONIC, "--server.port", str(PORT))
PEERS = (
    Peer("anvil, a block a second, its own gas limit", _ANVIL, 8 * GIB, 8_000),
    Peer(
        "anvil, a block a second, 1,000 Mgas",
        (*_ANVIL, "--gas-limit", str(RAISED_GAS)),
        8 * GIB,
        60_000,
        transfers=100_000,
    ),
    Peer("Hardhat node, a block a transaction", ("hardhat", "node", "--port", str(PORT)), 32 * GIB, batch=1),
    Peer("ganache, a block a transaction", _GANACHE, 32 * GIB, batch=1),
)


def install() -> str:
    """Install the peers as their lock file says, if they are not yet; return why that is not possible, or nothing."""
    lock = "package-lock.json"
    if _read(INSTALLED / "installed") == _read(FOLDER / lock):
        return ""
    INSTALLED.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.js*"):
        shutil.copy(path, INSTALLED)
    try:
        command = ["npm", "ci", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=INSTALLED, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        return "npm is not installed"
    except subprocess.CalledProcessError as error:
        return f"npm ci: {error.stderr.strip()[-200:]}"
    shutil.copy(FOLDER / lock, INSTALLED / "installed")
    return ""


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


@contextlib.contextmanager
def _running(peer: Peer) -> Iterator[None]:
    """Run a chain until the end of the block; return when it listens.

    Raises:
        RuntimeError: it ended, with the end of what it said, or something else listens on its port.
        TimeoutError: it does not listen in time.
    """

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (peer.address_bytes, peer.address_bytes))

    if _listens():
        raise RuntimeError(f"port {PORT} is in use")
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [str(INSTALLED / "node_modules" / ".bin" / peer.command[0]), *peer.command[1:]],
            cwd=INSTALLED,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            preexec_fn=limit,
            start_new_session=True,
            env={**os.environ, "NODE_OPTIONS": f"--max-old-space-size={HEAP_MIB}"},
        )
        try:
            deadline = time.monotonic() + START_S
            while not _listens():
                if process.poll() is not None:
                    raise _ended(process, said)
                if time.monotonic() > deadline:
                    raise TimeoutError(f"it does not listen within {START_S:.0f} s")
                time.sleep(0.1)
            yield
        except (aiohttp.ClientError, ExceptionGroup) as error:
            if process.poll() is not None:
                raise _ended(process, said) from error
            raise
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # the command is often a wrapper; nothing of it is kept
            process.wait()


def _ended(process: subprocess.Popen[bytes], said: IO[bytes]) -> RuntimeError:
    said.seek(max(0, said.seek(0, os.SEEK_END) - TAIL_BYTES))
    return RuntimeError(f"it ended with {process.returncode}: {said.read().decode(errors='replace')}")


def _listens() -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", PORT), 1):
        return True
    return False


async def measure(compiled: Mapping[str, Any], runs: int) -> dict[str, list[Throughput] | str]:
    """Return what each peer committed, or why it could not be measured.

    Args:
        compiled: the token's artifact.
        runs: how many, after a shorter one that does not count.
    """
    reason = install()
    if reason:
        return {peer.name: f"not measured: {reason}" for peer in PEERS}
    found: dict[str, list[Throughput] | str] = {}
    for peer in PEERS:
        try:
            with _running(peer):
                found[peer.name] = await _load(peer, compiled, runs)
        except Exception as error:  # a peer that cannot be measured is no reason to lose the others' figures
            inner = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
            found[peer.name] = f"not measured: {type(inner).__name__}: {' '.join(str(inner).split())[:160]}"
    return found


async def _load(peer: Peer, compiled: Mapping[str, Any], runs: int) -> list[Throughput]:
    async with aiohttp.ClientSession() as session:
        run = await transfers.deploy([Node(session, f"http://127.0.0.1:{PORT}")], compiled, fee=FEE)
        counts = [peer.transfers // 4, *[peer.transfers] * runs]
        sent = [await transfers.throughput(run, each, in_flight=peer.in_flight, batch=peer.batch) for each in counts]
    return sent[1:]


def line(sent: Sequence[Throughput]) -> str:
    """Return a peer's figures in words."""
    rates = [each.per_second for each in sent]
    runs = ", ".join(f"{rate:,.0f}" for rate in rates)
    return f"{statistics.median(rates):,.0f} tx/s (runs {runs}; one node; {sent[0].load})"
