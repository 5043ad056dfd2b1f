"""Transactions without an account: their bytes as the page lays them down, and what their proofs bind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import rlp
from eth_abi.abi import encode
from eth_hash.auto import keccak

from privacy import range_proof
from privacy.commitment import commit
from privacy.envelopes import (
    CLSAG_BYTES,
    RANGE_PROOF_BYTES,
    AnonymousCall,
    balances,
    bin_from_code,
    bin_to_code,
    call_holds,
    range_claim_of,
    ring_from_code,
    ring_of_proof,
    ring_to_code,
    sign_call,
    sign_transfer,
    spend_holds,
)
from privacy.group import InvalidEncoding
from tests.privacy import envelopes as made
from tests.privacy.keys import random_bytes, secret

G = made.G
ROWS = made.ring_rows()


def proof_of(raw: bytes) -> bytes:
    return bytes(rlp.decode(raw[1:])[-1])


def test_scope_and_sender_are_those_of_the_page() -> None:
    call = made.call_of(ROWS)
    types = ("string", "uint256", "address", "address", "uint64")
    scope = keccak(encode(types, ("gridpact/scope/v1", made.CHAIN_ID, made.REGISTRY, made.MARKET, made.WINDOW)))
    assert call.scope(made.REGISTRY) == scope
    assert call.sender(made.REGISTRY) == keccak(b"gridpact/anonymous/v1" + scope + call.nullifier)[-20:]


def test_a_call_is_what_the_page_says() -> None:
    call, raw = made.call_of(ROWS), made.signed_call()
    fields = [made.CHAIN_ID, made.WINDOW, call.ring_root, call.nullifier, call.trace_tag, 40, 400_000, made.MARKET]
    said = [*fields, b"offer"]
    assert call.signing_hash() == keccak(b"\x6e" + rlp.encode(said))
    assert raw == b"\x6e" + rlp.encode([*said, proof_of(raw)])
    assert len(proof_of(raw)) == 32 * 9
    assert ring_of_proof(proof_of(raw)) == 8
    assert call_holds(call, made.REGISTRY, ROWS, proof_of(raw))


CHANGES: dict[str, Callable[[AnonymousCall], AnonymousCall]] = {
    "chain": lambda call: replace(call, chain_id=1),
    "window": lambda call: replace(call, window=call.window + 1),
    "ring root": lambda call: replace(call, ring_root=bytes(32)),
    "nullifier": lambda call: replace(call, nullifier=G.point_to_bytes(G.generator)),
    "nullifier that is none": lambda call: replace(call, nullifier=b"\4" * 33),
    "nullifier that is nothing": lambda call: replace(call, nullifier=bytes(33)),
    "trace tag": lambda call: replace(call, trace_tag=call.nullifier),
    "expiry": lambda call: replace(call, expiry_height=41),
    "gas": lambda call: replace(call, gas_limit=400_001),
    "market": lambda call: replace(call, to=made.POOL),
    "data": lambda call: replace(call, data=b"Offer"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_proof_is_for_its_call_alone(name: str) -> None:
    assert not call_holds(CHANGES[name](made.call_of(ROWS)), made.REGISTRY, ROWS, proof_of(made.signed_call()))


def test_a_proof_is_for_its_ring_registry_and_length() -> None:
    call, proof = made.call_of(ROWS), proof_of(made.signed_call())
    others = [ROWS[1:] + ROWS[:1], (*ROWS[:7], ROWS[0]), ROWS[:7], made.ring_rows(9)]
    assert not any(call_holds(call, made.REGISTRY, rows, proof) for rows in others)
    assert not call_holds(call, made.POOL, ROWS, proof)
    assert not any(call_holds(call, made.REGISTRY, ROWS, wrong) for wrong in (b"", proof[:-1], proof + b"\0"))
    assert not any(call_holds(call, made.REGISTRY, ROWS, proof[:at] + b"\xff" * 32) for at in (0, len(proof) - 32))


def test_seven_members_are_no_ring() -> None:
    rows = made.ring_rows(7)
    raw = made.signed_call(rows)
    assert not call_holds(made.call_of(rows), made.REGISTRY, rows, proof_of(raw))
    assert ring_of_proof(proof_of(raw)) == 0


def test_only_what_will_hold_is_signed() -> None:
    call, secrets = made.call_of(ROWS), made.member_secrets(3)
    for wrong, rows, own, index in (
        (replace(call, ring_root=bytes(32)), ROWS, secrets, 3),
        (replace(call, nullifier=call.trace_tag), ROWS, secrets, 3),
        (call, ROWS, made.member_secrets(4), 3),
        (call, ROWS, secrets, 4),
    ):
        with pytest.raises(ValueError):
            sign_call(wrong, made.REGISTRY, rows, own, index, random_bytes("x"))
    with pytest.raises(ValueError, match="expected 2"):
        sign_transfer(made.transfer_of(), (), [], random_bytes("x"))


def test_rings_and_bins_come_back_from_code() -> None:
    code = ring_to_code(ROWS)
    assert len(code) == 1 + 8 * 86
    assert ring_from_code(code) == ROWS
    notes = made.bin_notes(0)
    assert bin_from_code(bin_to_code(notes)) == notes
    for wrong in (b"", b"\1" + code[1:], code[:-1], code + b"\0", code[:21] + bytes(33) + code[54:]):
        with pytest.raises(InvalidEncoding):
            ring_from_code(wrong)
    code = bin_to_code(notes)
    for wrong in (b"", b"\1" + code[1:], code[:-66], code + code[1:67], code[:1] + bytes(33) + code[34:]):
        with pytest.raises(InvalidEncoding):
            bin_from_code(wrong)


@pytest.mark.parametrize("amounts", [(1_500, 500), (0, 0, 2_000)])
def test_a_transfer_is_what_the_page_says(amounts: tuple[int, ...]) -> None:
    raw = made.signed_transfer(amounts=amounts)
    chain, expiry, gas, to, data, proofs = rlp.decode(raw[1:])
    transfer = made.transfer_of(data=data)
    message = keccak(b"\x6f" + rlp.encode([chain, expiry, gas, to, data]))
    assert message == transfer.signing_hash()
    assert transfer.sender() == keccak(b"gridpact/shielded/v1" + keccak(data))[-20:]
    assert raw == transfer.to_bytes(proofs)
    assert [len(proof) for proof in proofs] == [CLSAG_BYTES, CLSAG_BYTES, RANGE_PROOF_BYTES[len(amounts)]]
    spends = [made.own_spend(0, 3), made.own_spend(1, 5)]
    for place, (spend, proof) in enumerate(zip(spends, proofs, strict=False)):
        row = made.spent_row(place, spend)
        image, pseudo = row[4:37], row[37:]
        assert spend_holds(spend.members, image, pseudo, message, proof)
        assert not spend_holds(spend.members, image, pseudo, bytes(32), proof)
        assert not spend_holds(spend.members, pseudo, pseudo, message, proof)
        assert not spend_holds(spend.members, image, image, message, proof)
        assert not spend_holds(spend.members, image, bytes(33), message, proof)
        assert not spend_holds(made.bin_notes(2), image, pseudo, message, proof)
        assert not spend_holds(spend.members, image, pseudo, message, proof[:-1])
    commitments = [G.point_to_bytes(commit(G, *opening)) for opening in made.openings_of(amounts, ((0, 3), (1, 5)))]
    claim = range_claim_of(commitments, message, proofs[2])
    assert claim is not None
    assert range_proof.verify(G, *claim)
    other = range_claim_of(commitments, bytes(32), proofs[2])
    assert other is not None
    assert not range_proof.verify(G, *other)
    assert range_claim_of([*commitments[1:], bytes(33)], message, proofs[2]) is None
    assert range_claim_of(commitments, message, proofs[2][:-1]) is None


def test_what_a_transfer_spends_is_what_it_makes() -> None:
    blindings = [secret(f"balance {place}") for place in range(4)]
    blindings[3] = G.scalar(blindings[0] + blindings[1] - blindings[2])
    points = [
        G.point_to_bytes(commit(G, *opening)) for opening in zip((1_000, 1_000, 1_200, 300), blindings, strict=True)
    ]
    assert balances(points[:2], points[2:], 500)
    for withdrawal in (0, 499, 501):
        assert not balances(points[:2], points[2:], withdrawal)
    assert balances([points[0]], [points[0]], 0)
    assert not balances(points[:2], [points[2]], 500)
    for wrong in (b"", bytes(33), b"\2" + b"\xff" * 32, points[0][:-1]):
        assert not balances([wrong, points[1]], points[2:], 500)
        assert not balances(points[:2], [wrong, points[3]], 500)
