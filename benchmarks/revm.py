"""pyrevm (Rust) in a process and an environment of its own, which this installs in `.bench-pyrevm/`.

Its package names no licence, so nothing of ours imports it: `revm_child.py` does, in that environment.
"""

from __future__ import annotations

import json
import subprocess
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

ENVIRONMENT = Path.cwd() / ".bench-pyrevm"
CHILD = Path(__file__).with_name("revm_child.py")
LOCK = Path(__file__).with_name("pyrevm.lock")


def install() -> Path:
    """Make the environment as the lock file says, if it is not there; return its Python.

    Raises:
        subprocess.CalledProcessError: pip cannot install it.
    """
    python, done = ENVIRONMENT / "bin" / "python", ENVIRONMENT / "installed"
    if not (done.is_file() and done.read_bytes() == LOCK.read_bytes()):
        venv.create(ENVIRONMENT, clear=True, with_pip=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "-q", "install", "--require-hashes"]
        subprocess.run([*pip, "-r", str(LOCK)], check=True)
        done.write_bytes(LOCK.read_bytes())
    return python


class Revm:
    """A chain in pyrevm.

    Args:
        owner: the account (20 bytes) that makes contracts.
        contracts: code by address (20 bytes).
        init_code: of one more contract.
    """

    def __init__(self, owner: bytes, contracts: Mapping[bytes, bytes], init_code: bytes) -> None:
        self._child = subprocess.Popen(
            [str(install()), "-I", str(CHILD)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        placed = {"0x" + address.hex(): code.hex() for address, code in contracts.items()}
        answer = self._ask({"owner": "0x" + owner.hex(), "contracts": placed, "init_code": init_code.hex()})
        self.created = bytes.fromhex(str(answer)[2:])

    def run(self, messages: Sequence[tuple[bytes, bytes, bytes]], gas: int) -> float:
        """Run calls (sender, destination, calldata), each with so much gas; return their CPU seconds.

        Raises:
            RuntimeError: the child has ended; it said why.
        """
        rows = [["0x" + sender.hex(), "0x" + to.hex(), data.hex()] for sender, to, data in messages]
        return float(str(self._ask({"gas": gas, "calls": rows})))

    def _ask(self, request: Mapping[str, object]) -> object:
        if self._child.stdin is None or self._child.stdout is None:
            raise RuntimeError("no pipe to the child")
        self._child.stdin.write(json.dumps(request) + "\n")
        self._child.stdin.flush()
        line = self._child.stdout.readline()
        if not line:
            raise RuntimeError(f"pyrevm's process ended with {self._child.wait()}")
        return json.loads(line)

    def __enter__(self) -> Revm:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End the process."""
        self._child.communicate()
