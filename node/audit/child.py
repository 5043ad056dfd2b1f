"""The process that reads the database, as `node.audit.launch` starts it.

Run as `python -m node.audit.child REQUEST FD`; REQUEST is the order as JSON. It prints the report as JSON, and keeps in
the file behind descriptor FD the height that it is at, so that its death can be told from there.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from consensus.types import Domain
from node.application import make_block_0
from node.audit.inheritance import Disinherited, Inheritance, Left, hand_over
from node.audit.launch import HEIGHT_BYTES, Order
from node.audit.report import AuditReport, Counts, Offence
from node.audit.rounds import audit_rounds
from node.audit.verify import Auditor
from node.errors import GridpactError
from node.genesis import Genesis, load_genesis
from node.parsing import ConfigError
from node.rules import RuleBook
from node.storage import CorruptValue, StorageError, Store
from node.storage.store import DEFAULT_MAP_BYTES


def main(order: Order, reached: Callable[[int], None]) -> AuditReport:
    """Audit what is ordered, the oldest chain first."""
    checkpoints = {height: bytes.fromhex(block[2:]) for height, block in order.checkpoints}
    chains = [(Path(order.database), load_genesis(Path(order.genesis)))]
    chains += [(Path(database), load_genesis(Path(file))) for database, file in order.parents]
    if not order.execute:
        return _audit_rounds(*chains[0], checkpoints)
    for index, (database, genesis) in enumerate(chains):
        _check_parent(database, genesis, chains[index + 1][1] if index + 1 < len(chains) else None)
    inheritance: Inheritance | None = None
    for index in range(len(chains) - 1, 0, -1):
        continues = chains[index - 1][1].continues
        if continues is None:
            raise AssertionError("checked above")
        report, left = _audit(*chains[index], reached, inheritance=inheritance, leave=continues.height)
        try:
            inheritance = hand_over(chains[index - 1][1], continues, report, left)
        except Disinherited as found:
            return AuditReport(0, bytes(32), Counts(), (), found.offence)
    return _audit(*chains[0], reached, checkpoints=checkpoints, inheritance=inheritance)[0]


def _check_parent(database: Path, genesis: Genesis, parent: Genesis | None) -> None:
    """Refuse a parent too many or too few: what a continuation began with is in its parent's data alone."""
    if genesis.continues is None and parent is not None:
        raise ConfigError("command line", "--parent", f"none: {database} continues no chain")
    if genesis.continues is not None and parent is None:
        raise ConfigError(
            "command line", "--parent", f"a data directory of chain {genesis.continues.chain_id}, which this continues"
        )


def _audit(
    database: Path,
    genesis: Genesis,
    reached: Callable[[int], None],
    *,
    checkpoints: Mapping[int, bytes] | None = None,
    inheritance: Inheritance | None = None,
    leave: int | None = None,
) -> tuple[AuditReport, Left | None]:
    """Audit one database; return the report and what it leaves at the height `leave`."""
    sealed = make_block_0(genesis, RuleBook(genesis.content["rules"], genesis.chain_id).rules_at(0))
    try:
        store = Store.open(database, chain_id=genesis.chain_id, genesis_hash=sealed.header.hash, readonly=True)
    except CorruptValue as error:
        return _unreadable(str(error)), None
    except StorageError as error:
        if not _begins_with(database, sealed.header.hash):
            raise
        return _unreadable(f"it says {error.what} of itself, expected {error.expected}: block 0 is the right one"), None
    auditor = Auditor(genesis, checkpoints=checkpoints, reached=reached, inheritance=inheritance, leave=leave)
    with store.read() as view:
        report = auditor.audit(view)
    store.close()
    return report, auditor.left


def _audit_rounds(database: Path, genesis: Genesis, checkpoints: Mapping[int, bytes]) -> AuditReport:
    sealed = make_block_0(genesis, RuleBook(genesis.content["rules"], genesis.chain_id).rules_at(0))
    try:
        return audit_rounds(database, genesis, Domain(genesis.chain_id, sealed.header.hash), checkpoints)
    except CorruptValue as error:
        return _unreadable(str(error))


def _unreadable(detail: str) -> AuditReport:
    return AuditReport(0, bytes(32), Counts(), (), Offence(0, "round", "database", detail))


def _begins_with(database: Path, genesis_hash: bytes) -> bool:
    """Return whether a folder holds a database that we can read whose block 0 is this one, whatever else it says."""
    if not (database / "data.mdb").exists():
        return False
    store = Store(database, readonly=True, map_bytes=DEFAULT_MAP_BYTES)
    try:
        with store.read() as view:
            return view.header(0).hash == genesis_hash
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
