"""What was signed, without executing it: links, certificates, bodies, senders, receipts' roots; over all cores.

Quicker by far than executing everything again, and it proves less: that a quorum of each height's validators certified
these very blocks, and that their transactions were signed by who is said to have sent them. Whether the state is what
the transactions make of it is believed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from os import cpu_count
from pathlib import Path

from consensus.types import Domain, Epoch, ValidatorSet
from node.audit.report import AuditReport, Counts, Offence
from node.chain.transaction import InvalidTransaction, decode_transaction
from node.chain.transitions import InvalidTransition, check_round, follow_each
from node.epochs import transitions
from node.genesis import Genesis
from node.state.trie import list_root
from node.storage import CorruptValue, Store, View

SLICE_HEIGHTS = 8  # full blocks take some 30 ms each: short enough that all cores end together
ROUND = "round"
NOT_EXECUTED = "not executed: state, receipts and both chains are believed as the validators certified them"


@dataclass(frozen=True, slots=True)
class Validators:
    """Who certified from a height on."""

    first_height: int
    epoch: int
    keys: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """What a process needs to check heights of a database."""

    path: Path
    domain: Domain
    epochs: tuple[Validators, ...]

    def open(self) -> Store:
        """Open the database for reading."""
        return Store.open(
            self.path, chain_id=self.domain.chain_id, genesis_hash=self.domain.genesis_hash, readonly=True
        )


def audit_rounds(path: Path, genesis: Genesis, domain: Domain, checkpoints: Mapping[int, bytes]) -> AuditReport:
    """Check what was signed, from the genesis file up to the head.

    Args:
        path: the folder of the database.
        genesis: the file that is trusted.
        domain: of the chain that it begins.
        checkpoints: hashes of blocks by height that this chain must contain.
    """
    store = Store.open(path, chain_id=domain.chain_id, genesis_hash=domain.genesis_hash, readonly=True)
    try:
        with store.read() as view:
            head, head_hash, first = view.head_height, view.header(view.head_height).hash, view.first_height
            begins = f"{NOT_EXECUTED}; heights below {first} are not in this database" if first else NOT_EXECUTED
            try:
                founders = [member.node_key for member in genesis.members]
                order = Order(path, domain, tuple(_epochs(view, founders, domain)))
            except InvalidTransition as error:
                offence = Offence(error.height, ROUND, "certificate", error.reason)
                return AuditReport(head, bytes(32), Counts(), offence=offence, begins=begins, executed=False)
            offences = [_missing(view, *checkpoint) for checkpoint in sorted(checkpoints.items())]
    finally:
        store.close()
    counts, at = Counts(), max(first, 1)
    with ProcessPoolExecutor(cpu_count(), mp_context=get_context("fork")) as pool:
        slices = range(at, head + 1, SLICE_HEIGHTS)
        try:
            jobs = [pool.submit(check_heights, order, at, min(at + SLICE_HEIGHTS, head + 1)) for at in slices]
            for at, job in zip(slices, jobs, strict=True):  # noqa: B007 (where it was, if a reader is killed)
                found, wrong = job.result()
                counts.heights += found.heights
                counts.certificates += found.certificates
                counts.transactions += found.transactions
                counts.signatures += found.signatures
                offences.append(wrong)
        except BrokenProcessPool:
            detail = f"a reader was killed at or after height {at}: a damaged page, or too little memory"
            offences.append(Offence(at, ROUND, "database", detail))
    found_out = [offence for offence in offences if offence is not None]
    worst = min(found_out, key=lambda each: each.height, default=None)
    return AuditReport(head, head_hash, counts, offence=worst, begins=begins, executed=False)


def _missing(view: View, height: int, expected: bytes) -> Offence | None:
    """Return what is wrong with a checkpoint."""
    if not view.first_height <= height <= view.head_height:
        return Offence(view.head_height, ROUND, "checkpoint", f"checkpoint {height}: this database has no such height")
    found = view.header(height).hash
    if found == expected:
        return None
    detail = f"checkpoint {height}: a block 0x{expected.hex()} is expected, this chain has 0x{found.hex()} there"
    return Offence(height, ROUND, "checkpoint", detail)


def _epochs(view: View, founders: Sequence[bytes], domain: Domain) -> Iterator[Validators]:
    """Yield who certified which heights, each believed on those before.

    Raises:
        InvalidTransition: an epoch change is not certified.
    """
    steps = list(transitions(view, view.head_height + 1))
    begins = [0, *(step.header.number + 1 for step in steps)]
    for first, validators in zip(begins, follow_each(founders, steps, domain), strict=True):
        yield Validators(first, int(validators.epoch), validators.keys)


def check_heights(order: Order, first: int, last: int) -> tuple[Counts, Offence | None]:
    """Check the heights from `first` up to but without `last`; return how much was checked, and the first offence."""
    counts = Counts()
    store = order.open()
    try:
        with store.read() as view:
            for height in range(first, last):
                try:
                    offence = _check_height(view, height, order, counts)
                except CorruptValue as error:
                    offence = Offence(height, ROUND, "database", str(error))
                except InvalidTransition as error:
                    offence = Offence(height, ROUND, "certificate", error.reason)
                if offence is not None:
                    return counts, offence
    finally:
        store.close()
    return counts, None


def _check_height(view: View, height: int, order: Order, counts: Counts) -> Offence | None:
    header = view.header(height)
    known = next(each for each in reversed(order.epochs) if each.first_height <= height)
    validators = ValidatorSet(Epoch(known.epoch), known.keys)
    check_round(header, view.record(height), view.certificate(height) or b"", validators, order.domain)
    if header.number != height:
        return Offence(height, ROUND, "header", f"number {header.number}, expected {height}")
    if (height > view.first_height or height == 1) and header.parent_hash != view.header(height - 1).hash:
        return Offence(height, ROUND, "header", "its parent hash is not that of the block before")
    raws = view.transactions(height)
    if list_root(raws) != header.transactions_root:
        return Offence(height, ROUND, "body", "not the transactions that the header names")
    if list_root([receipt.encode() for receipt in view.receipts(height)]) != header.receipts_root:
        return Offence(height, ROUND, "receipt", "not the receipts that the header names")
    senders = view.senders(height)
    if len(senders) != len(raws):
        return Offence(height, ROUND, "index", f"{len(senders)} senders, expected {len(raws)}")
    for index, raw in enumerate(raws):
        try:
            sender = decode_transaction(raw, order.domain.chain_id).sender
        except InvalidTransaction as error:
            return Offence(height, ROUND, "transaction", f"transaction {index}: {error.reason}")
        if sender != senders[index]:
            return Offence(height, ROUND, "index", f"the stored sender of transaction {index} is not who signed it")
    counts.heights += 1
    counts.certificates += 1
    counts.transactions += len(raws)
    counts.signatures += len(raws)
    return None
