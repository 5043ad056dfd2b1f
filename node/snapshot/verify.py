"""Checking a manifest from the genesis file on: what is left after this is that the chunks are the state it names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from consensus.types import Domain, ValidatorSet
from node.application import make_block_0
from node.chain import mmr, rlp
from node.chain.assembly import SealedBlock
from node.chain.dual import Chain, ChainBlock, chain_block, decode_chain_block, members_of
from node.chain.header import Header, InvalidHeader, decode_header
from node.chain.receipt import Receipt, decode_stored
from node.chain.record import Head, RoundRecord, decode_record
from node.chain.transaction import InvalidTransaction, Transaction, decode_transaction
from node.chain.transitions import InvalidTransition, Transition, check_round, decode_transition, follow, next_set
from node.genesis import Genesis
from node.rules import RuleBook
from node.snapshot.format import InvalidSnapshot, Manifest
from node.state.trie import join_subtries, list_root


@dataclass(frozen=True, slots=True)
class Origin:
    """What the genesis file makes: its block 0, and what signatures are for."""

    genesis: Genesis
    sealed: SealedBlock
    rule_book: RuleBook

    @property
    def domain(self) -> Domain:
        """The chain that votes are for."""
        return Domain(self.genesis.chain_id, self.sealed.header.hash)


def origin_of(genesis: Genesis) -> Origin:
    """Return what a genesis file makes."""
    rule_book = RuleBook(genesis.content["rules"], genesis.chain_id)
    sealed = make_block_0(genesis, rule_book.rules_at(0))
    return Origin(genesis, sealed, rule_book)


@dataclass(frozen=True, slots=True)
class Anchor:
    """The checked height that a database can begin with.

    Args:
        sealed: its round block, complete.
        senders: of its transactions.
        certificate: encoded.
        headers: those before it, rising, each the parent of the next.
        history_before: the Merkle Mountain Range before it.
        next_validators: of the height after it.
        transitions: the epoch changes below it.
    """

    sealed: SealedBlock
    senders: tuple[bytes, ...]
    certificate: bytes
    headers: tuple[Header, ...]
    history_before: mmr.Range
    next_validators: ValidatorSet
    transitions: tuple[Transition, ...]


def check_manifest(manifest: Manifest, origin: Origin) -> Anchor:
    """Check everything in a manifest against the genesis file.

    Raises:
        InvalidSnapshot: naming the first part that is not as expected.
    """
    domain = origin.domain
    if (manifest.chain_id, manifest.genesis_hash) != (domain.chain_id, domain.genesis_hash):
        raise InvalidSnapshot(
            "chain",
            f"chain {manifest.chain_id}, genesis block 0x{manifest.genesis_hash.hex()}; "
            f"expected chain {domain.chain_id}, 0x{domain.genesis_hash.hex()}",
        )
    try:
        headers = _check_headers(manifest, origin)
        record = decode_record(manifest.record)
        steps = tuple(decode_transition(raw) for raw in manifest.transitions)
        header = headers[-1]
        validators = follow([member.node_key for member in origin.genesis.members], steps, domain)
        check_round(header, record, manifest.certificate, validators, domain)
        if steps and steps[-1].header.number >= header.number:
            raise InvalidSnapshot("transitions", "an epoch change at or above the snapshot's height")
        following = next_set(record, header.number, manifest.next_keys)
        receipts = tuple(decode_stored(rlp.decode(raw)) for raw in manifest.receipts)
        blocks = tuple(decode_chain_block(raw) for raw in manifest.chain_blocks)
        transactions = [decode_transaction(raw, domain.chain_id) for raw in manifest.transactions]
    except InvalidTransition as error:
        raise InvalidSnapshot("certificates", str(error)) from None
    except (rlp.InvalidRlp, InvalidHeader) as error:
        raise InvalidSnapshot("manifest", str(error)) from None
    except InvalidTransaction as error:
        raise InvalidSnapshot("transactions", error.reason) from None
    if join_subtries(manifest.accounts)[0] != header.state_root:
        raise InvalidSnapshot("account spine", "it does not lead to the certified state root")
    sealed, before = _seal(manifest, origin, header, record, transactions, receipts, blocks)
    senders = tuple(tx.sender for tx in transactions)
    return Anchor(sealed, senders, manifest.certificate, headers[:-1], before, following, steps)


def _check_headers(manifest: Manifest, origin: Origin) -> tuple[Header, ...]:
    headers = tuple(decode_header(raw) for raw in manifest.headers)
    lowest = headers[0].number
    if headers[-1].number != manifest.height or manifest.height < 1:
        raise InvalidSnapshot("headers", f"the last is of height {headers[-1].number}, expected {manifest.height}")
    if lowest and len(headers) < 256:
        raise InvalidSnapshot("headers", f"{len(headers)}, expected 256 or all from block 0 on")
    if not lowest and headers[0].hash != origin.sealed.header.hash:
        raise InvalidSnapshot("headers", "block 0 is not the genesis file's")
    for parent, child in pairwise(headers):
        if child.number != parent.number + 1 or child.parent_hash != parent.hash:
            raise InvalidSnapshot("headers", f"that of height {child.number} is no child of the one before")
    return headers


def _seal(
    manifest: Manifest,
    origin: Origin,
    header: Header,
    record: RoundRecord,
    transactions: list[Transaction],
    receipts: tuple[Receipt, ...],
    blocks: tuple[ChainBlock, ...],
) -> tuple[SealedBlock, mmr.Range]:
    """Return the round block of the snapshot's height, held against its header, and the history before it."""
    if list_root(manifest.transactions) != header.transactions_root:
        raise InvalidSnapshot("transactions", "not those that the certified header names")
    if list_root([receipt.encode() for receipt in receipts]) != header.receipts_root:
        raise InvalidSnapshot("receipts", "not those that the certified header names")
    domain = origin.rule_book.rules_at(header.number).contract_domain
    named = {Chain.CONTRACT: record.contract_head, Chain.LEDGER: record.ledger_head}
    members = {chain: tuple(members_of(chain, transactions, domain)) for chain in Chain}
    present = tuple(chain for chain in Chain if members[chain])
    if tuple(block.chain for block in blocks) != present:
        raise InvalidSnapshot("chain blocks", "not of the chains that the transactions belong to")
    for block in blocks:
        mine = members[block.chain]
        made = chain_block(
            block.chain,
            Head(block.number - 1, block.parent_hash),
            header.number,
            [manifest.transactions[index] for index in mine],
            [receipts[index] for index in mine],
        )
        if made != block or block.head != named[block.chain]:
            raise InvalidSnapshot("chain blocks", f"the {block.chain.name.lower()} chain's is not the certified one")
    history, nodes, before = _history(manifest, blocks, record)
    chains = tuple(members[block.chain] for block in blocks)
    sealed = SealedBlock(header, manifest.transactions, receipts, record, blocks, chains, history, nodes)
    return sealed, before


def _history(
    manifest: Manifest, blocks: tuple[ChainBlock, ...], record: RoundRecord
) -> tuple[mmr.Range, Mapping[mmr.Position, bytes], mmr.Range]:
    if len(manifest.peaks) != len(mmr.peak_positions(manifest.history_size)):
        raise InvalidSnapshot("history", f"{len(manifest.peaks)} peaks of {manifest.history_size} leaves")
    before = mmr.Range(manifest.history_size, manifest.peaks)
    history, nodes = before, dict[mmr.Position, bytes]()
    for block in blocks:
        history, added = history.append(mmr.leaf_hash(block.chain, block.number, block.hash))
        nodes.update(added)
    if history.root != record.history_root:
        raise InvalidSnapshot("history", "it does not lead to the certified history root")
    return history, nodes, before
