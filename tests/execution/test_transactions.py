"""Transactions: what decodes, what is refused and in which words."""

from __future__ import annotations

from typing import Any

import pytest
from eth_account import Account as EthAccount
from eth_hash.auto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from node.chain import rlp
from node.chain.transaction import MAX_TRANSACTION_BYTES, SECP256K1_N, InvalidTransaction, decode_transaction
from tests.execution.signing import fields, signature, signed
from tests.node.samples import account_key, address_of

KEY = account_key("sender")
SENDER = address_of(KEY)
TARGET = b"\x11" * 20
SLOT = (5).to_bytes(32, "big")


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_what_was_signed_is_what_is_decoded(kind: int) -> None:
    more: dict[str, Any] = {"access": [(TARGET, [SLOT])]} if kind else {}
    if kind == 2:
        more["tip"] = 2
    raw = signed(KEY, kind, nonce=9, price=3, gas=50_000, to=TARGET, value=8, data=b"abc", **more)
    tx = decode_transaction(raw, 2016)
    assert (tx.type, tx.sender, tx.hash, tx.raw) == (kind, SENDER, keccak(raw), raw)
    assert (tx.nonce, tx.gas_limit, tx.to, tx.value, tx.data) == (9, 50_000, TARGET, 8, b"abc")
    assert (tx.max_fee_per_gas, tx.max_priority_fee_per_gas) == (3, 2 if kind == 2 else 3)
    assert tx.access_list == (((TARGET, (5,)),) if kind else ())
    assert (tx.chain_id, tx.y_parity in (0, 1)) == (2016, True)
    assert decode_transaction(signed(KEY, kind, to=None), 2016).to is None


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_the_sender_is_the_one_that_eth_account_recovers(kind: int) -> None:
    raw = signed(KEY, kind, nonce=3, data=b"\1" * 70)
    assert EthAccount.recover_transaction(raw).lower() == "0x" + decode_transaction(raw, 2016).sender.hex()


def with_signature(kind: int, parity: int, r: int, s: int, **values: Any) -> bytes:
    unsigned = fields(kind, **values)
    if kind == 0:
        return rlp.encode([*unsigned, 2016 * 2 + 35 + parity, r, s])
    return bytes((kind,)) + rlp.encode([*unsigned, parity, r, s])


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_signatures_out_of_range(kind: int) -> None:
    unsigned = fields(kind)
    payload = rlp.encode([*unsigned, 2016, 0, 0]) if kind == 0 else bytes((kind,)) + rlp.encode(unsigned)
    parity, r, s = signature(KEY, keccak(payload))
    assert decode_transaction(with_signature(kind, parity, r, s), 2016).sender == SENDER
    wrong = [(parity, 0, s), (parity, r, 0), (parity, SECP256K1_N, s), (1 - parity, r, SECP256K1_N - s), (parity, 5, s)]
    if kind:
        wrong.append((2, r, s))
    for values in wrong:
        with pytest.raises(InvalidTransaction, match="invalid transaction v, r, s values"):
            decode_transaction(with_signature(kind, *values), 2016)


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_another_chains_transaction(kind: int) -> None:
    with pytest.raises(InvalidTransaction, match="invalid chain id for signer: have 1 want 2016"):
        decode_transaction(signed(KEY, kind, chain_id=1), 2016)


@pytest.mark.parametrize("v", [27, 28])
def test_an_unprotected_transaction(v: int) -> None:
    unsigned = fields(0)
    _, r, s = signature(KEY, keccak(rlp.encode(unsigned)))
    with pytest.raises(InvalidTransaction, match="only replay-protected"):
        decode_transaction(rlp.encode([*unsigned, v, r, s]), 2016)


@pytest.mark.parametrize("kind", [3, 4, 5, 0x7F, 0x80, 0xBF])
def test_types_that_this_chain_does_not_take(kind: int) -> None:
    with pytest.raises(InvalidTransaction, match=f"transaction type not supported: {kind}; .* 0, 1, 2"):
        decode_transaction(bytes((kind,)) + signed(KEY, 2)[1:], 2016)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"to": b"\x11" * 19}, "expected 0 or 20 bytes, found 19"),
        ({"nonce": 2**64 - 1}, "nonce has max value"),
        ({"nonce": 2**64}, "at most 64 bits"),
        ({"gas": 2**64}, "at most 64 bits"),
        ({"value": 2**256}, "at most 256 bits"),
        ({"price": 2**256}, "at most 256 bits"),
        ({"value": b"\0\1"}, "without leading zeros"),
        ({"data": [b"a"]}, "expected bytes, found a list"),
        ({"tip": 5, "price": 4}, "max priority fee per gas higher than max fee per gas: 5 > 4"),
        ({"access": [(TARGET, [b"\1"])]}, "expected 32 bytes, found 1"),
        ({"access": [(b"\1", [])]}, "expected 20 bytes, found 1"),
        ({"access": [(TARGET,)]}, "expected a list of 2 items, found 1"),
        ({"access": [TARGET]}, "expected a list, found bytes"),
        ({"data": b"\1" * MAX_TRANSACTION_BYTES}, "oversized data"),
    ],
)
def test_fields_that_do_not_fit(values: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidTransaction, match=words):
        decode_transaction(signed(KEY, 2, **values), 2016)


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_encodings_that_are_not_canonical(kind: int) -> None:
    raw = signed(KEY, kind)
    head, payload = (b"", raw) if kind == 0 else (raw[:1], raw[1:])
    items = rlp.decode(payload)
    assert isinstance(items, list)
    for wrong in (
        head + payload + b"\0",
        head + payload[:-1],
        head + rlp.encode(items[:-1]),
        head + rlp.encode([*items, b""]),
        head + rlp.encode([[], *items[1:]]),
        head + b"\xf9\0" + payload[1:],
    ):
        with pytest.raises(InvalidTransaction, match="malformed transaction"):
            decode_transaction(wrong, 2016)


def test_nothing_at_all() -> None:
    with pytest.raises(InvalidTransaction, match="malformed transaction: no bytes"):
        decode_transaction(b"", 2016)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 150), st.sampled_from([0, 1, 2]))
def test_garbage_is_refused_and_nothing_else(noise: bytes, at: int, kind: int) -> None:
    raw = signed(KEY, kind, data=b"some data")
    for altered in (noise, raw[:at] + noise[:2] + raw[at + 2 :], bytes((kind,)) + noise):
        if altered == raw:
            continue
        try:
            tx = decode_transaction(altered, 2016)
        except InvalidTransaction:
            continue
        assert tx.sender != SENDER  # what decodes after all is somebody else's
