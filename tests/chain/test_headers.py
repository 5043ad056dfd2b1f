"""Headers and round records: the known constants of Ethereum, one encoding only, every field bound by the hash."""

from __future__ import annotations

from dataclasses import replace

import pytest
import rlp as oracle
from eth_hash.auto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from node.chain import rlp
from node.chain.header import (
    EMPTY_LIST_ROOT,
    FIELDS,
    MIX_HASH,
    OMMERS_HASH,
    REQUESTS_HASH,
    Header,
    InvalidHeader,
    decode_header,
)
from node.chain.record import DOMAIN, Head, RoundRecord, decode_record

HASH = st.binary(min_size=32, max_size=32)
NUMBER = st.integers(0, 2**64 - 1)
HEADERS = st.builds(
    Header,
    parent_hash=HASH,
    ommers_hash=HASH,
    coinbase=st.binary(min_size=20, max_size=20),
    state_root=HASH,
    transactions_root=HASH,
    receipts_root=HASH,
    bloom=st.binary(min_size=256, max_size=256),
    difficulty=NUMBER,
    number=NUMBER,
    gas_limit=NUMBER,
    gas_used=NUMBER,
    timestamp=NUMBER,
    extra_data=HASH,
    mix_hash=HASH,
    nonce=st.binary(min_size=8, max_size=8),
    base_fee_per_gas=NUMBER,
    withdrawals_root=HASH,
    blob_gas_used=NUMBER,
    excess_blob_gas=NUMBER,
    parent_beacon_root=HASH,
    requests_hash=HASH,
)
SAMPLE = Header(
    parent_hash=b"\1" * 32,
    ommers_hash=OMMERS_HASH,
    coinbase=bytes(20),
    state_root=b"\2" * 32,
    transactions_root=EMPTY_LIST_ROOT,
    receipts_root=EMPTY_LIST_ROOT,
    bloom=bytes(256),
    difficulty=0,
    number=7,
    gas_limit=10_000_000,
    gas_used=0,
    timestamp=1_466_460_000,
    extra_data=b"\3" * 32,
    mix_hash=MIX_HASH,
    nonce=bytes(8),
    base_fee_per_gas=0,
    withdrawals_root=EMPTY_LIST_ROOT,
    blob_gas_used=0,
    excess_blob_gas=0,
    parent_beacon_root=bytes(32),
    requests_hash=REQUESTS_HASH,
)


def test_constants_are_those_of_ethereum() -> None:
    assert EMPTY_LIST_ROOT.hex() == "56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"
    assert OMMERS_HASH.hex() == "1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"
    assert REQUESTS_HASH.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert FIELDS[:3] == ("parent_hash", "ommers_hash", "coinbase")
    assert FIELDS[-6:] == (
        "base_fee_per_gas",
        "withdrawals_root",
        "blob_gas_used",
        "excess_blob_gas",
        "parent_beacon_root",
        "requests_hash",
    )


@given(HEADERS)
@settings(max_examples=40)
def test_a_header_reads_back_and_hashes_as_the_oracle_says(header: Header) -> None:
    values = [getattr(header, name) for name in FIELDS]
    assert header.encode() == oracle.encode(values)
    assert header.hash == keccak(oracle.encode(values))
    assert decode_header(header.encode()) == header


@pytest.mark.parametrize("name", FIELDS)
def test_the_hash_binds_every_field_and_a_wrong_one_is_named(name: str) -> None:
    value = getattr(SAMPLE, name)
    other = bytes((value[0] ^ 1,)) + value[1:] if isinstance(value, bytes) else value + 1
    changed = replace(SAMPLE, **{name: other})  # type: ignore[arg-type]
    assert changed.hash != SAMPLE.hash
    wrong = value[1:] if isinstance(value, bytes) else b"\0" + rlp.encode_int(value)
    items = [wrong if field == name else getattr(SAMPLE, field) for field in FIELDS]
    with pytest.raises(InvalidHeader, match=f"header.{name}: expected"):
        decode_header(rlp.encode(items))


@pytest.mark.parametrize("change", [-1, 1])
def test_a_header_with_too_few_or_too_many_fields_is_refused(change: int) -> None:
    items = [getattr(SAMPLE, name) for name in FIELDS]
    items = items[:-1] if change < 0 else [*items, b""]
    with pytest.raises(InvalidHeader, match=f"21 items, found {21 + change}"):
        decode_header(rlp.encode(items))


@given(st.binary(max_size=700))
def test_bytes_that_are_no_header_are_refused_with_its_own_error(raw: bytes) -> None:
    with pytest.raises(InvalidHeader):
        decode_header(raw)


RECORDS = st.builds(
    RoundRecord,
    st.integers(0, 2**32 - 1),
    NUMBER,
    HASH,
    HASH,
    st.builds(Head, NUMBER, HASH),
    st.builds(Head, NUMBER, HASH),
    HASH,
)


@given(RECORDS)
@settings(max_examples=40)
def test_a_round_record_reads_back_and_its_digest_is_domain_separated(record: RoundRecord) -> None:
    raw = record.encode()
    assert decode_record(raw) == record
    assert record.digest == keccak(DOMAIN + raw)
    assert record.digest != keccak(raw)
    with pytest.raises(rlp.InvalidRlp):
        decode_record(raw + b"\0")
    with pytest.raises(rlp.InvalidRlp):
        decode_record(raw[:-1])


def test_the_heads_of_the_two_chains_do_not_pass_for_each_other() -> None:
    contract, ledger = Head(1, b"\1" * 32), Head(1, b"\2" * 32)
    record = RoundRecord(1, 0, b"\3" * 32, b"\3" * 32, contract, ledger, b"\4" * 32)
    assert replace(record, contract_head=ledger, ledger_head=contract).digest != record.digest
