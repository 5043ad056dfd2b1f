"""Certified blocks into a database: each verified against the validators of its height, and executed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from consensus.certificates import InvalidCertificate, verify
from consensus.codec import InvalidPeerMessage, decode_certificate
from consensus.messages import CertifiedBlock
from consensus.types import Domain
from node.application import Application, BlockRefused
from node.chain.assembly import InvalidBody, decode_body, hash_of_body
from node.chain.record import decode_record
from node.chain.rlp import InvalidRlp
from node.clock import ChainClock
from node.errors import GridpactError
from node.execution import Loop
from node.genesis import Genesis
from node.operations.blocks import BadBlock, Block
from node.rules import RuleBook
from node.storage import Store

AT_ONCE = 32  # blocks that become durable together, as when a node catches up


@dataclass(frozen=True, slots=True)
class Imported:
    """How far a database came: its head before and after, and what ended it early, if anything did.

    `failure` is a `BadBlock` for the first block that does not hold, else what went wrong where the blocks come from.
    """

    before: int
    after: int
    failure: GridpactError | None


def import_blocks(
    store: Store,
    genesis: Genesis,
    domain: Domain,
    blocks: Iterable[Block],
    *,
    loop: Loop = Loop.INLINED,
    reached: Callable[[int], None] = lambda _height: None,
) -> Imported:
    """Add blocks to a database, and stop at the first that does not hold; those before it stay.

    Blocks up to the head are not executed again, but must be the ones that are there.

    Args:
        store: opened for writing.
        genesis, domain: of the chain.
        blocks: in the order of their heights, from the head + 1 at the latest.
        loop: which opcode loop runs.
        reached: told every height that is durable.
    """
    rule_book = RuleBook(genesis.content["rules"], genesis.chain_id)
    application = Application(store, rule_book, ChainClock(genesis), loop=loop)
    with store.read() as view:
        before = view.head_height
    head, source = before, _Source(blocks)
    try:
        waiting = _beyond(store, source, head)
        while waiting := waiting + list(islice(source, AT_ONCE - len(waiting))):
            head += _some(application, domain, waiting, head)
            reached(head)
            waiting = [block for block in waiting if block.height > head]
    except BadBlock as error:
        return Imported(before, head, error)
    return Imported(before, head, source.failure)


class _Source:
    """Yields blocks until there are no more, or there is something wrong with where they come from."""

    def __init__(self, blocks: Iterable[Block]) -> None:
        self._blocks = iter(blocks)
        self.failure: GridpactError | None = None

    def __iter__(self) -> Iterator[Block]:
        return self

    def __next__(self) -> Block:
        if self.failure is not None:
            raise StopIteration
        try:
            return next(self._blocks)
        except GridpactError as error:
            self.failure = error
            raise StopIteration from None


def _beyond(store: Store, source: Iterable[Block], head: int) -> list[Block]:
    """Return the first block above the head, none if there is none; those below must be the ones that are stored."""
    for block in source:
        if block.height > head:
            return [block]
        with store.read() as view:
            if view.keeps(block.height) and view.header(block.height).hash != hash_of_body(block.body):
                raise BadBlock(block.height, "body", "another block is stored at this height")
    return []


def _some(application: Application, domain: Domain, blocks: list[Block], head: int) -> int:
    """Store the first of these blocks, and those that follow as far as they hold; return how many."""
    first = blocks[0]
    if first.height != head + 1:
        raise BadBlock(first.height, "body", f"it does not follow height {head}, up to which the blocks are there")
    certified = [_decoded(first)]
    try:
        verify(certified[0].certificate, application.validators(), domain)
    except InvalidCertificate as error:
        raise BadBlock(first.height, "certificate", error.reason) from None
    with suppress(BadBlock):  # another one's fault is said when its turn has come
        certified.extend(map(_decoded, blocks[1:]))
    try:
        return len(application.replay(certified, domain))
    except BlockRefused as error:
        raise BadBlock(first.height, "body", error.reason) from None


def _decoded(block: Block) -> CertifiedBlock:
    """Return a block whose body is what the certificate names, and whose record is what the header names."""
    try:
        certificate = decode_certificate(block.certificate)
    except InvalidPeerMessage as error:
        raise BadBlock(block.height, "certificate", error.reason) from None
    if certificate.height != block.height:
        raise BadBlock(block.height, "certificate", f"it is for height {certificate.height}")
    try:
        header, _ = decode_body(block.body)
    except InvalidBody as error:
        raise BadBlock(block.height, "body", str(error)) from None
    if header.hash != certificate.block_hash:
        reason = f"its hash is 0x{header.hash.hex()}, a quorum certified 0x{certificate.block_hash.hex()}"
        raise BadBlock(block.height, "header", reason)
    try:
        record = decode_record(block.record)
    except InvalidRlp as error:
        raise BadBlock(block.height, "record", str(error)) from None
    if record.digest != header.extra_data:
        raise BadBlock(block.height, "record", "not the one that the header names")
    return CertifiedBlock(block.body, certificate)
