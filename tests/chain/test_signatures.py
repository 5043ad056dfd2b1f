"""Whose signature it is: what others published for ECDSA on secp256k1, by the one function that recovers senders."""

from __future__ import annotations

from hashlib import sha256

import pytest
from eth_hash.auto import keccak

from node.chain.transaction import SECP256K1_N, InvalidTransaction, recover_sender
from tests.privacy.vectors import read_json

REDUCED = 2**256 - 2**32 - 977 - SECP256K1_N  # an r below it may be an x-coordinate less n


def strict_integers(raw: bytes) -> tuple[int, int] | None:
    """Return r and s of a signature in DER's one form, None if it has another; a transaction carries the numbers."""
    parts = []
    if len(raw) < 2 or raw[0] != 0x30 or raw[1] != len(raw) - 2:
        return None
    at = 2
    while at < len(raw):
        if raw[at] != 2 or at + 2 > len(raw) or at + 2 + raw[at + 1] > len(raw):
            return None
        digits = raw[at + 2 : at + 2 + raw[at + 1]]
        at += 2 + len(digits)
        number = int.from_bytes(digits, "big")
        if number.bit_length() // 8 + 1 != len(digits):
            return None
        parts.append(number)
    return (parts[0], parts[1]) if len(parts) == 2 else None


def senders(digest: bytes, r: int, s: int) -> set[bytes]:
    """Return who may have signed; a large s is mirrored, as EIP-2 has it."""
    found = set()
    for parity in (0, 1):
        try:
            found.add(recover_sender(digest, parity, r, min(s, SECP256K1_N - s)))
        except InvalidTransaction:
            continue
    return found


def test_wycheproof_signatures_are_their_keys_or_nobodys() -> None:
    valid = invalid = elsewhere = unsaid = 0
    for group in read_json("wycheproof/ecdsa_secp256k1_sha256_test.json.gz")["testGroups"]:
        address = keccak(bytes.fromhex(group["publicKey"]["uncompressed"])[1:])[12:]
        for case in group["tests"]:
            numbers = strict_integers(bytes.fromhex(case["sig"]))
            if numbers is None:
                assert case["result"] == "invalid"
                elsewhere += 1
                continue
            holds = address in senders(sha256(bytes.fromhex(case["msg"])).digest(), *numbers)
            if case["result"] == "valid" and not holds:
                assert numbers[0] < REDUCED, case  # Ethereum's parity of one bit cannot say that r stands for r + n
                unsaid += 1
            else:
                assert holds == (case["result"] == "valid"), case
            valid, invalid = valid + holds, invalid + (not holds)
    assert min(valid, invalid, elsewhere) > 50
    assert unsaid < 5


@pytest.mark.parametrize(
    ("r", "s"), [(0, 1), (1, 0), (SECP256K1_N, 1), (1, SECP256K1_N // 2 + 1), (1, SECP256K1_N), (5, 1), (-1, 1)]
)
def test_numbers_that_are_no_signature_are_refused(r: int, s: int) -> None:
    for parity in (0, 1):
        with pytest.raises(InvalidTransaction, match="v, r, s"):
            recover_sender(keccak(b"said"), parity, r, s)


@pytest.mark.parametrize("parity", [-1, 2, 27])
def test_a_parity_is_0_or_1(parity: int) -> None:
    with pytest.raises(InvalidTransaction, match="v, r, s"):
        recover_sender(keccak(b"said"), parity, 1, 1)
