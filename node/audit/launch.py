"""Starts the process that reads the database: a corrupt page can kill whoever reads it, so the auditor only watches.

Nothing that only the other process needs is imported here: it would be imported twice, one after the other.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from node.audit.report import AuditReport, Counts, Offence
from node.errors import GridpactError

HEIGHT_BYTES = 8
TOLD_EVERY_S = 0.25


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be audited.

    Args:
        database: the folder of the database.
        genesis: the genesis file that is trusted.
        checkpoints: heights and the hashes of their blocks (0x…), which the auditor knows from elsewhere.
        parents: database and genesis file of the chain that this one continues, of the one that that continues …
        execute: whether everything is to be executed again; else only what was signed is checked.
    """

    database: str
    genesis: str
    checkpoints: Sequence[tuple[int, str]] = ()
    parents: Sequence[tuple[str, str]] = ()
    execute: bool = True


def audit_in_child(
    database: Path,
    genesis: Path,
    *,
    checkpoints: Mapping[int, bytes] | None = None,
    parents: Sequence[tuple[Path, Path]] = (),
    execute: bool = True,
    reached: Callable[[int], None] = lambda _height: None,
) -> AuditReport:
    """Audit a database, and those of the chains that it continues, in a process of its own.

    Args:
        database, genesis, checkpoints, parents, execute: as in `Order`.
        reached: told now and then at which height it is.

    Raises:
        GridpactError: the genesis file or the folder cannot be used.
    """
    known = tuple((height, "0x" + block.hex()) for height, block in sorted((checkpoints or {}).items()))
    before = tuple((str(parent), str(file)) for parent, file in parents)
    order = Order(str(database), str(genesis), known, before, execute)
    with tempfile.TemporaryFile() as progress:
        descriptor = progress.fileno()
        words = [sys.executable, "-m", "node.audit.child", json.dumps(asdict(order)), str(descriptor)]
        done = _run(words, descriptor, reached)
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
        content["executed"],
    )


def _run(words: list[str], descriptor: int, reached: Callable[[int], None]) -> subprocess.CompletedProcess[str]:
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, pass_fds=(descriptor,)
    ) as process:
        try:
            while True:
                try:
                    out, error = process.communicate(timeout=TOLD_EVERY_S)
                except subprocess.TimeoutExpired:
                    reached(int.from_bytes(os.pread(descriptor, HEIGHT_BYTES, 0), "big"))
                else:
                    return subprocess.CompletedProcess(words, process.returncode, out, error)
        except BaseException:
            process.kill()
            raise


def _died(done: subprocess.CompletedProcess[str], progress: IO[bytes]) -> AuditReport:
    progress.seek(0)
    height = int.from_bytes(progress.read(HEIGHT_BYTES), "big")
    lines = done.stderr.strip().splitlines()
    how = f"was killed by signal {-done.returncode}" if done.returncode < 0 else f"ended with {done.returncode}"
    detail = f"the reader {how} there: {lines[-1] if lines else 'no message'}"
    return AuditReport(height, bytes(32), Counts(), (), Offence(height, "round", "database", detail))
