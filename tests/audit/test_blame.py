"""What is blamed is what was changed, strays are found, and a proof has one form."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import lmdb
import pytest

from contracts.bindings.abi import Event
from contracts.bindings.events import topic_of
from contracts.bindings.market_types import TransactionMade
from contracts.bindings.meter_registry import Attested
from contracts.system import MARKET, METER_REGISTRY
from node.audit.proof import check, prove
from node.audit.supply import Books
from node.chain import rlp
from node.chain.header import FIELDS, decode_header
from node.chain.proofs import InvalidProof, parse_proof
from node.chain.receipt import Log, make_receipt
from node.storage import Store, tables
from tests.audit.street import HEAD, Street
from tests.storage.raw import overwrite

pytestmark = pytest.mark.tamper


@contextmanager
def stray(street: Street, table: str, key: bytes, payload: bytes) -> Iterator[None]:
    """Have a value that nobody wrote in a table for a while."""
    overwrite(street.path, table, key, payload + bytes(tables.CHECKSUM_BYTES), repair_checksum=True)
    try:
        yield
    finally:
        environment = lmdb.open(str(street.path), max_dbs=len(tables.TABLES), map_size=1 << 36)
        database = environment.open_db(table.encode())
        with environment.begin(write=True) as transaction:
            transaction.delete(key, db=database)
        environment.close()


@pytest.mark.parametrize("field", FIELDS)
def test_a_changed_header_is_blamed_itself(street: Street, field: str) -> None:
    key = tables.height_key(4)
    header = decode_header(street.stored("headers")[key])
    value = getattr(header, field)
    changed = value + 1 if isinstance(value, int) else bytes((value[0] ^ 1,)) + value[1:]
    wrong = replace(header, **{field: changed})  # type: ignore[arg-type]
    with street.altered("headers", key, wrong.encode()):
        offence = street.audit().offence
    assert offence is not None
    assert (offence.height, offence.chain, offence.kind) == (4, "round", "header")


def test_a_changed_transaction_is_a_changed_body(street: Street) -> None:
    key = tables.height_key(4)
    body = street.stored("bodies")[key]
    for at in range(5, len(body), 29):
        with street.altered("bodies", key, body[:at] + bytes((body[at] ^ 1,)) + body[at + 1 :]):
            offence = street.audit().offence
        assert offence is not None
        assert (offence.height, offence.chain, offence.kind) == (4, "round", "body")


@pytest.mark.parametrize(
    ("table", "payload", "kind"),
    [("bodies", rlp.encode([b"\1"]), "body"), ("receipts", b"\xc1\xc0", "receipt"), ("senders", bytes(20), "body")],
)
@pytest.mark.parametrize("repaired", [False, True])
def test_block_0_is_empty(street: Street, table: str, payload: bytes, kind: str, repaired: bool) -> None:
    with street.altered(table, tables.height_key(0), payload, repaired=repaired):
        offence = street.audit().offence
    assert offence is not None
    assert (offence.height, offence.chain) == (0, "round")
    assert offence.kind == kind or not repaired


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ("transactions", b"\x77" * 32),
        ("heights", b"\x77" * 32),
        *((table, tables.height_key(99)) for table in ("headers", "bodies", "senders", "receipts", "records")),
        ("certificates", tables.height_key(99)),
        ("chains", tables.chain_key(0, 99)),
        ("history", tables.position_key((0, 99))),
        ("accounts", b"\x77" * 20),
        ("storage", b"\x77" * 52),
        ("codes", b"\x77" * 32),
        ("trie", b"\x77"),
        ("accounts_before", b"\x77" * 20 + tables.height_key(3)),
    ],
)
def test_a_stray_value_is_found(street: Street, table: str, key: bytes) -> None:
    with stray(street, table, key, bytes(8)):
        offence = street.audit().offence
    assert offence is not None
    assert offence.height == HEAD
    assert street.audit().offence is None


def log_of(address: bytes, event: type[Event], indexed: list[int], values: list[int]) -> Log:
    """Return a log of a system contract whose parameters are words."""
    topics, words = ([number.to_bytes(32, "big") for number in numbers] for numbers in (indexed, values))
    return Log(address, (topic_of(address, event), *topics), b"".join(words))


def test_more_energy_settled_than_attested(street: Street) -> None:
    seller, buyer, window = 0xA1, 0xB2, 5
    attested = [
        log_of(METER_REGISTRY, Attested, [1, seller, window], [20, 0, 300]),
        log_of(METER_REGISTRY, Attested, [2, buyer, window], [20, 400, 0]),
    ]
    delivered = [log_of(MARKET, TransactionMade, [7, window, buyer], [seller, 300, 300, 250])]
    books = Books()
    books.note(1, [make_receipt(2, 1, 0, attested)])
    books.note(2, [make_receipt(2, 1, 0, delivered)])
    assert books.wrong is None
    books.note(3, [make_receipt(2, 1, 0, delivered)])
    assert books.wrong is not None
    assert books.wrong[0] == 3
    assert "200 Wh more settled than attested export" in books.wrong[1]


def proof_of(street: Street) -> dict[str, Any]:
    """Return the proof of a transaction that stands beside others in its block."""
    store = Store.open(street.path, chain_id=2016, genesis_hash=street.genesis_hash, readonly=True)
    with store.read() as view:
        proof = prove(view, street.transactions[-4], street.rule_book)
    store.close()
    return proof.as_json()


def test_a_proof_has_one_form(street: Street) -> None:
    content = proof_of(street)
    check(parse_proof(content), street.genesis)
    history = content["history"]
    peaks = history["peaks"]
    assert len(peaks) > 1
    glued = ["0x" + peaks[0][2:] + peaks[1][2:4], "0x" + peaks[1][4:], *peaks[2:]]
    for wrong in (
        content | {"transactionNodes": [*content["transactionNodes"], "0xc0"]},
        content | {"receiptNodes": [*content["receiptNodes"], *content["transactionNodes"]]},
        content | {"note": "unread"},
        content | {"history": history | {"note": "unread"}},
        content | {"history": history | {"peaks": glued}},
        content | {"certificate": content["certificate"][:2] + " " + content["certificate"][2:]},
    ):
        with pytest.raises(InvalidProof):
            check(parse_proof(wrong), street.genesis)
