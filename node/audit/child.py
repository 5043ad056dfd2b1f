"""The process that reads the database: a corrupt page can kill whoever reads it, so the auditor only watches.

Run as `python -m node.audit.child DATABASE GENESIS`; prints the report as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from node.application import make_genesis
from node.audit.report import AuditReport, Counts, Offence
from node.audit.verify import Auditor
from node.errors import GridpactError
from node.genesis import load_genesis
from node.rules import RuleBook
from node.storage import CorruptValue, Store


def audit_in_child(database: Path, genesis: Path) -> AuditReport:
    """Audit a database in a process of its own.

    Raises:
        GridpactError: the genesis file or the folder cannot be used.
    """
    words = [sys.executable, "-m", "node.audit.child", str(database), str(genesis)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode == 0:
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
    lines = done.stderr.strip().splitlines()
    if done.returncode == 2:
        raise GridpactError(lines[-1] if lines else "the audit could not begin")
    how = f"was killed by signal {-done.returncode}" if done.returncode < 0 else f"ended with {done.returncode}"
    detail = f"the reader {how}: {lines[-1] if lines else 'no message'}"
    return AuditReport(0, bytes(32), Counts(), (), Offence(0, "round", "database", detail))


def main(database: Path, genesis_path: Path) -> None:
    """Audit and print the report as JSON."""
    genesis = load_genesis(genesis_path)
    sealed, _ = make_genesis(genesis, RuleBook(genesis.content["rules"], genesis.chain_id, genesis_path).rules_at(0))
    try:
        store = Store.open(database, chain_id=genesis.chain_id, genesis_hash=sealed.header.hash, readonly=True)
    except CorruptValue as error:
        offence = Offence(0, "round", "database", str(error))
        print(json.dumps(AuditReport(0, bytes(32), Counts(), (), offence).as_json()))
        return
    with store.read() as view:
        report = Auditor(genesis).audit(view)
    store.close()
    print(json.dumps(report.as_json() | {"counts": asdict(report.counts)}))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    except GridpactError as problem:
        sys.stderr.write(f"{problem}\n")
        raise SystemExit(2) from None
