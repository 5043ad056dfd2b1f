"""From the audit of a chain to that of its continuation: what was left, audited, and what block 0 must be."""

from __future__ import annotations

from dataclasses import dataclass

from node.audit.report import AuditReport, Offence
from node.audit.supply import Books
from node.continuation import Legacy, NotItsParent, inherit
from node.genesis import Continues, Genesis
from node.state import StateDelta


@dataclass(frozen=True, slots=True)
class Left:
    """What the audit of a chain found at the height that a continuation names.

    Args:
        legacy: the state as the audit made it, and its header.
        books: what stands behind tokens and cash up to there.
        complete: whether the books know every height from 1 on.
    """

    legacy: Legacy
    books: Books
    complete: bool


@dataclass(frozen=True, slots=True)
class Inheritance:
    """What the audit of a continuation begins with.

    Args:
        delta: the state of block 0, derived from the parent's.
        books, complete: the parent's.
        line: what to say of the parent.
    """

    delta: StateDelta
    books: Books
    complete: bool
    line: str


class Disinherited(Exception):
    """The chain is not the continuation that its genesis file says it is, or its parent does not hold."""

    def __init__(self, offence: Offence) -> None:
        super().__init__(offence.detail)
        self.offence = offence


def hand_over(genesis: Genesis, continues: Continues, report: AuditReport, left: Left | None) -> Inheritance:
    """Return what a continuation begins with.

    Args:
        genesis: its genesis file, which is trusted.
        continues: what that says of its parent.
        report: of the audit of the parent.
        left: what was found there at the height in question; None if it was not reached.

    Raises:
        Disinherited: the parent's audit failed, or the genesis file does not continue it.
    """
    if report.offence is not None:
        bad = report.offence
        raise Disinherited(Offence(bad.height, f"parent {bad.chain}", bad.kind, bad.detail))
    if left is None:
        detail = f"the parent's data, up to height {report.head}, do not hold height {continues.height}, its last"
        raise Disinherited(Offence(0, "round", "continuation", detail))
    try:
        delta = inherit(left.legacy, genesis)
    except NotItsParent as error:
        raise Disinherited(Offence(0, "round", "continuation", str(error))) from None
    kept, before = len(genesis.members), len(left.legacy.members)
    line = (
        f"continues chain {continues.chain_id} from height {continues.height}, block 0x{continues.block_hash.hex()}: "
        f"audited ({report.counts.heights} heights, {report.counts.transactions} transactions), block 0 derived from "
        f"its state, {kept} of {before} members kept"
    )
    return Inheritance(delta, left.books, left.complete, line)
