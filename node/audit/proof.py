"""Proofs from a database, and their check with nothing but the genesis file."""

from __future__ import annotations

from consensus.types import Domain
from node.application import make_block_0
from node.chain.dual import route
from node.chain.proofs import InclusionProof, InvalidProof, check_proof, make_proof
from node.chain.transaction import decode_transaction
from node.chain.transitions import InvalidTransition, check_round, follow
from node.epochs import transitions
from node.genesis import Genesis
from node.rules import RuleBook
from node.storage import View


class NotCommitted(Exception):
    """There is no such transaction up to the view's head."""


def prove(view: View, transaction_hash: bytes, rule_book: RuleBook) -> InclusionProof:
    """Return the proof of a committed transaction under the history root of its own height.

    Raises:
        NotCommitted: it is not committed, or this database does not hold all that proves it.
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
    epochs = tuple(transitions(view, height))
    if block is None or history is None or certificate is None or len(epochs) != record.epoch:
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
        transitions=epochs,
    )


def check(proof: InclusionProof, genesis: Genesis) -> None:
    """Check a proof from the genesis file alone: every step, and every certificate, from the founders' on.

    Raises:
        InvalidProof: naming the step that fails.
    """
    check_proof(proof)
    sealed = make_block_0(genesis, RuleBook(genesis.content["rules"], genesis.chain_id).rules_at(0))
    domain = Domain(genesis.chain_id, sealed.header.hash)
    founders = [member.node_key for member in genesis.members]
    try:
        validators = follow(founders, proof.transitions, domain)
        check_round(proof.header, proof.record, proof.certificate, validators, domain)
    except InvalidTransition as error:
        raise InvalidProof(str(error)) from None
