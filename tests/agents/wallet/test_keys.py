"""What a person types and reads: words, addresses, view keys, amounts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.wallet.keys import (
    MAX_AMOUNT,
    InvalidInput,
    address_text,
    amount_text,
    keys_of,
    new_words,
    parse_address,
    parse_amount,
    seed_of,
)
from privacy.notes import make_note, scan
from privacy.secp256k1 import SECP256K1
from tests.privacy.keys import random_bytes, secret

WORDS = "abandon " * 23 + "art"  # BIP-39's own vector for 32 zero bytes


def test_words_are_the_wallet() -> None:
    words = new_words()
    assert len(words.split()) == 24
    assert new_words() != words
    assert seed_of(words) == seed_of(f"  {words.upper()}\n") != seed_of(WORDS)
    assert keys_of(seed_of(words)) == keys_of(seed_of(words))
    assert seed_of(WORDS).hex() == "e5de30e7ae7aa1655e4e91e725deb7e7715963a12fbbc1d9fd389cb476b3cea1"


@pytest.mark.parametrize("bad", ["", "abandon " * 24, "abandon " * 11 + "about", WORDS + " art", WORDS[:-3] + "xyzzy"])
def test_other_words_are_none_and_are_not_repeated(bad: str) -> None:
    with pytest.raises(InvalidInput, match="24 words") as refused:
        seed_of(bad)
    assert "abandon" not in str(refused.value)


def test_an_address_is_read_as_it_is_written() -> None:
    address = keys_of(bytes(32)).address
    text = address_text(address)
    assert text.startswith("st:gridpact:0x")
    assert len(text) == len("st:gridpact:0x") + 132
    assert parse_address(text) == address
    for bad in (
        "",
        text[:-1],
        text + "0",
        text.replace("gridpact", "eth"),
        text.removeprefix("st:"),
        text[:-66] + "00" * 33,
        text[:14] + "05" + text[16:],
        text[:-1] + "g",
    ):
        with pytest.raises(InvalidInput, match="address"):
            parse_address(bad)


def test_a_view_key_finds_notes_and_cannot_spend_them() -> None:
    keys = keys_of(b"\1" * 32)
    raw = bytes.fromhex(keys.view_key.removeprefix("view:gridpact:0x"))
    viewing = SECP256K1.scalar_from_bytes_checked(raw[:32])
    spending = SECP256K1.point_from_bytes_checked(raw[32:])
    joint = SECP256K1.multiply_generator(secret("auditors"))
    note, _ = make_note(SECP256K1, keys.address, 7, joint, lambda key: key[1:], random_bytes("note"))
    found = scan(SECP256K1, viewing, spending, note.public_bytes(SECP256K1))
    assert found is not None
    assert found.opening.amount == 7
    assert SECP256K1.scalar_to_bytes(keys.spending) not in raw
    assert "spending" not in repr(keys)


@given(st.integers(1, MAX_AMOUNT))
def test_amounts_are_read_as_they_are_written(microeur: int) -> None:
    assert parse_amount(amount_text(microeur).removesuffix(" €")) == microeur
    assert amount_text(-microeur) == f"-{amount_text(microeur)}"


@pytest.mark.parametrize(
    ("text", "microeur"),
    [("1", 10**6), ("12.50", 12_500_000), ("0.000001", 1), ("007.1", 7_100_000), ("3.", 3 * 10**6)],
)
def test_amounts(text: str, microeur: int) -> None:
    assert parse_amount(text) == microeur


@pytest.mark.parametrize(
    "bad", ["", "0", "0.0", "-1", "+1", "1,5", "1.0000001", ".5", "1e3", "nan", "٣", "1.2.3", "9" * 14, "9999999999999"]
)
def test_what_is_no_amount_is_refused(bad: str) -> None:
    with pytest.raises(InvalidInput, match="amount"):
        parse_amount(bad)
