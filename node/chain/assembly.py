"""From a parent and an executed list of transactions to a sealed round block: pure, the same on every validator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from node.chain import mmr, rlp
from node.chain.dual import Chain, ChainBlock, chain_block, members_of
from node.chain.header import (
    EMPTY_LIST_ROOT,
    MIX_HASH,
    NO_COINBASE,
    NONCE,
    OMMERS_HASH,
    REQUESTS_HASH,
    ZERO_HASH,
    Header,
    InvalidHeader,
    decode_header,
)
from node.chain.receipt import EMPTY_BLOOM, Receipt, blooms_union
from node.chain.record import NO_HEAD, RoundRecord
from node.chain.transaction import Transaction
from node.rules import Rules
from node.state.trie import list_root


@dataclass(frozen=True, slots=True)
class Parent:
    """All of the parent that a child is made from."""

    header: Header
    record: RoundRecord
    history: mmr.Range


@dataclass(frozen=True, slots=True)
class Executed:
    """What executing the transactions gave."""

    receipts: tuple[Receipt, ...]
    gas_used: int
    state_root: bytes


@dataclass(frozen=True, slots=True)
class SealedBlock:
    """A round block with everything that belongs to its height.

    `members` gives, for each chain block, the indices of its transactions in the round block.
    """

    header: Header
    transactions: tuple[bytes, ...]
    receipts: tuple[Receipt, ...]
    record: RoundRecord
    chain_blocks: tuple[ChainBlock, ...]
    members: tuple[tuple[int, ...], ...]
    history: mmr.Range
    history_nodes: Mapping[mmr.Position, bytes]


@dataclass(frozen=True, slots=True)
class Validators:
    """What a round record says of the validators: epoch, the acting set's hash and that of the next height's."""

    epoch: int
    acting: bytes
    following: bytes


def seal(
    parent: Parent,
    *,
    timestamp: int,
    transactions: Sequence[Transaction],
    executed: Executed,
    rules: Rules,
    validators: Validators,
) -> SealedBlock:
    """Return the child of `parent` with these transactions and what executing them gave."""
    height = parent.header.number + 1
    raws = tuple(tx.raw for tx in transactions)
    heads = {Chain.CONTRACT: parent.record.contract_head, Chain.LEDGER: parent.record.ledger_head}
    history, added = parent.history, dict[mmr.Position, bytes]()
    blocks, members = [], []
    for chain in Chain:
        indices = members_of(chain, transactions, rules.contract_domain)
        if not indices:
            continue
        receipts = [executed.receipts[i] for i in indices]
        block = chain_block(chain, heads[chain], height, [raws[i] for i in indices], receipts)
        heads[chain] = block.head
        history, nodes = history.append(mmr.leaf_hash(chain, block.number, block.hash))
        added.update(nodes)
        blocks.append(block)
        members.append(tuple(indices))
    record = RoundRecord(
        rules.version,
        validators.epoch,
        validators.acting,
        validators.following,
        heads[Chain.CONTRACT],
        heads[Chain.LEDGER],
        history.root,
    )
    header = _header(parent.header.hash, height, timestamp, raws, executed, rules, record)
    return SealedBlock(header, raws, executed.receipts, record, tuple(blocks), tuple(members), history, added)


def genesis_block(
    *, file_hash: bytes, timestamp: int, state_root: bytes, rules: Rules, validators_hash: bytes
) -> SealedBlock:
    """Return block 0: its parent hash is the genesis file's, so that its own hash binds every parameter."""
    record = RoundRecord(rules.version, 0, validators_hash, validators_hash, NO_HEAD, NO_HEAD, mmr.EMPTY.root)
    header = _header(file_hash, 0, timestamp, (), Executed((), 0, state_root), rules, record)
    return SealedBlock(header, (), (), record, (), (), mmr.EMPTY, {})


def _header(
    parent_hash: bytes,
    height: int,
    timestamp: int,
    raws: tuple[bytes, ...],
    executed: Executed,
    rules: Rules,
    record: RoundRecord,
) -> Header:
    bloom = blooms_union(receipt.bloom for receipt in executed.receipts) if executed.receipts else EMPTY_BLOOM
    return Header(
        parent_hash=parent_hash,
        ommers_hash=OMMERS_HASH,
        coinbase=NO_COINBASE,
        state_root=executed.state_root,
        transactions_root=list_root(raws),
        receipts_root=list_root([receipt.encode() for receipt in executed.receipts]),
        bloom=bloom,
        difficulty=0,
        number=height,
        gas_limit=rules.block_gas_limit,
        gas_used=executed.gas_used,
        timestamp=timestamp,
        extra_data=record.digest,
        mix_hash=MIX_HASH,
        nonce=NONCE,
        base_fee_per_gas=rules.base_fee,
        withdrawals_root=EMPTY_LIST_ROOT,
        blob_gas_used=0,
        excess_blob_gas=0,
        parent_beacon_root=ZERO_HASH,
        requests_hash=REQUESTS_HASH,
    )


MAX_HEADER_BYTES = 1024  # a header of ours takes about 650
MAX_TRANSACTIONS = 8_192  # in a block: the gas limit allows far fewer, and a root over more would hold a validator up


class InvalidBody(ValueError):
    """Bytes that are no body of a round block."""


def encode_body(header: Header, raws: Sequence[bytes]) -> bytes:
    """Return the body as it is proposed and stored: RLP of [header, [raw transactions]]; it contains no view."""
    return rlp.encode_list([header.encode(), rlp.encode(list(raws))])


def decode_body(body: bytes) -> tuple[Header, tuple[bytes, ...]]:
    """Return (header, raw transactions) of a body whose header names these transactions by their root.

    Raises:
        InvalidBody: malformed, or header and transactions do not belong together.
    """
    try:
        head, rest = _two(rlp.split(body))
        if len(head) > MAX_HEADER_BYTES:
            raise InvalidBody(f"body: a header of {len(head)} bytes, expected at most {MAX_HEADER_BYTES}")
        header = decode_header(head)
        raws = tuple(rlp.decode_data(item) for item in rlp.decode_list(rlp.decode(rest, MAX_TRANSACTIONS)))
    except (rlp.InvalidRlp, InvalidHeader) as error:
        raise InvalidBody(f"body: {error}") from None
    if list_root(raws) != header.transactions_root:
        raise InvalidBody(f"body: its {len(raws)} transactions are not those that its header names")
    return header, raws


def _two(parts: list[bytes]) -> tuple[bytes, bytes]:
    if len(parts) != 2:
        raise InvalidBody(f"body: expected a list of header and transactions, found {len(parts)} items")
    return parts[0], parts[1]


def split_body(body: bytes) -> tuple[bytes, tuple[bytes, ...]] | None:
    """Return (encoded header, raw transactions) of a body, for compact proposals; None if it is malformed."""
    try:
        head, rest = _two(rlp.split(body))
        return head, tuple(rlp.decode_data(item) for item in rlp.decode_list(rlp.decode(rest, MAX_TRANSACTIONS)))
    except (rlp.InvalidRlp, InvalidBody):
        return None


def join_body(head: bytes, raws: Sequence[bytes]) -> bytes:
    """Return the body with this encoded header and these transactions; nothing says that they belong together."""
    return rlp.encode_list([head, rlp.encode(list(raws))])


def hash_of_body(body: bytes) -> bytes | None:
    """Return the hash of the block that a body holds; None if it is malformed. It binds every byte of the body."""
    try:
        return decode_body(body)[0].hash
    except InvalidBody:
        return None
