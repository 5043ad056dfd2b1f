"""Transactions without an account as bytes: one encoding each, and every other refused."""

from __future__ import annotations

from typing import Any

import pytest
import rlp as reference
from eth_hash.auto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from node.chain import rlp
from node.chain.transaction import InvalidTransaction, Transaction, decode_transaction
from privacy.envelopes import anonymous_sender, scope_of, shielded_sender
from tests.privacy import envelopes as made

CALL, TRANSFER = made.signed_call(), made.signed_transfer()
SAMPLES = {"call": CALL, "transfer": TRANSFER}
UNSIGNED = (0, 0, 0, 0, (), 0, 0, 0)


def decoded(raw: bytes) -> Transaction:
    return decode_transaction(raw, made.CHAIN_ID)


def fields_of(raw: bytes) -> list[Any]:
    return list(reference.decode(raw[1:]))


def test_a_call_comes_with_its_one_time_sender_and_nothing_of_an_account() -> None:
    tx, call = decoded(CALL), made.call_of(made.ring_rows())
    scope = scope_of(made.CHAIN_ID, made.REGISTRY, made.MARKET, made.WINDOW)
    assert (tx.type, tx.to, tx.data, tx.gas_limit) == (0x6E, made.MARKET, b"offer", 400_000)
    assert tx.sender == anonymous_sender(scope, call.nullifier)
    assert tx.hash == keccak(CALL)
    accounts = tx.nonce, tx.max_priority_fee_per_gas, tx.max_fee_per_gas, tx.value, tx.access_list
    assert (*accounts, tx.y_parity, tx.r, tx.s) == UNSIGNED
    assert tx.private is not None
    assert tx.private.call == call  # type: ignore[union-attr]
    assert tx.private.members == 8  # type: ignore[union-attr]


def test_a_transfer_comes_with_its_one_time_sender_and_nothing_of_an_account() -> None:
    tx = decoded(TRANSFER)
    assert (tx.type, tx.to, tx.gas_limit) == (0x6F, made.POOL, 1_500_000)
    assert tx.sender == shielded_sender(tx.data)
    accounts = tx.nonce, tx.max_priority_fee_per_gas, tx.max_fee_per_gas, tx.value, tx.access_list
    assert (*accounts, tx.y_parity, tx.r, tx.s) == UNSIGNED
    assert tx.private is not None
    assert tx.private.outputs == 2  # type: ignore[union-attr]
    assert decoded(made.signed_transfer(amounts=(1, 2, 3))).private.outputs == 3  # type: ignore[union-attr]


@pytest.mark.parametrize("name", SAMPLES)
def test_every_truncation_and_extension_is_refused(name: str) -> None:
    raw = SAMPLES[name]
    for cut in range(len(raw)):
        with pytest.raises(InvalidTransaction):
            decoded(raw[:cut])
    for more in (b"\0", b"\x80", raw):
        with pytest.raises(InvalidTransaction):
            decoded(raw + more)


@pytest.mark.parametrize("name", SAMPLES)
def test_fields_are_as_many_as_there_are(name: str) -> None:
    fields = fields_of(SAMPLES[name])
    for wrong in (fields[:-1], fields[1:], [*fields, b""], [fields], []):
        with pytest.raises(InvalidTransaction, match="malformed transaction"):
            decoded(SAMPLES[name][:1] + reference.encode(wrong))


NUMBERS = {"call": (0, 1, 5, 6), "transfer": (0, 1, 2)}
FIXED = {"call": (2, 3, 4, 7), "transfer": (3,)}
BYTES = {"call": (8, 9), "transfer": (4,)}


@pytest.mark.parametrize("name", SAMPLES)
def test_every_field_has_its_one_form(name: str) -> None:
    fields = fields_of(SAMPLES[name])

    def refused(place: int, value: Any) -> None:
        wrong = [*fields[:place], value, *fields[place + 1 :]]
        with pytest.raises(InvalidTransaction):
            decoded(SAMPLES[name][:1] + reference.encode(wrong))

    for place in NUMBERS[name]:
        for value in (b"\0" + fields[place], b"\0", b"\1" + bytes(8), [], [fields[place]]):
            refused(place, value)
    for place in FIXED[name]:
        for value in (b"", fields[place][:-1], fields[place] + b"\0", [], [fields[place]]):
            refused(place, value)
    for place in BYTES[name]:
        refused(place, [])
        refused(place, [fields[place]])


def test_proofs_have_a_length_that_there_may_be() -> None:
    fields = fields_of(CALL)
    for members, fits in ((0, False), (7, False), (8, True), (64, True), (65, False), (1_023, False)):
        for odd in (-1, 0, 1):
            raw = CALL[:1] + reference.encode([*fields[:9], bytes(32 * (members + 1) + odd)])
            if fits and not odd:
                assert decoded(raw).private.members == members  # type: ignore[union-attr]
            else:
                with pytest.raises(InvalidTransaction, match="malformed transaction: expected the proof of a ring"):
                    decoded(raw)
    *said, proofs = fields_of(TRANSFER)
    longer = [proofs[0] + b"\0", *proofs[1:]]
    for wrong in (longer, [proofs[0], proofs[1][:-32], proofs[2]], [*proofs[:2], proofs[2] + bytes(33)], proofs[:2]):
        with pytest.raises(InvalidTransaction, match="malformed transaction"):
            decoded(TRANSFER[:1] + reference.encode([*said, wrong]))
    for wrong in ([*proofs, b""], b"".join(proofs), [[proofs[0]], *proofs[1:]], [proofs]):
        with pytest.raises(InvalidTransaction, match="malformed transaction"):
            decoded(TRANSFER[:1] + reference.encode([*said, wrong]))


@pytest.mark.parametrize("name", SAMPLES)
def test_other_chains_are_refused(name: str) -> None:
    fields = fields_of(SAMPLES[name])
    with pytest.raises(InvalidTransaction, match="invalid chain id for signer: have 1 want 2016"):
        decoded(SAMPLES[name][:1] + reference.encode([b"\1", *fields[1:]]))


@pytest.mark.parametrize("name", SAMPLES)
def test_one_type_is_not_read_as_another(name: str) -> None:
    for kind in (*range(5), 0x6D, 0x6E, 0x6F, 0x70, 0xBF):
        if kind != SAMPLES[name][0]:
            with pytest.raises(InvalidTransaction):
                decoded(bytes((kind,)) + SAMPLES[name][1:])


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(SAMPLES)), st.data())
def test_what_decodes_has_one_encoding_whatever_it_is(name: str, data: st.DataObject) -> None:
    raw = SAMPLES[name]
    at = data.draw(st.integers(0, len(raw) - 1))
    noise = data.draw(st.binary(max_size=40))
    for altered in (raw[:at] + noise + raw[at + len(noise) :], raw[:at] + noise + raw[at:], raw[:1] + noise):
        try:
            tx = decoded(altered)
        except InvalidTransaction:
            continue
        assert tx.raw == altered
        assert rlp.encode(rlp.decode(altered[1:])) == altered[1:]
