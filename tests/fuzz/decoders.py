"""Every decoder that reads what strangers, peers or clients send: its bounds, its one error, and what it encodes to."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from nacl.public import PrivateKey as BoxKey
from nacl.signing import SigningKey

from agents.private.mail import ENVELOPE_BYTES, open_envelope
from agents.private.packets import ACCOUNT_BYTES, BOX_BYTES, PACKET_BYTES, open_packet, seal_box
from consensus.codec import (
    InvalidPeerMessage,
    decode_certificate,
    decode_message,
    decode_record,
    encode_certificate,
    encode_message,
    encode_record,
)
from consensus.messages import (
    BlocksRequest,
    Body,
    BodyRequest,
    CertifiedBlock,
    Message,
    Recall,
    Recalled,
    Status,
)
from consensus.types import Height, Phase, View
from contracts.private_window import decode_spend
from node.application import make_genesis
from node.chain import rlp
from node.chain.assembly import InvalidBody, decode_body, encode_body
from node.chain.dual import Chain, ChainBlock, decode_chain_block
from node.chain.header import InvalidHeader, decode_header
from node.chain.private import SignedCall
from node.chain.proofs import InvalidProof, parse_proof
from node.chain.record import decode_record as decode_round_record
from node.chain.transaction import InvalidTransaction, Transaction, decode_transaction
from node.driver import compact_messages
from node.genesis import parse_genesis
from node.gossip import decode_transactions, encode_batches
from node.p2p.frames import Channel, Hello, InvalidFrame, decode_frame, decode_hello, encode_frame
from node.rules import RuleBook
from node.state.trie import list_root
from privacy import claims, clsag, range_proof, ring
from privacy.auditors import ciphertext_from_bytes_checked, same_amount_from_bytes_checked
from privacy.envelopes import bin_from_code, bin_to_code, ring_from_code, ring_to_code
from privacy.equality import difference_from_bytes_checked, equality_from_bytes_checked
from privacy.group import InvalidEncoding
from privacy.notes import make_note, note_from_bytes_checked
from privacy.secp256k1 import SECP256K1
from privacy.stealth import MetaAddress
from tests.consensus.machine import BLOCK, BODY, Machine
from tests.node.chains import sign_transaction
from tests.node.samples import account_key, sample_genesis
from tests.privacy.claims import all_terms, good
from tests.privacy.envelopes import bin_notes, ring_rows, signed_call, signed_transfer
from tests.privacy.keys import random_bytes, secret
from tests.privacy.make_vectors import MEMBERS, written

SUM = 0x4704
CLAIMS: Mapping[int, Callable[[bytes], Any]] = {
    0x4701: claims.ring_holds,
    0x4702: claims.note_holds,
    0x4703: claims.range_holds,
    SUM: claims.summed,
    0x4705: claims.equality_holds,
}
MAX_BODY_BYTES = 4_096
CHAIN_ID = 1


@dataclass(frozen=True, slots=True)
class Decoder:
    """A decoder under attack.

    Args:
        decode: bytes to a value, or one of `refusals`.
        refusals: what it may raise.
        encode: the way back, where every accepted input must come out as it went in; None where encodings may differ.
        seeds: valid inputs, from which mutation starts.
    """

    decode: Callable[[bytes], Any]
    refusals: tuple[type[Exception], ...]
    encode: Callable[[Any], bytes] | None
    seeds: tuple[bytes, ...]


def attempt(decoder: Decoder, payload: bytes) -> None:
    """Decode, and hold the decoder to its contract.

    Raises:
        AssertionError: what was accepted does not encode to what came in.
    """
    try:
        value = decoder.decode(payload)
    except decoder.refusals:
        return
    if decoder.encode is not None and decoder.encode(value) != payload:
        raise AssertionError(f"{payload.hex()} is accepted, but is not the encoding of {value!r}")


def _again(tx: Transaction) -> bytes:
    """Return a transaction as its fields are encoded, where they are kept as they came."""
    if isinstance(tx.private, SignedCall):
        return tx.private.call.to_bytes(tx.private.proof)
    return tx.raw if tx.private is None else tx.private.transfer.to_bytes(tx.private.proofs)


def _messages() -> list[Message]:
    m = Machine()
    prepared = m.certificate(Phase.PREPARE)
    change = m.view_change(1, 2, prepared)
    vote = m.vote(1, Phase.COMMIT)
    return [
        m.proposal(),
        vote,
        m.view_change(0, 2),
        change,
        m.new_view(2, m.view_change(0, 2), change, m.view_change(2, 2)),
        Status(Height(5), View(1), True, False, 3, 5, 9),
        BlocksRequest(Height(5), 3),
        CertifiedBlock(BODY, m.certificate(Phase.COMMIT)),
        BodyRequest(Height(5), BLOCK),
        Body(Height(5), BODY),
        Recall(),
        Recalled(Height(5), (vote, change.vote)),
    ]


def _compact() -> tuple[bytes, ...]:
    m = Machine()
    return tuple(
        compact_messages.encode_compact(message)
        for message in (
            compact_messages.CompactProposal(m.proposal().vote, b"head", (BLOCK, bytes(32))),
            compact_messages.TransactionsRequest(Height(5), BLOCK, (0, 3, 9)),
            compact_messages.Transactions(Height(5), BLOCK, ((0, b"tx"), (3, b"other"))),
        )
    )


@cache
def decoders() -> Mapping[str, Decoder]:
    """Return all decoders by name."""
    genesis = parse_genesis(sample_genesis())
    sealed, _ = make_genesis(genesis, RuleBook(genesis.content["rules"], genesis.chain_id).rules_at(0))
    header = sealed.header
    raws = [
        sign_transaction(account_key("a"), chain_id=CHAIN_ID, nonce=3, to=key, data=b"\1\2", kind=kind)
        for kind, key in ((0, bytes(20)), (1, None), (2, bytes(range(20))))
    ]
    raw = raws[2]
    filled = replace(header, number=1, transactions_root=list_root([raw]))
    messages = _messages()
    records = [m for m in messages if type(m).__name__ in ("SignedVote", "ViewChange", "Body")]
    certificate = Machine().certificate(Phase.COMMIT)
    key = bytes(SigningKey(bytes(32)).verify_key)
    bad_rlp = (rlp.InvalidRlp,)
    return {
        "message": Decoder(
            lambda data: decode_message(data, max_body_bytes=MAX_BODY_BYTES),
            (InvalidPeerMessage,),
            encode_message,
            tuple(map(encode_message, messages)),
        ),
        "record": Decoder(
            lambda data: decode_record(data, max_body_bytes=MAX_BODY_BYTES),
            (InvalidPeerMessage,),
            encode_record,
            tuple(encode_record(record) for record in records),  # type: ignore[arg-type]
        ),
        "certificate": Decoder(
            decode_certificate, (InvalidPeerMessage,), encode_certificate, (encode_certificate(certificate),)
        ),
        "compact": Decoder(
            _compact_message,
            (InvalidPeerMessage,),
            compact_messages.encode_compact,
            _compact(),
        ),
        "frame": Decoder(
            decode_frame,
            (InvalidFrame,),
            None,
            (encode_frame([(Channel.CONSENSUS, b"vote"), (Channel.TRANSACTIONS, raw)]),),
        ),
        "hello": Decoder(decode_hello, (InvalidFrame,), None, (Hello(1, CHAIN_ID, key, "gridpact").encode(),)),
        "gossip": Decoder(decode_transactions, (ValueError,), None, tuple(encode_batches([raw, raw]))),
        "transaction": Decoder(
            lambda data: decode_transaction(data, CHAIN_ID),
            (InvalidTransaction,),
            _again,
            (*raws, signed_call(chain_id=CHAIN_ID), signed_transfer(chain_id=CHAIN_ID)),
        ),
        "spend": Decoder(
            decode_spend, (), None, (decode_transaction(signed_transfer(chain_id=CHAIN_ID), CHAIN_ID).data,)
        ),
        "ring": Decoder(ring_from_code, (InvalidEncoding,), ring_to_code, (ring_to_code(ring_rows()),)),
        "bin": Decoder(bin_from_code, (InvalidEncoding,), bin_to_code, (bin_to_code(bin_notes(0)),)),
        "body": Decoder(
            decode_body,
            (InvalidBody,),
            lambda body: encode_body(*body),
            (encode_body(filled, [raw]),),
        ),
        "header": Decoder(decode_header, (InvalidHeader,), lambda found: bytes(found.encode()), (header.encode(),)),
        "round record": Decoder(
            decode_round_record, bad_rlp, lambda found: bytes(found.encode()), (sealed.record.encode(),)
        ),
        "chain block": Decoder(
            decode_chain_block,
            bad_rlp,
            lambda found: bytes(found.encode()),
            (ChainBlock(Chain.LEDGER, 1, bytes(32), 1, bytes(32), bytes(32)).encode(),),
        ),
        "rlp": Decoder(rlp.decode, bad_rlp, rlp.encode, (rlp.encode([b"dog", [b"", b"cat"], b"x" * 80]),)),
        "proof": Decoder(_proof, (InvalidProof,), None, (b"{}",)),
        **_privacy(),
        **_sealed(),
        **{f"claim {number:#x}": Decoder(holds, (), None, _claims(number)) for number, holds in CLAIMS.items()},
    }


def _privacy() -> dict[str, Decoder]:
    """Return what reads the proofs inside of claims, with a committed one each."""
    group, refusals = SECP256K1, (InvalidEncoding,)
    range_statement = range_proof.Statement((group.generator,), 8)
    reads: dict[str, Callable[[bytes], Any]] = {
        "ring of two columns": lambda raw: ring.signature_from_bytes_checked(group, raw, 2, MEMBERS),
        "clsag": lambda raw: clsag.clsag_from_bytes_checked(group, raw, MEMBERS),
        "range single": lambda raw: range_proof.range_proof_from_bytes_checked(group, raw, range_statement),
        "equality": lambda raw: equality_from_bytes_checked(group, raw),
        "difference": lambda raw: difference_from_bytes_checked(group, raw),
        "same amount": lambda raw: same_amount_from_bytes_checked(group, raw),
    }
    found = {
        f"proof: {name}": Decoder(
            read, refusals, lambda proof: bytes(proof.to_bytes(group)), (bytes.fromhex(written(name)["proof"]),)
        )
        for name, read in reads.items()
    }
    ciphertext = bytes.fromhex(written("same amount")["ciphertext"])
    point, scalar = bytes.fromhex(written("stealth")["key"]), bytes.fromhex(written("stealth")["viewing"])
    return {
        **found,
        "ciphertext": Decoder(
            lambda raw: ciphertext_from_bytes_checked(group, raw), refusals, lambda c: c.to_bytes(group), (ciphertext,)
        ),
        "note": Decoder(
            lambda raw: note_from_bytes_checked(group, raw), refusals, lambda note: note.to_bytes(group), (_note(),)
        ),
        "point": Decoder(group.point_from_bytes_checked, refusals, group.point_to_bytes, (point,)),
        "scalar": Decoder(group.scalar_from_bytes_checked, refusals, group.scalar_to_bytes, (scalar,)),
    }


def _note() -> bytes:
    recipient = MetaAddress(*map(SECP256K1.multiply_generator, (secret("spending"), secret("viewing"))))
    joint_key = SECP256K1.multiply_generator(secret("auditors"))
    note, _ = make_note(SECP256K1, recipient, 5, joint_key, lambda key: key[1:], random_bytes("note"))
    return note.to_bytes(SECP256K1)


def _sealed() -> dict[str, Decoder]:
    """Return what reads the inside of boxes that strangers seal: an envelope, and a packet at its second relay."""
    secret_key = BoxKey(bytes(range(32)))
    public = bytes(secret_key.public_key)
    letter, inside = ENVELOPE_BYTES - BOX_BYTES, PACKET_BYTES - 2 * BOX_BYTES - ACCOUNT_BYTES

    def envelope(content: bytes) -> object:
        return open_envelope(seal_box(public, content.ljust(letter, b"\0")[:letter]), secret_key)

    def packet(content: bytes) -> object:
        box = seal_box(public, content.ljust(inside, b"\0")[:inside])
        return open_packet(box.ljust(PACKET_BYTES, b"\0"), secret_key)

    said = b'{"to":"session","round":1}'
    return {
        "inside of an envelope": Decoder(envelope, (), None, (len(said).to_bytes(2, "big") + said,)),
        "inside of a packet": Decoder(packet, (), None, (b"\1\0\3abc", b"\3" + bytes(2))),
    }


def _claims(number: int) -> tuple[bytes, ...]:
    if number == SUM:
        return (claims.sum_claim(all_terms()),)
    return tuple(raw for found, raw in good().values() if found == number)


def _compact_message(data: bytes) -> object:
    if not data or data[0] not in set(compact_messages.CompactTag):
        raise InvalidPeerMessage("the driver hands on only what begins with a tag of its own")
    return compact_messages.decode_compact(data, max_body_bytes=MAX_BODY_BYTES)


def _proof(data: bytes) -> object:
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidProof(str(error)) from None
    return parse_proof(content)
