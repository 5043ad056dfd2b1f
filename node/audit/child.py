"""The process that reads the database: a corrupt page can kill whoever reads it, so the auditor only watches.

Run as `python -m node.audit.child REQUEST FD`; REQUEST is the order as JSON. It prints the report as JSON, and keeps in
the file behind descriptor FD the height that it is at, so that its death can be told from there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from node.application import make_genesis
from node.audit.report import AuditReport, Counts, Offence
from node.audit.verify import Auditor
from node.errors import GridpactError
from node.genesis import load_genesis
from node.rules import RuleBook
from node.storage import CorruptValue, StorageError, Store
from node.storage.store import DEFAULT_MAP_BYTES
from node.storage.tables import SCHEMA_VERSION

HEIGHT_BYTES = 8


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be audited.

    Args:
        database: the folder of the database.
        genesis: the genesis file that is trusted.
        checkpoints: heights and the hashes of their blocks (0x…), which the auditor knows from elsewhere.
    """

    database: str
    genesis: str
    checkpoints: Sequence[tuple[int, str]] = ()


def audit_in_child(database: Path, genesis: Path, *, checkpoints: dict[int, bytes] | None = None) -> AuditReport:
    """Audit a database in a process of its own.

    Raises:
        GridpactError: the genesis file or the folder cannot be used.
    """
    known = tuple((height, "0x" + block.hex()) for height, block in sorted((checkpoints or {}).items()))
    order = Order(str(database), str(genesis), known)
    with tempfile.TemporaryFile() as progress:
        descriptor = progress.fileno()
        words = [sys.executable, "-m", "node.audit.child", json.dumps(asdict(order)), str(descriptor)]
        done = subprocess.run(words, capture_output=True, text=True, check=False, pass_fds=(descriptor,))
        if done.returncode not in (0, 2):
            return _died(done, progress)
    if done.returncode == 2:
        lines = done.stderr.strip().splitlines()
        raise GridpactError(lines[-1] if lines else "the audit could not begin")
    content = json.loads(done.stdout)
    offence = content["offence"]
    return AuditReport(
        content["head"],
        bytes.fromhex(content["head_hash"][2:]),
        Counts(**content["counts"]),
        tuple(content["supply"]),
        None if offence is None else Offence(**offence),
        content["begins"],
    )


def _died(done: subprocess.CompletedProcess[str], progress: IO[bytes]) -> AuditReport:
    progress.seek(0)
    height = int.from_bytes(progress.read(HEIGHT_BYTES), "big")
    lines = done.stderr.strip().splitlines()
    how = f"was killed by signal {-done.returncode}" if done.returncode < 0 else f"ended with {done.returncode}"
    detail = f"the reader {how} there: {lines[-1] if lines else 'no message'}"
    return AuditReport(height, bytes(32), Counts(), (), Offence(height, "round", "database", detail))


def main(order: Order, reached: Callable[[int], None]) -> AuditReport:
    """Audit what is ordered."""
    database, path = Path(order.database), Path(order.genesis)
    genesis = load_genesis(path)
    sealed, _ = make_genesis(genesis, RuleBook(genesis.content["rules"], genesis.chain_id, path).rules_at(0))
    checkpoints = {height: bytes.fromhex(block[2:]) for height, block in order.checkpoints}
    try:
        store = Store.open(database, chain_id=genesis.chain_id, genesis_hash=sealed.header.hash, readonly=True)
    except CorruptValue as error:
        return _unreadable(str(error))
    except StorageError as error:
        if not _begins_with(database, sealed.header.hash):
            raise
        return _unreadable(f"it says {error.what} of itself, expected {error.expected}: block 0 is the right one")
    with store.read() as view:
        report = Auditor(genesis, checkpoints=checkpoints, reached=reached).audit(view)
    store.close()
    return report


def _unreadable(detail: str) -> AuditReport:
    return AuditReport(0, bytes(32), Counts(), (), Offence(0, "round", "database", detail))


def _begins_with(database: Path, genesis_hash: bytes) -> bool:
    """Return whether a folder holds a database that we can read whose block 0 is this one, whatever else it says."""
    if not (database / "data.mdb").exists():
        return False
    store = Store(database, readonly=True, map_bytes=DEFAULT_MAP_BYTES)
    try:
        with store.read() as view:
            schema = int.from_bytes(view.required("meta", b"schema"), "big")
            return schema == SCHEMA_VERSION and view.header(0).hash == genesis_hash
    except CorruptValue:
        return False
    finally:
        store.close()


def _serve(order: Order, place: int) -> None:
    def note(height: int) -> None:
        os.pwrite(place, height.to_bytes(HEIGHT_BYTES, "big"), 0)

    print(json.dumps(main(order, note).as_json()))


if __name__ == "__main__":
    try:
        _serve(Order(**json.loads(sys.argv[1])), int(sys.argv[2]))
    except GridpactError as problem:
        sys.stderr.write(f"{problem}\n")
        raise SystemExit(2) from None
