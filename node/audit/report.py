"""What an audit found: how much was checked, and the first thing that is wrong."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Offence:
    """Something that is not as the genesis file and the rules make it.

    Args:
        height: where; the head for what is judged at the end.
        chain: "round", "contract", "ledger" or "state"; "parent " before it in the chain that this one continues.
        kind: of value: header, body, transaction, receipt, record, certificate, chain block, history, index, account,
            storage value, code, trie node, history value, supply, checkpoint,
            continuation, database.
        detail: what was found and what was expected.
    """

    height: int
    chain: str
    kind: str
    detail: str


@dataclass(slots=True)
class Counts:
    """How much was checked."""

    heights: int = 0
    transactions: int = 0
    signatures: int = 0
    certificates: int = 0
    contract_blocks: int = 0
    ledger_blocks: int = 0
    accounts: int = 0
    slots: int = 0
    trie_nodes: int = 0


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The verdict.

    Args:
        head: the height audited up to.
        head_hash: its block's hash as this audit derived it (of the last good height, if there is an offence).
        counts: how much was checked.
        supply: lines about tokens and cash.
        offence: the first, None if all is well.
        begins: of a continuation: what became of its parent. Of a database made from a snapshot: what was not audited,
            and what is believed. Else empty.
        executed: whether everything was executed again, and the state compared.
    """

    head: int
    head_hash: bytes
    counts: Counts
    supply: tuple[str, ...] = ()
    offence: Offence | None = field(default=None)
    begins: str = ""
    executed: bool = True

    def lines(self) -> list[str]:
        """Return what to print, the verdict last."""
        if self.offence is not None:
            bad = self.offence
            return [f"audit: FAILED at height {bad.height}, chain {bad.chain}, kind {bad.kind}: {bad.detail}"]
        rows = [self.begins] if self.begins else []
        rows += self._executed() if self.executed else self._signed()
        return [*rows, *self.supply, f"audit: ok head {self.head} 0x{self.head_hash.hex()}"]

    def _signed(self) -> list[str]:
        counts = self.counts
        return [
            f"heights {counts.heights}: links, round records, transactions' and receipts' roots",
            f"transactions {counts.transactions}: {counts.signatures} signatures",
            f"certificates {counts.certificates}, against validators followed from the genesis file",
        ]

    def _executed(self) -> list[str]:
        counts = self.counts
        return [
            f"heights {counts.heights}: links, headers, round records, history roots",
            f"transactions {counts.transactions}: {counts.signatures} signatures, admission, executed again",
            f"certificates {counts.certificates}, against validators derived from the audited state",
            f"contract chain {counts.contract_blocks} blocks, ledger chain {counts.ledger_blocks} blocks",
            f"state: {counts.accounts} accounts, {counts.slots} slots, {counts.trie_nodes} trie nodes, root rebuilt",
        ]

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return {
            "ok": self.offence is None,
            "head": self.head,
            "head_hash": "0x" + self.head_hash.hex(),
            "counts": asdict(self.counts),
            "begins": self.begins,
            "executed": self.executed,
            "supply": list(self.supply),
            "offence": None if self.offence is None else asdict(self.offence),
        }
