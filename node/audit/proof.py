"""Proofs from a database, and their check with nothing but the genesis file."""

from __future__ import annotations

from consensus.certificates import InvalidCertificate, verify
from consensus.codec import InvalidPeerMessage, decode_certificate
from consensus.types import Domain, Epoch, ValidatorSet
from node.application import make_block_0
from node.chain.dual import route
from node.chain.proofs import InclusionProof, InvalidProof, check_proof, make_proof
from node.chain.transaction import decode_transaction
from node.chain.transitions import validators_hash
from node.genesis import Genesis
from node.rules import RuleBook
from node.storage import View


class NotCommitted(Exception):
    """There is no such transaction up to the view's head."""


def prove(view: View, transaction_hash: bytes, rule_book: RuleBook) -> InclusionProof:
    """Return the proof of a committed transaction under the history root of its own height.

    Raises:
        NotCommitted: it is not committed.
    """
    place = view.locate(transaction_hash)
    if place is None:
        raise NotCommitted(f"transaction 0x{transaction_hash.hex()} is not committed")
    height, index = place
    rules = rule_book.rules_at(height)
    raws, receipts = view.transactions(height), view.receipts(height)
    tx = decode_transaction(raws[index], rules.chain_id)
    chain = route(tx.to, rules.contract_domain)
    record = view.record(height)
    number = (record.contract_head, record.ledger_head)[chain].number
    block, members = view.chain_block(chain, number), view.chain_block_members(chain, number)
    history, certificate = view.history_proof(chain, number, height), view.certificate(height)
    if block is None or history is None or certificate is None:
        raise NotCommitted(f"height {height} is not complete in this database")
    return make_proof(
        transactions=[raws[i] for i in members],
        receipts=[receipts[i].encode() for i in members],
        index=members.index(index),
        block=block,
        history=history,
        record=record,
        header=view.header(height),
        certificate=certificate,
    )


def check(proof: InclusionProof, genesis: Genesis) -> None:
    """Check a proof from the genesis file alone: every step, and the certificate against the founding validators.

    Raises:
        InvalidProof: naming the step that fails.
    """
    check_proof(proof)
    sealed = make_block_0(genesis, RuleBook(genesis.content["rules"], genesis.chain_id).rules_at(0))
    keys = [member.node_key for member in genesis.members]
    if proof.record.validators_hash != validators_hash(keys):
        raise InvalidProof("record: its validators are not the genesis file's")
    validators = ValidatorSet(Epoch(proof.record.epoch), tuple(sorted(keys)))
    try:
        certificate = decode_certificate(proof.certificate)
        verify(certificate, validators, Domain(genesis.chain_id, sealed.header.hash))
    except (InvalidPeerMessage, InvalidCertificate) as error:
        raise InvalidProof(f"certificate: {error}") from None
    if (certificate.height, certificate.block_hash) != (proof.header.number, proof.header.hash):
        raise InvalidProof("certificate: it is for another block")
